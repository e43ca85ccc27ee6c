// How do keys reach the desktop? Only while its field has the focus; Ctrl+Alt+Shift leads out of it.
import { Keyboard } from "./desktop-guacamole.js";

export const KEYS = {
  backspace: 0xff08,
  tab: 0xff09,
  enter: 0xff0d,
  escape: 0xff1b,
  delete: 0xffff,
  home: 0xff50,
  left: 0xff51,
  up: 0xff52,
  right: 0xff53,
  down: 0xff54,
  end: 0xff57,
  print: 0xff61,
  insert: 0xff63,
  pageUp: 0xff55,
  pageDown: 0xff56,
  shift: 0xffe1,
  control: 0xffe3,
  alt: 0xffe9,
  super: 0xffeb,
  altGr: 0xfe03,
  f1: 0xffbe,
};

const WAY_OUT = [
  [0xffe3, 0xffe4],
  [0xffe9, 0xffea, 0xfe03],
  [0xffe1, 0xffe2],
];

/** Keysym of a character (X11: Latin-1 as it is, the rest by its code point). */
export function keysymOf(character) {
  const point = character.codePointAt(0);
  return point <= 0xff ? point : 0x01000000 | point;
}

/** Keys of a hidden field; `send(isPressed, keysym)`, `leave()` on Ctrl+Alt+Shift, `refused()` for keys in vain. */
export class Keys {
  #field;
  #keyboard;
  #isLeaving = false;

  constructor(field, { send, maySend, leave, refused, beforePaste }) {
    this.#field = field;
    this.#keyboard = new Keyboard(field);
    this.#keyboard.onkeydown = (keysym) => {
      const pressed = this.#keyboard.pressed;
      this.#isLeaving = WAY_OUT.every((some) => some.some((key) => pressed[key]));
      if (!maySend()) {
        if (!this.#isLeaving && !WAY_OUT.flat().includes(keysym)) refused();
        // Without control, Tab goes on to the next button as on any page.
        return keysym === KEYS.tab;
      }
      if ((keysym === 0x76 || keysym === 0x56) && (pressed[0xffe3] || pressed[0xffe4])) beforePaste(() => send(true, keysym));
      else send(true, keysym);
      return false;
    };
    this.#keyboard.onkeyup = (keysym) => {
      if (maySend()) send(false, keysym);
      if (!this.#isLeaving) return;
      this.#isLeaving = false;
      this.release();
      leave();
    };
    field.addEventListener("blur", () => this.release());
    addEventListener("blur", () => this.release());
    for (const type of ["input", "compositionend"])
      field.addEventListener(type, (event) => !event.isComposing && setTimeout(() => (field.value = "")));
  }

  get hasFocus() {
    return document.activeElement === this.#field;
  }

  /** Take the keys; on a touch screen without its keyboard, unless that was asked for. */
  take({ withTouchKeyboard = true } = {}) {
    this.#field.inputMode = withTouchKeyboard ? "text" : "none";
    if (withTouchKeyboard && this.hasFocus) this.#field.blur(); // a change of mode is seen at the next focus
    this.#field.focus({ preventScroll: true });
  }

  /** Let go of every key that is still down. */
  release() {
    this.#keyboard.reset();
  }
}

/** Press some keys together and let go, the last one first. */
export function chord(send, keysyms) {
  for (const keysym of keysyms) send(true, keysym);
  for (const keysym of [...keysyms].reverse()) send(false, keysym);
}
