// A map of our own: outlines and points on a blank ground (or tiles, where a tile server is set), on one canvas.
// Points that would overlap are one disc with a ring of their states; a click goes nearer, or names who stands there.

import { fit } from "./chart.js";
import { colour, onTheme } from "./format.js";

const TILE = 256;
const CELL = 34; // px: what lies nearer than this is one disc
const NEAREST = 19;
const STEP = 60; // px per key
const [LINE, APART] = [14, 6]; // px between two names, over and beside each other
/** The colour of a state, and its place in a ring. */
export const STATES = [
  ["limited", "--target"], ["charging", "--load"], ["opted out", "--could"], ["offline", "--bad"], ["off", "--bad"],
  ["idle", "--base"], ["free", "--short"],
];

/** Web Mercator: latitude and longitude to the unit square. */
export function project(latitude, longitude) {
  const sine = Math.min(Math.max(Math.sin((latitude * Math.PI) / 180), -0.9999), 0.9999);
  return [longitude / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
}

function rings(outline) {
  const { type, coordinates } = outline;
  if (type === "LineString") return [coordinates];
  if (type === "Polygon" || type === "MultiLineString") return coordinates;
  return coordinates.flat();
}

const extent = (points, n) => points.reduce(([low, high], p) => [Math.min(low, p[n]), Math.max(high, p[n])], [Infinity, -Infinity]);

/** Discs of which none lies on another: who would is taken in by the one that came before. */
function apart(discs) {
  const settled = new Map(); // by the cells they began in
  const merged = [];
  for (const disc of discs) {
    let host = null;
    for (let dx = -2; dx <= 2 && !host; dx += 1) {
      for (let dy = -2; dy <= 2 && !host; dy += 1) {
        const near = settled.get(`${disc.cell[0] + dx} ${disc.cell[1] + dy}`);
        if (near && Math.hypot(near.x - disc.x, near.y - disc.y) < near.r + disc.r) host = near;
      }
    }
    if (!host) {
      settled.set(disc.cell.join(" "), disc);
      merged.push(disc);
      continue;
    }
    const [n, more] = [host.points.length, disc.points.length];
    host.x = (host.x * n + disc.x * more) / (n + more);
    host.y = (host.y * n + disc.y * more) / (n + more);
    host.points.push(...disc.points);
    for (const [state, count] of disc.states) host.states.set(state, (host.states.get(state) ?? 0) + count);
    host.r = radius(n + more);
  }
  return merged;
}

const radius = (n) => (n === 1 ? 6 : Math.min(9 + 2.2 * Math.log2(n), 22));

export class MapView {
  /** `onPick(ids, x, y)`: somebody points at these EVSEs; `onMove()`: the view has changed. */
  constructor(host, onPick) {
    this.host = host;
    this.onPick = onPick;
    this.canvas = document.createElement("canvas");
    host.append(this.canvas);
    this.outlines = [];
    this.points = [];
    this.tiles = null;
    this.images = new Map();
    this.discs = [];
    this.centre = [0.5, 0.5];
    this.scale = 512; // px per unit square
    this.palette = null;
    this.wire();
    new ResizeObserver(() => this.later()).observe(host);
    onTheme(() => {
      this.palette = null;
      this.later();
    });
  }

  /** What stands still: outlines, and a place per EVSE. */
  ground({ outlines, places, tiles }) {
    this.tiles = tiles;
    this.outlines = outlines.map((o) => ({ ...o, lines: rings(o).map((line) => line.map(([lon, lat]) => project(lat, lon))) }));
    this.points = places.map(([id, latitude, longitude]) => ({ id, at: project(latitude, longitude) }));
    this.whole();
  }

  /** All of it in view. */
  whole() {
    const all = [...this.points.map((p) => p.at), ...this.outlines.flatMap((o) => o.lines.flat())];
    if (!all.length) return;
    const [[west, east], [north, south]] = [extent(all, 0), extent(all, 1)];
    this.centre = [(west + east) / 2, (north + south) / 2];
    const room = Math.min(this.host.clientWidth / (east - west || 1e-6), this.host.clientHeight / (south - north || 1e-6));
    this.scale = Math.min(0.88 * room, TILE * 2 ** NEAREST);
    this.later();
  }

  zoom(factor, x = this.host.clientWidth / 2, y = this.host.clientHeight / 2) {
    const before = this.groundAt(x, y);
    this.scale = Math.min(Math.max(this.scale * factor, TILE), TILE * 2 ** (NEAREST + 2));
    const after = this.groundAt(x, y);
    this.centre = [this.centre[0] + before[0] - after[0], this.centre[1] + before[1] - after[1]];
    this.later();
  }

  pan(dx, dy) {
    this.centre = [this.centre[0] - dx / this.scale, this.centre[1] - dy / this.scale];
    this.later();
  }

  groundAt(x, y) {
    return [this.centre[0] + (x - this.host.clientWidth / 2) / this.scale, this.centre[1] + (y - this.host.clientHeight / 2) / this.scale];
  }

  wire() {
    let from = null;
    let moved = 0;
    this.host.addEventListener("pointerdown", (event) => {
      if (event.target !== this.canvas) return;
      from = [event.clientX, event.clientY];
      moved = 0;
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.host.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
      moved += Math.abs(dx) + Math.abs(dy);
      from = [event.clientX, event.clientY];
      this.pan(dx, dy);
    });
    this.host.addEventListener("pointerup", (event) => {
      const clicked = from && moved < 5;
      from = null;
      if (clicked) this.pick(event.offsetX, event.offsetY);
    });
    this.host.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(2 ** (-event.deltaY / 300), event.offsetX, event.offsetY);
    }, { passive: false });
    this.host.addEventListener("keydown", (event) => {
      if (event.target !== this.host) return;
      const pans = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
      if (event.key in pans) this.pan(...pans[event.key]);
      else if (event.key === "+" || event.key === "=") this.zoom(1.6);
      else if (event.key === "-") this.zoom(1 / 1.6);
      else if (event.key === "0") this.whole();
      else if (event.key === "Enter") this.pick(this.host.clientWidth / 2, this.host.clientHeight / 2, Infinity);
      else return;
      event.preventDefault();
    });
  }

  /** The disc under a point: nearer where it is many in different places, else say who stands there. */
  pick(x, y, reach = 16) {
    let best = null;
    for (const disc of this.discs) {
      const far = Math.hypot(disc.x - x, disc.y - y) - disc.r;
      if (far < reach && (!best || far < best.far)) best = { disc, far };
    }
    if (!best) {
      this.onPick([], x, y);
      return;
    }
    const { disc } = best;
    const apart = disc.points.some((p) => Math.hypot(p.at[0] - disc.points[0].at[0], p.at[1] - disc.points[0].at[1]) * TILE * 2 ** NEAREST > CELL);
    if (disc.points.length > 1 && apart && this.scale < TILE * 2 ** NEAREST) {
      this.onPick([], x, y);
      this.zoom(2.5, disc.x, disc.y);
    } else this.onPick(disc.points.map((p) => p.id), disc.x, disc.y);
  }

  later() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.draw();
    });
  }

  /** Draw with what is known now: `stateOf(id)` is a state or undefined, `strain(territory)` 0 (calm) to 1. */
  show(stateOf, strain) {
    this.stateOf = stateOf;
    this.strain = strain;
    this.later();
  }

  draw() {
    const [width, height] = [this.host.clientWidth, this.host.clientHeight];
    if (!width || !this.stateOf) return;
    this.palette ??= Object.fromEntries(["--line", "--quiet", "--text", "--card", "--target-soft", "--load-soft", "--edge", ...STATES.map((s) => s[1])].map((token) => [token, colour(token)]));
    const pen = fit(this.canvas, width, height);
    const left = this.centre[0] - width / 2 / this.scale;
    const top = this.centre[1] - height / 2 / this.scale;
    const x = (p) => (p[0] - left) * this.scale;
    const y = (p) => (p[1] - top) * this.scale;
    if (this.tiles) this.paper(pen, left, top, width, height);
    this.shapes(pen, x, y);
    this.gather(x, y, width, height);
    for (const disc of this.discs) this.disc(pen, disc);
    this.names(pen, x, y);
  }

  paper(pen, left, top, width, height) {
    const level = Math.min(Math.max(Math.round(Math.log2(this.scale / TILE)), 0), NEAREST);
    const size = this.scale / 2 ** level;
    for (let column = Math.floor((left * this.scale) / size); column * size < (left * this.scale) + width; column += 1) {
      for (let row = Math.max(Math.floor((top * this.scale) / size), 0); row * size < (top * this.scale) + height && row < 2 ** level; row += 1) {
        const address = this.tiles.replace("{z}", level).replace("{x}", ((column % 2 ** level) + 2 ** level) % 2 ** level).replace("{y}", row);
        let image = this.images.get(address);
        if (!image) {
          image = new Image();
          image.addEventListener("load", () => this.later());
          image.src = address;
          this.images.set(address, image);
        }
        if (image.complete && image.naturalWidth) pen.drawImage(image, column * size - left * this.scale, row * size - top * this.scale, size, size);
      }
    }
  }

  shapes(pen, x, y) {
    const c = this.palette;
    for (const outline of this.outlines) {
      pen.beginPath();
      for (const line of outline.lines) line.forEach((p, n) => (n ? pen.lineTo(x(p), y(p)) : pen.moveTo(x(p), y(p))));
      const asked = outline.territory !== undefined && this.strain(outline.territory) > 0;
      if (!outline.type.endsWith("LineString")) {
        pen.fillStyle = asked ? c["--target-soft"] : c["--load-soft"];
        pen.globalAlpha = asked ? 1 : 0.5;
        pen.fill("evenodd");
        pen.globalAlpha = 1;
      }
      pen.strokeStyle = asked ? c["--target"] : c["--edge"];
      pen.lineWidth = asked ? 2 : 1;
      pen.stroke();
    }
  }

  /** What an outline is called, over the middle of its north: the widest first, and none on another. Nearer there is room. */
  names(pen, x, y) {
    pen.fillStyle = this.palette["--quiet"];
    pen.strokeStyle = this.palette["--card"];
    pen.lineWidth = 3;
    pen.lineJoin = "round";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const labels = [];
    for (const outline of this.outlines) {
      const label = outline.name ?? outline.territory;
      const line = outline.lines[0];
      if (!label || !line?.length) continue;
      const [west, east] = extent(line, 0);
      const [north] = extent(line, 1);
      labels.push({ label, wide: east - west, x: x([(west + east) / 2, 0]), y: y([0, north]) - 9, half: pen.measureText(label).width / 2 });
    }
    const written = [];
    for (const one of labels.sort((a, b) => b.wide - a.wide)) {
      if (written.some((w) => Math.abs(w.x - one.x) < w.half + one.half + APART && Math.abs(w.y - one.y) < LINE)) continue;
      written.push(one);
      pen.strokeText(one.label, one.x, one.y);
      pen.fillText(one.label, one.x, one.y);
    }
  }

  gather(x, y, width, height) {
    const cells = new Map();
    for (const point of this.points) {
      const [px, py] = [x(point.at), y(point.at)];
      if (px < -CELL || py < -CELL || px > width + CELL || py > height + CELL) continue;
      const cell = point.at.map((part) => Math.floor(part * this.scale / CELL));
      const key = cell.join(" ");
      let disc = cells.get(key);
      if (!disc) cells.set(key, disc = { cell, x: 0, y: 0, points: [], states: new Map() });
      disc.points.push(point);
      disc.x += px;
      disc.y += py;
      const state = this.stateOf(point.id) ?? "free";
      disc.states.set(state, (disc.states.get(state) ?? 0) + 1);
    }
    let discs = [...cells.values()];
    for (const disc of discs) {
      disc.x /= disc.points.length;
      disc.y /= disc.points.length;
      disc.r = radius(disc.points.length);
    }
    for (let before = Infinity; discs.length < before;) {
      before = discs.length;
      discs = apart(discs); // one that grew may lie on another
    }
    this.discs = discs;
  }

  disc(pen, { x, y, r, points, states }) {
    const c = this.palette;
    pen.beginPath();
    pen.arc(x, y, r, 0, 7);
    pen.fillStyle = c["--card"];
    pen.fill();
    let angle = -Math.PI / 2;
    for (const [state, token] of STATES) {
      const n = states.get(state);
      if (!n) continue;
      const end = angle + (2 * Math.PI * n) / points.length;
      pen.beginPath();
      if (points.length === 1 && state !== "free" && state !== "off") {
        pen.arc(x, y, r, 0, 7);
        pen.fillStyle = c[token];
        pen.fill();
      } else {
        pen.arc(x, y, r - 2, angle, end);
        pen.strokeStyle = c[token];
        pen.lineWidth = 4;
        pen.stroke();
      }
      angle = end;
    }
    if (points.length > 1) {
      pen.fillStyle = c["--text"];
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(String(points.length), x, y + 0.5);
    }
  }
}
