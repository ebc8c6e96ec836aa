// The live page: totals, plot, requests, territories, activity, from one feed.

import { Ahead } from "./ahead.js";
import { model, silence } from "./feed.js";
import { ageOf, count, el, num, say } from "./format.js";
import { follow } from "./frame.js";
import { Log } from "./log.js";
import { Plot } from "./plot.js";
import { Requests } from "./requests.js";
import { t } from "./t.js";
import { Timeline } from "./timeline.js";
import { Tree } from "./tree.js";

const $ = (id) => document.getElementById(id);
const OLD_S = 20;
const TILES = [
  ["load", "kW", (x) => num(x.loadKW)],
  ["target", "kW", (x) => num(x.requestedKW > 0 ? x.targetKW : null)],
  ["baseline", "kW", (x) => num(x.baselineKW)],
  ["shed", "kW", (x) => num(x.shedKW)],
  ["could", "kW", (x) => num(x.availableKW)],
  ["charging", "", (x) => t("live.of", { n: count(x.charging), all: count(x.evses) })],
];

const tiles = TILES.map(([key, unit, tell]) => {
  const value = el("span", { class: "value" }, "–");
  const age = el("span", { class: "age" });
  $("tiles").append(el("div", { class: `tile t-${key}` },
    el("dt", {}, t(`tile.${key}`)), el("dd", {}, value, unit ? el("span", { class: "unit" }, ` ${unit}`) : "", age)));
  return { value, age, tell };
});

const plot = new Plot($("plot"));
const ahead = new Ahead(plot, $("ahead"));
const requests = new Requests($("requests"));
const timeline = new Timeline($("timeline"));
const tree = new Tree($("tree"));
const log = new Log($("log"), $("bulk"));

function changed(what) {
  for (const tile of tiles) {
    say(tile.value, tile.tell(model.total));
    tile.value.classList.toggle("none", /^[-–]/.test(tile.value.textContent)); // no shed is no success
  }
  plot.show(model.history, model.requests, model.nodes);
  requests.update();
  timeline.update();
  if (what.nodes) tree.update();
  log.update(what);
  document.title = model.requests.some((r) => r.state === "active")
    ? `${t("live.title", { kw: num(model.total.shedKW) })} – emw` : `${t("nav.live")} – emw`;
}

function ages() {
  if (!model.total) return;
  const text = ageOf(silence());
  for (const tile of tiles) say(tile.age, text);
  say($("plot-age"), text);
  if (silence() > OLD_S) document.title = `${t("nav.live")} – emw`; // a title tells no age
}

setInterval(ages, 500);
setInterval(() => ahead.whenDue(), 1000);
follow(changed);
