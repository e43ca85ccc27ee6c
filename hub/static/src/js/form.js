// What happens while a person fills in the form? The choices go into the address, and the server is
// asked what would start. No rule is known here: templates, sizes, holds and refusals come from it.

const WAIT_MS = 250;
const PRIVATE = new Set(["_xsrf", "q"]);

const form = document.getElementById("launch-form");
const summary = document.getElementById("launch-summary");
let timer;

function choices() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (PRIVATE.has(name) || (value === "" && name !== "input")) continue;
    query.append(name, value);
  }
  return query;
}

async function reshape(query, control) {
  const wasOpen = document.getElementById("more-fields")?.open;
  await htmx.ajax("GET", `${form.dataset.formPart}?${query}`, { target: "#launch-fields", swap: "innerHTML" });
  const more = document.getElementById("more-fields");
  if (more && wasOpen) more.open = true;
  const again = form.querySelector(`[name="${CSS.escape(control.name)}"]:checked`);
  again?.focus({ preventScroll: false });
}

function askSummary() {
  return htmx.ajax("POST", form.dataset.summaryPart, {
    source: summary,
    target: summary,
    swap: "innerHTML",
    values: Object.fromEntries(grouped(choices())),
  });
}

function grouped(query) {
  const keys = new Set(query.keys());
  return [...keys].map((key) => [key, query.getAll(key).length > 1 ? query.getAll(key) : query.get(key)]);
}

async function update(control) {
  if (control.hasAttribute("data-reshape")) await reshape(choices(), control);
  const query = choices();
  history.replaceState(null, "", `${form.dataset.page}?${query}`);
  await askSummary();
}

form.addEventListener("input", (event) => {
  if (PRIVATE.has(event.target.name)) return;
  clearTimeout(timer);
  timer = setTimeout(() => update(event.target), WAIT_MS);
});

// Enter in the search looks for data; it does not start a session.
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.type === "search") event.preventDefault();
});

// On a phone the summary is a bar that opens upwards.
function showToggle() {
  const toggle = summary.querySelector("[data-summary-toggle]");
  toggle.hidden = false;
  toggle.setAttribute("aria-expanded", String(summary.classList.contains("is-open")));
}

summary.addEventListener("click", (event) => {
  if (!event.target.closest("[data-summary-toggle]")) return;
  summary.classList.toggle("is-open");
  showToggle();
});
summary.addEventListener("htmx:afterSwap", showToggle);
showToggle();
