// A driver's page: the token of the link opens one charge. It is kept in this tab only, and travels in a header.

import { fromLocal } from "./zone.js";

const language = document.documentElement.lang || "en";
const { default: says } = await import(`/drive/files/${language}.js`);
const t = (key, given = {}) => says[key].replace(/\{(\w+)\}/g, (_, name) => given[name]);
const $ = (id) => document.getElementById(id);
const KEY = "emw-charge";
const EVERY_MS = 5_000;
const one = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
let zone = "UTC";
let told = null;

// The fragment is taken off the address at once: a page that is shown around shows no key.
const fragment = decodeURIComponent(location.hash.slice(1));
if (fragment) history.replaceState(null, "", location.pathname);
let token = sessionStorage.getItem(KEY) ?? "";

async function call(method, path, body) {
  const headers = { [KEY]: token };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/drive/api/charge${path}`, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store", credentials: "omit",
  });
  const got = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const before = `${got.field}: `; // the wire's own name of what was typed: here it has a label
    const known = `drive_field.${got.field}` in says;
    const detail = known ? got.detail.replace(before, `${t(`drive_field.${got.field}`)}: `) : got.detail;
    const problem = new Error(detail ?? t("drive.failed"));
    problem.status = answer.status;
    throw problem;
  }
  return got;
}

function open(link) {
  token = link;
  sessionStorage.setItem(KEY, link);
}

async function find(code) {
  open((await call("POST", "/find", { code })).link);
}

function clock(text) {
  const at = new Date(text);
  const form = new Intl.DateTimeFormat(language, { weekday: "short", hour: "2-digit", minute: "2-digit", timeZone: zone });
  const element = document.createElement("time");
  element.dateTime = text;
  element.title = `${at.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  element.textContent = form.format(at);
  return element;
}
const clockText = (text) => clock(text).textContent;
const kw = (value) => (value === null ? "–" : `${one.format(value)} kW`);
const kwh = (value) => (value === null ? "–" : `${one.format(value)} kWh`);

function why(c) {
  if (c.state === "limited" || c.state === "paused") {
    const what = c.protectsWires ? t("drive.why_wires") : t("drive.why_grid", { kw: kw(c.limitKW), full: kw(c.fullKW) });
    return c.returnsAt ? `${what} ${t("drive.returns", { at: clockText(c.returnsAt) })}` : `${what} ${t("drive.returns_open")}`;
  }
  return "";
}

function show(c) {
  told = c;
  zone = c.timeZone;
  $("find").hidden = true;
  $("charge").hidden = false;
  $("where").textContent = [c.site, c.evseID].filter(Boolean).join(" · ");
  $("state").textContent = t(`drive_state.${c.state}`);
  $("state").dataset.state = c.state;
  $("why").textContent = why(c);
  $("energy").textContent = kwh(c.energyKWh);
  $("power").textContent = kw(c.loadKW);
  $("deferred").textContent = kwh(c.deferredKWh);
  $("age").textContent = c.readAt ? t("drive.read_at", { at: clockText(c.readAt) }) : "";
  const over = c.state === "over";
  $("acts").hidden = over;
  $("need").hidden = over;
  const opted = c.optedOutUntil !== null;
  $("opted").hidden = !opted;
  if (opted) $("opted").textContent = c.optedOutForStay ? t("drive.opted_stay") : t("drive.opted_until", { at: clockText(c.optedOutUntil) });
  $("optin").hidden = !opted;
  $("told").hidden = !c.toldByDriver;
  if (c.toldByDriver) {
    const energy = c.energyRequestedKWh === null ? "–" : kwh(c.energyRequestedKWh);
    $("told").textContent = t("drive.told", { energy, at: c.departureTime ? clockText(c.departureTime) : "–" });
  }
  $("history").replaceChildren(...c.history.map((h) => {
    const item = document.createElement("li");
    item.append(clock(h.at), " ", t(`drive_happened.${h.what}`, { amps: h.amps === null ? "" : one.format(h.amps) }));
    return item;
  }));
}

function ask(why) {
  $("charge").hidden = true;
  $("find").hidden = false;
  const error = $("find").querySelector(".error");
  error.hidden = !why;
  error.textContent = why;
}

async function look() {
  if (!token) return;
  try {
    show(await call("GET", ""));
  } catch (problem) {
    if (problem.status !== 404) return; // the line is down: what is shown has its age
    sessionStorage.removeItem(KEY);
    token = "";
    ask(problem.message);
  }
}

function acting(element, act) {
  const error = element.closest("section, form").querySelector(".error");
  return async (event) => {
    event.preventDefault();
    error.hidden = true;
    element.disabled = true;
    try {
      await act();
      await look();
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    } finally {
      element.disabled = false;
    }
  };
}

for (const button of document.querySelectorAll("button[data-minutes]")) {
  const minutes = button.dataset.minutes ? Number(button.dataset.minutes) : null;
  button.addEventListener("click", acting(button, () => call("POST", "/optOut", minutes === null ? {} : { minutes })));
}
$("optin").addEventListener("click", acting($("optin"), () => call("POST", "/optIn", {})));

const findForm = $("find").querySelector("form");
findForm.addEventListener("submit", acting(findForm.querySelector("button"), () => find(findForm.elements.code.value)));

const needForm = $("need").querySelector("form");
needForm.addEventListener("submit", acting(needForm.querySelector("button"), () => {
  const energy = needForm.elements.energy.value;
  const departure = needForm.elements.departure.value;
  return call("POST", "/need", {
    ...(energy ? { energyRequestedKWh: Number(energy) } : {}),
    ...(departure ? { departureTime: new Date(fromLocal(departure, zone)).toISOString() } : {}),
  });
}));

if (fragment.length === 23 && fragment.startsWith("s")) {
  try { await find(fragment); } catch (problem) { ask(problem.message); }
} else if (fragment) {
  open(fragment);
}
if (token) await look();
else if ($("find").hidden) ask("");
setInterval(() => { if (!document.hidden && told?.state !== "over") look(); }, EVERY_MS);
