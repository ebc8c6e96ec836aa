// Territories as a tree: each node's load, its share of the whole, its ceiling or target; a node leads to its EVSEs.

import { model } from "./feed.js";
import { byName, count, el, name, num, say, share } from "./format.js";
import { t } from "./t.js";

export class Tree {
  constructor(host) {
    this.host = host;
    this.made = new Map();
    this.shape = null;
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
    for (const node of nodes.toSorted((a, b) => byName(a.id, b.id))) {
      const parent = model.nodes.has(node.parent) ? node.parent : null;
      if (!below.has(parent)) below.set(parent, []);
      below.get(parent).push(node);
    }
    const list = (parent) => {
      const children = below.get(parent);
      if (!children) return "";
      return el("ul", {}, ...children.map((n) => el("li", {}, this.row(n), list(n.id))));
    };
    this.host.replaceChildren(nodes.length ? list(null) : el("p", { class: "quiet" }, t("live.no_territory")));
  }

  row(node) {
    const sums = el("span", { class: "sums" });
    const part = el("span", { class: "share" });
    const load = el("span", { class: "m-load" });
    const mark = el("span", { class: "m-mark" });
    const bar = el("span", { class: "meter", "aria-hidden": "true" }, load, mark);
    const link = el("a", { class: "node", href: `/evses?territory=${encodeURIComponent(node.id)}` },
      el("span", { class: "what" }, name(node.id), el("span", { class: "quiet" }, ` ${node.kind}`), part), sums, bar);
    this.made.set(node.id, { sums, load, mark, bar, part });
    return link;
  }

  fill(node) {
    const made = this.made.get(node.id);
    const asked = node.target < node.baseline - 0.05;
    const parts = [`${num(node.load)} kW`, t("tree.charging", { n: count(node.charging), all: count(node.evses) })];
    if (asked) parts.push(t("tree.target", { kw: num(node.target) }), t("tree.shed", { kw: num(node.shed) }));
    if (node.ceiling !== null) parts.push(t("tree.ceiling", { kw: num(node.ceiling) }));
    if (node.amps !== null) parts.push(t("tree.ceiling_a", { a: num(node.amps) }));
    say(made.sums, parts.join(" · "));
    say(made.part, model.total.loadKW > 0.05 ? share(node.load / model.total.loadKW) : "");
    const most = Math.max(node.baseline, node.load, node.ceiling ?? 0, 0.001);
    made.load.style.width = `${(100 * node.load) / most}%`;
    const mark = node.ceiling !== null && node.ceiling < node.target ? node.ceiling : asked ? node.target : node.ceiling;
    made.mark.hidden = mark === null;
    if (mark !== null) made.mark.style.left = `calc(${(100 * Math.min(mark, most)) / most}% - 1px)`;
    made.bar.classList.toggle("over", node.ceiling !== null && node.load > node.ceiling * 1.005);
  }
}

/** The ids at and under a node. */
export function inside(id) {
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
