// The activity log as it happens, newest first. Commands come by the thousand, so they are shown on demand.

import { el, timeOf } from "./format.js";
import { model } from "./feed.js";

const MOST = 200;
const BULK = new Set(["CommandIssued", "CommandAnswered", "Enrolled", "EnrolmentEnded", "PoweredOn", "PoweredOff", "RequestTallied"]);

export class Log {
  constructor(host, bulk) {
    this.host = host;
    this.bulk = bulk;
    bulk.addEventListener("change", () => this.rebuild());
  }

  update(what) {
    if (what.full) this.rebuild();
    else this.add(what.log);
  }

  rebuild() {
    this.host.replaceChildren();
    this.add(model.log);
  }

  add(lines) {
    for (const line of lines) {
      if (!this.bulk.checked && (line.omitted || BULK.has(line.kind))) continue;
      const text = line.omitted ? `… and ${line.omitted} more` : line.text;
      this.host.prepend(
        el("li", { "data-kind": line.kind },
          el("time", { datetime: line.at }, timeOf(Date.parse(line.at))),
          el("bdi", { class: "says" }, text),
          el("bdi", { class: "quiet actor" }, line.actor ?? "")),
      );
    }
    while (this.host.childElementCount > MOST) this.host.lastElementChild.remove();
  }
}
