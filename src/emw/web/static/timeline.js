// Requests over time: each a shape that falls, holds and comes back along its ramp. The list beside it says the same.

import { scale } from "./chart.js";
import { model, now } from "./feed.js";
import { minuteOf, num, picture, svg } from "./format.js";
import { t, word } from "./t.js";

const ROW = 34;
const SHAPE = 24;
const AXIS = 18;
const MINUTE = 60e3;
const STEPS = [5, 10, 15, 30, 60, 120, 180, 360, 720];
const MOST = 12;

export class Timeline {
  constructor(host) {
    this.host = host;
    this.picture = svg("svg", { class: "timeline" });
    host.append(this.picture);
    this.told = "";
    new ResizeObserver(() => this.draw()).observe(host);
  }

  update() {
    const clock = now();
    const told = JSON.stringify([Math.round(clock / (MINUTE / 4)), model.requests.map((r) => [r.requestKey, r.start, r.end, r.endedAt, r.requestedKW, r.state])]);
    if (told === this.told) return;
    this.told = told;
    this.draw();
  }

  draw() {
    const shown = model.requests.slice(0, MOST);
    this.host.hidden = shown.length === 0;
    const unit = scale();
    const width = Math.floor(this.host.clientWidth / unit); // what is hidden has none
    if (!width || !shown.length) return;
    const clock = now();
    const spans = shown.map((r) => phasesOf(r, clock));
    const from = Math.min(clock - 10 * MINUTE, ...spans.map((s) => s.start - 5 * MINUTE));
    const to = Math.max(clock + 30 * MINUTE, ...spans.map((s) => Math.min(s.back, clock + 36 * 3600e3))) + 5 * MINUTE;
    const x = (at) => Math.round((10 * (at - from) * width) / (to - from)) / 10;
    const height = shown.length * ROW + AXIS;
    const parts = [];
    const step = (STEPS.find((m) => (to - from) / (m * MINUTE) <= width / 64) ?? 1440) * MINUTE;
    for (let at = Math.ceil(from / step) * step; at < to; at += step) {
      parts.push(svg("line", { x1: x(at), x2: x(at), y1: 0, y2: height - AXIS, class: "tl-grid" }));
      if (x(at) > 14 && x(at) < width - 14) parts.push(svg("text", { x: x(at), y: height - 4, class: "tl-time" }, minuteOf(at)));
    }
    const shapes = shown.map((request, n) => this.shape(request, spans[n], n, x, width));
    parts.push(...shapes.map(([shape]) => shape));
    parts.push(svg("line", { x1: x(clock), x2: x(clock), y1: 0, y2: height - AXIS, class: "tl-now" }));
    parts.push(...shapes.map(([, label]) => label)); // words are not crossed out by the hand of the clock
    this.picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.picture.setAttribute("width", width * unit);
    this.picture.setAttribute("height", height * unit);
    picture(this.picture, shown.map((r) => t("timeline.says", {
      id: r.requestID, kw: num(r.requestedKW), from: minuteOf(Date.parse(r.start)), to: r.end ? minuteOf(Date.parse(r.end)) : "…", state: word("state", r.state),
    })).join("; "));
    this.picture.replaceChildren(...parts);
  }

  shape(request, { start, full, end, back }, n, x, width) {
    const top = n * ROW + (ROW - SHAPE) / 2;
    const low = top + SHAPE;
    const right = Math.min(x(back), width + 20);
    const points = [[x(start), top], [x(full), low], [Math.min(x(end), width + 20), low], [right, top]];
    const outline = points.map((p) => p.join(",")).join(" ");
    const label = `−${num(request.requestedKW)} kW`;
    const at = Math.max(x(start), 0) + 10;
    return [
      svg("polygon", { points: outline, class: `tl-shape ${request.held ? "held" : request.state}` },
        svg("title", {}, `${request.requestID} ${label}`)),
      svg("text", { x: Math.min(at, width - 120), y: top + SHAPE / 2 + 4, class: "tl-label" }, `${label} · ${request.territory}`),
    ];
  }
}

/** When a request begins, is fully there, ends, and when the last car is expected back. */
function phasesOf(request, clock) {
  const start = Date.parse(request.start);
  // One that was returned to normal early is over: what was planned is not what happens.
  const end = request.endedAt ? Date.parse(request.endedAt) : request.end === null ? Math.max(clock, start) + 3600e3 : Date.parse(request.end);
  return { start, full: Math.min(start + MINUTE, end), end, back: end + request.releaseMinutes * MINUTE };
}
