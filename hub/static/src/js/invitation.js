// An invitation by link: the token stands behind the `#`, is taken out of the address at once, and is used
// only by a click. It waits in this tab while somebody signs in, whose login would lose it.
import { ask, wordsOf } from "./asking.js";

const place = document.getElementById("invitation");
const KEY = "panhub-invitation";
const WAIT_ANSWER_MS = 4_000;
const token = location.hash.slice(1) || (sessionStorage.getItem(KEY) ?? "");
const button = place.querySelector("button");
const words = place.querySelector("[data-words]");

history.replaceState(null, "", location.pathname);

function say(text, tone) {
  words.textContent = text;
  words.className = `banner tone-${tone}`;
  words.hidden = false;
}

sessionStorage.removeItem(KEY);
if (place.dataset.login) {
  sessionStorage.setItem(KEY, token);
  location.replace(place.dataset.login);
} else if (!/^[A-Za-z0-9_-]{22,64}$/.test(token)) {
  say("This link is not complete. Ask for it to be sent again, and open it as a whole.", "warn");
} else {
  button.disabled = false;
  button.focus();
}

button?.addEventListener("click", async () => {
  button.disabled = true;
  try {
    const { desktop, waits } = await ask("POST", place.dataset.api, { token });
    if (waits) {
      say("You may not read the data yourself, so the owner is asked first. This page goes on when they agree.", "info");
      await letIn(desktop);
    }
    location.assign(`${place.dataset.desktops}/${encodeURIComponent(desktop)}`);
  } catch (error) {
    say(wordsOf(error), "bad");
    button.disabled = !(error.status === undefined);
  }
});

/** Wait for the owner's word: until then the desktop is not there for who asks. */
async function letIn(desktop) {
  for (;;) {
    try {
      return await ask("GET", `${place.dataset.states}/${encodeURIComponent(desktop)}`);
    } catch {
      await new Promise((done) => setTimeout(done, WAIT_ANSWER_MS));
    }
  }
}
