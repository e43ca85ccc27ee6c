// What happens while a person fills in the form? The choices go into the address, and the server is
// asked what would start. No rule is known here: templates, sizes, holds and refusals come from it.

const WAIT_MS = 250;
const LOOK_AGAIN_MS = 15_000;
const PRIVATE = new Set(["_xsrf", "q"]);

const form = document.getElementById("launch-form");
const summary = document.getElementById("launch-summary");
let timer;
let lastSummary;

function choices() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (PRIVATE.has(name) || (value === "" && name !== "input")) continue;
    query.append(name, value);
  }
  return query;
}

// --- A size of one's own: touching its fields chooses it; choosing it begins with the size before.

const field = (name) => form.querySelector(`input[type=number][name=${name}]`);
let before = form.querySelector("[name=size]:checked");

function uncheck(name) {
  for (const radio of form.querySelectorAll(`input[type=radio][name=${name}]`)) radio.checked = false;
}

function beginOwnSize() {
  document.getElementById("detail-fields").open = true;
  if (!before?.dataset.cpus) return;
  if (!form.querySelector("[name=cpus]:checked")) field("cpus").value ||= before.dataset.cpus;
  field("memory_gib").value ||= Number(before.dataset.memory);
  if (form.querySelector("[name=gpus]:checked")) return;
  const gpus = form.querySelector(`input[name=gpus][value="${CSS.escape(before.dataset.gpus)}"]`);
  if (gpus) gpus.checked = true;
}

function nameOwnSize() {
  const own = document.getElementById("size-own");
  if (!own?.checked) return;
  const cpus = field("cpus").value || form.querySelector("[name=cpus]:checked")?.value || 1;
  const memory = field("memory_gib").value;
  const gpus = Number(form.querySelector("[name=gpus]:checked")?.value ?? 0);
  const words = [`${cpus} CPU`, memory && `${memory} GB`, gpus && `${gpus} GPU${gpus > 1 ? "s" : ""}`];
  document.getElementById("own-size").textContent = words.filter(Boolean).join(" · ");
}

/** One control says what another said before: keep only the newer word. */
function settle(control) {
  const own = document.getElementById("size-own");
  if (control.name === "size") {
    if (control === own) beginOwnSize();
    before = control;
  } else if (own && control.closest("[data-own]") && !own.checked) {
    own.checked = true;
    beginOwnSize();
  }
  if (control.name === "cpus" && control.type === "number") uncheck("cpus");
  if (control.name === "cpus" && control.type === "radio") {
    field("cpus").value = "";
    field("memory_gib").value = control.dataset.memory;
  }
  if (control.name === "gpu_type" && control.value && form.querySelector('[name=gpus][value="0"]:checked'))
    form.querySelector('[name=gpus][value="1"]').checked = true;
  nameOwnSize();
  if (control.name === "walltime_s") field("hours").value = "";
  if (control.name === "hours") {
    if (control.value) uncheck("walltime_s");
    else form.querySelector("[name=walltime_s]").checked = true;
  }
}

// --- Asking the server.

async function reshape(query, control) {
  const open = [...form.querySelectorAll("details[id][open]")].map((fold) => fold.id);
  await htmx.ajax("GET", `${form.dataset.formPart}?${query}`, { target: "#launch-fields", swap: "innerHTML" });
  for (const id of open) {
    const fold = document.getElementById(id);
    if (fold) fold.open = true;
  }
  before = form.querySelector("[name=size]:checked");
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

/** What each place has free, and when this would start there; inputs stay as they are. */
async function lookAtPlaces() {
  const places = document.getElementById("places");
  if (!places) return;
  await htmx.ajax("GET", `${places.dataset.places}?${choices()}`, { target: places, swap: "none" });
  for (const live of places.querySelectorAll("[data-place-state]")) {
    const card = live.closest(".place");
    const input = card.querySelector("input");
    const isOpen = live.dataset.placeState === "open";
    card.classList.toggle("off", !isOpen);
    input.disabled = !isOpen && !input.checked; // one that is chosen stays so: the summary says why not
  }
}

async function update(control) {
  const isShaping = control.hasAttribute("data-reshape");
  if (isShaping) await reshape(`${choices()}&chosen=${control.name}`, control);
  const query = choices();
  history.replaceState(null, "", `${form.dataset.page}?${query}`);
  await askSummary();
  if (!isShaping) await lookAtPlaces();
}

form.addEventListener("input", (event) => {
  if (PRIVATE.has(event.target.name)) return;
  settle(event.target);
  clearTimeout(timer);
  timer = setTimeout(() => update(event.target), WAIT_MS);
});

// Enter in the search looks for data; it does not start a session.
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.type === "search") event.preventDefault();
});

// A summary that says the same as before is not put in again: it would be read aloud each time.
summary.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status !== 200) return;
  if (event.detail.serverResponse === lastSummary) event.detail.shouldSwap = false;
  lastSummary = event.detail.serverResponse;
});

setInterval(async () => {
  if (document.hidden || form.hasAttribute("data-sent")) return;
  await lookAtPlaces();
  await askSummary();
}, LOOK_AGAIN_MS);

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
