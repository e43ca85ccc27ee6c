// How do instructions travel? The Guacamole protocol over a WebSocket, in place of the library's own
// tunnel: lengths count code points, as the protocol says since its CVE-2023-30575, and pings are timed.
import { CLOSED, CONNECTING, OPEN, Status, Tunnel, UNSTABLE } from "./desktop-guacamole.js";

const PING_MS = 500;
const UNSTABLE_MS = 1_500;
const GONE_MS = 15_000;
const ASTRAL = /[\ud800-\udbff]/;

/** `LENGTH.VALUE,…;` of some elements. */
export function encode(elements) {
  const parts = elements.map((element) => {
    const text = String(element);
    return `${ASTRAL.test(text) ? [...text].length : text.length}.${text}`;
  });
  return `${parts.join(",")};`;
}

/**
 * Call `handle(opcode, parameters)` for each instruction of a message of whole instructions.
 * Throws `SyntaxError` if it is not one.
 */
export function decode(message, handle) {
  const isPlain = !ASTRAL.test(message);
  let elements = [];
  let at = 0;
  while (at < message.length) {
    const dot = message.indexOf(".", at);
    const length = dot < 0 ? NaN : Number(message.slice(at, dot));
    if (!Number.isInteger(length)) throw new SyntaxError("an element has no length");
    const end = isPlain ? dot + 1 + length : after(message, dot + 1, length);
    elements.push(message.slice(dot + 1, end));
    const terminator = message[end];
    at = end + 1;
    if (terminator === ";") {
      handle(elements[0], elements.slice(1));
      elements = [];
    } else if (terminator !== ",") throw new SyntaxError("an element has another length than it says");
  }
  if (elements.length) throw new SyntaxError("an instruction is cut off");
}

function after(message, start, codePoints) {
  let at = start;
  for (let left = codePoints; left > 0; left--) at += message.codePointAt(at) > 0xffff ? 2 : 1;
  return at;
}

/** Tunnel for one connection; `roundTripMs` and `received` (characters) say how good it is, `endCode` why it closed. */
export class DesktopTunnel extends Tunnel {
  roundTripMs = null;
  received = 0;
  endCode = 0;
  #socket;
  #pings;
  #silence;
  #lastHeard = 0;

  constructor(address) {
    super();
    const url = new URL(address, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    // The library's base class has these as properties of each object.
    this.connect = (query) => this.#connect(`${url.origin}${url.pathname}?${query}`);
    this.disconnect = () => this.#close(Status.Code.SUCCESS);
    this.sendMessage = (...elements) => {
      const isOpen = this.isConnected() && this.#socket.readyState === WebSocket.OPEN;
      if (isOpen && elements.length) this.#socket.send(encode(elements));
    };
  }

  #connect(address) {
    this.setState(CONNECTING);
    this.#lastHeard = performance.now();
    this.#socket = new WebSocket(address, "guacamole");
    this.#socket.addEventListener("message", (event) => this.#hear(event.data));
    this.#socket.addEventListener("close", (event) => {
      const said = Number.parseInt(event.reason, 10);
      this.#close(Number.isNaN(said) ? Status.Code.fromWebSocketCode(event.code) : said);
    });
    this.#pings = setInterval(() => this.sendMessage("", "ping", Date.now()), PING_MS);
    this.#silence = setInterval(() => this.#listen(), PING_MS);
  }

  #hear(message) {
    this.#lastHeard = performance.now();
    this.received += message.length;
    if (this.state === UNSTABLE) this.setState(OPEN);
    try {
      decode(message, (opcode, parameters) => {
        if (this.uuid === null) {
          if (opcode === "" && parameters.length === 1) this.setUUID(parameters[0]);
          this.setState(OPEN);
        }
        if (opcode !== "") this.oninstruction?.(opcode, parameters);
        else if (parameters[0] === "ping") this.roundTripMs = Math.max(0, Date.now() - Number(parameters[1]));
      });
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#close(Status.Code.SERVER_ERROR);
    }
  }

  #listen() {
    const silent = performance.now() - this.#lastHeard;
    if (silent > GONE_MS) this.#close(Status.Code.UPSTREAM_TIMEOUT);
    else if (silent > UNSTABLE_MS && this.state === OPEN) this.setState(UNSTABLE);
  }

  #close(code) {
    clearInterval(this.#pings);
    clearInterval(this.#silence);
    if (this.state === CLOSED) return;
    this.endCode = code;
    this.setState(CLOSED);
    this.#socket?.close();
  }
}
