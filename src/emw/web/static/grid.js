// The grid's side: which VTNs can be heard, their events on a line of time, and what of them is not served and why.

import { call } from "./api.js";
import { now } from "./feed.js";
import { count, el, minuteOf, name, say, shortOf, span, when } from "./format.js";
import { follow } from "./frame.js";
import { t } from "./t.js";

const $ = (id) => document.getElementById(id);
const EVERY_MS = 5000;
const BEHIND_MS = 2 * 3_600_000;
const AHEAD_MS = 22 * 3_600_000;
const SHOWN = 200;

const at = (text) => (text === null ? null : Date.parse(text));
const ago = (text) => (text === null ? t("grid.never") : t("grid.heard", { span: span((now() - at(text)) / 1000) }));

function connection(c) {
  const link = c.connected === null ? "waiting" : c.connected ? "up" : "lost";
  const state = { up: t("grid.up"), lost: t("grid.lost"), waiting: t("grid.waiting") }[link];
  const lines = [
    el("p", {}, name(c.name), ` ${c.protocol} · `, el("strong", {}, state)),
    el("p", { class: "quiet" }, el("bdi", {}, c.url)),
    el("p", {}, ago(c.heardAt), c.nextPollAt === null ? "" : ` · ${t("grid.next", { span: span((at(c.nextPollAt) - now()) / 1000) })}`),
    el("p", {}, t("grid.told", { events: count(c.events), reports: count(c.reportsOwed) })),
  ];
  if (c.notified) {
    const { delivered, dropped, muted } = c.notified;
    lines.push(el("p", { class: dropped || muted ? "why-short" : "" }, t("grid.notified", {
      delivered: count(delivered), dropped: count(dropped), muted: count(muted),
    })));
  }
  if (c.why) lines.push(el("p", { class: "why-short" }, el("bdi", {}, c.why)));
  for (const [way, stands] of Object.entries(c.notifications)) lines.push(el("p", { class: "quiet" }, `${way}: `, el("bdi", {}, stands)));
  for (const odd of c.unreadable) {
    lines.push(el("p", { class: "why-short" }, el("bdi", {}, t("grid.unreadable", { id: odd.eventID ?? "?", why: odd.why }))));
  }
  return el("li", { "data-link": link }, ...lines);
}

/** From and to, as people read them; open ends say so. */
function times(start, end) {
  const from = when(at(start), shortOf(at(start), now()));
  return end === null ? [from, ` – ${t("grid.open")}`] : [from, " – ", when(at(end), shortOf(at(end), now()))];
}

/** An event's segments on the line of time; the table beside it says the same in words. */
function lane(segments) {
  const first = now() - BEHIND_MS;
  const whole = BEHIND_MS + AHEAD_MS;
  const place = (ms) => Math.min(Math.max(((ms - first) / whole) * 100, 0), 100);
  const box = el("div", { class: "lane", "aria-hidden": "true" });
  for (const s of segments) {
    const from = place(at(s.start));
    const to = s.end === null ? 100 : place(at(s.end));
    if (to <= 0 || from >= 100) continue;
    const bar = el("i", { class: s.whyNot === null ? "served" : "", title: s.said });
    bar.style.left = `${from}%`;
    bar.style.width = `${to - from}%`;
    box.append(bar);
  }
  const mark = el("i", { class: "now" });
  mark.style.left = `${place(now())}%`;
  box.append(mark);
  return box;
}

function event(e) {
  const served = e.segments.filter((s) => s.whyNot === null);
  const shown = served.length ? served : e.segments;
  const ends = shown.map((s) => s.end);
  const end = ends.includes(null) ? null : ends.toSorted().at(-1);
  const asks = [...new Set(served.map((s) => s.said))].slice(0, 3).join("; ");
  const over = shown.length > 0 && end !== null && at(end) <= now();
  const requests = e.requestKeys.flatMap((key, n) => [n ? ", " : "", name(key)]);
  const told = e.reports.filter((r) => r.deliveredAt !== null).length;
  if (e.reports.length) requests.push(el("div", { class: "quiet" }, t("grid.reports", { told: count(told), all: count(e.reports.length) })));
  return el("tr", { class: over ? "gone" : "" },
    el("th", { scope: "row" }, name(e.name ?? e.eventID), el("div", { class: "quiet" }, el("bdi", {}, `${e.sourceID} · ${e.program}`))),
    el("td", {}, ...(shown.length ? times(shown.map((s) => s.start).toSorted()[0], end) : ["–"])),
    el("td", {}, el("bdi", {}, asks || t("grid.nothing"))),
    el("td", {}, ...requests),
    el("td", {}, lane(e.segments)));
}

function unserved(u) {
  return el("tr", {},
    el("th", { scope: "row" }, name(u.name ?? u.eventID), el("div", { class: "quiet" }, el("bdi", {}, `${u.sourceID} · ${u.program}`))),
    el("td", {}, ...times(u.start, u.end)),
    el("td", {}, el("bdi", {}, u.said)),
    el("td", {}, el("bdi", {}, u.why)));
}

const empty = (columns, text) => el("tr", {}, el("td", { colspan: columns, class: "quiet" }, text));

async function load() {
  const [links, events, odd] = await Promise.all([
    call("GET", "/grid/connections"), call("GET", `/grid/events?limit=${SHOWN}`), call("GET", `/grid/unserved?limit=${SHOWN}`),
  ]);
  $("connections").replaceChildren(...(links.items.length ? links.items.map(connection) : [el("li", { class: "quiet" }, t("grid.none"))]));
  $("events").replaceChildren(...(events.items.length ? events.items.map(event) : [empty(5, t("grid.no_events"))]));
  $("unserved").replaceChildren(...(odd.items.length ? odd.items.map(unserved) : [empty(4, t("grid.all_served"))]));
  say($("grid-at"), t("grid.at", { time: minuteOf(now()) }));
  $("events").closest("section").hidden = !links.items.length && !events.items.length;
  $("unserved").closest("section").hidden = !links.items.length && !odd.items.length;
  say($("grid-span"), t("grid.span", { from: minuteOf(now() - BEHIND_MS), hours: count((BEHIND_MS + AHEAD_MS) / 3_600_000) }));
}

async function again() {
  try {
    if (!document.hidden) await load();
  } catch {
    // The frame says that the line is down; the next look finds out whether it is back.
  }
  setTimeout(again, EVERY_MS);
}

let begun = false;
follow(() => {
  if (begun) return;
  begun = true; // the server's clock is known now: a line of time needs it
  again();
});
