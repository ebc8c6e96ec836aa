// The readings of one EVSE: what it drew, and the limit it was under, as steps.

import { AXIS, LEFT, RIGHT, TOP, fit, grid, niceTop, scale, timeAxis, trace } from "./chart.js";
import { colour, num, picture } from "./format.js";
import { t } from "./t.js";

export class Trace {
  constructor(host) {
    this.host = host;
    this.canvas = document.createElement("canvas");
    host.append(this.canvas);
    this.rows = [];
    new ResizeObserver(() => this.draw()).observe(host);
  }

  /** `readings` oldest first, as the API tells them. */
  show(readings) {
    this.rows = readings.map((r) => [Date.parse(r.timestamp), r.loadKW, r.limitKW]);
    const last = this.rows.at(-1);
    picture(this.canvas, last ? t("trace.says", { kw: num(last[1]), n: this.rows.length }) : t("trace.none"));
    this.draw();
  }

  draw() {
    const unit = scale();
    const [width, height] = [this.host.clientWidth / unit, this.host.clientHeight / unit];
    if (!width || !height) return;
    const pen = fit(this.canvas, width, height, unit);
    const quiet = colour("--quiet");
    if (this.rows.length < 2) {
      pen.fillStyle = quiet;
      pen.fillText(t("trace.none"), LEFT, TOP + 20);
      return;
    }
    const [since, until] = [this.rows[0][0], this.rows.at(-1)[0]];
    const most = Math.max(1, ...this.rows.map((r) => Math.max(r[1] ?? 0, r[2] ?? 0)));
    const { top, step } = niceTop(most, 5);
    const x = (at) => LEFT + ((at - since) / (until - since || 1)) * (width - LEFT - RIGHT);
    const y = (kw) => TOP + (1 - kw / top) * (height - TOP - AXIS);
    grid(pen, y, top, step, width, { line: colour("--line"), words: quiet, said: num });
    const steps = this.rows.flatMap((r, n) => (n ? [[r[0], this.rows[n - 1][2]], [r[0], r[2]]] : [[r[0], r[2]]]));
    trace(pen, steps, x, y, (p) => p[1], { stroke: colour("--target"), weight: 1.5 });
    trace(pen, this.rows, x, y, (p) => p[1], { stroke: colour("--load") });
    timeAxis(pen, since, until, x, width, height - 5, quiet);
  }
}
