// Log in, or set up the first administrator. The one-time token is in the address's fragment: it is never sent but here.

import { token } from "./token.js";
import { call } from "./api.js";
import { t } from "./t.js";
import { keepWay, takeWay } from "./way.js";

const login = document.getElementById("login");
const setup = document.getElementById("setup");

if (setup && !token) {
  document.getElementById("no-token").hidden = false;
  setup.hidden = true;
}

if (login && keepWay().ended) document.getElementById("ended").hidden = false;

function handle(form, send) {
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const error = form.querySelector(".error");
    const button = form.querySelector("button");
    error.hidden = true;
    button.disabled = true;
    try {
      await send(new FormData(form));
      location.assign(takeWay() ?? "/");
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
      form.querySelector("input[type=password]").value = "";
    } finally {
      button.disabled = false;
    }
  });
}

handle(login, (data) => call("POST", "/login", { name: data.get("name"), password: data.get("password") }));
handle(setup, (data) => {
  if (data.get("password") !== data.get("again")) throw new Error(t("setup.differ"));
  return call("POST", "/setup", { token, name: data.get("name"), password: data.get("password") });
});
