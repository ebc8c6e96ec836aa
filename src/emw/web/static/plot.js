// Load against the load without limits and the target, past hours and the hours ahead: one canvas, drawn once a tick.
// Below it, on the same hours: what could be shed, as it was and as it is expected.

import { together } from "./asked.js";
import { AXIS, LEFT, RIGHT, TOP, fit, grid, niceTop, scale, timeAxis, trace } from "./chart.js";
import { colour, num, onTheme, picture } from "./format.js";
import { t } from "./t.js";

const GAP = 14;
const STRIP = 58;
const HOUR = 3600e3;
const TOKENS = ["--load", "--load-soft", "--base", "--target", "--target-soft", "--could", "--could-soft", "--line", "--quiet", "--text"];

/** The outline of what lies between two lines through the same points. */
function between(pen, points, x, y, low, high) {
  pen.beginPath();
  points.forEach((p, n) => (n ? pen.lineTo(x(p.at), y(high(p))) : pen.moveTo(x(p.at), y(high(p)))));
  points.toReversed().forEach((p) => pen.lineTo(x(p.at), y(low(p))));
  pen.closePath();
}

/** Stripes over what is expected of vehicles still to come: told from the rest without its colour. */
function hatch(pen, points, x, y, stroke, height) {
  pen.save();
  between(pen, points, x, y, (p) => p.here, (p) => p.kw);
  pen.clip();
  pen.beginPath();
  const [floor, last] = [y(0), x(points.at(-1).at)];
  for (let at = x(points[0].at) - height; at < last; at += 6) {
    pen.moveTo(at, floor);
    pen.lineTo(at + height, floor - height);
  }
  pen.strokeStyle = stroke;
  pen.lineWidth = 1;
  pen.stroke();
  pen.restore();
}

export class Plot {
  constructor(host) {
    this.host = host;
    this.canvas = document.createElement("canvas");
    host.append(this.canvas);
    this.history = [];
    this.requests = [];
    this.nodes = new Map();
    this.forecast = [];
    this.palette = null;
    new ResizeObserver(() => this.later()).observe(host);
    onTheme(() => {
      this.palette = null;
      this.later();
    });
  }

  /** Draw `history`: [ms, load, baseline, target, could] each, kW; and what the requests will ask, by the tree of `nodes`. */
  show(history, requests, nodes) {
    this.history = history;
    this.requests = requests;
    this.nodes = nodes;
    const last = history.at(-1);
    if (last) {
      picture(this.canvas, t("plot.says", {
        load: num(last[1]), baseline: num(last[2]), target: num(last[3]), could: num(last[4]),
      }));
    }
    this.later();
  }

  /** The forecast: `{at, kw, low, high, here}` each, `here` by the vehicles that are plugged in now. */
  ahead(forecast) {
    this.forecast = forecast;
    this.later();
  }

