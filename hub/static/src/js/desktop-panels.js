// How do the bar and its panels behave? One panel at a time, which takes the keys while it is open; the bar
// can be put away and comes back by its handle, by touch or by keyboard.
import { announce } from "./elements.js";

const HIDDEN_KEY = "panhub-desktop-bar";

/** Panels by name: `<dialog id="panel-…">` opened by `[data-panel=…]`. `closed()` is called when the last one closes. */
export class Panels {
  #closed;
  #opened;

  constructor({ opened, closed }) {
    this.#closed = closed;
    this.#opened = opened;
    for (const button of document.querySelectorAll("[data-panel]")) {
      button.setAttribute("aria-expanded", "false");
      button.addEventListener("click", () => (this.isOpen(button.dataset.panel) ? this.close() : this.open(button.dataset.panel)));
    }
    for (const panel of document.querySelectorAll("dialog.panel-side")) {
      panel.querySelector("[data-close-panel]").addEventListener("click", () => this.close());
      panel.addEventListener("keydown", (event) => {
        if (event.key === "Escape") {
          event.preventDefault();
          this.close();
        }
      });
    }
  }

  #panel(name) {
    return document.getElementById(`panel-${name}`);
  }

  #button(name) {
    return document.querySelector(`[data-panel="${name}"]`);
  }

  isOpen(name) {
    return this.#panel(name)?.open ?? false;
  }

  get current() {
    return document.querySelector("dialog.panel-side[open]");
  }

  open(name) {
    this.close({ isSwitch: true });
    const panel = this.#panel(name);
    panel.show();
    this.#button(name)?.setAttribute("aria-expanded", "true");
    this.#opened(name);
    (panel.querySelector("[autofocus]") ?? panel.querySelector("[data-close-panel]")).focus();
  }

  close({ isSwitch = false } = {}) {
    const panel = this.current;
    if (!panel) return;
    const button = this.#button(panel.id.replace("panel-", ""));
    panel.close();
    button?.setAttribute("aria-expanded", "false");
    if (isSwitch) return;
    button?.focus();
    this.#closed();
  }
}

/** The bar: `hide`, `show`, and whether it is away; kept for the next visit. */
export class Bar {
  #bar = document.getElementById("desktop-bar");
  #handle = document.getElementById("show-bar");

  constructor() {
    document.getElementById("hide-bar").addEventListener("click", () => this.hide());
    this.#handle.addEventListener("click", () => this.show({ withFocus: true }));
    this.#set(localStorage.getItem(HIDDEN_KEY) === "hidden");
  }

  #set(isHidden) {
    this.#bar.hidden = isHidden;
    this.#handle.hidden = !isHidden;
  }

  hide() {
    this.#set(true);
    localStorage.setItem(HIDDEN_KEY, "hidden");
    this.#handle.focus();
    announce("The bar is hidden. Its handle is at the top of the page.");
  }

  show({ withFocus = false } = {}) {
    this.#set(false);
    localStorage.removeItem(HIDDEN_KEY);
    if (withFocus) this.focus();
  }

  /** Give the bar the focus, bringing it back if it was away. */
  focus() {
    this.#set(false);
    this.#bar.querySelector("button:not([hidden]):not([disabled])").focus();
  }
}
