// How does a page ask the service? JSON both ways; a refusal is an error with the service's own words.

const TOKEN = JSON.parse(document.body.getAttribute("hx-headers") ?? "{}")["X-XSRFToken"] ?? "";

/** What the service said no with: `status`, `code`, and words for a person. */
export class Refused extends Error {
  constructor(status, problem = {}) {
    super(problem.detail || problem.title || `The service answered ${status}.`);
    this.status = status;
    this.code = problem.code ?? "";
    this.hint = problem.hint ?? "";
  }

  /** One sentence, and the next step if there is one. */
  get words() {
    return this.hint ? `${this.message} ${this.hint}` : this.message;
  }
}

/** The service did not answer at all. */
export class Unreachable extends Error {
  get words() {
    return "The service does not answer. Your session keeps running; try again in a moment.";
  }
}

/** Words for anything that went wrong. */
export const wordsOf = (error) => error.words ?? "Something went wrong in this page. Load it again.";

/** Ask, and take the answer as JSON (null if it is empty). */
export async function ask(method, address, body, { token = TOKEN, type = "application/json", signal } = {}) {
  const isJson = type === "application/json";
  const headers = { "X-XSRFToken": token, Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = type;
  const content = body === undefined ? undefined : isJson ? JSON.stringify(body) : body;
  const answer = await reach(address, { method, headers, body: content, signal });
  return read(answer);
}

const PAGES_COOKIE = "panhub-desktop-xsrf";

/** The desktop service's token against forgery, which its sign-in left where pages of desktops can read it. */
export function serviceToken() {
  const found = document.cookie.split("; ").find((cookie) => cookie.startsWith(`${PAGES_COOKIE}=`));
  return (found ?? "").slice(PAGES_COOKIE.length + 1).replace(/^"|"$/g, "");
}

async function reach(address, options) {
  try {
    return await fetch(address, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable();
  }
}

async function read(answer) {
  const text = await answer.text();
  let data = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    if (answer.ok) throw new Unreachable(); // a page of a proxy
  }
  if (!answer.ok) throw answer.status >= 502 ? new Unreachable() : new Refused(answer.status, data ?? {});
  return data;
}

/** Follow the state of a desktop until `signal`; `onstate` gets each, `onlost` hears of a lost stream. */
export function follow(api, { onstate, onlost, signal }) {
  let stream;
  let timer;
  const connect = () => {
    stream = new EventSource(`${api}/events`);
    stream.addEventListener("state", (event) => onstate(JSON.parse(event.data)));
    stream.addEventListener("gone", () => {
      stream.close();
      onlost?.();
      if (!signal?.aborted) timer = setTimeout(connect, 5_000); // they may be let in again
    });
    stream.addEventListener("error", () => {
      onlost?.();
      // The browser tries again by itself, but not after an answer that is no stream.
      if (stream.readyState === EventSource.CLOSED && !signal?.aborted) timer = setTimeout(connect, 5_000);
    });
  };
  signal?.addEventListener("abort", () => {
    clearTimeout(timer);
    stream?.close();
  });
  connect();
}
