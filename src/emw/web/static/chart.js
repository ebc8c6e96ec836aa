// What drawings of kW over time share: a canvas at the screen's resolution, its margins, lines, a grid and a time axis.

import { minuteOf } from "./format.js";

export const LEFT = 52;
export const RIGHT = 10;
export const TOP = 10;
export const AXIS = 22;

/** How large the page's letters are against those that drawings were measured for: a wall screen's are larger. */
export const scale = () => Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / 15;

/** A canvas of so many units, each `unit` px, at the screen's own resolution; returns its pen. */
export function fit(canvas, width, height, unit = 1) {
  const dots = (devicePixelRatio || 1) * unit;
  if (canvas.width !== Math.round(width * dots) || canvas.height !== Math.round(height * dots)) {
    canvas.width = Math.round(width * dots);
    canvas.height = Math.round(height * dots);
    canvas.style.width = `${width * unit}px`;
    canvas.style.height = `${height * unit}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return pen;
}

/** A step that people count in: 1, 2 or 5 times a power of ten. */
function niceStep(span, parts) {
  const rough = span / parts || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((m) => m * power >= rough) * power;
}

/** Where a scale up to `most` ends, a little above it, and its step for about so many parts. */
export function niceTop(most, parts) {
  const step = niceStep(most * 1.05, parts);
  return { top: Math.ceil((most * 1.02) / step) * step, step };
}

/** A line through points whose value may be missing. */
export function trace(pen, points, x, y, value, { stroke, dash = [], weight = 2 }) {
  pen.beginPath();
  let down = false;
  for (const p of points) {
    const v = value(p);
    if (v === null || v === undefined) {
      down = false;
      continue;
    }
    if (down) pen.lineTo(x(p[0]), y(v));
    else pen.moveTo(x(p[0]), y(v));
    down = true;
  }
  pen.strokeStyle = stroke;
  pen.lineWidth = weight;
  pen.lineJoin = "round";
  pen.setLineDash(dash);
  pen.stroke();
  pen.setLineDash([]);
}

/** Lines across at each step, with what they stand for (`said`) at their left. */
export function grid(pen, y, top, step, width, { line, words, said }) {
  pen.lineWidth = 1;
  pen.strokeStyle = line;
  pen.fillStyle = words;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (let kw = 0; kw <= top + step / 2; kw += step) {
    const at = Math.round(y(kw)) + 0.5;
    pen.beginPath();
    pen.moveTo(LEFT, at);
    pen.lineTo(width - RIGHT, at);
    pen.stroke();
    pen.fillText(said(kw), LEFT - 6, at);
  }
}

/** Labels for a time axis, as many as there is room for. */
export function timeAxis(pen, since, until, x, width, bottom, fill) {
  pen.fillStyle = fill;
  pen.textAlign = "center";
  pen.textBaseline = "alphabetic";
  const room = Math.max(3, width / 90);
  const minutes = [1, 2, 5, 10, 15, 30, 60, 120, 240, 720].find((m) => (until - since) / (m * 60e3) <= room) ?? 1440;
  for (let at = Math.ceil(since / (minutes * 60e3)) * minutes * 60e3; at <= until; at += minutes * 60e3) {
    if (x(at) > LEFT + 12 && x(at) < width - RIGHT - 14) pen.fillText(minuteOf(at), x(at), bottom);
  }
}
