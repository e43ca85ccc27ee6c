// What is on the keyboard on the screen? Letters by layout, accents that wait for their letter, and the keys
// that a browser keeps to itself.
import { make } from "./elements.js";
import { KEYS, chord, keysymOf } from "./desktop-keyboard.js";

const ROWS = {
  us: ["1234567890-=", "qwertyuiop[]\\", "asdfghjkl;'", "zxcvbnm,./"],
  gb: ["1234567890-=", "qwertyuiop[]#", "asdfghjkl;'", "\\zxcvbnm,./"],
  de: ["1234567890ß", "qwertzuiopü+", "asdfghjklöä#", "<yxcvbnm,.-"],
  fr: ["&é\"'(-è_çà)=", "azertyuiop$", "qsdfghjklmù*", "<wxcvbn,;:!"],
  es: ["1234567890'¡", "qwertyuiop+", "asdfghjklñç", "<zxcvbnm,.-"],
  it: ["1234567890'ì", "qwertyuiopè+", "asdfghjklòàù", "<zxcvbnm,.-"],
  ch: ["1234567890'", "qwertzuiopü$", "asdfghjklöä", "<yxcvbnm,.-"],
  se: ["1234567890+", "qwertyuiopå", "asdfghjklöä'", "<zxcvbnm,.-"],
  dk: ["1234567890+", "qwertyuiopå", "asdfghjklæø'", "<zxcvbnm,.-"],
  no: ["1234567890+", "qwertyuiopå", "asdfghjkløæ'", "<zxcvbnm,.-"],
  pt: ["1234567890'«", "qwertyuiop+", "asdfghjklçº", "<zxcvbnm,.-"],
  pl: ["1234567890-=", "qwertyuiop[]\\", "asdfghjkl;'", "zxcvbnm,./"],
  cz: ["+ěščřžýáíé=", "qwertzuiopú)", "asdfghjklů§", "yxcvbnm,.-"],
  jp: ["1234567890-^", "qwertyuiop@[", "asdfghjkl;:]", "zxcvbnm,./"],
};
const SYMBOLS = ["!\"#$%&'()*+", ",-./:;<=>?@", "[\\]^_`{|}~", "€£§°µ²³±×÷"];
const SHIFTED = {
  ...Object.fromEntries([..."1234567890-=[]\\;'`,./"].map((key, at) => [key, "!@#$%^&*()_+{}|:\"~<>?"[at]])),
};
const ACCENTS = [
  ["´", 0xfe51, "acute"],
  ["`", 0xfe50, "grave"],
  ["^", 0xfe52, "circumflex"],
  ["¨", 0xfe57, "diaeresis"],
  ["~", 0xfe53, "tilde"],
  ["ˇ", 0xfe5a, "caron"],
  ["¸", 0xfe5b, "cedilla"],
];
const HELD = [
  ["Ctrl", KEYS.control],
  ["Alt", KEYS.alt],
  ["AltGr", KEYS.altGr],
  ["Super", KEYS.super],
];

/** Combinations that the browser or its system would take for itself. */
export const COMBINATIONS = [
  ["Ctrl + Alt + Del", [KEYS.control, KEYS.alt, KEYS.delete]],
  ["Alt + Tab", [KEYS.alt, KEYS.tab]],
  ["Alt + F4", [KEYS.alt, KEYS.f1 + 3]],
  ["Ctrl + W", [KEYS.control, 0x77]],
  ["Ctrl + T", [KEYS.control, 0x74]],
  ["Super", [KEYS.super]],
  ["Print", [KEYS.print]],
  ["Esc", [KEYS.escape]],
];

/** The keyboard for some layout; `send(isPressed, keysym)`. */
export function screenKeyboard(layout, send) {
  const board = make("div", { className: "board", role: "group", "aria-label": "Keyboard on the screen" });
  const held = new Set();
  let isShifted = false;
  let shows = "letters";

  const press = (keysyms) => {
    chord(send, [...held, ...keysyms]);
    if (held.size || isShifted) {
      held.clear();
      isShifted = false;
      draw();
    }
  };
  // The focus stays where it is: a tap here must not take it from the picture.
  const key = (label, act, { wide = false, pressed, name } = {}) =>
    make(
      "button",
      {
        type: "button",
        className: `key${wide ? " wide" : ""}`,
        "data-key": name ?? label,
        "aria-label": name,
        "aria-pressed": pressed === undefined ? undefined : String(pressed),
        onclick: act,
      },
      label,
    );
  const character = (plain) => {
    const shown = isShifted ? (SHIFTED[plain] && ["us", "gb", "pl"].includes(layout) ? SHIFTED[plain] : plain.toUpperCase()) : plain;
    return key(shown, () => press([keysymOf(shown)]));
  };
  const toggle = (name, keysym) =>
    key(
      name,
      () => {
        if (!held.delete(keysym)) held.add(keysym);
        draw();
      },
      { wide: true, pressed: held.has(keysym) },
    );
  const named = (label, keysym, name) => key(label, () => press([keysym]), { wide: true, name });

  function draw() {
    const focused = board.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const rows = shows === "letters" ? (ROWS[layout] ?? ROWS.us) : SYMBOLS;
    const lines = rows.map((row) => [...row].map(character));
    lines[1].push(named("⌫", KEYS.backspace, "Backspace"));
    lines[2].push(named("⏎", KEYS.enter, "Enter"));
    lines[3].unshift(
      key("⇧", () => { isShifted = !isShifted; draw(); }, { wide: true, pressed: isShifted, name: "Shift" }),
    );
    lines.push([
      key(shows === "letters" ? "?123" : "abc", () => { shows = shows === "letters" ? "symbols" : "letters"; draw(); }, { wide: true }),
      ...HELD.map(([name, keysym]) => toggle(name, keysym)),
      key("space", () => press([0x20]), { wide: true }),
    ]);
    lines.push([
      named("Esc", KEYS.escape),
      named("Tab", KEYS.tab),
      named("Del", KEYS.delete),
      ...[["←", KEYS.left, "Left"], ["↑", KEYS.up, "Up"], ["↓", KEYS.down, "Down"], ["→", KEYS.right, "Right"]].map(([label, keysym, name]) =>
        key(label, () => press([keysym]), { name }),
      ),
    ]);
    lines.push(
      ACCENTS.map(([label, keysym, name]) => key(label, () => press([keysym]), { name: `${name} accent, then the letter` })),
    );
    lines.push([
      ...Array.from({ length: 12 }, (_, at) => key(`F${at + 1}`, () => press([KEYS.f1 + at]))),
    ]);
    board.replaceChildren(...lines.map((line) => make("div", { className: "board-row" }, line)));
    if (focused) board.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }
  draw();
  return board;
}
