// Numbers, times and ages as people read them; and text that can only ever be text.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** kW (or A) with as many digits as matter; a dash where nothing was measured. */
export function num(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) >= 1000 ? whole.format(value) : tenth.format(value);
}

/** A limit or knob in A: whole where it is whole. */
export function amps(value) {
  if (value === null || value === undefined) return "–";
  return Number.isInteger(value) ? String(value) : tenth.format(value);
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, {
  weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit",
  hourCycle: "h23", timeZoneName: "short",
});

export const timeOf = (ms) => clock.format(ms);
export const minuteOf = (ms) => minute.format(ms);
export const dayOf = (ms) => day.format(ms);

/** A span of seconds: "42 s", "12 min", "3 h 05". */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 100) return `${s} s`;
  if (s < 6000) return `${Math.round(s / 60)} min`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}`;
}

/** Make an element: `el("p", { class: "x" }, "text", child)`. Strings become text nodes, never markup. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** An id that may be anything, kept apart from the text around it (also where it runs right to left). */
export function name(text) {
  return el("bdi", { class: "id", title: text }, text);
}

/** Set text only where it changed: an untouched node costs the browser nothing. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
