// The page of a desktop: what the service says of it (people, control, time), the connection that shows it,
// and the panels around it.
import { Refused, ask, follow, serviceToken, wordsOf } from "./asking.js";
import { Clipboard } from "./desktop-clipboard.js";
import { Files, join, sizeText, takeDrops } from "./desktop-files.js";
import { Keys, chord } from "./desktop-keyboard.js";
import { COMBINATIONS, screenKeyboard } from "./desktop-keys.js";
import { DesktopLink } from "./desktop-link.js";
import { Bar, Panels } from "./desktop-panels.js";
import { Picture } from "./desktop-picture.js";
import { followPointer } from "./desktop-pointer.js";
import { Screens } from "./desktop-screens.js";
import { LAYOUTS, quality } from "./desktop-words.js";
import { announce, button, icon, make, refill } from "./elements.js";
import { Sharing } from "./sharing.js";
import { duration } from "./times.js";

const THUMBNAIL_MS = 60_000;
const THUMBNAIL_WIDE = 320;
const THUMBNAIL_MOST = 64 * 1024;
const MEASURE_MS = 1_000;
const WAIT_ANSWER_MS = 4_000;
const SOON_S = 900;

const data = document.body.dataset;
const { api, service, desktop, launches, home, launch } = data;
const screen = new URLSearchParams(location.search).get("screen") === "2" ? 2 : 1;
const at = (id) => document.getElementById(id);
const box = at("picture");
const hostAddress = `${service}/desktops/${encodeURIComponent(desktop)}`;
const layoutKey = `panhub-desktop-layout:${desktop}`;

let state = null;
let frames = 0;
let hasLeftForGood = false;
const following = new AbortController();

const may = {
  type: () => Boolean(state?.me.has_control && link.isLive),
  transfer: () => Boolean(state?.me.may_transfer && link.isLive),
};

// --- The connection and the picture.

const screens = new Screens({
  address: hostAddress,
  screen,
  // Not of the picture, which makes room for the keyboard on a phone.
  room: () => ({ width: box.parentElement.clientWidth, height: box.parentElement.clientHeight }),
  mayResize: () => may.type() && state.kind === "session",
});
const picture = new Picture(box, screens.region);
const link = new DesktopLink({
  api,
  service,
  screen,
  handlers: {
    onframe: () => frames++,
    onresize: () => requestAnimationFrame(() => picture.place()),
    oncursor: (canvas, x, y) => pointer.showCursor(canvas, x, y),
    onclipboard: (text) => state?.me.may_copy && clipboard.receive(text),
  },
});
const sendKey = (isPressed, keysym) => may.type() && link.remote.sendKey(isPressed, keysym);
const clipboard = new Clipboard({ send: (text) => link.remote.sendText(text), maySend: may.type });
const files = new Files({ address: hostAddress });
const bar = new Bar();
const panels = new Panels({ opened: openedPanel, closed: () => {} });
const sharing = new Sharing(api);
at("sharing-place").append(sharing.element);

const keys = new Keys(at("keys"), {
  send: sendKey,
  maySend: may.type,
  leave: () => {
    bar.focus();
    announce("You left the desktop. Keys go to the page again.");
  },
  refused: () => showRefusal(),
  // What was copied here must be there before the desktop pastes it.
  beforePaste: (paste) => clipboard.bring().finally(paste),
});
const pointer = followPointer(picture.stage, {
  send: (position) => link.remote?.sendMouse(position),
  maySend: may.type,
  refused: () => showRefusal(),
  taken: (isTouch) => may.type() && keys.take({ withTouchKeyboard: !isTouch }),
});
takeDrops(box, {
  mayDrop: may.transfer,
  drop: (dropped) => {
    files.bring(dropped);
    panels.open("files");
  },
});

link.addEventListener("remote", ({ detail: remote }) => {
  picture.show(remote);
  showCursors();
  screens.renew();
  const kept = localStorage.getItem(layoutKey);
  if (kept && may.type()) void setLayout(kept);
});
link.addEventListener("phase", ({ detail }) => showPhase(detail));
screens.addEventListener("change", () => {
  picture.place();
  showScreens();
});
clipboard.addEventListener("change", showClipboard);
files.addEventListener("change", showFiles);
at("keys").addEventListener("focus", () => {
  box.classList.add("has-keys");
  at("way-out").hidden = matchMedia("(pointer: coarse)").matches;
  setTimeout(() => (at("way-out").hidden = true), 5_000);
});
at("keys").addEventListener("blur", () => box.classList.remove("has-keys"));

