// What every page of the console does: the feed, the clock, the line's state, the big stop, language and theme.

import { call, segment } from "./api.js";
import { connect, model, now, silence } from "./feed.js";
import { open, wire } from "./form.js";
import { byName, el, fullOf, name, num, say, utcOf } from "./format.js";
import { t } from "./t.js";
import { takeWay, toLogin } from "./way.js";

const $ = (id) => document.getElementById(id);
const YEAR_S = 31_536_000;

// Who comes from a provider's login lands here, and goes on to where he was going.
const to = takeWay();
if (to && location.pathname === "/") location.replace(to);

// --- one question, one answer

const sure = $("d-sure");
const sureForm = sure.querySelector("form");
let doIt = async () => {};
wire(sure, (data) => doIt(data.get("reason") || null));

/** Ask before `action(reason)`; `needed`: a reason must be given. */
export function areYouSure(title, text, button, action, { needed = false } = {}) {
  $("t-sure").textContent = title;
  $("sure-text").textContent = text;
  sureForm.querySelector('button[type="submit"]').textContent = button;
  doIt = (reason) => {
    if (needed && !reason) throw new Error(t("act.reason_needed"));
    return action(reason);
  };
  open(sure);
}

// --- halt and resume

const halt = $("d-halt");
const haltForm = halt.querySelector("form");
const typed = haltForm.elements.sure;
const haltButton = haltForm.querySelector('button[type="submit"]');
const what = haltForm.elements.what;
const meant = (text) => text.trim() === t("halt.word");
typed.addEventListener("input", () => { haltButton.disabled = !meant(typed.value); });
wire(halt, async (data) => {
  if (!meant(data.get("sure"))) throw new Error(t("halt.type_it"));
  const reason = data.get("reason") || null;
  const territory = data.get("what");
  try {
    return await (territory ? call("POST", `/territories/${segment(territory)}/stop`, { reason }) : call("POST", "/halt", { reason }));
  } catch (problem) {
    throw problem.away ? new Error(t("halt.away")) : problem;
  }
});
const whatStops = () => { haltButton.textContent = what.value ? t("halt.do_in", { where: what.value }) : t("halt.do"); };
what.addEventListener("change", whatStops);
$("halt").addEventListener("click", () => {
  haltButton.disabled = true;
  what.replaceChildren(el("option", { value: "" }, t("halt.everything")),
    ...[...model.nodes.keys()].sort(byName).map((id) => el("option", { value: id }, id)));
  open(halt);
  whatStops();
});

function banner(text, by, path) {
  const button = el("button", { type: "button", class: "acts" }, t("resume.button"));
  button.addEventListener("click", () => {
    areYouSure(t("resume.title"), t("resume.text"), t("resume.button"), (reason) => call("POST", path, { reason }));
  });
  return el("div", { class: "banner" }, el("p", {}, el("strong", {}, ...text), ` ${by ? t("halted.by", { who: by }) : t("halted.freed")}`), button);
}

let bannersOf = "[false,[]]";
function banners() {
  const now = JSON.stringify([model.halted && (model.haltedBy ?? true), model.stops]);
  if (now === bannersOf) return;
  bannersOf = now;
  const made = model.stops.map(([id, by]) => banner([`${t("halted.in")} `, name(id), "."], by, `/territories/${segment(id)}/resume`));
  if (model.halted) made.unshift(banner([t("halted.all")], model.haltedBy, "/resume"));
  $("halted").replaceChildren(...made);
}

// --- language, theme, logging out

function remember(cookie, value) {
  document.cookie = `${cookie}=${value}; path=/; max-age=${YEAR_S}; samesite=strict`;
}

$("language").addEventListener("change", (event) => {
  remember("emw_language", event.target.value);
  location.reload();
});
$("theme").addEventListener("change", (event) => {
  remember("emw_theme", event.target.value);
  document.documentElement.dataset.theme = event.target.value;
});
$("logout").addEventListener("click", async () => {
  await call("POST", "/logout", {}).catch(() => null);
  toLogin({ ended: false });
});
const me = document.querySelector("details.me");
addEventListener("click", (event) => { if (!me.contains(event.target)) me.open = false; });
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && me.open) {
    me.open = false;
    me.querySelector("summary").focus();
  }
});

// Looking on is not use: a login that nobody touches ends. Who moves and types is there.
let touchedAt = performance.now();
for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(kind, () => {
    if (performance.now() - touchedAt < 240e3) return;
    touchedAt = performance.now();
    call("GET", "/me").catch(() => null);
  }, { passive: true });
}

// On a phone the navigation scrolls sideways by itself: where we are must be seen.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// --- the feed

function link(state) {
  say($("link"), t(`link.${state}`));
  $("link").title = state === "up" ? "" : t(`link.${state}`);
  $("link").className = `link ${state}`;
}

function frame() {
  banners();
  $("halt").hidden = model.halted;
  $("speed").hidden = model.speed === 1;
  say($("speed"), t("frame.speed", { n: num(model.speed).replace(/[.,]0$/, "") }));
}

/** Every number has an age: that of the last look, which grows when the line is down. */
function tick() {
  if (!model.at) return;
  say($("clock"), fullOf(now()));
  $("clock").title = utcOf(now());
  document.body.classList.toggle("stale", silence() >= 10);
}

/** Follow the feed: `changed(what)` after each tick. `rows`: with a line for every EVSE. */
export function follow(changed, { rows = false } = {}) {
  setInterval(tick, 500);
  connect((what) => {
    frame();
    tick();
    changed(what);
  }, link, rows);
}
