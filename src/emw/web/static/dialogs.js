// What an operator does: ask for a decrease, end it, halt and resume, look at one EVSE, opt a driver out.

import { call, segment } from "./api.js";
import { amps, dayOf, el, minuteOf, num, say } from "./format.js";
import { model, now } from "./feed.js";

const $ = (id) => document.getElementById(id);

/** Wire a dialog's form: `send(data)` runs at submit; its error is shown, its success closes. */
function wire(dialog, form, send) {
  const error = form.querySelector(".error");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const buttons = [...form.querySelectorAll("button")];
    error.hidden = true;
    buttons.forEach((b) => b.toggleAttribute("aria-busy", true));
    try {
      if ((await send(new FormData(form))) !== false) dialog.close();
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    } finally {
      buttons.forEach((b) => b.removeAttribute("aria-busy"));
    }
  });
  for (const button of dialog.querySelectorAll('button[value="cancel"]')) {
    button.addEventListener("click", () => dialog.close());
  }
}

function open(dialog) {
  const form = dialog.querySelector("form");
  form.reset();
  form.querySelector(".error").hidden = true;
  dialog.showModal();
}

// --- ask for a decrease

const ask = $("d-ask");
const askForm = ask.querySelector("form");
const territory = askForm.elements.territory;

function available() {
  const node = model.nodes.get(territory.value);
  say($("ask-available"), node ? `${num(node.available)} kW could be shed there now.` : "");
}

export function askForDecrease() {
  const before = territory.value;
  territory.replaceChildren(...[...model.nodes.keys()].sort().map((id) => el("option", { value: id }, id)));
  open(ask);
  if (model.nodes.has(before)) territory.value = before;
  available();
}

territory.addEventListener("change", available);
wire(ask, askForm, (data) => {
  const kw = Number.parseFloat(data.get("kw"));
  if (!(kw > 0)) throw new Error("say how many kW");
  const body = { territory: data.get("territory"), kW: kw };
  const minutes = data.get("minutes").trim();
  if (minutes) body.durationMinutes = Number(minutes);
  return call("POST", "/requests", body);
});

// --- end a request, resume: one question, one answer

const sure = $("d-sure");
const sureForm = sure.querySelector("form");
let doIt = async () => {};
wire(sure, sureForm, (data) => doIt(data.get("reason") || null));

function areYouSure(title, text, button, action) {
  $("t-sure").textContent = title;
  $("sure-text").textContent = text;
  sureForm.querySelector('button[type="submit"]').textContent = button;
  doIt = action;
  open(sure);
}

export function endRequest(request) {
  areYouSure("Return to normal", `Request ${request.requestID} ends now; its cars are freed along the ramp.`, "Return to normal",
    (reason) => call("POST", `/requests/${segment(request.requestKey)}/returnToNormal`, { reason }));
}

export function resume() {
  areYouSure("Resume dispatch", "Requests and ceilings are served again at once.", "Resume dispatch",
    (reason) => call("POST", "/resume", { reason }));
}

// --- halt

const halt = $("d-halt");
const haltForm = halt.querySelector("form");
const typed = haltForm.elements.sure;
const haltButton = haltForm.querySelector('button[type="submit"]');
typed.addEventListener("input", () => { haltButton.disabled = typed.value.trim() !== "HALT"; });
wire(halt, haltForm, (data) => {
  if (data.get("sure").trim() !== "HALT") throw new Error("type HALT to confirm");
  return call("POST", "/halt", { reason: data.get("reason") || null });
});

export function haltAll() {
  haltButton.disabled = true;
  open(halt);
}

// --- one EVSE

const detail = $("d-evse");
const detailForm = detail.querySelector("form");
let looking = null;

const ago = (iso) => (iso ? `${Math.max(0, Math.round((now() - Date.parse(iso)) / 1000))} s ago` : "never");

function facts(told) {
  const { evse, session, limit } = told;
  const rows = [
    ["State", evse.state],
    ["Territory", told.path.join(" › ")],
    ["Load", `${num(evse.loadKW)} kW, ${amps(evse.currentAmps)} A, heard ${ago(evse.heardAt)}`],
    ["Without limit", `${num(evse.baselineKW)} kW`],
    ["Its own maximum", `${amps(evse.evseMaxAmps)} A, ${num(told.lineVoltage)} V, ${told.phases} phase${told.phases > 1 ? "s" : ""}`],
    ["Model", evse.evseModel],
  ];
  if (evse.site) rows.push(["Site", evse.site]);
  if (session) {
    rows.push(["Vehicle since", `${dayOf(Date.parse(session.startedAt))}${session.vehicle ? `, ${session.vehicle}` : ""}`]);
    if (session.energyKWh !== null) rows.push(["Energy", `${num(session.energyKWh)} kWh${session.energyRequestedKWh ? ` of ${num(session.energyRequestedKWh)}` : ""}`]);
    if (session.departureTime) rows.push(["Leaves at", minuteOf(Date.parse(session.departureTime))]);
  }
  if (limit) rows.push(["Last command", `${limit.limitAmps === null ? "back to normal" : `${amps(limit.limitAmps)} A`}, ${limit.outcome}, ${ago(limit.issuedAt)}`]);
  return rows.flatMap(([title, text]) => [el("dt", {}, title), el("dd", {}, el("bdi", {}, String(text)))]);
}

export async function showEvse(id) {
  looking = id;
  $("t-evse").replaceChildren(el("bdi", {}, id));
  $("evse-why").textContent = "…";
  $("evse-facts").replaceChildren();
  open(detail);
  try {
    const told = await call("GET", `/evses/${segment(id)}`);
    if (looking !== id) return;
    $("evse-why").textContent = told.explanation;
    $("evse-facts").replaceChildren(...facts(told));
  } catch (problem) {
    $("evse-why").textContent = problem.message;
  }
}

async function optOut(minutes, reason) {
  await call("POST", `/evses/${segment(looking)}/optOut`, minutes === null ? { reason } : { minutes, reason });
  await showEvse(looking);
}

wire(detail, detailForm, async (data) => {
  await optOut(Number(data.get("minutes")), data.get("reason") || "asked the operator");
  return false;
});
detailForm.querySelector('button[value="in"]').addEventListener("click", async () => {
  const error = detailForm.querySelector(".error");
  try {
    await optOut(null, "taken back by the operator");
  } catch (problem) {
    error.textContent = problem.message;
    error.hidden = false;
  }
});
