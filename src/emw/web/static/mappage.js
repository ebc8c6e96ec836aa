// The map and its alternative, a list: the same places, the same states, in words.

import { call, segment } from "./api.js";
import { model } from "./feed.js";
import { amps, byName, count, el, name, num, say } from "./format.js";
import { follow } from "./frame.js";
import { MapView, STATES } from "./map.js";
import { t, word } from "./t.js";

const $ = (id) => document.getElementById(id);
const AGAIN_MS = 60e3;
const LIST_MS = 2000;
const MOST_NAMED = 50;
let tip = null;

const view = new MapView($("map"), (ids, x, y) => {
  tip?.remove();
  tip = null;
  say($("said"), ids.length ? ids.slice(0, 5).join(", ") : "");
  if (!ids.length) return;
  tip = el("div", { class: "tip" }, el("ul", {}, ...ids.slice(0, MOST_NAMED).map((id) => {
    const row = model.evses.get(id);
    const told = row ? `${word("evse", row.state)}, ${num(row.load)} kW${row.limit === null ? "" : `, ${t("evses.limit", { a: amps(row.limit), most: amps(row.most) })} A`}` : "";
    return el("li", {}, el("a", { href: `/evses/${segment(id)}` }, name(id)), el("div", { class: "quiet" }, told));
  })));
  $("map").append(tip);
  tip.style.left = `${Math.min(Math.max(x + 12, 4), $("map").clientWidth - tip.offsetWidth - 4)}px`;
  tip.style.top = `${Math.min(Math.max(y + 12, 4), $("map").clientHeight - tip.offsetHeight - 4)}px`;
  tip.querySelector("a").focus({ preventScroll: true });
});

$("in").addEventListener("click", () => view.zoom(1.6));
$("out").addEventListener("click", () => view.zoom(1 / 1.6));
$("all").addEventListener("click", () => view.whole());
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !tip) return;
  tip.remove();
  tip = null;
  $("map").focus();
});

for (const [state] of STATES) {
  $("legend").append(el("li", { "data-state": state }, el("span", { class: "dot", "aria-hidden": "true" }), word("evse", state)));
}

let placed = null; // not known yet
let asked = -AGAIN_MS;
async function ground() {
  asked = performance.now();
  const told = await call("GET", "/map");
  $("nothing").hidden = told.places.length + told.outlines.length > 0;
  if (told.places.length === placed) return;
  placed = told.places.length;
  view.ground(told);
  listedAt = -LIST_MS;
}

/** The list: a row per territory, its EVSEs by state. */
let listedAt = -LIST_MS;
function list() {
  if (performance.now() - listedAt < LIST_MS) return;
  listedAt = performance.now();
  const states = new Map();
  for (const row of model.evses.values()) {
    let found = states.get(row.territory);
    if (!found) states.set(row.territory, found = new Map());
    found.set(row.state, (found.get(row.state) ?? 0) + 1);
  }
  $("rows").replaceChildren(...[...model.nodes.values()].sort((a, b) => byName(a.id, b.id)).map((node) => el("tr", {},
    el("td", {}, el("a", { href: `/evses?territory=${encodeURIComponent(node.id)}` }, name(node.id)), " ", el("span", { class: "quiet" }, node.kind)),
    el("td", { class: "number" }, count(node.evses)), el("td", { class: "number" }, num(node.load)),
    el("td", {}, ...STATES.filter(([s]) => states.get(node.id)?.has(s)).map(([s]) => el("span", { "data-state": s },
      el("span", { class: "dot", "aria-hidden": "true" }), `${count(states.get(node.id).get(s))} ${word("evse", s)}`))))));
  const lost = placed === null ? 0 : model.evses.size - placed;
  say($("lost"), lost > 0 ? t("map.lost", { n: count(lost) }) : "");
}

follow((what) => {
  if (performance.now() - asked > AGAIN_MS || (what.full && model.evses.size !== placed)) ground().catch(() => null);
  if (what.rows || what.nodes) {
    view.show((id) => model.evses.get(id)?.state, (id) => {
      const node = model.nodes.get(id);
      return node && node.target < node.baseline - 0.05 ? 1 : 0;
    });
  }
  list();
}, { rows: true });
