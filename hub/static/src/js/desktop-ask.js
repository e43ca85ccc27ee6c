// How does somebody ask to see a desktop? The same page whether there is such a desktop or not.
import { ask, wordsOf } from "./asking.js";
import { api, at, say } from "./desktop-page.js";

const WAIT_ANSWER_MS = 4_000;

/** Show the form. */
export function showAsk() {
  at("status").hidden = true;
  at("ask").hidden = false;
  document.body.classList.add("is-asking");
}

/** Send what the form asks for, and wait for the answer: `letIn` gets what the service says of the desktop then. */
export function takeAsking(letIn) {
  let asking = null;
  at("ask").addEventListener("submit", async (event) => {
    event.preventDefault();
    const role = at("ask").querySelector("input:checked").value;
    const send = at("ask").querySelector("button");
    send.disabled = true;
    try {
      const said = await ask("POST", `${api}/requests`, { role });
      say(at("ask-words"), said.detail);
      asking ??= setInterval(waitForAnswer, WAIT_ANSWER_MS);
    } catch (error) {
      say(at("ask-words"), wordsOf(error));
      send.disabled = false;
    }
  });

  async function waitForAnswer() {
    try {
      const found = await ask("GET", api);
      clearInterval(asking);
      at("ask").hidden = true;
      document.body.classList.remove("is-asking");
      letIn(found);
    } catch {
      // Not yet.
    }
  }
}
