// Run an event: see what a request would do before it is asked, schedule it, change it, end it; and all that were.

import { call, segment } from "./api.js";
import { model, now } from "./feed.js";
import { open, wire, wireButton, wireForm } from "./form.js";
import { amps, byName, count, el, fromLocal, name, num, say, share, shortOf, toLocal, when } from "./format.js";
import { follow } from "./frame.js";
import { Requests } from "./requests.js";
import { Timeline } from "./timeline.js";
import { t, word } from "./t.js";

const $ = (id) => document.getElementById(id);
const form = $("plan");
const territory = form.elements.territory;
const PAUSE_MS = 500;
const PAGE = 50;
const GIVERS = 100;
const FORECAST_MS = 24 * 3600e3; // no forecast reaches further
const zone = () => model.nodes.get(territory.value)?.zone;

// --- what it would do

/** What the form says, for the preview and the request; null where it is not whole yet. */
function read() {
  const kw = Number.parseFloat(form.elements.kw.value);
  const minutes = Number.parseFloat(form.elements.minutes.value);
  if (!(kw > 0) || !territory.value) return null;
  const start = form.elements.start.value ? fromLocal(form.elements.start.value, zone()) : null;
  return { kw, minutes: minutes > 0 ? minutes : null, start, territory: territory.value };
}

let asked = 0;
async function preview() {
  const wish = read();
  asked += 1;
  const mine = asked;
  if (!wish) {
    $("preview").replaceChildren();
    return;
  }
  try {
    const far = wish.start !== null && wish.start > now() + FORECAST_MS;
    if (far) throw new Error(t("plan.far"));
    const told = await call("POST", "/preview", {
      territory: wish.territory, kW: wish.kw, durationMinutes: wish.minutes ?? 60, start: wish.start === null ? null : new Date(wish.start).toISOString(),
    });
    if (mine === asked) $("preview").replaceChildren(...answer(told, wish));
  } catch (problem) {
    if (mine === asked) $("preview").replaceChildren(el("p", { class: "error" }, problem.message));
  }
}

function tile(title, value, unit, note, mood = "") {
  return el("div", { class: mood }, el("dt", {}, title), el("dd", {}, el("b", {}, value), ` ${unit}`, note ? el("div", { class: "quiet" }, note) : ""));
}

const come = (one) => (one.toCome.kW < 0.05 ? "" : `; ${t("plan.come", { kw: num(one.toCome.kW) })}`);
const band = (one) => t("plan.band", { low: num(one.lowKW), high: num(one.highKW) }) + come(one);

function answer(told, wish) {
  const short = told.shortKW > 0.05;
  const sure = told.chance;
  const later = wish.start !== null && wish.start > now() + 60e3;
  const parts = [
    el("dl", { class: "answer" },
      tile(t("plan.would"), num(told.shedKW), "kW", short ? t("plan.would_short", { kw: num(told.shortKW) }) : t("plan.would_all"), short ? "bad" : "good"),
      tile(t("plan.sure"), share(sure), "", t("plan.sure_note"), sure >= 0.9 ? "good" : sure >= 0.6 ? "wait" : "bad"),
      later ? tile(t("plan.then"), num(told.atStart.kW), "kW", band(told.atStart)) : tile(t("plan.now"), num(told.available.kW), "kW", band(told.available)),
      tile(t("plan.at_end"), num(told.atEnd.kW), "kW", band(told.atEnd)),
      tile(t("plan.cost"), num(told.missedKWh), "kWh", t("plan.cost_note")),
      tile(t("plan.who"), count(told.affectedEVSEs), "", t("plan.who_note"))),
  ];
  if (later) parts.push(el("p", { class: "quiet" }, t("plan.later")));
  if (told.whyShort) parts.push(el("p", { class: "why-short" }, told.whyShort));
  if (told.evses.length) {
    const dearest = [...told.evses].sort((a, b) => b.givesKW - a.givesKW).slice(0, GIVERS);
    parts.push(el("details", {}, el("summary", {}, t("plan.givers", { n: count(dearest.length), all: count(told.affectedEVSEs) })),
      el("div", { class: "givers", tabindex: "0", role: "region", "aria-label": t("plan.who") }, el("table", {}, el("thead", {}, el("tr", {},
        el("th", { scope: "col" }, t("column.id")), el("th", { scope: "col", class: "number" }, t("plan.draws")),
        el("th", { scope: "col", class: "number" }, t("plan.limit")), el("th", { scope: "col", class: "number" }, t("plan.gives")),
        el("th", { scope: "col", class: "number" }, t("plan.misses")))),
      el("tbody", {}, ...dearest.map((e) => el("tr", {},
        el("td", {}, el("a", { href: `/evses/${segment(e.evseID)}` }, name(e.evseID))),
        el("td", { class: "number" }, num(e.drawAmps)), el("td", { class: "number" }, amps(e.limitAmps)),
        el("td", { class: "number" }, num(e.givesKW)), el("td", { class: "number" }, num(e.missedKWh)))))))));
  }
  return parts;
}

let due = null;
form.addEventListener("input", () => {
  clearTimeout(due);
  due = setTimeout(preview, PAUSE_MS);
});

