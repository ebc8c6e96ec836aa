// The live page: totals, plot, requests, territories, activity, from one feed.

import { call } from "./api.js";
import { model, now, silence } from "./feed.js";
import { ageOf, count, el, num, say } from "./format.js";
import { follow } from "./frame.js";
import { Log } from "./log.js";
import { Plot } from "./plot.js";
import { Requests } from "./requests.js";
import { t } from "./t.js";
import { Timeline } from "./timeline.js";
import { Tree } from "./tree.js";

const $ = (id) => document.getElementById(id);
const AGAIN_MS = 180e3;
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

/** What can be shed in the coming hours, over all trees: expected kW add up, doubts add like independent ones. */
async function forecast() {
  const roots = [...model.nodes.values()].filter((n) => !model.nodes.has(n.parent) && n.evses > 0);
  const told = await Promise.all(roots.map((n) => call("GET", `/territories/${encodeURIComponent(n.id)}/forecast`)));
  const sum = new Map();
  for (const one of told) {
    one.hours.forEach((hour, n) => {
      const so = sum.get(n) ?? { at: Date.parse(hour.at), kw: 0, variance: 0 };
      so.kw += hour.kW;
      so.variance += (hour.highKW - hour.kW) ** 2;
      sum.set(n, so);
    });
  }
  plot.ahead([...sum.values()].map(({ at, kw, variance }) => {
    const doubt = Math.sqrt(variance);
    return { at, kw, low: Math.max(kw - doubt, 0), high: kw + doubt };
  }));
}

let asked = -AGAIN_MS;
function forecastWhenDue() {
  if (!model.nodes.size || performance.now() - asked < AGAIN_MS / Math.max(model.speed, 1) ** 0.5) return;
  asked = performance.now();
  forecast().catch(() => plot.ahead([])); // no forecast is no reason for an empty page
}

setInterval(ages, 500);
setInterval(forecastWhenDue, 1000);
follow(changed);
