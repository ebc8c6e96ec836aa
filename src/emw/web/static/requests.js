// Running and coming requests: one bar, requested = confirmed + pending + refused + short, and what meters show beside it.

import { call, segment } from "./api.js";
import { model, now } from "./feed.js";
import { ageOf, count, el, name, num, picture, say, share, shortOf, span, when } from "./format.js";
import { areYouSure } from "./frame.js";
import { t, word } from "./t.js";

const PARTS = [
  ["confirmed", "confirmedKW"],
  ["pending", "pendingKW"],
  ["refused", "refusedKW"],
  ["short", "shortKW"],
];

const endsBy = (request) => t(request.state === "pending" ? "end.off" : "end.do");

/** Ask, then call off or return a request to normal. */
export function endRequest(request, done = () => {}) {
  const coming = request.state === "pending"; // nothing to return from
  areYouSure(t(coming ? "end.off_title" : "end.title"), t(coming ? "end.off_text" : "end.text", { id: request.requestID }), endsBy(request), async (reason) => {
    await call("POST", `/requests/${segment(request.requestKey)}/returnToNormal`, { reason });
    done();
  });
}

/** Be the second person who agrees to a request that waits for one. */
function agree(request) {
  areYouSure(t("agree.title"), t("agree.text", { id: request.requestID, kw: num(request.requestedKW), why: request.held }), t("agree.button"),
    (reason) => call("POST", `/requests/${segment(request.requestKey)}/confirm`, { reason }));
}

/** The bar of four parts with its numbers in words: it always adds up to what was requested. */
export class SumBar {
  constructor() {
    this.parts = {};
    this.numbers = {};
    this.bar = el("div", { class: "sum" });
    this.asked = el("b");
    this.sum = el("p", { class: "numbers" }, this.asked, " kW = ");
    PARTS.forEach(([key], n) => {
      this.parts[key] = el("span", { class: `part ${key}` });
      this.bar.append(this.parts[key]);
      this.numbers[key] = el("b");
      this.sum.append(n ? " + " : "", el("span", { class: "term" },
        el("span", { class: `key ${key}` }), this.numbers[key], ` ${t(`part.${key}`)}`));
    });
    this.node = el("div", { class: "sums-up" }, this.bar, this.sum);
  }

  fill(request) {
    const total = request.requestedKW || 1;
    const words = [];
    for (const [key, field] of PARTS) {
      this.parts[key].style.width = `${(100 * request[field]) / total}%`;
      say(this.numbers[key], num(request[field]));
      words.push(`${num(request[field])} ${t(`part.${key}`)}`);
    }
    picture(this.bar, t("request.sum", { kw: num(request.requestedKW), parts: words.join(", ") }));
    say(this.asked, num(request.requestedKW));
  }
}

export class Requests {
  /** `change(request)` opens what changes one; without it there is no such button. */
  constructor(host, { change = null } = {}) {
    this.host = host;
    this.change = change;
    this.made = new Map();
    this.none = el("p", { class: "quiet" }, t("live.no_request"));
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
    const made = { sums: new SumBar() };
    made.state = el("span", { class: "tag" });
    made.when = el("p", { class: "quiet when" });
    made.end = el("button", { type: "button", class: "acts small" }, t("end.do"));
    made.end.addEventListener("click", () => endRequest(made.request));
    made.changes = el("button", { type: "button", class: "acts small", hidden: true }, t("change.button"));
    made.changes.addEventListener("click", () => this.change(made.request));
    made.agree = el("button", { type: "button", class: "acts small primary", hidden: true }, t("agree.button"));
    made.agree.addEventListener("click", () => agree(made.request));
    made.measured = el("span", { class: "m-load" });
    made.mark = el("span", { class: "m-mark" });
    made.meter = el("div", { class: "meter", "aria-hidden": "true" }, made.measured, made.mark);
    made.told = el("p", { class: "numbers" });
    made.age = el("span", { class: "age" });
    made.waits = el("p", { class: "note waits", hidden: true });
    made.why = el("p", { class: "why-short" });
    made.node = el("article", { class: "request" },
      el("div", { class: "head" },
        el("h3", {}, el("a", { href: `/reports/requests/${segment(request.requestKey)}` }, name(request.requestID)), el("span", { class: "quiet" }, ` ${t("request.in")} `), name(request.territory),
          el("span", { class: "quiet" }, ` ${t("request.by")} `), name(request.isoID)),
        made.state, made.age),
      made.waits, made.sums.node, made.meter, made.told, made.why,
      el("div", { class: "foot" }, made.when, made.agree, made.changes, made.end));
    return made;
  }

  fill(made, request) {
    made.request = request;
    const clock = now();
    made.sums.fill(request);
    say(made.state, word("state", request.state));
    made.state.dataset.state = request.state;
    const measured = request.measuredKW;
    const total = request.requestedKW || 1;
    const most = Math.max(total, measured ?? 0);
    made.measured.style.width = `${(100 * Math.max(measured ?? 0, 0)) / most}%`;
    made.mark.style.left = `calc(${(100 * total) / most}% - 1px)`;
    const could = t("request.could", { kw: num(request.availableKW) });
    const coming = request.state === "pending"; // nothing can be there yet, and nothing is amiss
    made.meter.hidden = coming;
    made.node.classList.toggle("coming", coming);
    say(made.told, coming ? could : measured === null
      ? `${t("request.unmeasured")} · ${could}`
      : `${t("request.measured", { kw: num(measured), share: share(measured / total) })} · ` +
        `${t("request.evses", { n: count(request.affectedEVSEs) })} · ${could}`);
    const age = (clock - Date.parse(request.at)) / 1000 / model.speed;
    say(made.age, ageOf(age));
    made.waits.hidden = !request.held;
    if (request.held) say(made.waits, t("agree.waits", { who: request.askedBy ?? request.isoID, why: request.held }));
    say(made.why, !request.held && request.state === "active" && request.shortKW > Math.max(0.05, 0.01 * total) && request.whyShort ? request.whyShort : "");
    made.agree.hidden = !request.held;
    made.changes.hidden = !this.change || request.isoID !== "operator" || request.state === "restoring";
    made.when.replaceChildren(...spanOf(request, clock));
    made.end.hidden = request.state === "restoring";
    say(made.end, endsBy(request));
  }
}

/** From when to when, in the territory's time, and how long still. */
function spanOf(request, clock) {
  const zone = model.nodes.get(request.territory)?.zone;
  const start = Date.parse(request.start);
  const end = request.end === null ? null : Date.parse(request.end);
  const from = when(start, shortOf(start, clock, zone));
  if (request.state === "restoring") return [t("request.restoring")];
  if (end === null) return [from, ` – ${t("request.open")}`];
  const to = when(end, shortOf(end, clock, zone));
  const rest = clock < start
    ? t("request.starts_in", { span: span((start - clock) / 1000) })
    : t("request.left", { span: span((end - clock) / 1000) });
  return [from, " – ", to, `, ${rest}`];
}
