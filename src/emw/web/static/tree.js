// Territories as a tree: each node's load against its ceiling or its load without limits, shed and target beside it.

import { el, name, num, say } from "./format.js";
import { model } from "./feed.js";

export class Tree {
  /** `onPick(id or null)` filters the table to a node. */
  constructor(host, onPick) {
    this.host = host;
    this.onPick = onPick;
    this.picked = null;
    this.made = new Map();
    this.shape = "";
  }

  update() {
    const nodes = [...model.nodes.values()];
    const shape = nodes.map((n) => `${n.id}\u0000${n.parent}`).join("\u0001");
    if (shape !== this.shape) {
      this.shape = shape;
      this.build(nodes);
    }
    for (const node of nodes) this.fill(node);
  }

  build(nodes) {
    this.made.clear();
    const below = new Map();
    for (const node of nodes) {
      const parent = model.nodes.has(node.parent) ? node.parent : null;
      if (!below.has(parent)) below.set(parent, []);
      below.get(parent).push(node);
    }
    const list = (parent) => {
      const children = below.get(parent);
      if (!children) return "";
      return el("ul", {}, ...children.map((n) => el("li", {}, this.row(n), list(n.id))));
    };
    this.host.replaceChildren(nodes.length ? list(null) : el("p", { class: "quiet" }, "There is no territory yet."));
  }

  row(node) {
    const sums = el("span", { class: "sums" });
    const bar = el("span", { class: "meter", "aria-hidden": "true" });
    const load = el("span", { class: "m-load" });
    const mark = el("span", { class: "m-mark" });
    bar.append(load, mark);
    const button = el("button", { type: "button", class: "node", "aria-pressed": "false" },
      el("span", { class: "what" }, name(node.id), el("span", { class: "quiet" }, ` ${node.kind}`)), sums, bar);
    button.addEventListener("click", () => {
      this.picked = this.picked === node.id ? null : node.id;
      for (const [id, made] of this.made) made.button.setAttribute("aria-pressed", String(id === this.picked));
      this.onPick(this.picked);
    });
    this.made.set(node.id, { sums, load, mark, bar, button });
    return button;
  }

  fill(node) {
    const made = this.made.get(node.id);
    const asked = node.target < node.baseline - 0.05;
    const parts = [`${num(node.load)} kW`, `${node.charging} of ${node.evses} charging`];
    if (asked) parts.push(`target ${num(node.target)} kW`, `shed ${num(node.shed)} kW`);
    if (node.ceiling !== null) parts.push(`ceiling ${num(node.ceiling)} kW`);
    say(made.sums, parts.join(" · "));
    const most = Math.max(node.baseline, node.load, node.ceiling ?? 0, 0.001);
    made.load.style.width = `${(100 * node.load) / most}%`;
    const mark = node.ceiling !== null && node.ceiling < node.target ? node.ceiling : asked ? node.target : node.ceiling;
    made.mark.hidden = mark === null;
    if (mark !== null) made.mark.style.left = `calc(${(100 * Math.min(mark, most)) / most}% - 1px)`;
    made.bar.classList.toggle("over", node.ceiling !== null && node.load > node.ceiling * 1.005);
  }

  /** The ids at and under a node. */
  static inside(id) {
    const found = new Set([id]);
    for (let grew = true; grew; ) {
      grew = false;
      for (const node of model.nodes.values()) {
        if (!found.has(node.id) && found.has(node.parent)) {
          found.add(node.id);
          grew = true;
        }
      }
    }
    return found;
  }
}
