// One EVSE: what it does, what limits it and who, its readings, its commands with their answers, its log; and what can be done.

import { call, segment } from "./api.js";
import { model, now } from "./feed.js";
import { open, wire } from "./form.js";
import { ageOf, amps, el, fullOf, minuteOf, num, onTheme, say, secondOf, when } from "./format.js";
import { areYouSure, follow } from "./frame.js";
import { line } from "./log.js";
import { t, word } from "./t.js";
import { Trace } from "./trace.js";

const $ = (id) => document.getElementById(id);
const id = document.querySelector('meta[name="emw-evse"]').content;
const path = `/evses/${segment(id)}`;
const LOOK_MS = 2000;
const ROWS = 100;
const PAST_MS = 6 * 3600e3;
const MOST = 2000;
const LATE_MS = 120e3;
const ONE_PHASE = { amps: 80, volts: 300 }; // beyond SAE J1772's 80 A no AC station goes
const trace = new Trace($("trace"));
let known = new Map(); // readings of this line to the server, by their time in ms
let toldSeq = null; // the newest row of its log that is shown
let told = null;

const zone = () => (told ? model.nodes.get(told.evse.territory)?.zone : undefined);
const at = (iso) => when(Date.parse(iso), secondOf(Date.parse(iso), zone()));
const ago = (iso) => (iso ? ageOf((now() - Date.parse(iso)) / 1000 / model.speed) : t("age.never"));

function facts({ evse, session, stationID, customerID, path: nodes, lineVoltage, phases, priority, wiring, lines }) {
  const rows = [
    [t("column.territory"), nodes.join(" › ")],
    [t("live.load"), `${num(evse.loadKW)} kW, ${amps(evse.currentAmps)} A`],
    [t("tile.baseline"), `${num(evse.baselineKW)} kW`],
    [t("evse.knob"), t(phases === 1 && lineVoltage < ONE_PHASE.volts && evse.evseMaxAmps > ONE_PHASE.amps
      ? "evse.knob_doubtful" : "evse.knob_says", { a: amps(evse.evseMaxAmps), v: num(lineVoltage), n: phases })],
    [t("evse.station"), `${stationID}${customerID ? ` · ${customerID}` : ""} · ${evse.evseModel}`],
  ];
  if (wiring) rows.push([t("evse.wiring"), t("evse.wiring_says", { wiring, lines: lines.join(" ") })]);
  if (priority !== 1) rows.push([t("priority.times"), t("priority.says", { n: num(priority) })]);
  if (evse.site) rows.push([t("evse.site"), evse.site]);
  if (session) {
    rows.push([t("evse.session"), `${t("evse.since", { at: fullOf(Date.parse(session.startedAt), zone()) })}${session.vehicle ? ` · ${session.vehicle}` : ""}`]);
    if (session.energyKWh !== null) {
      rows.push([t("evse.energy"), session.energyRequestedKWh
        ? t("evse.energy_of", { kwh: num(session.energyKWh), all: num(session.energyRequestedKWh) }) : `${num(session.energyKWh)} kWh`]);
    }
    if (session.departureTime) rows.push([t("evse.leaves"), minuteOf(Date.parse(session.departureTime), zone())]);
  }
  return rows.flatMap(([title, text]) => [el("dt", {}, title), el("dd", {}, el("bdi", {}, String(text)))]);
}

async function look() {
  told = await call("GET", path);
  say($("state"), word("evse", told.evse.state));
  $("state").dataset.state = told.evse.state;
  say($("why"), told.explanation);
  $("facts").replaceChildren(...facts(told));
  $("release").hidden = told.handLimitAmps === null;
  $("reset").hidden = told.protocol === "rest";
  $("back-in").hidden = !(told.evse.optedOutUntil && Date.parse(told.evse.optedOutUntil) > now());
}

/** The past once, then what is new, and a little before that: not every reading comes in its order. */
async function readings() {
  const past = now() - PAST_MS;
  const all = known;
  const since = all.size ? Math.max(...all.keys()) - LATE_MS : past;
  const { items } = await call("GET", `${path}/telemetry?limit=${MOST}&since=${encodeURIComponent(new Date(since).toISOString())}`);
  for (const reading of items) all.set(Date.parse(reading.timestamp), reading);
  for (const at of all.keys()) if (at < past) all.delete(at);
  trace.show([...all.keys()].sort((a, b) => a - b).slice(-MOST).map((at) => all.get(at)));
}

