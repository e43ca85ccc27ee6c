// The page of a desktop: the connection that shows it, what the service says of it, and the parts around it, put
// together.
import { Refused, ask, follow, wordsOf } from "./asking.js";
import { takeAsking } from "./desktop-ask.js";
import { clipboardPanel } from "./desktop-clipboard-panel.js";
import { Clipboard } from "./desktop-clipboard.js";
import { filesPanel } from "./desktop-files-panel.js";
import { Files, takeDrops } from "./desktop-files.js";
import { keyboardPanel } from "./desktop-keyboard-panel.js";
import { Keys } from "./desktop-keyboard.js";
import { DesktopLink } from "./desktop-link.js";
import { api, at, hostAddress, nameOf, page, screen, service, site, tell } from "./desktop-page.js";
import { Bar, Panels } from "./desktop-panels.js";
import { showControl, showPeople } from "./desktop-people.js";
import { Picture } from "./desktop-picture.js";
import { followPointer } from "./desktop-pointer.js";
import { followQuality } from "./desktop-quality.js";
import { screensPanel, takeFullScreen } from "./desktop-screens-panel.js";
import { Screens } from "./desktop-screens.js";
import { followThumbnail, takeScreenshots } from "./desktop-snapshots.js";
import { Status } from "./desktop-status.js";
import { showTime, takeTime } from "./desktop-time.js";
import { announce, button, make } from "./elements.js";
import { Sharing } from "./sharing.js";

const box = at("picture");
let frames = 0;

const may = {
  type: () => Boolean(page.state?.me.has_control && link.isLive),
  transfer: () => Boolean(page.state?.me.may_transfer && link.isLive),
};

// --- The connection and the picture.

const screens = new Screens({
  address: hostAddress,
  screen,
  // Not of the picture, which makes room for the keyboard on a phone.
  room: () => ({ width: box.parentElement.clientWidth, height: box.parentElement.clientHeight }),
  mayResize: () => may.type() && page.state.kind === "session",
  own: () => (page.state?.kind === "workstation" ? page.state.screens : 0),
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
    onclipboard: (text) => page.state?.me.may_copy && clipboard.receive(text),
  },
});
const sendKey = (isPressed, keysym) => may.type() && link.remote.sendKey(isPressed, keysym);
const clipboard = new Clipboard({ send: (text) => link.remote.sendText(text), maySend: may.type });
const files = new Files({ address: hostAddress });
const status = new Status({ link, picture, take });
const bar = new Bar();
const sharing = new Sharing(api);
at("sharing-place").append(sharing.element);

// --- Keys, pointer and files that are dropped.

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
at("keys").addEventListener("focus", () => {
  box.classList.add("has-keys");
  at("way-out").hidden = matchMedia("(pointer: coarse)").matches;
  setTimeout(() => (at("way-out").hidden = true), 5_000);
});
at("keys").addEventListener("blur", () => box.classList.remove("has-keys"));
takeDrops(box, {
  mayDrop: may.transfer,
  drop: (dropped) => {
    files.bring(dropped);
    panels.open("files");
  },
});

// --- Panels and the rest of the bar.

const keyboard = keyboardPanel({
  send: sendKey,
  maySend: may.type,
  refused: showRefusal,
  own: () => {
    panels.close();
    keys.take({ withTouchKeyboard: true });
  },
});
const size = screensPanel(screens, picture);
const quality = followQuality({ link, picture, frames: () => frames, isOpen: () => panels.isOpen("quality") });
const opened = {
  files: filesPanel(files).opened,
  clipboard: clipboardPanel(clipboard, { mayType: may.type, refused: showRefusal }).opened,
  keyboard: keyboard.opened,
  quality: quality.opened,
  screens: size.show,
};
const panels = new Panels({
  opened: (name) => {
    keys.release();
    opened[name]?.();
  },
  closed: () => {},
});
takeFullScreen();
takeScreenshots(picture);
takeAsking(begin);
takeTime({
  look: () => status.look(),
  ended: () => {
    link.stop("left");
    panels.close();
    status.over("The session is being ended.", "What was saved in your home and in the data's own folders is kept.", []);
  },
});
const sendThumbnail = followThumbnail({ link, picture, frames: () => frames });

// --- What the connection says.

link.addEventListener("remote", ({ detail: remote }) => {
  picture.show(remote);
  showCursors();
  screens.renew();
  keyboard.bringKept();
});
link.addEventListener("phase", ({ detail }) => {
  status.showPhase(detail);
  quality.showChip();
});
screens.addEventListener("change", () => {
  picture.place();
  size.show();
});

function showCursors() {
  // Whoever watches sees the cursor of who has control; one's own is drawn by the browser.
  link.remote?.showCursor(!page.state?.me.has_control);
  if (!page.state?.me.has_control) pointer.showPlain();
}

// --- What the service says.

function take(fresh) {
  const before = page.state;
  page.state = fresh;
  document.title = `${fresh.title} · ${site}`;
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
  at("end-others-row").hidden = !(fresh.kind === "workstation" && fresh.me.may_manage);
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

function showRefusal() {
  if (!page.state || !link.isLive) return;
  const who = page.state.holder ? `${nameOf(page.state.holder)} has control.` : "Nobody has control.";
  tell(`You are watching. ${who} ${page.state.me.role === "viewer" ? "Ask for control to type or click." : "Take or ask for control in the bar."}`);
}

// --- Start.

function begin(found) {
  take(found);
  at("desktop-bar").removeAttribute("data-empty");
  if (!found.has_picture) {
    status.over("This session has no desktop.", "It was started with JupyterLab alone.", found.lab_url ? [make("a", { className: "button primary", href: found.lab_url }, "Open JupyterLab")] : []);
    return;
  }
  follow(api, { onstate: take, onlost: () => setTimeout(() => void status.look(), 1_000), signal: status.signal });
  link.start();
  setTimeout(() => void sendThumbnail(), 8_000);
}

try {
  begin(await ask("GET", api));
} catch (error) {
  if (error instanceof Refused && error.status === 404) await status.gone();
  else status.show(wordsOf(error), { actions: [button("Try again", () => location.reload(), { look: "primary" })] });
}
