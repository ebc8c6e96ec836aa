// Who may come in. A secret is shown once, in a dialog of its own, and forgotten by the page when that closes.

import { call, segment } from "./api.js";
import { open, wire } from "./form.js";
import { areYouSure, follow } from "./frame.js";
import { count, el, name, say, span, utcOf } from "./format.js";
import { t } from "./t.js";

const $ = (id) => document.getElementById(id);

function time(text) {
  if (!text) return el("span", { class: "quiet" }, "–");
  const ms = Date.parse(text);
  return el("time", { datetime: text, title: utcOf(ms) }, new Date(ms).toISOString().slice(0, 16).replace("T", " ") + " UTC");
}

function secret(of, text) {
  $("secret-of").textContent = of;
  $("secret").textContent = text;
  $("d-secret").showModal();
}
function forget() {
  $("secret").textContent = "";
}
$("d-secret").addEventListener("close", forget);
// The event of closing comes later than the click, and what was read is not to stay even so long.
$("seen").addEventListener("click", () => {
  forget();
  $("d-secret").close();
});
$("copy").addEventListener("click", () => navigator.clipboard?.writeText($("secret").textContent));

const button = (words, act) => {
  const made = el("button", { type: "button", class: "small" }, words);
  made.addEventListener("click", act);
  return made;
};

/** Fill a section's table (roles are said, as a phone lays its rows out as blocks): `columns` are words, `row(item)` gives cells, the last one is what can be done. */
function fill(id, columns, items, row, gone) {
  $(id).querySelector("thead").replaceChildren(el("tr", { role: "row" }, ...columns.map((c) => el("th", { scope: "col", role: "columnheader" }, c || el("span", { class: "hidden" }, t("evse.act"))))));
  const none = el("tr", { role: "row" }, el("td", { role: "cell", class: "quiet", colspan: columns.length }, t("access.none")));
  $(id).querySelector("tbody").replaceChildren(...(items.length ? [] : [none]), ...items.map((item) => {
    const cells = row(item);
    const line = el("tr", { role: "row", class: gone(item) ? "gone" : false });
    cells.forEach((cell, i) => line.append(el("td", { role: "cell", "data-column": columns[i], class: i === cells.length - 1 ? "do" : false }, ...[cell].flat())));
    return line;
  }));
}

const ask = (title, act) => areYouSure(title, t("access.at_once"), t("access.do"), async (reason) => {
  await act(reason);
  await look();
});

async function people() {
  const { items } = await call("GET", "/operators");
  fill("people", [t("access.name"), t("access.role"), t("access.since"), ""], items, (p) => [
    name(p.name), t(`role.${p.role}`), time(p.addedAt),
    p.disabled ? "" : button(t("access.disable"), () => ask(p.name, (reason) => call("POST", `/operators/${segment(p.name)}/disable`, { reason }))),
  ], (p) => p.disabled);
}

async function logins() {
  const { items } = await call("GET", "/logins");
  fill("logins", [t("access.name"), t("access.role"), t("access.from"), t("access.used"), ""], items, (x) => [
    name(x.name), `${t(`role.${x.role}`)}${x.singleSignOn ? ` · ${t("access.sso")}` : ""}`, x.address,
    t("access.ago", { span: span(x.usedSecondsAgo) }),
    button(t("access.end"), () => ask(x.name, (reason) => call("POST", `/logins/${segment(x.loginID)}/end`, { reason }))),
  ], () => false);
}

async function keys() {
  const { items } = await call("GET", "/tokens");
  fill("keys", [t("access.purpose"), t("access.role"), t("access.parts"), t("access.ends"), ""], items, (k) => [
    name(k.name), t(`role.${k.role}`), k.scopes.join(", ") || t("access.all"), time(k.expiresAt),
    k.revoked ? "" : button(t("access.revoke"), () => ask(k.name, () => call("DELETE", `/tokens/${segment(k.keyID)}`))),
  ], (k) => k.revoked);
}

async function isos() {
  const { items } = await call("GET", "/isos");
  fill("isos", [t("access.name"), t("access.territories"), t("access.since"), ""], items, (x) => [
    name(x.isoID), x.territories.join(", "), time(x.addedAt),
    [button(t("access.renew"), () => ask(x.isoID, async () => {
      const made = await call("POST", "/isos", { isoID: x.isoID, territories: x.territories, renew: true });
      secret(x.isoID, made.token);
    })), " ", x.revoked ? "" : button(t("access.revoke"), () => ask(x.isoID, (reason) => call("POST", `/isos/${segment(x.isoID)}/revoke`, { reason })))],
  ], (x) => x.revoked);
}

async function stations() {
  const words = $("find").value.trim();
  const { items, total } = await call("GET", `/stations?limit=100&text=${encodeURIComponent(words)}`);
  if (words !== $("find").value.trim()) return; // another look is under way
  $("found").textContent = t("live.of", { n: count(items.length), all: count(total) });
  fill("stations", [t("access.name"), t("access.customer"), t("access.protocol"), t("access.heard"), ""], items, (s) => [
    name(s.stationID), s.customerID ?? "", s.protocol, [time(s.heardAt), s.state === "silent" && !s.revoked ? ` ${t("evse.offline")}` : ""],
    [button(t("access.renew"), () => ask(s.stationID, async () => {
      const made = await call("POST", "/stations", { stationID: s.stationID, renew: true });
      secret(s.stationID, made.secret);
    })), " ", s.revoked ? "" : button(t("access.revoke"), () => ask(s.stationID, (reason) => call("POST", `/stations/${segment(s.stationID)}/revoke`, { reason })))],
  ], (s) => s.revoked);
}

$("find").addEventListener("input", () => stations().catch((problem) => say($("found"), problem.message)));

const look = () => Promise.all([people(), logins(), keys(), isos(), stations()]);

for (const opener of document.querySelectorAll("[data-open]")) {
  opener.addEventListener("click", () => open($(opener.dataset.open)));
}
const text = (data, key) => data.get(key)?.trim() || undefined;
wire($("d-people"), async (data) => {
  await call("POST", "/operators", { name: text(data, "name"), role: data.get("role"), password: data.get("password") });
  await look();
});
wire($("d-keys"), async (data) => {
  const days = data.get("days");
  const made = await call("POST", "/tokens", {
    name: text(data, "name"), role: data.get("role"), scopes: data.getAll("scope"), ...(days ? { days: Number(days) } : {}),
  });
  await look();
  secret(made.name, made.key);
});
wire($("d-isos"), async (data) => {
  const made = await call("POST", "/isos", { isoID: text(data, "isoID"), territories: data.getAll("territory") });
  await look();
  secret(made.isoID, made.token);
});
wire($("d-stations"), async (data) => {
  const made = await call("POST", "/stations", {
    stationID: text(data, "stationID"), customerID: text(data, "customerID"), territory: text(data, "territory"),
  });
  await look();
  secret(made.stationID, made.secret);
});

// As it is when the line is there, and anew when it comes back: it may be another server then.
follow((what) => {
  if (what.full && what.nodes) look().then(() => say($("trouble"), ""), (problem) => say($("trouble"), problem.message));
});
