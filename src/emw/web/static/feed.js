// The live feed: keeps one model of what the server told, and says which parts changed.

import { setZone } from "./format.js";
import { toLogin } from "./way.js";

/** What is known now. Rows by EVSE id, nodes by territory id; times in ms of the server's clock. */
export const model = {
  at: 0, // the server's clock at the last tick, ms
  heardAt: 0, // our own steady clock then, ms
  speed: 1, // seconds of the server's clock per second
  halted: false,
  haltedBy: null,
  stops: [], // [territory, by whom] where sheds are stopped
  total: null,
  requests: [],
  evses: new Map(),
  nodes: new Map(),
  history: [],
  log: [],
};

const MOST_LOG = 500;
const MOST_POINTS = 4000;
const POINT_MS = 5000;
const DEAD_S = 40;
const HIDDEN_MS = 15e3;
let triedAt = 0;

/** The server's clock now, as far as we can tell, ms. */
export function now() {
  return model.at + (performance.now() - model.heardAt) * model.speed;
}

/** Seconds since the server was heard last. */
export const silence = () => (performance.now() - model.heardAt) / 1000;

function evseOf(row) {
  const [id, territory, state, load, baseline, limit, until, cause, most, heard, site] = row;
  return {
    id, territory, site, state, load, baseline, limit, cause, most,
    until: until ? Date.parse(until) : null,
    heard: heard ? Date.parse(heard) : null,
    words: null, // what the filter looks in, made when somebody filters
  };
}

function nodeOf(row) {
  const [id, parent, kind, ceiling, evses, charging, load, baseline, target, shed, available, zone, amps] = row;
  return { id, parent, kind, ceiling, evses, charging, load, baseline, target, shed, available, zone, amps };
}

/** [ms, load, baseline, target, could be shed], kW. */
function point(at, total) {
  return [at, total.loadKW, total.baselineKW, total.requestedKW > 0 ? total.targetKW : null, total.availableKW];
}

/** Times that are nobody's are told in the territories' zone, where they share one. */
function zones() {
  const found = new Set([...model.nodes.values()].map((n) => n.zone));
  setZone(found.size === 1 ? [...found][0] : "UTC");
}

function remember() {
  const known = model.history;
  // The last point follows each tick; those that stay are some seconds apart.
  if (known.length > 1 && model.at - known.at(-2)[0] < POINT_MS) known.pop();
  known.push(point(model.at, model.total));
  if (known.length > MOST_POINTS) known.splice(0, known.length - MOST_POINTS);
}

function take(told, full) {
  model.at = Date.parse(told.at);
  model.heardAt = performance.now();
  model.speed = told.secondsPerSecond || 1;
  model.halted = told.halted;
  model.haltedBy = told.haltedBy;
  model.stops = told.stops;
  model.total = told.total;
  model.requests = told.requests;
  if (full) {
    model.evses.clear();
    model.nodes.clear();
  }
  const rows = told.evses ?? [];
  for (const row of rows) model.evses.set(row[0], evseOf(row));
  const readings = told.readings ?? [];
  for (const [id, load, baseline] of readings) {
    const row = model.evses.get(id);
    if (row) Object.assign(row, { load, baseline, heard: model.at }); // heard since the last tick
  }
  for (const row of told.territories) model.nodes.set(row[0], nodeOf(row));
  if (told.territories.length) zones();
  remember();
  const last = model.log.length ? model.log[model.log.length - 1].seq : 0;
  const fresh = (told.log ?? []).filter((line) => line.seq > last);
  if (told.logOmitted > 0) fresh.push({ seq: fresh.at(-1)?.seq ?? last, at: told.at, omitted: told.logOmitted });
  model.log.push(...fresh);
  if (model.log.length > MOST_LOG) model.log.splice(0, model.log.length - MOST_LOG);
  return {
    full, rows: full || rows.length + readings.length > 0, changed: [...rows, ...readings].map((row) => row[0]),
    nodes: full || told.territories.length > 0, log: fresh,
  };
}

/** What we did not see: the curve up to the first point of our own, and every line of the log that is missing. */
function takePast(told) {
  const from = model.history[0]?.[0] ?? Infinity;
  const older = told.history.map(([at, ...kw]) => [Date.parse(at), ...kw]);
  model.history = [...older.filter((p) => p[0] < from), ...model.history];
  const known = new Set(model.log.map((line) => line.seq));
  model.log.push(...told.log.filter((line) => !known.has(line.seq)));
  model.log.sort((a, b) => a.seq - b.seq);
  return { full: true, rows: false, changed: [], nodes: false, log: [] };
}

/** Call back once the page has been out of sight for a while; returns what ends the wait for it. */
function whenHidden(act) {
  let due = null;
  const look = () => {
    clearTimeout(due);
    if (document.hidden) due = setTimeout(act, HIDDEN_MS);
  };
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    clearTimeout(due);
    document.removeEventListener("visibilitychange", look);
  };
}

/** Connect, and call `onChange(what)` after each tick, `onLink(state)` when the line changes. */
export function connect(onChange, onLink, rows) {
  triedAt = performance.now();
  const source = new EventSource(`/api/v1/live?rows=${rows}`);
  // A tab that nobody sees holds no line: a browser opens six to a host, and each costs the server something.
  const seen = whenHidden(() => {
    end();
    document.addEventListener("visibilitychange", () => connect(onChange, onLink, rows), { once: true });
  });
  // A line that died without a word is no error to the browser: silence is what tells.
  const watch = setInterval(() => {
    if (silence() < DEAD_S || performance.now() - triedAt < 1000 * DEAD_S || document.hidden) return;
    onLink("down");
    end();
    connect(onChange, onLink, rows);
  }, 1000);
  const end = () => {
    clearInterval(watch);
    seen();
    source.close();
  };
  source.addEventListener("snapshot", (event) => {
    onLink("up");
    onChange(take(JSON.parse(event.data), true));
  });
  source.addEventListener("past", (event) => onChange(takePast(JSON.parse(event.data))));
  source.addEventListener("tick", (event) => onChange(take(JSON.parse(event.data), false)));
  source.addEventListener("bye", () => {
    end();
    toLogin();
  });
  source.addEventListener("error", async () => {
    if (source.readyState !== EventSource.CLOSED) {
      onLink("down");
      return;
    }
    end();
    // Refused: either the login has ended, or the server is not well; ask which.
    const answer = await fetch("/api/v1/me", { cache: "no-store" }).catch(() => null);
    if (answer?.status === 401) toLogin();
    else {
      onLink("down");
      setTimeout(() => connect(onChange, onLink, rows), 3000);
    }
  });
}