function showCursors() {
  // Whoever watches sees the cursor of who has control; one's own is drawn by the browser.
  link.remote?.showCursor(!state?.me.has_control);
  if (!state?.me.has_control) pointer.showPlain();
}

// --- What the connection says, in words over the last picture.

function showPhase({ phase, text = "", next, retryAt, attempts = 0, status }) {
  const card = at("status");
  picture.dim(phase !== "live" && phase !== "unstable");
  showChip();
  if (phase === "live" || phase === "unstable") {
    card.hidden = true;
    if (phase === "live") announce("The desktop is shown.");
    return;
  }
  if (hasLeftForGood) return;
  if (phase === "connecting") {
    // A quick connection needs no word.
    if (card.hidden) setTimeout(() => link.phase === "connecting" && showStatus("Connecting to the desktop …", { isBusy: true }), 400);
    return;
  }
  if (phase === "waiting") {
    const seconds = Math.max(1, Math.round((retryAt - Date.now()) / 1000));
    const long = attempts > 6 ? "It has been away for a while. What runs in it goes on. " : "";
    showStatus(text, {
      isBusy: true,
      hint: `${long}Trying again in ${seconds} s.`,
      actions: [button("Try now", () => link.start(), { look: "primary", name: "arrow-repeat" })],
    });
    if (next === "look") void look();
    return;
  }
  if (next === "login") {
    showStatus(text, { actions: [button("Sign in again", () => link.signIn(), { look: "primary" })] });
    return;
  }
  if (text === "left") return;
  if (status) void look();
  showStatus(text, { actions: [button("Connect again", () => link.start(), { look: "primary", name: "arrow-repeat" })] });
}

function showStatus(text, { hint = "", isBusy = false, actions = [] } = {}) {
  const card = at("status");
  const home_ = make("a", { className: "button", href: home }, icon("arrow-left"), "Back to your sessions");
  card.replaceChildren(
    make("p", { className: "status-words" }, icon(isBusy ? "hourglass-split" : "info-circle"), text),
    hint ? make("p", { className: "hint" }, hint) : "",
    make("div", { className: "row centre" }, actions, home_),
  );
  if (card.hidden || card.dataset.said !== text) announce(text);
  card.dataset.said = text;
  card.hidden = false;
}

/** Whether the desktop and the right to it are still there: the service knows. */
async function look() {
  if (hasLeftForGood) return;
  try {
    take(await ask("GET", api));
  } catch (error) {
    if (error instanceof Refused && error.status === 404) await gone();
    else if (error instanceof Refused && [401, 403].includes(error.status)) {
      link.stop("left");
      showStatus("You are signed out.", { actions: [make("a", { className: "button primary", href: location.href }, "Sign in again")] });
    }
  }
}

async function gone() {
  const wasHere = state !== null;
  link.stop("left");
  let ended = null;
  try {
    ended = launch && (await ask("GET", `${launches}/${launch}`));
  } catch {
    ended = null; // somebody else's
  }
  at("ask").hidden = true;
  if (ended && ["requested", "planned", "held", "submitted"].includes(ended.state)) {
    showStatus("The session is starting.", { isBusy: true, actions: [make("a", { className: "button primary", href: data.progress }, "See its progress")] });
    setTimeout(() => void look().then(() => state && link.start()), WAIT_ANSWER_MS);
  } else if (ended) {
    over("The session has ended.", "What was saved in your home and in the data's own folders is kept.", [
      make("a", { className: "button primary", href: data.progress }, icon("arrow-repeat"), "Result, and start again"),
    ]);
  } else if (wasHere) {
    over("You are no longer in this desktop.", "The session has ended, or its owner took your place back. You can ask to see it again.", [
      button("Ask to see it", () => location.reload(), { look: "primary", name: "eye" }),
    ]);
  } else showAsk();
}

