// What do we take from guacamole-common-js (Apache Guacamole, Apache License 2.0)? Only this module knows it.
import Guacamole from "./guacamole.js";

export const { Keyboard, Mouse, Tunnel, Status } = Guacamole;
export const OPEN = Guacamole.Tunnel.State.OPEN;
export const UNSTABLE = Guacamole.Tunnel.State.UNSTABLE;
export const CLOSED = Guacamole.Tunnel.State.CLOSED;
export const CONNECTING = Guacamole.Tunnel.State.CONNECTING;

const BLOB_BYTES = 6_000; // guacd takes no more than 6048 in one instruction

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
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length; at += BLOB_BYTES)
      stream.sendBlob(btoa(String.fromCharCode(...bytes.subarray(at, at + BLOB_BYTES))));
    stream.sendEnd();
  }

  /** The picture as a canvas of its own. */
  flatten() {
    return this.#display.flatten();
  }
}

// The library's own readers and writers of text lose what is beyond the basic plane.
function readText(stream, type, done) {
  const decoder = new TextDecoder();
  let text = "";
  stream.onblob = (data) => {
    text += decoder.decode(Uint8Array.from(atob(data), (byte) => byte.charCodeAt(0)), { stream: true });
    stream.sendAck("OK", 0);
  };
  stream.onend = () => type.startsWith("text/") && done(text + decoder.decode());
}
