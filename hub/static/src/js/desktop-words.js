// What does a closed connection mean, in plain words, and what comes next?

/**
 * By Guacamole status: `text` for a person, `next` what the page does: `retry` by itself, `look` at whether
 * the session and the right are still there, or `stop` until the person says so.
 */
const ENDS = {
  0x0000: { text: "The connection was closed.", next: "look" },
  0x0200: { text: "The desktop's connection failed.", next: "retry" },
  0x0201: { text: "The desktop service is busy.", next: "retry" },
  0x0202: { text: "The desktop did not answer in time.", next: "retry" },
  0x0203: { text: "The desktop's connection broke off.", next: "retry" },
  0x0204: { text: "The desktop is being started again.", next: "look" },
  0x0205: { text: "The desktop is in use in a way that does not let you in now.", next: "stop" },
  0x0206: { text: "The desktop closed the connection.", next: "look" },
  0x0207: { text: "The desktop service cannot be reached.", next: "retry" },
  0x0208: { text: "The desktop is not ready yet, or its service is away for a moment.", next: "retry" },
  0x0209: { text: "The desktop is open elsewhere in a way that does not let you in now.", next: "stop" },
  0x020a: { text: "The connection was idle for too long.", next: "stop" },
  0x020b: { text: "The session is over.", next: "look" },
  0x0300: { text: "The desktop service did not understand this page. Load the page again.", next: "stop" },
  0x0301: { text: "The desktop service wants you to sign in again.", next: "look" },
  0x0303: { text: "You may not be here any more.", next: "look" },
  0x0308: { text: "Nothing was heard from this page for a while: the computer slept, or the network was away.", next: "retry" },
  0x030d: { text: "This page sent too much at once.", next: "retry" },
  0x030f: { text: "The desktop service did not understand this page. Load the page again.", next: "stop" },
  0x031d: { text: "There are too many windows or people in this desktop. Close another window, then try again.", next: "stop" },
};

/** What an end means; `said` are the service's own words, taken where they are a sentence. */
export function endOf(code, said = "") {
  const end = ENDS[code] ?? { text: "The connection was lost.", next: "retry" };
  const isSentence = (code === 0x0303 || code === 0x020b || code === 0x031d) && /\s.*[.!?]$/.test(said);
  return isSentence ? { ...end, text: said } : end;
}

export const LAYOUTS = {
  us: "English (US)",
  gb: "English (UK)",
  de: "German",
  fr: "French",
  es: "Spanish",
  it: "Italian",
  ch: "Swiss",
  se: "Swedish",
  dk: "Danish",
  no: "Norwegian",
  pt: "Portuguese",
  pl: "Polish",
  cz: "Czech",
  jp: "Japanese",
};

/** How good a connection is, in a word: by its round trip in milliseconds. */
export function quality(roundTripMs, isUnstable) {
  if (isUnstable) return { word: "unstable", tone: "bad" };
  if (roundTripMs === null) return { word: "measuring", tone: "neutral" };
  if (roundTripMs < 80) return { word: "good", tone: "good" };
  if (roundTripMs < 250) return { word: "fair", tone: "warn" };
  return { word: "slow", tone: "bad" };
}
