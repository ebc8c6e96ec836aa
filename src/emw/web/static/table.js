// The EVSE table: thousands of rows in memory, only the visible ones in the page.

import { model, now } from "./feed.js";
import { amps, el, minuteOf, num, span } from "./format.js";
import { t, word } from "./t.js";

const ROW = 30; // px
const SPARE = 6; // rows drawn beyond the edges
const RESORT_MS = 2000; // an order that jumps each second can't be read

const FIXED = new Set(["id", "territory"]); // columns whose values stay

const COLUMNS = [
  { key: "id", type: "text" },
  { key: "territory", type: "text", narrow: "hide" },
  { key: "state", type: "text" },
  { key: "load", type: "number" },
  { key: "baseline", type: "number", narrow: "hide" },
  { key: "limit", type: "number", narrow: "hide" },
  { key: "until", type: "number", narrow: "hide" },
  { key: "cause", type: "text", narrow: "hide" },
  { key: "heard", type: "number", narrow: "hide" },
];

function cellText(row, key, clock) {
  switch (key) {
    case "load": case "baseline": return num(row[key]);
    case "limit": return t("evses.limit", { a: amps(row.limit), most: amps(row.most) });
    case "until": return row.until === null ? "" : minuteOf(row.until, model.nodes.get(row.territory)?.zone);
    case "cause": return row.cause === null ? "" : word("cause", row.cause);
    case "heard": return row.heard === null ? t("age.never") : span((clock - row.heard) / 1000);
    case "state": return word("evse", row.state);
    case "territory": return row.site && row.site !== row.territory ? `${row.territory} · ${row.site}` : row.territory;
    default: return row[key];
  }
}

export class Table {
  /** `onPick(id)` is called when somebody opens a row. */
  constructor(host, onPick, onCount) {
    this.onCount = onCount;
    this.onPick = onPick;
    this.sort = { key: "id", down: false };
    this.words = "";
    this.inside = null;
    this.state = null;
    this.shown = [];
    this.moved = new Set(); // ids that changed since the rows were last put in order
    this.sortedAt = 0;
    this.cursor = 0;
    this.lines = [];
    this.head = el("div", { class: "tr th", role: "row" });
    this.body = el("div", { class: "rows", role: "rowgroup" });
    this.view = el("div", { class: "view", tabindex: "0", role: "table", "aria-label": t("nav.evses") });
    this.view.append(el("div", { role: "rowgroup", class: "top" }, this.head), this.body);
    host.append(this.view);
    for (const column of COLUMNS) this.head.append(this.heading(column));
    this.view.addEventListener("scroll", () => this.later(), { passive: true });
    this.view.addEventListener("keydown", (event) => this.keys(event));
    this.body.addEventListener("click", (event) => {
      const line = event.target.closest(".tr");
      if (line) this.pick(Number(line.dataset.index));
    });
    new ResizeObserver(() => this.later()).observe(this.view);
  }

  heading(column) {
    const button = el("button", { type: "button" }, t(`column.${column.key}`));
    const cell = el("div", { role: "columnheader", class: `td ${column.type} ${column.key} ${column.narrow ?? ""}`, "aria-sort": "none" }, button);
    button.addEventListener("click", () => {
      const same = this.sort.key === column.key;
      this.sort = { key: column.key, down: same ? !this.sort.down : column.type === "number" };
      this.arrange();
    });
    column.cell = cell;
    return cell;
  }

  /** Show rows with these words in them, only those under `inside` (territories) and in `state`; null: all. */
  filter(words, inside, state) {
    this.words = words.trim().toLowerCase();
    this.inside = inside;
    this.state = state;
    this.view.scrollTop = 0;
    this.cursor = 0;
    this.arrange();
  }

  /** The model changed. */
  update(what) {
    if (what.full) {
      if (what.rows) this.arrange();
      return;
    }
    for (const id of what.changed) this.moved.add(id);
    const known = this.arrangedOf === model.evses.size;
    const still = known && this.state === null && !this.words && FIXED.has(this.sort.key); // nobody changes places
    if (still) this.moved.clear();
    if (!still && performance.now() - this.sortedAt > RESORT_MS) this.rearrange();
    else this.later();
  }

  /** Whether a row passes the filter. */
  passes(row, words) {
    if (this.inside && !this.inside.has(row.territory)) return false;
    if (this.state && row.state !== this.state) return false;
    if (words.length) row.words ??= `${row.id}\n${row.territory}\n${row.site ?? ""}\n${row.state}\n${word("evse", row.state)}`.toLowerCase();
    return words.every((one) => row.words.includes(one));
  }

