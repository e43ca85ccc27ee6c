// How does the panel of the clipboard show it, and how does text go by its two fields?
import { at, say, tell } from "./desktop-page.js";

/** Follow a clipboard; returns `opened()` for when the panel opens. */
export function clipboardPanel(clipboard, { mayType, refused }) {
  function show() {
    at("clipboard-new").hidden = !clipboard.hasNew;
    const from = at("from-desktop");
    if (document.activeElement !== from) from.value = clipboard.fromDesktop;
    at("clipboard-auto").hidden = !clipboard.isPossible || clipboard.isAutomatic;
    at("clipboard-state").textContent = clipboard.isAutomatic
      ? "Text you copy goes both ways by itself while this page is in front."
      : "What is copied in the desktop comes here by itself; what you copied elsewhere goes in by the field.";
    say(at("clipboard-words"), clipboard.words);
  }

  clipboard.addEventListener("change", show);
  at("clipboard-permit").addEventListener("click", () => clipboard.permit());
  at("to-desktop-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!mayType()) return refused();
    if (clipboard.give(at("to-desktop").value)) tell("The text is on the desktop's clipboard: paste it there.");
  });
  at("copy-from").addEventListener("click", async () => {
    const from = at("from-desktop");
    try {
      await navigator.clipboard.writeText(from.value);
      tell("Copied.");
    } catch {
      from.focus();
      from.select();
      document.execCommand("copy");
    }
  });
  return {
    opened: () => {
      clipboard.hasNew = false;
      show();
    },
  };
}
