// How large is the desktop, and over how many windows? Whoever has control gives it the size of their
// windows; a second window shows what stands right of the first. A workstation keeps the size of its own screens.
import { Unreachable, ask, serviceToken, wordsOf } from "./asking.js";

const SETTLE_MS = 400;
const LOOK_MS = 2_000;
const LEAST = { width: 640, height: 480 };
const MOST = { width: 7680, height: 4320 };

const within = (value, name) => Math.min(MOST[name], Math.max(LEAST[name], Math.round(value)));

/** Keeps the desktop's size; emits `change` when the windows or the words about the size change. */
export class Screens extends EventTarget {
  isSharp = false; // every pixel of the display, not every CSS pixel
  words = "";
  #other = null; // size of the other window
  #timer;
  #asked = "";
  #second = null;
  #channel;

  /** `own` is how many screens the desktop has of itself, in a size that nobody here sets; 0 if it is set here. */
  constructor({ address, screen, room, mayResize, own }) {
    super();
    Object.assign(this, { address, screen, room, mayResize, own });
    this.#channel = new BroadcastChannel(`panhub-desktop:${address}`);
    this.#channel.addEventListener("message", (event) => this.#hear(event.data));
    addEventListener("resize", () => this.changed());
    addEventListener("pagehide", () => this.#channel.postMessage({ screen, isGone: true }));
    setInterval(() => this.#second?.closed && this.#gone(), LOOK_MS);
    this.#channel.postMessage({ screen, isNew: true, size: this.wanted });
  }

  /** Size that this window would like its screen to have, in pixels of the desktop. */
  get wanted() {
    const { width, height } = this.room();
    const own = this.isSharp ? window.devicePixelRatio || 1 : 1;
    // A small window gets a larger desktop of its own shape, and shows it smaller.
    const factor = Math.max(own, LEAST.width / Math.max(1, width), LEAST.height / Math.max(1, height));
    return { width: within(width * factor, "width"), height: within(height * factor, "height") };
  }

  get isTwo() {
    return this.#other !== null;
  }

  /** Part of a picture of some size that this window shows. */
  region = ({ width, height }) => {
    const whole = { x: 0, width, height };
    if (!this.#other || this.own() === 1) return whole;
    if (this.own()) {
      const left = Math.round(width / 2);
      return this.screen === 1 ? { x: 0, width: left, height } : { x: left, width: width - left, height };
    }
    const [first, second] = this.screen === 1 ? [this.wanted, this.#other] : [this.#other, this.wanted];
    // Until the desktop has taken the new size, there is one picture to see.
    if (width < first.width + LEAST.width) return whole;
    const part = this.screen === 1 ? { x: 0, width: first.width } : { x: first.width, width: width - first.width };
    return { ...part, height: Math.min(height, (this.screen === 1 ? first : second).height) };
  };

  /** Open the second window, or bring it to the front. Must come from a click. */
  openSecond() {
    if (this.#second && !this.#second.closed) return this.#second.focus();
    const address = new URL(location.href);
    address.searchParams.set("screen", "2");
    this.#second = window.open(address, `panhub-screen-2:${this.address}`, "popup,width=1280,height=800");
    if (!this.#second) this.#say("The browser did not open the window. Allow pop-ups of this site, then try again.");
  }

  /** The window has another size, or control came: ask for it once it has settled. */
  changed() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), SETTLE_MS);
  }

  /** Ask for the size even if it was asked for before: after a connection, or when control came back. */
  renew() {
    this.#asked = "";
    this.changed();
  }

  #hear({ screen, size, isNew, isGone }) {
    if (screen === this.screen) return;
    if (isGone) return this.#gone();
    this.#other = size;
    if (isNew) this.#channel.postMessage({ screen: this.screen, size: this.wanted });
    this.changed();
    this.dispatchEvent(new Event("change"));
  }

  #gone() {
    this.#second = null;
    if (!this.#other) return;
    this.#other = null;
    this.renew();
    this.dispatchEvent(new Event("change"));
  }

  async #ask() {
    if (this.screen === 2 && this.#other) {
      // The first window asks for both.
      this.#channel.postMessage({ screen: 2, size: this.wanted });
      this.dispatchEvent(new Event("change"));
      return;
    }
    if (!this.mayResize() || document.hidden) return;
    const screens = this.#other ? [this.wanted, this.#other] : [this.wanted];
    const text = JSON.stringify(screens);
    if (text === this.#asked) return;
    this.#asked = text;
    if (this.#other) this.#channel.postMessage({ screen: 1, size: this.wanted });
    try {
      await ask("POST", `${this.address}/screens`, { screens }, { token: serviceToken() });
      this.#say("");
    } catch (error) {
      this.#asked = "";
      this.#say(error instanceof Unreachable ? "" : wordsOf(error));
    }
  }

  #say(words) {
    this.words = words;
    this.dispatchEvent(new Event("change"));
  }
}
