// How does text go both ways? By itself where the browser permits it, otherwise by the panel's two fields.

export const MOST_BYTES = 256 * 1024; // guacd keeps no more

/** Text of both clipboards; emits `change`. */
export class Clipboard extends EventTarget {
  fromDesktop = "";
  isAutomatic = false;
  hasNew = false;
  words = "";
  #sent = null;

  constructor({ send, maySend }) {
    super();
    Object.assign(this, { send, maySend });
    addEventListener("focus", () => this.bring());
    void this.#look();
  }

  /** Whether reading without a question is possible at all in this browser, on this address. */
  get isPossible() {
    return Boolean(navigator.clipboard?.readText);
  }

  async #look() {
    try {
      const permission = await navigator.permissions.query({ name: "clipboard-read" });
      const update = () => {
        this.isAutomatic = this.isPossible && permission.state === "granted";
        this.dispatchEvent(new Event("change"));
      };
      permission.addEventListener("change", update);
      update();
    } catch {
      this.isAutomatic = false; // this browser asks for each paste: the panel is the way
    }
  }

  /** Ask the person to permit it; from a click. */
  async permit() {
    try {
      await navigator.clipboard.readText();
      this.isAutomatic = true;
      this.#say("Text you copy now goes both ways by itself.");
      await this.bring();
    } catch {
      this.#say("The browser does not permit it. Use the two fields below.");
    }
  }

  /** Bring what was copied here to the desktop, if it may be read and is new there. */
  async bring() {
    if (!this.isAutomatic || !document.hasFocus() || !this.maySend()) return;
    try {
      const text = await navigator.clipboard.readText();
      if (text && text !== this.#sent && text !== this.fromDesktop) this.give(text);
    } catch {
      // Nothing that could be read as text is on it.
    }
  }

  /** Give some text to the desktop's clipboard; false if it is too long. */
  give(text) {
    if (new TextEncoder().encode(text).length > MOST_BYTES) {
      this.#say("That is more than 256 KiB of text: bring it as a file.");
      return false;
    }
    this.#sent = text;
    this.send(text);
    return true;
  }

  /** The desktop has other text now. */
  async receive(text) {
    this.fromDesktop = text;
    this.hasNew = true;
    try {
      if (text && document.hasFocus()) {
        await navigator.clipboard.writeText(text);
        this.hasNew = false;
      }
    } catch {
      // It waits in the panel.
    }
    this.dispatchEvent(new Event("change"));
  }

  #say(words) {
    this.words = words;
    this.dispatchEvent(new Event("change"));
  }
}
