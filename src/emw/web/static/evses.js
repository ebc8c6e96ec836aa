// Every EVSE in a table: filtered by words, by state, by territory; a row leads to its page.

import { segment } from "./api.js";
import { model } from "./feed.js";
import { count, el, name, say } from "./format.js";
import { follow } from "./frame.js";
import { Table } from "./table.js";
import { t, word } from "./t.js";
import { inside } from "./tree.js";

const $ = (id) => document.getElementById(id);
const STATES = ["charging", "limited", "idle", "opted out", "free", "offline", "off"];
const asked = new URLSearchParams(location.search);
let state = STATES.includes(asked.get("state")) ? asked.get("state") : null;
let territory = asked.get("territory");

const table = new Table($("table"), (id) => location.assign(`/evses/${segment(id)}`), (shown, all) => {
  say($("evse-count"), shown === all ? count(all) : t("live.of", { n: count(shown), all: count(all) }));
  $("nothing").hidden = shown > 0 || !model.at;
  say($("nothing"), t(all ? "evses.no_match" : "evses.none"));
});

const chips = new Map(STATES.map((one) => {
  const number = el("b", {}, "0");
  const button = el("button", { type: "button", "aria-pressed": String(state === one), "data-state": one },
    el("span", { class: "dot", "aria-hidden": "true" }), word("evse", one), " ", number);
  button.addEventListener("click", () => {
    state = state === one ? null : one;
    for (const [key, chip] of chips) chip.button.setAttribute("aria-pressed", String(key === state));
    filter();
  });
  $("states").append(el("li", {}, button));
  return [one, { number, button }];
}));

const within = el("button", { type: "button", "aria-pressed": "true" });
within.addEventListener("click", () => {
  territory = null;
  filter();
});
const withinItem = el("li", {}, within);
$("states").append(withinItem);

function filter() {
  withinItem.hidden = territory === null;
  if (territory !== null) within.replaceChildren(`${t("evses.in")} `, name(territory), " ×");
  table.filter($("filter").value, territory === null ? null : inside(territory), state);
  const kept = new URLSearchParams();
  if (state) kept.set("state", state);
  if (territory !== null) kept.set("territory", territory);
  history.replaceState(null, "", kept.size ? `?${kept}` : location.pathname);
}

$("filter").addEventListener("input", filter);
filter();
follow((what) => {
  if (what.nodes && territory !== null) table.inside = inside(territory);
  table.update(what);
  for (const one of STATES) say(chips.get(one).number, count(model.total.states[one] ?? 0));
}, { rows: true });
