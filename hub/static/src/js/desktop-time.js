// How long does the desktop go on, and how does it get more time or end?
import { ask, wordsOf } from "./asking.js";
import { at, launch, launches, page, say, tell } from "./desktop-page.js";
import { control } from "./desktop-people.js";
import { duration } from "./times.js";

const SOON_S = 900;
const SHOW_MS = 10_000;

let idleTold = null;

/** Say once that nobody uses it, and that it ends then unless somebody does. */
function showIdle() {
  const ends = page.state?.idle_ends_at ?? null;
  if (ends === idleTold) return;
  idleTold = ends;
  const at_ = ends && new Date(ends).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  say(at("idle-words"), ends ? `Nobody uses this desktop: it ends at ${at_} unless somebody does. A key or a click in it keeps it.` : "");
}

/** The time that is left, in the bar and the panel. */
export function showTime() {
  showIdle();
  const end = page.state?.until ? new Date(page.state.until) : null;
  at("open-time").hidden = !end;
  if (!end) return;
  const left = Math.max(0, (end - Date.now()) / 1000);
  at("time-left").textContent = duration(left);
  at("open-time").setAttribute("aria-label", `${duration(left)} left`);
  at("open-time").classList.toggle("is-near", left < SOON_S);
  at("time-words").textContent =
    left < SOON_S ? `It ends in ${duration(left)}. Save your work: what is not saved then is lost.` : `${duration(left)} left, until ${end.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}.`;
}

/** Take the panel's orders: after more time `look` at the desktop, and say that it `ended`. */
export function takeTime({ look, ended }) {
  for (const more of document.querySelectorAll("[data-extend]"))
    more.addEventListener("click", async () => {
      try {
        await ask("POST", `${launches}/${launch}/extend`, { seconds: Number(more.dataset.extend) });
        say(at("time-problem"), "");
        tell("The session has more time.");
        void look();
      } catch (error) {
        say(at("time-problem"), wordsOf(error));
      }
    });
  at("end-session").addEventListener("click", async () => {
    try {
      await ask("DELETE", `${launches}/${launch}`);
      ended();
    } catch (error) {
      say(at("time-problem"), wordsOf(error));
    }
  });
  at("end-others").addEventListener("click", () => void control("POST", "end"));
  setInterval(showTime, SHOW_MS);
}
