// Numbers, times and ages as people read them; and text that can only ever be text.

import { language, t } from "./t.js";
import * as zones from "./zone.js";

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** kW (or A, kWh) with as many digits as matter; a dash where nothing was measured. */
export function num(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) < 0.05) return tenth.format(0); // never -0.0
  return Math.abs(value) >= 1000 ? whole.format(value) : tenth.format(value);
}

/** A count. */
export const count = (value) => whole.format(value);

/** A share of one, in per cent. */
export const share = (value) => `${whole.format(100 * value)} %`;

/** A limit or knob in A: whole where it is whole. */
export function amps(value) {
  if (value === null || value === undefined) return "–";
  return Number.isInteger(value) ? String(value) : tenth.format(value);
}

// --- time: in the territory's zone, with UTC on hover

const FORMS = {
  second: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
  minute: { hour: "2-digit", minute: "2-digit" },
  day: { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  stamp: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" },
  full: {
    weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit",
    timeZoneName: "short",
  },
  date: { year: "numeric", month: "2-digit", day: "2-digit" },
};
const made = new Map();
let home = document.body.dataset.zone || "UTC";

/** The zone that times without one of their own are told in. */
export const setZone = (zone) => { home = zone; };
export const zoneNow = () => home;

function form(kind, zone) {
  const key = `${kind} ${zone}`;
  let found = made.get(key);
  if (!found) {
    try {
      found = new Intl.DateTimeFormat(language, { ...FORMS[kind], hourCycle: "h23", timeZone: zone });
    } catch {
      found = form(kind, "UTC"); // a zone that this browser does not know
    }
    made.set(key, found);
  }
  return found;
}

/** Names in their order: 2 before 10. */
export const byName = new Intl.Collator(language, { numeric: true }).compare;

export const secondOf = (ms, zone = home) => form("second", zone).format(ms);
export const minuteOf = (ms, zone = home) => form("minute", zone).format(ms);
export const fullOf = (ms, zone = home) => form("full", zone).format(ms);
export const utcOf = (ms) => `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;

const sameDay = (ms, now, zone) => form("date", zone).format(ms) === form("date", zone).format(now);

/** Hours and minutes, with the day where it is not that of `now`. */
export const shortOf = (ms, now, zone = home) => form(sameDay(ms, now, zone) ? "minute" : "day", zone).format(ms);

/** Hours, minutes and seconds, with the day where it is not that of `now`. */
export const stampOf = (ms, now, zone = home) => form(sameDay(ms, now, zone) ? "second" : "stamp", zone).format(ms);

/** A moment as a field for date and time wants it, and what such a field says as a moment. */
export const toLocal = (ms, zone = home) => zones.toLocal(ms, zone);
export const fromLocal = (text, zone = home) => zones.fromLocal(text, zone);

/** A moment as an element: the territory's time, UTC on hover. */
export function when(ms, text) {
  return el("time", { datetime: new Date(ms).toISOString(), title: utcOf(ms) }, text ?? secondOf(ms));
}

/** A span of seconds: "42 s", "12 min", "3 h 05". */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 100) return `${s} s`;
  if (s < 6000) return `${Math.round(s / 60)} min`;
  if (s < 172_800) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}`;
  return t("unit.days", { n: Math.floor(s / 86_400) });
}

/** How old a number is. */
export const ageOf = (seconds) => (seconds < 3 ? t("age.now") : t("age.old", { span: span(seconds) }));

// --- elements

/** Make an element: `el("p", { class: "x" }, "text", child)`. Strings become text nodes, never markup. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** The same in SVG. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** An id that may be anything, kept apart from the text around it (also where it runs right to left). */
export function name(text) {
  return el("bdi", { class: "id", title: text }, text);
}

/** A picture and its words come together: a role without words is a picture of nothing to who can't see it. */
export function picture(node, words) {
  if (node.ariaLabel === words) return;
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", words);
}

/** Set text only where it changed: an untouched node costs the browser nothing. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The value of a colour token now, for a canvas. */
export function colour(token) {
  const probe = el("span", { class: "probe" });
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Call `change` when the colours do. */
export function onTheme(change) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", change);
  new MutationObserver(change).observe(document.documentElement, { attributeFilter: ["data-theme"] });
}
