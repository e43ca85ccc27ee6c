// Is the desktop there, and may one be in it? What the connection and the service say of that, in words over the
// last picture.
import { Refused, ask } from "./asking.js";
import { showAsk } from "./desktop-ask.js";
import { api, at, home, launch, launches, page, progress } from "./desktop-page.js";
import { announce, button, icon, make } from "./elements.js";

const LOOK_AGAIN_MS = 4_000;

/** The card over the picture; `take` gets what the service says of the desktop. */
export class Status {
  #card = at("status");
  #link;
  #picture;
  #take;
  #hasLeftForGood = false;
  #leaving = new AbortController();

  constructor({ link, picture, take }) {
    this.#link = link;
    this.#picture = picture;
    this.#take = take;
  }

  /** Aborted once there is nothing more to come on this page. */
  get signal() {
    return this.#leaving.signal;
  }

  /** What the connection says of itself. */
  showPhase({ phase, text = "", next, retryAt, attempts = 0, status }) {
    const card = this.#card;
    this.#picture.dim(phase !== "live" && phase !== "unstable");
    if (phase === "live" || phase === "unstable") {
      card.hidden = true;
      if (phase === "live") announce("The desktop is shown.");
      return;
    }
    if (this.#hasLeftForGood) return;
    if (phase === "connecting") {
      // A quick connection needs no word.
      if (card.hidden) setTimeout(() => this.#link.phase === "connecting" && this.show("Connecting to the desktop …", { isBusy: true }), 400);
      return;
    }
    if (phase === "waiting") {
      const seconds = Math.max(1, Math.round((retryAt - Date.now()) / 1000));
      const long = attempts > 6 ? "It has been away for a while. What runs in it goes on. " : "";
      this.show(text, {
        isBusy: true,
        hint: `${long}Trying again in ${seconds} s.`,
        actions: [button("Try now", () => this.#link.start(), { look: "primary", name: "arrow-repeat" })],
      });
      if (next === "look") void this.look();
      return;
    }
    if (next === "login") {
      this.show(text, { actions: [button("Sign in again", () => this.#link.signIn(), { look: "primary" })] });
      return;
    }
    if (text === "left") return;
    if (status) void this.look();
    this.show(text, { actions: [button("Connect again", () => this.#link.start(), { look: "primary", name: "arrow-repeat" })] });
  }

  /** Words over the picture, with what may be done. */
  show(text, { hint = "", isBusy = false, actions = [] } = {}) {
    const card = this.#card;
    const home_ = make("a", { className: "button", href: home }, icon("arrow-left"), "Back to your sessions");
    card.replaceChildren(
      make("p", { className: "status-words" }, icon(isBusy ? "hourglass-split" : "info-circle"), text),
      hint ? make("p", { className: "hint" }, hint) : "",
      make("div", { className: "row centre" }, actions, home_),
    );
    if (card.hidden || card.dataset.said !== text) announce(text);
    card.dataset.said = text;
    card.hidden = false;
  }

  /** Whether the desktop and the right to it are still there: the service knows. */
  async look() {
    if (this.#hasLeftForGood) return;
    try {
      this.#take(await ask("GET", api));
    } catch (error) {
      if (error instanceof Refused && error.status === 404) await this.gone();
      else if (error instanceof Refused && [401, 403].includes(error.status)) {
        this.#link.stop("left");
        this.show("You are signed out.", { actions: [make("a", { className: "button primary", href: location.href }, "Sign in again")] });
      }
    }
  }

  /** There is no such desktop for this person now: why, and what next. */
  async gone() {
    const wasHere = page.state !== null;
    this.#link.stop("left");
    let ended = null;
    try {
      ended = launch && (await ask("GET", `${launches}/${launch}`));
    } catch {
      ended = null; // somebody else's
    }
    at("ask").hidden = true;
    if (ended && ["requested", "planned", "held", "submitted"].includes(ended.state)) {
      this.show("The session is starting.", { isBusy: true, actions: [make("a", { className: "button primary", href: progress }, "See its progress")] });
      setTimeout(() => void this.look().then(() => page.state && this.#link.start()), LOOK_AGAIN_MS);
    } else if (ended) {
      this.over("The session has ended.", "What was saved in your home and in the data's own folders is kept.", [
        make("a", { className: "button primary", href: progress }, icon("arrow-repeat"), "Result, and start again"),
      ]);
    } else if (wasHere) {
      const why = page.state.kind === "session" ? "The session has ended, or its owner took your place back." : "The beamtime is over, or your place was taken back.";
      this.over("You are no longer in this desktop.", `${why} You can ask to see it again.`, [
        button("Ask to see it", () => location.reload(), { look: "primary", name: "eye" }),
      ]);
    } else showAsk();
  }

  /** There is nothing more to come on this page. */
  over(text, hint, actions) {
    this.#hasLeftForGood = true;
    this.#leaving.abort();
    this.#picture.dim(true);
    this.show(text, { hint, actions });
  }
}
