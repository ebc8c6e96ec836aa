// To the login, and back to where one was going: from a page whose login has ended, and from a link to a page.

const KEY = "emw-to";
let leaving = false;
addEventListener("pageshow", () => { leaving = false; });

/** To the login, once: a second way there, by an answer that comes meanwhile, would break off the first. */
export function toLogin({ ended = true } = {}) {
  if (leaving) return;
  leaving = true;
  location.assign(ended ? `/login?${new URLSearchParams({ ended: "", to: location.pathname + location.search })}` : "/login");
}

/** `to` as a path of this console, whoever wrote the link; nothing where it leads elsewhere. */
function inHere(to) {
  const url = URL.canParse(to, location.origin) ? new URL(to, location.origin) : null;
  return url?.origin === location.origin ? url.pathname + url.search : null;
}

/** At the login: remember where to go on; a provider's page may lie between. */
export function keepWay() {
  const asked = new URLSearchParams(location.search);
  const to = inHere(asked.get("to") ?? "/");
  if (to && to !== "/") sessionStorage.setItem(KEY, to);
  else sessionStorage.removeItem(KEY);
  return { ended: asked.has("ended") };
}

/** After it: where to go on, once. */
export function takeWay() {
  const to = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  return to;
}
