// Calls to the operator's API. Every answer that is no success becomes an Error with the server's own reason.

import { t, word } from "./t.js";
import { toLogin } from "./way.js";

const csrf = document.querySelector('meta[name="emw-csrf"]')?.content ?? "";

/** One call; returns the decoded answer. */
export async function call(method, path, body) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (csrf) headers["X-CSRF-Token"] = csrf;
  const answer = await fetch(`/api/v1${path}`, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
  }).catch(() => { throw Object.assign(new Error(t("error.away")), { away: true }); });
  const told = await answer.json().catch(() => ({}));
  if (answer.status === 401 && !document.body.classList.contains("way-in")) toLogin();
  if (!answer.ok) {
    const wait = answer.headers.get("Retry-After");
    // The wire's name of the field at fault is no word for people where the form has one.
    const detail = told.field ? told.detail.replace(`${told.field}: `, () => `${word("field", told.field)}: `) : told.detail;
    throw new Error((detail ?? t("error.status", { status: answer.status })) + (wait ? ` (${t("error.wait", { n: wait })})` : ""));
  }
  return told;
}

/** Any id as one segment of a path. */
export const segment = (id) => encodeURIComponent(id);