  later() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.draw();
    });
  }

  draw() {
    const unit = scale();
    const [width, height] = [this.host.clientWidth / unit, this.host.clientHeight / unit];
    const points = this.history;
    if (!width || !height || points.length < 2) return;
    this.palette ??= Object.fromEntries(TOKENS.map((token) => [token, colour(token)]));
    const c = this.palette;
    const pen = fit(this.canvas, width, height, unit);
    const now = points.at(-1)[0];
    const narrow = width < 560;
    const past = (narrow ? 1 : 2) * HOUR;
    // The window grows with what is known, so that the first minutes are not a dot at the edge.
    const since = Math.max(now - past, Math.min(points[0][0], now - 10 * 60e3));
    const until = now + (this.forecast.length ? Math.min(Math.max((now - since) * 1.5, HOUR / 2), (narrow ? 2 : 4) * HOUR) : 60e3);
    const seen = points.filter((p) => p[0] >= since);
    const x = (at) => LEFT + ((at - since) / (until - since)) * (width - LEFT - RIGHT);
    const floor = height - AXIS - (this.forecast.length ? STRIP + GAP : 0);
    const most = Math.max(1, ...seen.map((p) => Math.max(p[1], p[2] ?? 0, p[3] ?? 0)));
    const { top, step } = niceTop(most, 4);
    const y = (kw) => TOP + (1 - kw / top) * (floor - TOP);
    this.coming(pen, x, y, now, until, TOP, floor, c, seen.at(-1));
    grid(pen, y, top, step, width, { line: c["--line"], words: c["--quiet"], said: (kw) => num(kw).replace(/[.,]0$/, "") });
    pen.beginPath();
    pen.moveTo(x(seen[0][0]), y(0));
    for (const p of seen) pen.lineTo(x(p[0]), y(p[1]));
    pen.lineTo(x(now), y(0));
    pen.fillStyle = c["--load-soft"];
    pen.fill();
    trace(pen, seen, x, y, (p) => p[2], { stroke: c["--base"], dash: [5, 4], weight: 1.5 });
    trace(pen, seen, x, y, (p) => p[3], { stroke: c["--target"] });
    trace(pen, seen, x, y, (p) => p[1], { stroke: c["--load"] });
    if (this.forecast.length) this.strip(pen, seen, x, now, until, floor + GAP, height - AXIS, width, c);
    pen.strokeStyle = c["--quiet"];
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(Math.round(x(now)) + 0.5, TOP - 4);
    pen.lineTo(Math.round(x(now)) + 0.5, height - AXIS);
    pen.stroke();
    timeAxis(pen, since, until, x, width, height - 5, c["--quiet"]);
  }

  /** What is asked in the hours ahead: a band, a label per request, and the target if the load without limits stayed. */
  coming(pen, x, y, now, until, top, floor, c, last) {
    const asked = this.requests.filter((r) => r.state !== "restoring").map((request) => ({
      request,
      start: Math.max(Date.parse(request.start), now),
      end: Math.min(request.end === null ? until : Date.parse(request.end), until),
    })).filter(({ start, end }) => start < end);
    const edges = [...new Set(asked.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b);
    const target = [];
    pen.fillStyle = c["--target-soft"];
    for (const [n, to] of edges.slice(1).entries()) {
      const from = edges[n];
      const on = asked.filter(({ start, end }) => start <= from && to <= end).map(({ request }) => request);
      if (on.length) pen.fillRect(x(from), top, x(to) - x(from), floor - top);
      const kw = on.length ? Math.max((last[2] ?? 0) - together(on, this.nodes), 0) : null;
      target.push([from, kw], [to, kw]);
    }
    trace(pen, target, x, y, (p) => p[1], { stroke: c["--target"], dash: [2, 4] });
    pen.fillStyle = c["--target"];
    pen.textAlign = "left";
    pen.textBaseline = "top";
    const rows = []; // where the last label of each row ends
    for (const { request, start, end } of asked) {
      if (x(end) - x(start) <= 70) continue;
      let row = rows.findIndex((last) => last < x(start));
      if (row < 0) row = rows.length;
      const label = `−${num(request.requestedKW)} kW`;
      rows[row] = x(start) + 12 + pen.measureText(label).width;
      pen.fillText(label, x(start) + 6, top + 4 + 15 * row);
    }
  }

  /** What could be shed: as it was, and ahead by who is here, plain, and above it by who is still to come, hatched. */
  strip(pen, seen, x, now, until, top, bottom, width, c) {
    const ahead = this.forecast.filter((f) => f.at <= until + HOUR);
    const most = Math.max(1, ...ahead.map((f) => f.high), ...seen.map((p) => p[4] ?? 0));
    const y = (kw) => top + (1 - kw / most) * (bottom - top);
    pen.save();
    pen.beginPath();
    pen.rect(x(now), top - 2, width - RIGHT - x(now), bottom - top + 3); // a forecast is some minutes old
    pen.clip();
    pen.fillStyle = c["--could-soft"];
    between(pen, ahead, x, y, (f) => f.low, (f) => f.high);
    pen.fill();
    between(pen, ahead, x, y, () => 0, (f) => f.here);
    pen.fill();
    hatch(pen, ahead, x, y, c["--could"], bottom - top);
    trace(pen, ahead.map((f) => [f.at, f.here]), x, y, (p) => p[1], { stroke: c["--could"], weight: 1 });
    trace(pen, ahead.map((f) => [f.at, f.kw]), x, y, (p) => p[1], { stroke: c["--could"], dash: [4, 3] });
    pen.restore();
    trace(pen, seen, x, y, (p) => p[4], { stroke: c["--could"] });
    pen.strokeStyle = c["--line"];
    pen.beginPath();
    pen.moveTo(LEFT, Math.round(bottom) + 0.5);
    pen.lineTo(width - RIGHT, Math.round(bottom) + 0.5);
    pen.stroke();
    pen.fillStyle = c["--quiet"];
    pen.textAlign = "right";
    pen.textBaseline = "top";
    pen.fillText(num(most).replace(/[.,]\d$/, ""), LEFT - 6, top);
    pen.textBaseline = "bottom";
    pen.fillText("0", LEFT - 6, bottom + 4);
  }
}
