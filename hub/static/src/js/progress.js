// How does a start go on? Follows the launch's events, shows each step, opens the session when it is
// ready, and calls the person if the tab is behind. Leaving the page loses nothing.
import { localTime } from "./times.js";

const OPEN_AFTER_MS = 700;
const REFRESH_AFTER_MS = 120;
const LOOK_AGAIN_MS = 15_000;

const list = document.getElementById("events");
const announce = document.getElementById("announce");
const plainTitle = document.title;
const startedHere = isPending();
let refreshTimer;
let wantsCall = false;

function current() {
  return document.getElementById("progress");
}

function isPending() {
  return ["requested", "planned", "held", "submitted"].includes(current().dataset.state);
}

function addEvent({ seq, at, message }) {
  if (list.querySelector(`[data-seq="${Number(seq)}"]`)) return;
  const line = document.createElement("li");
  const time = document.createElement("time");
  const text = document.createElement("span");
  line.dataset.seq = seq;
  time.dateTime = at;
  time.textContent = localTime(new Date(at), "second");
  text.textContent = message;
  line.append(time, text);
  list.append(line);
  announce.textContent = message;
}

function refreshSoon() {
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(() => {
    if (current().querySelector("details[data-popover][open]")) refreshSoon();
    else htmx.trigger(current(), "refresh");
  }, REFRESH_AFTER_MS);
}

function follow(address) {
  const stream = new EventSource(address);
  stream.addEventListener("progress", (event) => {
    addEvent(JSON.parse(event.data));
    refreshSoon();
  });
  stream.addEventListener("change", refreshSoon);
  stream.addEventListener("open", refreshSoon);
  stream.addEventListener("end", () => {
    stream.close();
    refreshSoon();
  });
  window.addEventListener("pagehide", () => stream.close(), { once: true });
}

function call(text) {
  document.title = `● ${text} · ${plainTitle}`;
  if (!document.hidden || !wantsCall) return;
  new Notification(current().dataset.title, { body: text }).addEventListener("click", () => window.focus());
}

function afterChange() {
  showNotifyButton();
  const { state, open } = current().dataset;
  if (!startedHere || isPending()) return;
  if (state === "running" && open) {
    call("Ready");
    announce.textContent = "The session is ready and opens now.";
    setTimeout(() => location.assign(open), OPEN_AFTER_MS);
  } else if (state === "ended" || state === "refused") {
    call("Did not start");
  }
}

function showNotifyButton() {
  const button = current().querySelector("[data-notify]");
  if (!button || !("Notification" in window) || Notification.permission === "denied" || wantsCall) return;
  wantsCall = Notification.permission === "granted";
  button.hidden = wantsCall;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-notify]");
  if (!button) return;
  wantsCall = (await Notification.requestPermission()) === "granted";
  button.hidden = true;
  announce.textContent = wantsCall ? "You will be called." : "The browser does not allow notices.";
});

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.elt.id === "progress") afterChange();
});
showNotifyButton();
// Why it waits and until when changes without an event of its own.
setInterval(() => {
  if (!document.hidden && current().querySelector("[data-moves]")) refreshSoon();
}, LOOK_AGAIN_MS);
if (list.dataset.stream) follow(list.dataset.stream);
