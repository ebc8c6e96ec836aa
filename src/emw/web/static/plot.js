// Load against the load without limits and the target: one small canvas, past hour, drawn once a tick.

import { minuteOf, num } from "./format.js";

const HEIGHT = 240;
const LEFT = 56;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 24;
const WINDOW_MS = 3600e3;

/** A step that people count in: 1, 2 or 5 times a power of ten. */
function niceStep(span, parts) {
  const rough = span / parts || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((m) => m * power >= rough) * power;
}

export class Plot {
  constructor(host) {
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    host.append(this.canvas);
    this.history = [];
    new ResizeObserver(() => this.draw()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Draw `history`: [ms, load, baseline, target] each, kW. */
  show(history) {
    this.history = history;
    const last = history.at(-1);
    if (last) {
      const target = last[3] === null ? "no target" : `target ${num(last[3])} kW`;
      this.canvas.setAttribute("aria-label", `Load ${num(last[1])} kW, without limits ${num(last[2])} kW, ${target}`);
    }
    this.draw();
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    const points = this.history;
    if (!width) return;
    const dots = devicePixelRatio || 1;
    this.canvas.width = width * dots;
    this.canvas.height = HEIGHT * dots;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${HEIGHT}px`;
    const pen = this.canvas.getContext("2d");
    pen.scale(dots, dots);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    pen.font = `12px ${style.getPropertyValue("--font")}`;
    if (points.length < 2) return;
    const until = points.at(-1)[0];
    // The window grows with what is known, so that the first minutes are not a dot at the edge.
    const since = Math.max(until - WINDOW_MS, Math.min(points[0][0], until - 120e3));
    const seen = points.filter((p) => p[0] >= since);
    const most = Math.max(1, ...seen.map((p) => Math.max(p[1], p[2] ?? 0, p[3] ?? 0)));
    const step = niceStep(most * 1.08, 4);
    const top = Math.ceil((most * 1.02) / step) * step;
    const x = (at) => LEFT + ((at - since) / (until - since)) * (width - LEFT - RIGHT);
    const y = (kw) => TOP + (1 - kw / top) * (HEIGHT - TOP - BOTTOM);
    this.axes(pen, { since, until, top, step, x, y, width, colour });
    this.area(pen, seen, x, y, colour("--load-soft"));
    this.line(pen, seen, 2, x, y, colour("--base"), [5, 4], 1.5);
    this.line(pen, seen, 3, x, y, colour("--target"), [], 2);
    this.line(pen, seen, 1, x, y, colour("--load"), [], 2);
  }

  axes(pen, { since, until, top, step, x, y, width, colour }) {
    pen.lineWidth = 1;
    pen.strokeStyle = colour("--line");
    pen.fillStyle = colour("--quiet");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (let kw = 0; kw <= top + step / 2; kw += step) {
      const at = Math.round(y(kw)) + 0.5;
      pen.beginPath();
      pen.moveTo(LEFT, at);
      pen.lineTo(width - RIGHT, at);
      pen.stroke();
      pen.fillText(num(kw).replace(/\.0$/, ""), LEFT - 6, at);
    }
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    const minutes = [1, 2, 5, 10, 15].find((m) => (until - since) / (m * 60e3) <= Math.max(3, width / 110)) ?? 15;
    for (let at = Math.ceil(since / (minutes * 60e3)) * minutes * 60e3; at <= until; at += minutes * 60e3) {
      if (x(at) > LEFT + 12 && x(at) < width - RIGHT - 12) pen.fillText(minuteOf(at), x(at), HEIGHT - 7);
    }
  }

  area(pen, seen, x, y, fill) {
    pen.beginPath();
    pen.moveTo(x(seen[0][0]), y(0));
    for (const p of seen) pen.lineTo(x(p[0]), y(p[1]));
    pen.lineTo(x(seen.at(-1)[0]), y(0));
    pen.fillStyle = fill;
    pen.fill();
  }

  line(pen, seen, part, x, y, stroke, dash, weight) {
    pen.beginPath();
    let down = false;
    for (const p of seen) {
      if (p[part] === null || p[part] === undefined) {
        down = false;
        continue;
      }
      if (down) pen.lineTo(x(p[0]), y(p[part]));
      else pen.moveTo(x(p[0]), y(p[part]));
      down = true;
    }
    pen.strokeStyle = stroke;
    pen.lineWidth = weight;
    pen.lineJoin = "round";
    pen.setLineDash(dash);
    pen.stroke();
    pen.setLineDash([]);
  }
}