function over(text, hint, actions) {
  hasLeftForGood = true;
  following.abort();
  picture.dim(true);
  showStatus(text, { hint, actions });
}

// --- Asking to see: the same page whether there is such a desktop or not.

let asking = null;

function showAsk() {
  at("status").hidden = true;
  at("ask").hidden = false;
  document.body.classList.add("is-asking");
}

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
    begin(found);
  } catch {
    // Not yet.
  }
}

function say(element, text) {
  element.textContent = text;
  element.hidden = !text;
  if (text) announce(text);
}

// --- What the service says.

function take(fresh) {
  const before = state;
  state = fresh;
  document.title = `${fresh.title} · ${data.site}`;
  at("title").textContent = fresh.title;
  sharing.show(fresh);
  showPeople();
  showControl();
  showTime();
  showCursors();
  for (const [id, isOn] of [
    ["open-files", fresh.me.may_transfer],
    ["open-screens", true],
    ["open-clipboard", fresh.me.may_copy || fresh.me.role !== "viewer"],
    ["open-keyboard", fresh.me.role !== "viewer"],
  ])
    at(id).hidden = !isOn;
  at("lab").hidden = !fresh.lab_url;
  if (fresh.lab_url) at("lab").href = fresh.lab_url;
  const isCall = /^https:\/\//.test(fresh.call_url ?? "");
  at("call").hidden = !isCall;
  if (isCall) at("call").href = fresh.call_url;
  at("end-others").hidden = !(fresh.kind === "workstation" && fresh.me.may_manage);
  at("own-session").hidden = !(fresh.kind === "session" && fresh.me.role === "owner");
  if (!before) return;
  if (!before.me.has_control && fresh.me.has_control) {
    announce("You have control.");
    screens.renew();
  } else if (before.me.has_control && !fresh.me.has_control) {
    keys.release();
    announce(fresh.holder ? `${nameOf(fresh.holder)} has control.` : "Nobody has control.");
  }
  // guacd knows a watcher as one from the start: with more rights, or less, it is another connection.
  const isWatcher = (role) => role === "viewer";
  if (isWatcher(before.me.role) !== isWatcher(fresh.me.role)) link.start();
  for (const person of fresh.people)
    if (person.is_here && person.username !== fresh.me.username && !before.people.some((old) => old.is_here && old.username === person.username))
      announce(`${person.name} is here.`);
}

const nameOf = (username) => state.people.find((person) => person.username === username)?.name ?? username;

function showPeople() {
  const here = state.people.filter((person) => person.is_here);
  const asked = state.requests.length;
  const faces = here.slice(0, 4).map((person) =>
    make("span", { className: `face${person.has_control ? " has-control" : ""}`, title: person.name, "aria-hidden": "true" }, [...person.name][0]?.toUpperCase() ?? "?"),
  );
  at("faces").replaceChildren(...faces);
  const others = here.length > 4 ? ` +${here.length - 4}` : "";
  at("people-count").textContent = others;
  at("people-words").textContent = `People and sharing: ${here.length} here${asked ? `, ${asked} asking` : ""}`;
  at("asking-mark").hidden = !asked;
}

function showControl() {
  const { me, holder, kind } = state;
  const place = at("control");
  const change = (label, to, look = "") => button(label, () => control("POST", "control", { to }), { look: `small ${look}`, "data-key": "control", name: "cursor" });
  const askFor = () => button("Ask for control", () => control("POST", "requests", { role: "control" }), { look: "small", "data-key": "control", name: "cursor" });
  const parts = [];
  if (me.has_control) {
    if (me.role !== "owner" || state.people.some((person) => person.is_here && person.username !== me.username))
      parts.push(make("span", { className: "chip small tone-accent" }, icon("cursor"), "You have control"));
    if (me.role !== "owner") parts.push(change("Give it back", null, "quiet"));
  } else {
    const who = holder ? `${nameOf(holder)} has control` : "nobody has control";
    parts.push(make("span", { className: "chip small tone-info" }, icon("eye"), "Watching"), make("span", { className: "muted small-text control-who" }, who));
    if (me.role === "owner") parts.push(change(kind === "session" ? "Take control back" : "Take control", me.username, "primary"));
    else if (me.role === "control" && !holder) parts.push(change("Take control", me.username, "primary"));
    else if (me.asked) parts.push(make("span", { className: "muted small-text" }, "asked"));
    else parts.push(askFor());
  }
  refill(place, parts);
}