/** Commands are facts: one row each, with the answer that came to it. Fetched again when the log has a new one. */
async function commands() {
  const of = `evseID=${encodeURIComponent(id)}`;
  const newest = (await call("GET", `/activity?${of}&limit=1`)).items[0]?.seq;
  if (newest === toldSeq) return;
  const query = `${of}&limit=${ROWS}`;
  const [issued, answered, all] = await Promise.all([
    call("GET", `/activity?kind=CommandIssued&${query}`),
    call("GET", `/activity?kind=CommandAnswered&${query}`),
    call("GET", `/activity?${query}`),
  ]);
  const answers = new Map(answered.items.map((row) => [row.details.commandID, row]));
  $("commands").replaceChildren(...issued.items.map((row) => {
    const { maxAmps, cause, commandID, until, requestKey, renewal } = row.details;
    const answer = answers.get(commandID);
    const limit = maxAmps === null || maxAmps === undefined ? t("evse.normal")
      : t("evse.until", { a: amps(maxAmps), at: minuteOf(Date.parse(until), zone()) });
    return el("tr", {}, el("td", {}, at(row.at)), el("td", { class: "number" }, limit),
      el("td", {}, `${word("cause", cause)}${renewal ? ` (${t("evse.renewal")})` : ""} `, requestKey
        ? el("a", { class: "quiet", href: `/reports/requests/${segment(requestKey)}` }, el("bdi", {}, requestKey))
        : el("bdi", { class: "quiet" }, row.actor)),
      el("td", {}, answer
        ? `${word("outcome", answer.details.outcome)}${answer.details.reason ? `: ${answer.details.reason}` : ""} · ${t("evse.after", {
          s: num((Date.parse(answer.at) - Date.parse(row.at)) / 1000) })}`
        : el("span", { class: "quiet" }, t("evse.no_answer"))));
  }));
  $("log").replaceChildren(...all.items.map(line));
  toldSeq = newest;
}

// --- actions

/** A dialog whose deed goes to `${path}/${where}`, with `body(data)` and the reason that none is done without. */
function deed(id, where, body) {
  const dialog = $(id);
  wire(dialog, async (data) => {
    const reason = data.get("reason").trim();
    if (!reason) throw new Error(t("act.reason_needed"));
    await call("POST", `${path}/${where}`, { ...body(data), reason });
    soon();
  });
  return dialog;
}

const optOut = deed("d-optout", "optOut", (data) => ({ minutes: Number(data.get("minutes")) }));
const limit = deed("d-limit", "limit", (data) => ({ maxAmps: Number(data.get("amps")), minutes: Number(data.get("minutes")) }));
const priority = deed("d-priority", "priority", (data) => ({ priority: Number(data.get("priority")) }));

function act(key, handler, extra = {}) {
  const button = el("button", { type: "button", ...extra }, t(`${key}.button`));
  button.addEventListener("click", handler);
  $("acts").append(button);
  return button;
}

act("limit", () => {
  open(limit);
  limit.querySelector("form").elements.amps.max = told?.evse.evseMaxAmps ?? 2000;
});
act("release", () => areYouSure(t("release.button"), t("release.text"), t("release.button"), async (reason) => {
  await call("POST", `${path}/limit`, { maxAmps: null, reason });
  soon();
}, { needed: true }), { id: "release", hidden: true });
act("priority", () => open(priority));
act("optout", () => open(optOut));
act("backin", () => areYouSure(t("backin.button"), t("backin.text"), t("backin.button"), async (reason) => {
  await call("POST", `${path}/optOut`, { reason });
  soon();
}, { needed: true }), { id: "back-in", hidden: true });
act("reset", () => areYouSure(t("reset.title"), t("reset.text"), t("reset.button"), async (reason) => {
  const said = await call("POST", `${path}/reset`, { reason });
  soon();
  if (said.status !== "Accepted") throw new Error(t("reset.said", { what: said.status ?? said.outcome }));
}, { needed: true }), { id: "reset", hidden: true });

// --- look, and look again

let lookedAt = -LOOK_MS;
let slowAt = -3 * LOOK_MS;
let busy = false;
async function update() {
  if (busy || document.hidden || performance.now() - lookedAt < LOOK_MS) return;
  busy = true;
  lookedAt = performance.now();
  try {
    await look();
    if (performance.now() - slowAt > 3 * LOOK_MS) {
      slowAt = performance.now();
      await Promise.all([readings(), commands()]);
    }
  } catch (problem) {
    say($("why"), problem.message);
  } finally {
    busy = false;
  }
}

/** Something was done: show it as soon as it is there. */
function soon() {
  lookedAt = -LOOK_MS;
  slowAt = -3 * LOOK_MS;
}

setInterval(() => {
  if (told) say($("age"), told.evse.heardAt ? t("evse.heard", { ago: ago(told.evse.heardAt) }) : "");
}, 500);
onTheme(() => trace.draw());
follow((what) => {
  if (what.full && what.nodes) { // another line, and maybe another server: nothing is known of it
    known = new Map();
    toldSeq = null;
  }
  return update();
});
