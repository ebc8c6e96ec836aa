// Running requests: one bar, requested = confirmed + pending + refused + short, and what the meters show beside it.

import { el, minuteOf, name, num, say, span } from "./format.js";
import { model, now } from "./feed.js";

const PARTS = [
  ["confirmed", "confirmedKW"],
  ["pending", "pendingKW"],
  ["refused", "refusedKW"],
  ["short", "shortKW"],
];

export class Requests {
  /** `onEnd(request)` asks to return one to normal. */
  constructor(host, onEnd) {
    this.host = host;
    this.onEnd = onEnd;
    this.made = new Map();
    this.none = el("p", { class: "quiet" }, "No request is running.");
    host.append(this.none);
  }

  update() {
    const keys = new Set(model.requests.map((r) => r.requestKey));
    for (const [key, made] of this.made) {
      if (!keys.has(key)) {
        made.node.remove();
        this.made.delete(key);
      }
    }
    this.none.hidden = keys.size > 0;
    for (const request of model.requests) {
      let made = this.made.get(request.requestKey);
      if (!made) {
        made = this.make(request);
        this.made.set(request.requestKey, made);
        this.host.append(made.node);
      }
      this.fill(made, request);
    }
  }

  make(request) {
    const made = { parts: {}, numbers: {} };
    made.state = el("span", { class: "tag" });
    made.when = el("span", { class: "quiet" });
    made.end = el("button", { type: "button", class: "acts small" }, "Return to normal");
    made.end.addEventListener("click", () => this.onEnd(made.request));
    made.bar = el("div", { class: "sum", role: "img" });
    made.sum = el("p", { class: "numbers" });
    made.asked = el("b");
    made.sum.append(made.asked, " kW = ");
    PARTS.forEach(([word], n) => {
      made.parts[word] = el("span", { class: `part ${word}` });
      made.bar.append(made.parts[word]);
      made.numbers[word] = el("b");
      made.sum.append(n ? " + " : "", el("span", { class: `key ${word}` }), made.numbers[word], ` ${word}`);
    });
    made.measured = el("span", { class: "m-load" });
    made.mark = el("span", { class: "m-mark" });
    made.meter = el("div", { class: "meter", "aria-hidden": "true" });
    made.meter.append(made.measured, made.mark);
    made.told = el("p", { class: "numbers" });
    made.age = el("span", { class: "age" });
    made.why = el("p", { class: "why-short" });
    made.node = el("article", { class: "request" },
      el("div", { class: "head" },
        el("h3", {}, name(request.requestID), el("span", { class: "quiet" }, " in "), name(request.territory),
          el("span", { class: "quiet" }, " by "), name(request.isoID)),
        made.state, made.age, made.end),
      made.bar, made.sum, made.meter, made.told, made.why, el("p", {}, made.when));
    return made;
  }

  fill(made, request) {
    made.request = request;
    const clock = now();
    const total = request.requestedKW || 1;
    const words = [];
    for (const [word, field] of PARTS) {
      made.parts[word].style.width = `${(100 * request[field]) / total}%`;
      say(made.numbers[word], num(request[field]));
      words.push(`${num(request[field])} ${word}`);
    }
    const said = `${num(request.requestedKW)} kW requested: ${words.join(", ")}`;
    if (made.bar.getAttribute("aria-label") !== said) made.bar.setAttribute("aria-label", said);
    say(made.asked, num(request.requestedKW));
    say(made.state, request.state);
    made.state.dataset.state = request.state;
    const measured = request.measuredKW;
    const most = Math.max(total, measured ?? 0);
    made.measured.style.width = `${(100 * Math.max(measured ?? 0, 0)) / most}%`;
    made.mark.style.left = `calc(${(100 * total) / most}% - 1px)`;
    say(made.told, measured === null
      ? `nothing measured yet · ${num(request.availableKW)} kW could be shed at most`
      : `${num(measured)} kW measured (${Math.round((100 * measured) / total)} %) · ${request.affectedEVSEs} EVSEs · ` +
        `${num(request.availableKW)} kW could be shed at most`);
    const age = (clock - Date.parse(request.at)) / 1000 / model.speed;
    say(made.age, age < 3 ? "now" : `${span(age)} old`);
    say(made.why, request.shortKW > 0.05 && request.whyShort ? request.whyShort : "");
    say(made.when, when(request));
    made.end.hidden = request.state === "restoring";
  }
}

function when(request) {
  const start = Date.parse(request.start);
  const end = request.end === null ? null : Date.parse(request.end);
  const clock = now();
  if (request.state === "restoring") return "over; cars come back along the ramp";
  if (clock < start) return `starts at ${minuteOf(start)}, in ${span((start - clock) / 1000)}`;
  if (end === null) return `since ${minuteOf(start)}, until returned to normal`;
  return `${minuteOf(start)} to ${minuteOf(end)}, ${span((end - clock) / 1000)} left`;
}