async function control(method, path, body) {
  try {
    const answer = await ask(method, `${api}/${path}`, body);
    if (answer?.detail) tell(answer.detail);
  } catch (error) {
    tell(wordsOf(error));
  }
}

let refusalTimer;

function showRefusal() {
  if (!state || !link.isLive) return;
  const who = state.holder ? `${nameOf(state.holder)} has control.` : "Nobody has control.";
  tell(`You are watching. ${who} ${state.me.role === "viewer" ? "Ask for control to type or click." : "Take or ask for control in the bar."}`);
}

function tell(text) {
  const toast = at("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(refusalTimer);
  refusalTimer = setTimeout(() => (toast.hidden = true), 6_000);
}

let idleTold = null;

/** Say once that nobody uses it, and that it ends then unless somebody does. */
function showIdle() {
  const ends = state?.idle_ends_at ?? null;
  if (ends === idleTold) return;
  idleTold = ends;
  const at_ = ends && new Date(ends).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  say(at("idle-words"), ends ? `Nobody uses this desktop: it ends at ${at_} unless somebody does. A key or a click in it keeps it.` : "");
}

function showTime() {
  showIdle();
  const end = state?.until ? new Date(state.until) : null;
  at("open-time").hidden = !end;
  if (!end) return;
  const left = Math.max(0, (end - Date.now()) / 1000);
  at("time-left").textContent = duration(left);
  at("open-time").setAttribute("aria-label", `${duration(left)} left`);
  at("open-time").classList.toggle("is-near", left < SOON_S);
  at("time-words").textContent =
    left < SOON_S ? `It ends in ${duration(left)}. Save your work: what is not saved then is lost.` : `${duration(left)} left, until ${end.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}.`;
}

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
    link.stop("left");
    panels.close();
    over("The session is being ended.", "What was saved in your home and in the data's own folders is kept.", []);
  } catch (error) {
    say(at("time-problem"), wordsOf(error));
  }
});
at("end-others").addEventListener("click", () => void control("POST", "end"));

// --- Panels.

function openedPanel(name) {
  keys.release();
  if (name === "files") void files.list(files.folder);
  if (name === "clipboard") {
    clipboard.hasNew = false;
    showClipboard();
  }
  if (name === "keyboard") showBoard();
  if (name === "quality") showQuality();
  if (name === "screens") showScreens();
}

function showClipboard() {
  at("clipboard-new").hidden = !clipboard.hasNew;
  const from = at("from-desktop");
  if (document.activeElement !== from) from.value = clipboard.fromDesktop;
  at("clipboard-auto").hidden = !clipboard.isPossible || clipboard.isAutomatic;
  at("clipboard-state").textContent = clipboard.isAutomatic
    ? "Text you copy goes both ways by itself while this page is in front."
    : "What is copied in the desktop comes here by itself; what you copied elsewhere goes in by the field.";
  say(at("clipboard-words"), clipboard.words);
}

at("clipboard-permit").addEventListener("click", () => clipboard.permit());
at("to-desktop-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!may.type()) return showRefusal();
  if (clipboard.give(at("to-desktop").value)) tell("The text is on the desktop's clipboard: paste it there.");
});
at("copy-from").addEventListener("click", async () => {
  const from = at("from-desktop");
  try {
    await navigator.clipboard.writeText(from.value);
    tell("Copied.");
  } catch {
    from.focus();
    from.select();
    document.execCommand("copy");
  }
});

function showBoard() {
  refillBoard(at("layout").value);
}

function refillBoard(layout) {
  at("board").replaceChildren(screenKeyboard(layout, sendKey));
}

for (const [name, title] of Object.entries(LAYOUTS)) at("layout").append(make("option", { value: name }, title));
at("layout").value = localStorage.getItem(layoutKey) ?? "us";
at("layout").addEventListener("change", () => {
  const layout = at("layout").value;
  localStorage.setItem(layoutKey, layout);
  refillBoard(layout);
  void setLayout(layout);
});

