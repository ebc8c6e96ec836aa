// The live feed: keeps one model of what the server told, and says which parts changed.

import { toLogin } from "./api.js";

/** What is known now. Rows by EVSE id, nodes by territory id; times in ms of the server's clock. */
export const model = {
  at: 0, // the server's clock at the last tick, ms
  heardAt: 0, // our own steady clock then, ms
  speed: 1, // seconds of the server's clock per second
  halted: false,
  haltedBy: null,
  total: null,
  requests: [],
  evses: new Map(),
  nodes: new Map(),
  history: [],
  log: [],
};

const MOST_LOG = 500;
const MOST_POINTS = 4000;

/** The server's clock now, as far as we can tell, ms. */
export function now() {
  return model.at + (performance.now() - model.heardAt) * model.speed;
}

/** Seconds since the server was heard last. */
export const silence = () => (performance.now() - model.heardAt) / 1000;

function evseOf(row) {
  const [id, territory, state, load, baseline, limit, until, cause, most, heard] = row;
  return {
    id, territory, state, load, baseline, limit, cause, most,
    until: until ? Date.parse(until) : null,
    heard: heard ? Date.parse(heard) : null,
    words: `${id}\n${territory}\n${state}`.toLowerCase(),
  };
}

function nodeOf(row) {
  const [id, parent, kind, ceiling, evses, charging, load, baseline, target, shed, available] = row;
  return { id, parent, kind, ceiling, evses, charging, load, baseline, target, shed, available };
}

function point(at, total) {
  return [at, total.loadKW, total.baselineKW, total.requestedKW > 0 ? total.targetKW : null];
}

function take(told, full) {
  model.at = Date.parse(told.at);
  model.heardAt = performance.now();
  model.speed = told.secondsPerSecond || 1;
  model.halted = told.halted;
  model.haltedBy = told.haltedBy;
  model.total = told.total;
  model.requests = told.requests;
  if (full) {
    model.evses.clear();
    model.nodes.clear();
  }
  for (const row of told.evses) model.evses.set(row[0], evseOf(row));
  for (const row of told.territories) model.nodes.set(row[0], nodeOf(row));
  if (full && told.history.length) {
    model.history = told.history.map(([at, load, baseline, target]) => [Date.parse(at), load, baseline, target]);
  }
  model.history.push(point(model.at, model.total));
  if (model.history.length > MOST_POINTS) model.history.splice(0, model.history.length - MOST_POINTS);
  const last = model.log.length ? model.log[model.log.length - 1].seq : 0;
  const fresh = told.log.filter((line) => line.seq > last);
  if (told.logOmitted > 0) fresh.push({ seq: fresh.at(-1)?.seq ?? last, at: told.at, omitted: told.logOmitted });
  model.log.push(...fresh);
  if (model.log.length > MOST_LOG) model.log.splice(0, model.log.length - MOST_LOG);
  return { full, rows: full || told.evses.length > 0, nodes: full || told.territories.length > 0, log: fresh };
}

/** Connect, and call `onChange(what)` after each tick, `onLink(text, state)` when the line changes. */
export function connect(onChange, onLink) {
  const source = new EventSource("/api/v1/live");
  source.addEventListener("snapshot", (event) => {
    onLink("live", "up");
    onChange(take(JSON.parse(event.data), true));
  });
  source.addEventListener("tick", (event) => onChange(take(JSON.parse(event.data), false)));
  source.addEventListener("bye", () => {
    source.close();
    toLogin();
  });
  source.addEventListener("error", async () => {
    if (source.readyState !== EventSource.CLOSED) {
      onLink("connection lost, trying again", "down");
      return;
    }
    // Refused: either the login has ended, or the server is not well; ask which.
    const answer = await fetch("/api/v1/me", { cache: "no-store" }).catch(() => null);
    if (answer?.status === 401) toLogin();
    else {
      onLink("connection lost, trying again", "down");
      setTimeout(() => connect(onChange, onLink), 3000);
    }
  });
}
