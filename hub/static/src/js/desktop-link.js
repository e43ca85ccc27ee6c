// How does the picture come here and come back? One connection at a time, each with a ticket of its own;
// what is lost is tried again with growing pauses, at once when the person or the network returns.
import { Refused, Unreachable, ask, serviceToken, wordsOf } from "./asking.js";
import { CLOSED, OPEN, Remote, UNSTABLE } from "./desktop-guacamole.js";
import { DesktopTunnel } from "./desktop-tunnel.js";
import { endOf } from "./desktop-words.js";

const PAUSES_S = [0.5, 1, 2, 4, 8, 15, 30];
const LOGIN_KEY = "panhub-desktop-login";
const LOGIN_ONCE_MS = 60_000;
const AWAY = "The desktop service is away for a moment. What runs in the desktop goes on.";
const IMAGES = ["image/png", "image/jpeg", "image/webp"];

const within = (value) => Math.min(8192, Math.max(200, Math.round(value)));

/**
 * Emits `phase` (detail: `phase` = connecting, live, unstable, waiting or stopped, `text`, `next`, `retryAt`)
 * and `remote` with a fresh client when its first frame is there.
 */
export class DesktopLink extends EventTarget {
  remote = null;
  phase = "idle";
  #tunnel = null;
  #timer;
  #attempts = 0;
  #life = 0;
  #said = { code: 0, text: "" };

  constructor({ api, service, screen, handlers }) {
    super();
    Object.assign(this, { api, service, screen, handlers });
    addEventListener("online", () => this.#comeBack());
    document.addEventListener("visibilitychange", () => !document.hidden && this.#comeBack());
    addEventListener("pagehide", () => this.stop("left"));
    addEventListener("pageshow", (event) => event.persisted && this.start());
  }

  get roundTripMs() {
    return this.#tunnel?.roundTripMs ?? null;
  }

  get received() {
    return this.#tunnel?.received ?? 0;
  }

  get isLive() {
    return this.phase === "live" || this.phase === "unstable";
  }

  /** Connect now, whatever was before. */
  start() {
    this.#attempts = 0;
    void this.#connect();
  }

  /** Close, and stay closed until `start`. */
  stop(text = "") {
    this.#drop();
    this.#tell("stopped", { text, next: "stop" });
  }

  #drop() {
    this.#life++;
    clearTimeout(this.#timer);
    this.remote?.disconnect();
    this.#tunnel?.disconnect();
    this.#tunnel = null;
  }

  #comeBack() {
    if (this.phase === "waiting") this.start();
  }

  #tell(phase, detail = {}) {
    this.phase = phase;
    this.dispatchEvent(new CustomEvent("phase", { detail: { phase, ...detail } }));
  }

  async #connect() {
    this.#drop();
    const life = this.#life;
    this.#tell("connecting", { isAgain: this.#attempts > 0 });
    let ticket;
    try {
      if (!(await this.#isKnown())) return;
      ticket = await ask("POST", `${this.api}/tickets`, { screen: this.screen });
    } catch (error) {
      if (life === this.#life) this.#failed(error);
      return;
    }
    if (life === this.#life) this.#open(ticket, life);
  }

  /** Whether the desktop's service knows the person; otherwise it sends the browser to sign in there, once. */
  async #isKnown() {
    try {
      const token = serviceToken();
      if (!token) throw new Refused(401); // nobody was signed in there by this browser
      await ask("GET", `${this.service}/me`, undefined, { token });
      sessionStorage.removeItem(LOGIN_KEY);
      return true;
    } catch (error) {
      if (!(error instanceof Refused) || ![401, 403].includes(error.status)) throw error;
    }
    const tried = Number(sessionStorage.getItem(LOGIN_KEY) ?? 0);
    if (Date.now() - tried < LOGIN_ONCE_MS) {
      this.#tell("stopped", { text: "The desktop service does not know who you are.", next: "login" });
    } else {
      this.signIn();
    }
    return false;
  }

  /** Leave for the login of the desktop's service, and come back here. */
  signIn() {
    sessionStorage.setItem(LOGIN_KEY, String(Date.now()));
    location.assign(`${this.service}/login?${new URLSearchParams({ next: location.pathname + location.search })}`);
  }

  #open({ ticket, tunnel: path }, life) {
    const tunnel = new DesktopTunnel(path);
    let hasPicture = false;
    this.#said = { code: 0, text: "" };
    const remote = new Remote(tunnel, {
      ...this.handlers,
      onframe: () => {
        if (life !== this.#life) return;
        if (!hasPicture) {
          hasPicture = true;
          this.#attempts = 0;
          this.remote = remote;
          this.dispatchEvent(new CustomEvent("remote", { detail: remote }));
          this.#tell(tunnel.state === UNSTABLE ? "unstable" : "live");
        }
        this.handlers.onframe?.();
      },
      onerror: (code, text) => {
        if (!this.#said.code || text) this.#said = { code, text };
      },
    });
    tunnel.onstatechange = (state) => {
      if (life !== this.#life) return;
      if (state === UNSTABLE && hasPicture) this.#tell("unstable");
      else if (state === OPEN && hasPicture) this.#tell("live");
      else if (state === CLOSED) this.#ended(this.#said.code || tunnel.endCode, this.#said.text);
    };
    this.#tunnel = tunnel;
    const fields = {
      ticket,
      width: within(innerWidth),
      height: within(innerHeight),
      dpi: 96,
      timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    };
    const query = new URLSearchParams(fields);
    for (const type of IMAGES) query.append("image", type);
    remote.connect(query);
  }

  #failed(error) {
    if (error instanceof Refused && error.status < 500 && error.code !== "desktop_not_ready") {
      this.#tell("stopped", { text: wordsOf(error), next: "look", status: error.status });
    } else this.#again(error instanceof Unreachable ? AWAY : error.message);
  }

  #ended(code, said) {
    const { text, next } = endOf(code, said);
    this.#life++;
    this.#tunnel = null;
    if (next === "stop") this.#tell("stopped", { text, next, code });
    else this.#again(text, next === "look" ? code : undefined);
  }

  #again(text, code) {
    const pause = PAUSES_S[Math.min(this.#attempts, PAUSES_S.length - 1)] * (0.8 + 0.4 * Math.random());
    this.#attempts++;
    clearTimeout(this.#timer);
    const retryAt = Date.now() + 1000 * pause;
    this.#timer = setTimeout(() => this.#connect(), 1000 * pause);
    this.#tell("waiting", { text, retryAt, attempts: this.#attempts, next: code === undefined ? "retry" : "look", code });
  }
}
