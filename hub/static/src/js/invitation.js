// An invitation by link: the token stands behind the `#`, is taken out of the address at once, and is used
// only by a click.
import { ask, wordsOf } from "./asking.js";

const place = document.getElementById("invitation");
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? location.hash.slice(1);
const button = place.querySelector("button");
const words = place.querySelector("[data-words]");

history.replaceState(null, "", location.pathname);

function say(text, tone) {
  words.textContent = text;
  words.className = `banner tone-${tone}`;
  words.hidden = false;
}

if (!/^[A-Za-z0-9_-]{22,64}$/.test(token)) {
  say("This link is not complete. Ask for it to be sent again, and open it as a whole.", "warn");
} else {
  button.disabled = false;
  button.focus();
}

button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    const { desktop, waits } = await ask("POST", place.dataset.api, { token });
    if (waits) say("You may not read this session's data yourself, so its owner is asked first. This page goes on when they agree.", "info");
    location.assign(`${place.dataset.desktops}/${encodeURIComponent(desktop)}`);
  } catch (error) {
    say(wordsOf(error), "bad");
    button.disabled = !(error.status === undefined);
  }
});
