// What does every page do by itself? Local times, popovers, tables, live parts, and word of faults.
import { moveOn, runDown, showLocalTimes } from "./times.js";

const TICK_MS = 15_000;
const RECONNECT_MS = 3_000;
const LOOK_AGAIN_MS = 15_000;

// --- Popovers: one open at a time, closed by Escape, a click elsewhere, or their own button.

const popovers = (root = document) => root.querySelectorAll("details[data-popover][open]");

function closePopovers(except) {
  for (const open of popovers()) if (open !== except && !open.contains(except)) open.open = false;
}

document.addEventListener("click", (event) => {
  const inside = event.target.closest("details[data-popover]");
  closePopovers(inside);
  if (event.target.closest("[data-close]")) {
    inside.open = false;
    inside.querySelector("summary").focus();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of popovers()) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

document.addEventListener(
  "toggle",
  (event) => {
    const details = event.target;
    if (!details.matches?.("details[data-popover]")) return;
    const popover = details.querySelector(".popover");
    popover.classList.remove("shifted");
    if (details.open && popover.getBoundingClientRect().right > document.documentElement.clientWidth - 8)
      popover.classList.add("shifted");
    if (!details.open) refreshWaiting();
  },
  true,
);

// --- Tables: sort by a click on the heading, filter while typing; the filter is in the address.

function makeSortable(table) {
  for (const heading of table.querySelectorAll("thead th[data-sort]")) {
    if (heading.querySelector("button")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = heading.textContent;
    button.addEventListener("click", () => sortBy(table, heading));
    heading.replaceChildren(button);
  }
}

function sortBy(table, heading) {
  const up = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows].filter((row) => !row.hasAttribute("data-follows"));
  const followers = new Map(rows.map((row) => [row, followersOf(row)]));
  const compare = comparison(heading.dataset.sort, heading.cellIndex);
  rows.sort((a, b) => (up ? compare(a, b) : compare(b, a)));
  for (const row of rows) body.append(row, ...followers.get(row));
}

function followersOf(row) {
  const next = row.nextElementSibling;
  return next?.hasAttribute("data-follows") ? [next] : [];
}

function comparison(kind, index) {
  const value = (row) => row.cells[index].dataset.value ?? row.cells[index].textContent.trim();
  if (kind === "number") return (a, b) => Number.parseFloat(value(a)) - Number.parseFloat(value(b));
  return (a, b) => value(a).localeCompare(value(b), undefined, { numeric: true });
}

function filterTable(input) {
  const table = document.querySelector(input.dataset.filter);
  if (!table) return;
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    if (row.hasAttribute("data-follows")) continue;
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    for (const follower of followersOf(row)) follower.hidden = row.hidden;
    shown += row.hidden ? 0 : 1;
  }
  const empty = document.querySelector(`[data-empty-for="${input.dataset.filter}"]`);
  if (empty) empty.hidden = shown > 0;
}

document.addEventListener("input", (event) => {
  const input = event.target;
  if (!input.matches?.("[data-filter]")) return;
  filterTable(input);
  if (!input.name) return;
  const address = new URL(location.href);
  if (input.value) address.searchParams.set(input.name, input.value);
  else address.searchParams.delete(input.name);
  history.replaceState(null, "", address);
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-clear]");
  const target = link && document.querySelector(link.dataset.clear);
  if (!target) return;
  event.preventDefault();
  target.replaceChildren();
  target.closest("tr").previousElementSibling?.querySelector("a.button")?.focus();
});

// --- Live parts: the stream says what changed, the part is fetched again. One in which a person is
// about to confirm something waits until that is done.

const waiting = new Set();

function refresh(part) {
  const element = document.querySelector(`[data-live="${part}"]`);
  if (!element) return;
  const filter = element.querySelector("[data-filter]");
  if (popovers(element).length || document.activeElement === filter) waiting.add(part);
  else htmx.trigger(element, "refresh");
}

function refreshWaiting() {
  for (const part of [...waiting]) {
    waiting.delete(part);
    refresh(part);
  }
}

function followChanges(address) {
  const parts = [...document.querySelectorAll("[data-live]")].map((element) => element.dataset.live);
  let wasLost = false;
  const connect = () => {
    const stream = new EventSource(address);
    for (const part of parts) stream.addEventListener(part, () => refresh(part));
    stream.addEventListener("open", () => {
      if (wasLost) parts.forEach(refresh); // changes may have passed unseen
      wasLost = false;
    });
    stream.addEventListener("error", () => {
      wasLost = true;
      if (stream.readyState !== EventSource.CLOSED) return;
      setTimeout(connect, RECONNECT_MS);
    });
    window.addEventListener("pagehide", () => stream.close(), { once: true });
  };
  connect();
}

// What a place says of waiting sessions and of jobs inside changes without an event of its own.
setInterval(() => {
  for (const element of document.querySelectorAll("[data-live]:has([data-moves])"))
    if (!document.hidden && !element.contains(document.activeElement)) refresh(element.dataset.live);
}, LOOK_AGAIN_MS);

// --- Faults of a fetched part are told, never swallowed.

function tell(text) {
  const toast = document.getElementById("toast");
  toast.textContent = text;
  toast.hidden = false;
  setTimeout(() => (toast.hidden = true), 8_000);
}

document.addEventListener("htmx:sendError", () => tell("The service does not answer. Your sessions keep running."));
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  tell(status === 403 ? "You are signed out. Load the page again to sign in." : `This part could not be loaded (${status}).`);
});

// --- A form is sent once: a second click would start a second session.

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.hasAttribute("data-sent")) event.preventDefault();
  form.setAttribute("data-sent", "");
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) form.removeAttribute("data-sent");
});

// --- Start, and again for every part that htmx puts in.

function dress(root) {
  showLocalTimes(root);
  moveOn(root);
  runDown(root);
  for (const table of root.querySelectorAll("table")) makeSortable(table);
  for (const input of root.querySelectorAll("[data-filter]")) {
    input.value ||= new URLSearchParams(location.search).get(input.name) ?? "";
    filterTable(input);
  }
  for (const button of root.querySelectorAll("[data-close]")) button.hidden = false;
}

dress(document);
document.querySelector(".nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest", behavior: "instant" });
document.addEventListener("htmx:load", (event) => dress(event.detail.elt.parentElement ?? document));
setInterval(() => {
  runDown(document);
  moveOn(document);
}, TICK_MS);
if (document.body.dataset.events) followChanges(document.body.dataset.events);
