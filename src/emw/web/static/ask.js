// Ask for a decrease, as the operator.

import { call } from "./api.js";
import { model } from "./feed.js";
import { open, wire } from "./form.js";
import { el, num, say } from "./format.js";
import { t } from "./t.js";

const dialog = document.getElementById("d-ask");
const form = dialog.querySelector("form");
const territory = form.elements.territory;

function available() {
  const node = model.nodes.get(territory.value);
  say(document.getElementById("ask-available"), node ? t("ask.available", { kw: num(node.available) }) : "");
}

territory.addEventListener("change", available);
wire(dialog, (data) => {
  const kw = Number.parseFloat(data.get("kw"));
  if (!(kw > 0)) throw new Error(t("ask.how_much"));
  const body = { territory: data.get("territory"), kW: kw };
  const minutes = data.get("minutes").trim();
  if (minutes) body.durationMinutes = Number(minutes);
  return call("POST", "/requests", body);
});

export function ask() {
  const before = territory.value;
  territory.replaceChildren(...[...model.nodes.keys()].sort().map((id) => el("option", { value: id }, id)));
  open(dialog);
  if (model.nodes.has(before)) territory.value = before;
  available();
}
