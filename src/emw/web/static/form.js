// Dialogs: open, send, show what went wrong, close.

/** Wire a form: `send(data)` runs at submit, never twice at once; its error is shown; `done(told)` follows its success. */
export function wireForm(form, send, done = () => {}) {
  const error = form.querySelector(".error");
  let busy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    const buttons = [...form.querySelectorAll("button")];
    error.hidden = true;
    buttons.forEach((b) => b.toggleAttribute("aria-busy", true));
    try {
      done(await send(new FormData(form)));
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    } finally {
      busy = false;
      buttons.forEach((b) => b.removeAttribute("aria-busy"));
    }
  });
}

/** Wire a button: `act()` runs at a click, never twice at once; `tell(words)` says what went wrong. */
export function wireButton(button, act, tell) {
  let busy = false;
  button.addEventListener("click", async () => {
    if (busy) return;
    busy = true;
    button.toggleAttribute("aria-busy", true);
    try {
      await act();
    } catch (problem) {
      tell(problem.message);
    } finally {
      busy = false;
      button.removeAttribute("aria-busy");
    }
  });
}

/** Wire a dialog's form: it closes when it was sent, unless `send` returns false. */
export function wire(dialog, send) {
  wireForm(dialog.querySelector("form"), send, (told) => told !== false && dialog.close());
  for (const button of dialog.querySelectorAll('button[value="cancel"]')) {
    button.addEventListener("click", () => dialog.close());
  }
}

/** Open a dialog with its form as it was at first. */
export function open(dialog) {
  const form = dialog.querySelector("form");
  form.reset();
  form.querySelector(".error").hidden = true;
  dialog.showModal();
}
