// How is the sharing of a session opened from its card?
import { ask, follow, wordsOf } from "./asking.js";
import { icon, make } from "./elements.js";
import { Sharing } from "./sharing.js";

/** Open the dialogue for a session of the home page; it is live while it is open. */
export function openSharing(api, title) {
  const sharing = new Sharing(api);
  const ending = new AbortController();
  const waiting = make("p", { className: "muted" }, "Looking who is here …");
  const close = () => dialog.close();
  const heading = make("h2", { id: "sharing-title" }, `Share “${title}”`);
  const dialog = make(
    "dialog",
    { className: "dialog", "aria-labelledby": "sharing-title" },
    make("header", { className: "dialog-head" }, heading, make("button", { type: "button", className: "icon-button", "aria-label": "Close", onclick: close }, icon("x-lg"))),
    make("div", { className: "dialog-body" }, waiting, sharing.element),
  );
  dialog.addEventListener("close", () => {
    ending.abort();
    dialog.remove();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && close());
  document.body.append(dialog);
  dialog.showModal();
  const show = (state) => {
    waiting.remove();
    sharing.show(state);
  };
  ask("GET", api).then(show, (error) => (waiting.textContent = wordsOf(error)));
  follow(api, { onstate: show, signal: ending.signal });
}
