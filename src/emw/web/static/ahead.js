// What could be shed in the hours ahead: for the plot, and in words; by vehicles that are here, by those still to come.

import { call, segment } from "./api.js";
import { model, now } from "./feed.js";
import { el, minuteOf, num } from "./format.js";
import { t } from "./t.js";

const AGAIN_MS = 180e3;
const HOUR_MS = 3600e3;

/** Over all trees, per hour: expected kW add up, doubts, downwards and upwards, add like independent ones. */
async function forecast() {
  const roots = [...model.nodes.values()].filter((n) => !model.nodes.has(n.parent) && n.evses > 0);
  const told = await Promise.all(roots.map((n) => call("GET", `/territories/${segment(n.id)}/forecast`)));
  const sum = new Map();
  for (const hour of told.flatMap((one) => one.hours.map((hour, n) => ({ ...hour, n })))) {
    const so = sum.get(hour.n) ?? { at: Date.parse(hour.at), kw: 0, here: 0, come: 0, below: 0, above: 0 };
    so.kw += hour.kW;
    so.here += hour.here.kW;
    so.come += hour.toCome.kW;
    so.below = Math.hypot(so.below, hour.kW - hour.lowKW);
    so.above = Math.hypot(so.above, hour.highKW - hour.kW);
    sum.set(hour.n, so);
  }
  return [...sum.values()].map((one) => ({ ...one, low: one.kw - one.below, high: one.kw + one.above }));
}

const term = (key, kw, words) => el("span", { class: "term" }, el("span", { class: `key ${key}` }), el("b", {}, num(kw)), ` ${words}`);

/** Of the hour ahead, which is what; and why nobody is counted who is still to come. */
function words(hours) {
  const one = hours.find((hour) => hour.at >= now() + HOUR_MS - 60e3) ?? hours.at(-1);
  if (!one) return [];
  const known = hours.some((hour) => hour.come > 0);
  return [t("ahead.at", { at: minuteOf(one.at) }), " ", el("b", {}, num(one.kw)), ` kW (${t("plan.band", { low: num(one.low), high: num(one.high) })}) = `,
    term("here", one.here, t("ahead.here")), " + ", term("come", one.come, t("ahead.come")), known ? "" : ` (${t("ahead.unknown")})`];
}

export class Ahead {
  constructor(plot, host) {
    this.plot = plot;
    this.host = host;
    this.askedAt = -AGAIN_MS;
  }

  show(hours) {
    this.plot.ahead(hours);
    this.host.replaceChildren(...words(hours));
  }

  /** Ask again where it is time to. */
  async whenDue() {
    if (!model.nodes.size || performance.now() - this.askedAt < AGAIN_MS / Math.max(model.speed, 1) ** 0.5) return;
    this.askedAt = performance.now();
    const hours = await forecast().catch(() => null); // no forecast is no reason for an empty page
    if (hours) this.show(hours);
  }
}
