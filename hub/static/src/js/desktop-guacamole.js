// What do we take from guacamole-common-js (Apache Guacamole, Apache License 2.0)? Only this module knows it.
import Guacamole from "./guacamole.js";

export const { Keyboard, Mouse, Tunnel, Status } = Guacamole;
export const OPEN = Guacamole.Tunnel.State.OPEN;
export const UNSTABLE = Guacamole.Tunnel.State.UNSTABLE;
export const CLOSED = Guacamole.Tunnel.State.CLOSED;
export const CONNECTING = Guacamole.Tunnel.State.CONNECTING;

const BLOB_CHARACTERS = 4_000;

/** One connection's client with its picture; a fresh one is made for each connection. */
export class Remote {
  #client;
  #display;

  /** `onframe` is called with each frame, `onclipboard` with text, `onerror` with a status and words. */
  constructor(tunnel, { onframe, onresize, oncursor, onclipboard, onerror }) {
    this.#client = new Guacamole.Client(tunnel);
    this.#display = this.#client.getDisplay();
    this.#client.onsync = onframe;
    this.#client.onerror = (status) => onerror(status.code, status.message ?? "");
    this.#display.onresize = onresize;
    this.#display.oncursor = oncursor;
    this.#client.onclipboard = (stream, type) => readText(stream, type, onclipboard);
  }

  get element() {
    return this.#display.getElement();
  }

  get size() {
    return { width: this.#display.getWidth(), height: this.#display.getHeight() };
  }

  get scale() {
    return this.#display.getScale();
  }

  set scale(value) {
    this.#display.scale(value);
  }

  /** The cursor of somebody else is part of the picture; one's own is drawn by the browser. */
  showCursor(isShown) {
    this.#display.showCursor(isShown);
  }

  connect(query) {
    this.#client.connect(query);
  }

  disconnect() {
    this.#client.disconnect();
  }

  sendKey(isPressed, keysym) {
    this.#client.sendKeyEvent(isPressed ? 1 : 0, keysym);
  }

  sendMouse(state) {
    this.#client.sendMouseState(state, true);
  }

  sendText(text) {
    const stream = this.#client.createClipboardStream("text/plain");
    const writer = new Guacamole.StringWriter(stream);
    const characters = [...text];
    for (let at = 0; at < characters.length; at += BLOB_CHARACTERS)
      writer.sendText(characters.slice(at, at + BLOB_CHARACTERS).join(""));
    writer.sendEnd();
  }

  /** The picture as a canvas of its own. */
  flatten() {
    return this.#display.flatten();
  }
}

function readText(stream, type, done) {
  const reader = new Guacamole.StringReader(stream);
  let text = "";
  reader.ontext = (more) => (text += more);
  reader.onend = () => type.startsWith("text/") && done(text);
}
