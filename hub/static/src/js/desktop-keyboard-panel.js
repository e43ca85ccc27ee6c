// What does the panel of the keyboard do? A keyboard on the screen, combinations of keys, and the desktop's layout.
import { ask, serviceToken, wordsOf } from "./asking.js";
import { chord } from "./desktop-keyboard.js";
import { COMBINATIONS, screenKeyboard } from "./desktop-keys.js";
import { at, desktop, hostAddress, page, say } from "./desktop-page.js";
import { LAYOUTS } from "./desktop-words.js";
import { button, make } from "./elements.js";

const layoutKey = `panhub-desktop-layout:${desktop}`;

/**
 * Take the panel's orders; `own()` opens the keyboard of the device. Returns `opened()` for when the panel opens,
 * and `bringKept()`, which gives the desktop the layout that this browser keeps.
 */
export function keyboardPanel({ send, maySend, refused, own }) {
  function showBoard() {
    refillBoard(at("layout").value);
  }

  function refillBoard(layout) {
    at("board").replaceChildren(screenKeyboard(layout, send));
  }

  for (const [name, title] of Object.entries(LAYOUTS)) at("layout").append(make("option", { value: name }, title));
  at("layout").value = localStorage.getItem(layoutKey) ?? "us";
  at("layout").addEventListener("change", () => {
    const layout = at("layout").value;
    localStorage.setItem(layoutKey, layout);
    refillBoard(layout);
    void setLayout(layout);
  });

  at("combinations").append(
    ...COMBINATIONS.map(([label, keysyms]) => button(label, () => (maySend() ? chord(send, keysyms) : refused()), { look: "small" })),
  );
  at("own-keyboard").addEventListener("click", own);

  return {
    opened: showBoard,
    bringKept: () => {
      const kept = localStorage.getItem(layoutKey);
      if (kept && maySend()) void setLayout(kept);
    },
  };
}

async function setLayout(layout) {
  if (page.state?.kind !== "session") return;
  try {
    await ask("POST", `${hostAddress}/keyboard`, { layout }, { token: serviceToken() });
    say(at("keyboard-words"), "");
  } catch (error) {
    say(at("keyboard-words"), wordsOf(error));
  }
}