  order() {
    const { key, down } = this.sort;
    const sign = down ? -1 : 1;
    return (a, b) => {
      const [x, y] = [a[key], b[key]];
      if (x === y) return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
      if (x === null) return 1; // what is not known comes last, whichever way
      if (y === null) return -1;
      return x < y ? -sign : sign;
    };
  }

  /** Filter and sort every row: when the question changed, or everything was told anew. */
  arrange() {
    const words = this.words.split(/\s+/).filter(Boolean);
    this.show([...model.evses.values()].filter((row) => this.passes(row, words)).sort(this.order()));
  }

  /** Filter and sort the rows that changed, and merge them with the others, which stand in order already. */
  rearrange() {
    const words = this.words.split(/\s+/).filter(Boolean);
    const order = this.order();
    const moved = [];
    for (const id of this.moved) {
      const row = model.evses.get(id);
      if (row && this.passes(row, words)) moved.push(row);
    }
    moved.sort(order);
    const rows = [];
    let next = 0;
    for (const row of this.shown) {
      if (this.moved.has(row.id)) continue;
      while (next < moved.length && order(moved[next], row) < 0) rows.push(moved[next++]);
      rows.push(row);
    }
    while (next < moved.length) rows.push(moved[next++]);
    this.show(rows);
  }

  /** These rows, in this order. */
  show(rows) {
    const { key, down } = this.sort;
    this.sortedAt = performance.now();
    this.arrangedOf = model.evses.size;
    this.moved.clear();
    this.shown = rows;
    for (const column of COLUMNS) {
      const sorted = column.key === key ? (down ? "descending" : "ascending") : "none";
      if (column.cell.ariaSort !== sorted) column.cell.ariaSort = sorted;
    }
    this.view.setAttribute("aria-rowcount", String(rows.length + 1));
    this.body.style.height = `${rows.length * ROW}px`;
    this.onCount(rows.length, model.evses.size);
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

  /** Row `i` always lives in line `i % room`: scrolling by three rows touches three lines. */
  draw() {
    const first = Math.max(0, Math.floor(this.view.scrollTop / ROW) - SPARE);
    const room = Math.ceil(this.view.clientHeight / ROW) + 2 * SPARE;
    while (this.lines.length < room) this.lines.push(this.line());
    while (this.lines.length > room) this.lines.pop().node.remove();
    const clock = now();
    for (let index = first; index < first + room; index += 1) {
      const line = this.lines[index % room];
      const known = this.shown[index];
      const row = known && (model.evses.get(known.id) ?? known); // the order is some ticks old, the row is not
      line.node.hidden = row === undefined;
      if (row) this.fill(line, row, index, clock);
    }
  }

  line() {
    const node = el("div", { class: "tr", role: "row" });
    const cells = COLUMNS.map((column) => {
      const text = document.createTextNode("");
      const cell = el("bdi", {}, text);
      node.append(el("div", { class: `td ${column.type} ${column.key} ${column.narrow ?? ""}`, role: "cell" }, cell));
      return { cell, text };
    });
    this.body.append(node);
    return { node, cells, index: -1, state: null, at: null };
  }

  fill(line, row, index, clock) {
    const { node, cells } = line;
    if (line.index !== index) {
      line.index = index;
      node.style.transform = `translateY(${index * ROW}px)`;
      node.dataset.index = String(index);
      node.setAttribute("aria-rowindex", String(index + 2));
    }
    if (line.state !== row.state) node.dataset.state = line.state = row.state;
    const at = index === this.cursor;
    if (line.at !== at) node.classList.toggle("at", (line.at = at));
    for (let n = 0; n < COLUMNS.length; n += 1) {
      const text = cellText(row, COLUMNS[n].key, clock);
      if (cells[n].text.data === text) continue;
      cells[n].text.data = text;
      if (n === 0) cells[n].cell.title = text;
    }
  }

  keys(event) {
    if (event.target !== this.view) return;
    const page = Math.max(1, Math.floor(this.view.clientHeight / ROW) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter") this.pick(this.cursor);
    else if (event.key in steps) {
      this.cursor = Math.min(Math.max(this.cursor + steps[event.key], 0), this.shown.length - 1);
      const top = this.cursor * ROW;
      const under = this.view.clientHeight - 2 * ROW;
      if (top < this.view.scrollTop) this.view.scrollTop = top;
      else if (top > this.view.scrollTop + under) this.view.scrollTop = top - under;
      this.draw();
    } else return;
    event.preventDefault();
  }

  pick(index) {
    const row = this.shown[index];
    if (!row) return;
    this.cursor = index;
    this.draw();
    this.onPick(row.id);
  }
}