/** A name as the server gives one. The same wish, asked again because no answer came, keeps it: it is the same request. */
let named = { wish: "", requestID: "" };
function nameOf(wish) {
  if (named.wish !== JSON.stringify(wish)) {
    const stamp = new Date(now()).toISOString().replaceAll(/[-:]|\..*/g, "").replace("T", "-");
    const only = [...crypto.getRandomValues(new Uint8Array(3))].map((b) => b.toString(16).padStart(2, "0")).join("");
    named = { wish: JSON.stringify(wish), requestID: `${stamp}-${only}` };
  }
  return named.requestID;
}

wireForm(form, async () => {
  const wish = read();
  if (!model.nodes.size) throw new Error(t("live.no_territory"));
  if (!wish) throw new Error(t("ask.how_much"));
  const body = { requestID: nameOf(wish), territory: wish.territory, kW: wish.kw };
  if (wish.start !== null) body.start = new Date(wish.start).toISOString();
  if (wish.minutes !== null) body.durationMinutes = wish.minutes;
  return call("POST", "/requests", body);
}, () => {
  named = { wish: "", requestID: "" };
  form.elements.kw.value = "";
  form.elements.start.value = "";
  $("preview").replaceChildren();
  past();
});

// --- what runs and comes: change, end, agree

const dialog = $("d-change");
let changing = null;
wire(dialog, (data) => {
  const there = model.nodes.get(changing.territory)?.zone;
  const body = { kW: Number.parseFloat(data.get("kw")), reason: data.get("reason") || null };
  if (changing.state === "pending" && data.get("start")) body.start = new Date(fromLocal(data.get("start"), there)).toISOString();
  if (data.get("end")) body.end = new Date(fromLocal(data.get("end"), there)).toISOString();
  return call("PATCH", `/requests/${segment(changing.requestKey)}`, body);
});

function change(request) {
  changing = request;
  const there = model.nodes.get(request.territory)?.zone;
  open(dialog);
  const fields = dialog.querySelector("form").elements;
  fields.kw.value = request.requestedKW;
  fields.start.value = toLocal(Date.parse(request.start), there);
  fields.end.value = request.end ? toLocal(Date.parse(request.end), there) : "";
  dialog.querySelector(".start").hidden = request.state !== "pending";
  for (const unit of dialog.querySelectorAll(".zone")) unit.textContent = there ?? "";
}

const list = new Requests($("requests"), { change });
const timeline = new Timeline($("timeline"));

// --- all that were

let shown = 0;
function row(r) {
  const there = model.nodes.get(r.territory)?.zone;
  const start = Date.parse(r.start);
  const over = Date.parse(r.endedAt ?? "");
  const end = over > start ? r.endedAt : r.end; // one that was returned early is over then; one called off never ran
  return el("tr", { "data-state": r.state },
    el("td", {}, el("a", { href: `/reports/requests/${segment(r.requestKey)}` }, name(r.requestID)), " ", el("span", { class: "quiet" }, r.isoID)),
    el("td", {}, name(r.territory)), el("td", {}, word("state", r.state)),
    el("td", { class: "when" }, when(start, shortOf(start, now(), there)), ...(end
      ? [" – ", when(Date.parse(end), shortOf(Date.parse(end), start, there))] : [])),
    ...[r.requestedKW, r.confirmedKW, r.shortKW, r.measuredKW].map((kw) => el("td", { class: "number" }, num(kw))),
    el("td", { class: "number" }, count(r.affectedEVSEs)),
    el("td", {}, el("a", { href: `/log?requestKey=${encodeURIComponent(r.requestKey)}` }, t("nav.log"))));
}

async function past(more = false) {
  const told = await call("GET", `/requests?limit=${PAGE}&offset=${more ? shown : 0}`);
  if (!more) {
    shown = 0;
    $("past").replaceChildren();
  }
  $("past").append(...told.items.map(row));
  shown += told.items.length;
  if (!shown) $("past").append(el("tr", {}, el("td", { class: "quiet", colspan: "10" }, t("plan.none"))));
  $("more").hidden = shown >= told.total;
  say($("past-count"), t("live.of", { n: count(shown), all: count(told.total) }));
}
wireButton($("more"), () => past(true), (words) => say($("past-count"), words));

// --- together

function territories() {
  const before = territory.value || new URLSearchParams(location.search).get("territory");
  territory.replaceChildren(...[...model.nodes.keys()].sort(byName).map((id) => el("option", { value: id }, id)));
  if (model.nodes.has(before)) territory.value = before;
  zoned();
}

/** Whose times these are. */
function zoned() {
  form.querySelector(".zoned").hidden = !zone();
  say(form.querySelector(".zone"), zone() ?? "");
}

let known = "";
follow((what) => {
  const ids = [...model.nodes.keys()].join("\u0000");
  if (what.full || ids !== known) {
    known = ids;
    territories();
  }
  list.update();
  timeline.update();
  if (what.full || what.log.some((line) => line.kind?.startsWith("Request") && line.kind !== "RequestTallied")) {
    if (shown <= PAGE) past().catch(() => null);
  }
});
territory.addEventListener("change", zoned);