async function setLayout(layout) {
  if (state?.kind !== "session") return;
  try {
    await ask("POST", `${hostAddress}/keyboard`, { layout }, { token: serviceToken() });
    say(at("keyboard-words"), "");
  } catch (error) {
    say(at("keyboard-words"), wordsOf(error));
  }
}

at("combinations").append(
  ...COMBINATIONS.map(([label, keysyms]) => button(label, () => (may.type() ? chord(sendKey, keysyms) : showRefusal()), { look: "small" })),
);
at("own-keyboard").addEventListener("click", () => {
  panels.close();
  keys.take({ withTouchKeyboard: true });
});

function showFiles() {
  const running = files.uploads.filter((upload) => upload.state === "running" || upload.state === "waiting").length;
  at("files-mark").hidden = !running;
  say(at("files-words"), files.words);
  refill(
    at("uploads"),
    files.uploads.slice(0, 20).map((upload) =>
      make(
        "li",
        {},
        make("span", { className: "who" }, make("strong", {}, upload.name), make("span", { className: "hint" }, uploadWords(upload))),
        upload.state === "running" && make("progress", { max: Math.max(1, upload.size), value: upload.done, "aria-label": `Bringing ${upload.name}` }),
        upload.state === "running" && button("Cancel", () => upload.cancel(), { look: "small quiet" }),
      ),
    ),
  );
  at("folder").textContent = files.folder || "Folders of this session";
  const up = files.folder && button("..", () => files.list(parent(files.folder)), { look: "small quiet", name: "chevron-up", "aria-label": "One folder up" });
  refill(at("entries"), [
    up && make("li", {}, up),
    ...(files.entries ?? []).map((entry) => {
      const isFolder = entry.kind === "folder";
      const open = isFolder
        ? make("button", { type: "button", className: "entry", "data-key": `entry:${entry.name}`, onclick: () => files.list(join(files.folder, entry.name)) }, icon("folder2-open"), entry.name)
        : make("a", { className: "entry", href: files.download(entry.name), download: entry.name }, icon("download"), entry.name);
      return make("li", {}, open, !isFolder && make("span", { className: "hint" }, sizeText(entry.size)));
    }),
  ]);
  at("picker").disabled = !files.mayBring;
  at("bring-words").textContent = files.mayBring
    ? "Or drop them on the picture. They go into the folder shown here; nothing there is replaced."
    : "This folder is read-only: choose another to bring files in.";
  at("empty-folder").hidden = !files.entries || files.entries.length > 0;
}

const parent = (folder) => folder.replace(/\/?[^/]*\/?$/, "");
const uploadWords = ({ state: how, done, size, words }) =>
  ({ waiting: "waits", running: `${sizeText(done)} of ${sizeText(size)}`, done: `here ${words}`.trim(), failed: words })[how];

at("pick").addEventListener("change", () => {
  files.bring(at("pick").files);
  at("pick").value = "";
});
at("picker").addEventListener("click", () => at("pick").click());

