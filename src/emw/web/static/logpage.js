// The activity log, searched: by text, EVSE, request, actor, kind and time; newest first, page by page.

import { call, segment } from "./api.js";
import { wireButton, wireForm } from "./form.js";
import { count, el, fromLocal, toLocal, zoneNow } from "./format.js";
import { follow } from "./frame.js";
import { line } from "./log.js";
import { t } from "./t.js";

const $ = (id) => document.getElementById(id);
const form = $("search");
const PAGE = 200;
const PAGES = { evseID: (id) => `/evses/${segment(id)}`, requestKey: (key) => `/reports/requests/${segment(key)}` };
const MOMENTS = new Set(["since", "until"]);
let asked = new URLSearchParams();
let shown = 0;
let next = null;

function read(data) {
  const found = new URLSearchParams();
  for (const [field, value] of data) {
    const text = value.trim();
    if (!text) continue;
    found.set(field, MOMENTS.has(field) ? new Date(fromLocal(text)).toISOString() : text);
  }
  return found;
}

async function load(before) {
  const query = new URLSearchParams(asked);
  query.set("limit", PAGE);
  if (before !== null) query.set("beforeSeq", before);
  const told = await call("GET", `/activity?${query}`);
  if (before === null) {
    $("log").replaceChildren();
    shown = 0;
  }
  $("log").append(...told.items.map((row) => detailed(row)));
  shown += told.items.length;
  next = told.nextBeforeSeq;
  $("more").hidden = next === null;
  $("log-count").textContent = shown ? t(next === null ? "log.all" : "log.first", { n: count(shown) }) : t("log.none");
}

/** A field's value; one that names what has a page leads there. */
function shownAs(key, value) {
  const text = el("bdi", {}, typeof value === "object" ? JSON.stringify(value) : String(value));
  return key in PAGES ? el("a", { href: PAGES[key](value) }, text) : text;
}

/** A line that opens to the fields of its row. */
function detailed(row) {
  const item = line(row);
  const fields = Object.entries(row.details ?? {}).filter(([, value]) => value !== null);
  if (!fields.length) return item;
  item.append(el("details", {}, el("summary", {}, `${row.kind} #${row.seq}`),
    el("dl", {}, ...fields.flatMap(([key, value]) => [
      el("dt", {}, key), el("dd", {}, shownAs(key, value)),
    ]))));
  return item;
}

wireForm(form, async (data) => {
  asked = read(data);
  const query = asked.toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
  $("csv").href = `/api/v1/activity.csv?${new URLSearchParams([...asked, ["limit", "10000"]])}`;
  await load(null);
});
wireButton($("more"), () => load(next), (words) => { $("log-count").textContent = words; });

// What the address asks for is looked up at once: a link to a search is a search.
for (const [field, value] of new URLSearchParams(location.search)) {
  const input = form.elements[field];
  if (input instanceof HTMLInputElement) input.value = MOMENTS.has(field) ? toLocal(Date.parse(value)) : value;
}
document.getElementById("log-zone").textContent = zoneNow();
form.requestSubmit();
follow(() => {});
