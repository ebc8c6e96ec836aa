// The console put together: one feed, six views.

import { call, toLogin } from "./api.js";
import { askForDecrease, endRequest, haltAll, resume, showEvse } from "./dialogs.js";
import { connect, model, now, silence } from "./feed.js";
import { dayOf, el, num, say, span } from "./format.js";
import { Log } from "./log.js";
import { Plot } from "./plot.js";
import { Requests } from "./requests.js";
import { Table } from "./table.js";
import { Tree } from "./tree.js";

const $ = (id) => document.getElementById(id);
const TILES = [
  ["load", "Load", "kW", (t) => num(t.loadKW)],
  ["base", "Without limits", "kW", (t) => num(t.baselineKW)],
  ["asked", "Requested shed", "kW", (t) => num(t.requestedKW)],
  ["shed", "Measured shed", "kW", (t) => num(t.shedKW)],
  ["could", "Could be shed", "kW", (t) => num(t.availableKW)],
  ["evses", "Charging", "", (t) => `${t.charging.toLocaleString("en")} of ${t.evses.toLocaleString("en")}`],
];

const tiles = TILES.map(([key, title, unit, tell]) => {
  const value = el("span", { class: "value" }, "–");
  const age = el("span", { class: "age" });
  $("tiles").append(el("div", { class: `tile t-${key}` },
    el("dt", {}, title), el("dd", {}, value, unit ? el("span", { class: "unit" }, ` ${unit}`) : "", age)));
  return { value, age, tell };
});

const plot = new Plot($("plot"));
const requests = new Requests($("requests"), endRequest);
const table = new Table($("table"), showEvse, (shown, all) => {
  say($("evse-count"), shown === all ? `${all}` : `${shown} of ${all}`);
});
const tree = new Tree($("tree"), () => filter());
const log = new Log($("log"), $("bulk"));

function filter() {
  table.filter($("filter").value, tree.picked === null ? null : Tree.inside(tree.picked));
}

function changed(what) {
  for (const tile of tiles) say(tile.value, tile.tell(model.total));
  plot.show(model.history);
  requests.update();
  if (what.nodes) tree.update();
  table.update(what);
  log.update(what);
  $("halted").hidden = !model.halted;
  say($("halted-by"), model.haltedBy ? `By ${model.haltedBy}.` : "");
  $("halt").hidden = model.halted;
  $("speed").hidden = model.speed === 1;
  say($("speed"), `${model.speed} times as fast as real`);
  document.title = model.requests.length ? `${num(model.total.shedKW)} kW shed – emw` : "emw console";
}

/** Every number has an age: that of the last look, which grows when the line is down. */
function ages() {
  if (!model.total) return;
  say($("clock"), dayOf(now()));
  const quiet = silence();
  const text = quiet < 3 ? "now" : `${span(quiet)} old`;
  for (const tile of tiles) say(tile.age, text);
  say($("plot-now"), text);
  document.body.classList.toggle("stale", quiet >= 10);
}

function link(text, state) {
  say($("link"), text);
  $("link").className = `link ${state}`;
}

$("filter").addEventListener("input", filter);
$("ask").addEventListener("click", askForDecrease);
$("halt").addEventListener("click", haltAll);
$("resume").addEventListener("click", resume);
$("logout").addEventListener("click", async () => {
  await call("POST", "/logout", {}).catch(() => null);
  toLogin();
});

// Looking on is not use: a login that nobody touches ends. Who moves and types is there.
let touchedAt = performance.now();
for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(kind, () => {
    if (performance.now() - touchedAt < 240e3) return;
    touchedAt = performance.now();
    call("GET", "/me").catch(() => null);
  }, { passive: true });
}

setInterval(ages, 500);
connect(changed, link);