at("screenshot").addEventListener("click", () => {
  const canvas = picture.snapshot();
  canvas?.toBlob((blob) => {
    const address = URL.createObjectURL(blob);
    const stamp = new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-");
    make("a", { href: address, download: `desktop-${stamp}.png` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    tell("The picture was saved with your downloads.");
  });
});

// --- How good it is.

let heard = 0;
let rate = 0;
let seenFrames = 0;
let fps = 0;
const trips = [];

setInterval(() => {
  rate = Math.max(0, link.received - heard);
  heard = link.received;
  fps = frames - seenFrames;
  seenFrames = frames;
  if (link.roundTripMs !== null && link.isLive) trips.push(link.roundTripMs);
  if (trips.length > 30) trips.shift();
  showChip();
  if (panels.isOpen("quality")) showQuality();
}, MEASURE_MS);
setInterval(showTime, 10_000);

const middleTrip = () => (trips.length ? [...trips].sort((a, b) => a - b)[Math.floor(trips.length / 2)] : null);

function showChip() {
  const chip = at("open-quality");
  const { word, tone } = link.isLive ? quality(middleTrip(), link.phase === "unstable") : { word: "not connected", tone: "bad" };
  chip.className = `bar-button tone-${tone} quality`;
  chip.setAttribute("aria-label", `Connection: ${word}`);
  at("quality-word").textContent = word;
}

function showQuality() {
  const { width, height } = picture.size;
  const facts = [
    ["Connection", link.isLive ? quality(middleTrip(), link.phase === "unstable").word : "not connected"],
    ["Round trip", link.roundTripMs === null ? "–" : `${link.roundTripMs} ms now, ${middleTrip()} ms usually`],
    ["Received", `${sizeText(rate)}/s`],
    ["Frames", `${fps} a second (a picture that stands still needs none)`],
    ["Picture", width ? `${width} × ${height}, shown at ${Math.round(100 * picture.scale)} %` : "–"],
  ];
  refill(at("quality-facts"), facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

// --- Screens and size.

function showScreens() {
  at("second-screen").hidden = screen === 2 || state?.kind !== "session" || !state?.me.has_control;
  at("second-screen").lastChild.textContent = screens.isTwo ? "Show the second window" : "Open a second screen";
  at("sharp-choice").hidden = (window.devicePixelRatio || 1) === 1;
  const who = state?.me.has_control ? "" : "The size is that of whose control it is; here it is scaled. ";
  say(at("screens-words"), `${who}${screens.words}`.trim());
}

for (const radio of document.querySelectorAll("[name=size-mode]"))
  radio.addEventListener("change", () => {
    screens.isSharp = radio.value === "sharp";
    picture.mode = radio.value === "one" ? "one" : "fit";
    picture.place();
    screens.renew();
  });
at("second-screen").addEventListener("click", () => screens.openSecond());

const full = at("full-screen");
full.hidden = !document.fullscreenEnabled;
full.addEventListener("click", async () => {
  if (document.fullscreenElement) return document.exitFullscreen();
  try {
    await document.documentElement.requestFullscreen({ navigationUI: "hide" });
    await navigator.keyboard?.lock?.(["Escape"]); // held long it still leaves the full screen
  } catch {
    // The browser said no: the page stays as it is.
  }
});
document.addEventListener("fullscreenchange", () => {
  const isFull = Boolean(document.fullscreenElement);
  full.setAttribute("aria-label", isFull ? "Leave the full screen" : "Full screen");
  full.querySelector("use").setAttribute("href", `${data.icons}#${isFull ? "fullscreen-exit" : "fullscreen"}`);
});

// --- A small picture for the cards.

let lastThumbnail = "";
let framesThen = 0;

async function sendThumbnail() {
  if (screen !== 1 || document.hidden || !link.isLive || frames === framesThen) return;
  if (!(state?.me.has_control || state?.me.role === "owner")) return;
  framesThen = frames;
  const canvas = picture.snapshot(THUMBNAIL_WIDE);
  const blob = canvas && (await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.6)));
  if (!blob || blob.size > THUMBNAIL_MOST) return;
  const sum = await digest(blob);
  if (sum === lastThumbnail) return;
  lastThumbnail = sum;
  try {
    await ask("PUT", `${api}/thumbnail`, blob, { type: "image/jpeg" });
  } catch {
    lastThumbnail = ""; // the next minute tries again
  }
}

async function digest(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let sum = bytes.length;
  for (const byte of bytes) sum = (Math.imul(sum, 31) + byte) | 0;
  return String(sum);
}

setInterval(() => void sendThumbnail(), THUMBNAIL_MS);

// --- Start.

function begin(found) {
  take(found);
  at("desktop-bar").removeAttribute("data-empty");
  if (!found.has_picture) {
    over("This session has no desktop.", "It was started with JupyterLab alone.", found.lab_url ? [make("a", { className: "button primary", href: found.lab_url }, "Open JupyterLab")] : []);
    return;
  }
  follow(api, { onstate: take, onlost: () => setTimeout(() => void look(), 1_000), signal: following.signal });
  link.start();
  setTimeout(() => void sendThumbnail(), 8_000);
}

try {
  begin(await ask("GET", api));
} catch (error) {
  if (error instanceof Refused && error.status === 404) await gone();
  else showStatus(wordsOf(error), { actions: [button("Try again", () => location.reload(), { look: "primary" })] });
}
