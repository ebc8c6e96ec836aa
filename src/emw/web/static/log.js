// The activity log as it happens, newest first. What comes by the thousand or is mere routine is shown on demand.

import { model } from "./feed.js";
import { count, el, stampOf, when } from "./format.js";
import { t } from "./t.js";

const MOST = 200;
const BULK = new Set(["CommandIssued", "CommandAnswered", "Enrolled", "EnrolmentEnded", "PoweredOn", "PoweredOff", "RequestTallied",
  "ReportQueued", "ReportDelivered", "StationLearned"]);

/** One line of the log. */
export function line(row) {
  return el("li", { "data-kind": row.kind },
    when(Date.parse(row.at), stampOf(Date.parse(row.at), model.at || Date.now())),
    el("bdi", { class: "says" }, row.omitted ? t("log.omitted", { n: count(row.omitted) }) : row.text),
    el("bdi", { class: "quiet actor" }, row.actor ?? ""));
}

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
    for (const row of lines) {
      if (!this.bulk.checked && (row.omitted || BULK.has(row.kind))) continue;
      this.host.prepend(line(row));
    }
    while (this.host.childElementCount > MOST) this.host.lastElementChild.remove();
  }
}
