// How do mouse and fingers reach the desktop? A tap clicks where it is, a long press is the right button,
// a finger that moves drags, two fingers scroll.
import { Mouse } from "./desktop-guacamole.js";

const LONG_MS = 550;
const MOVED_PX = 10;
const SCROLL_PX = 28;
const CLICK_MS = 60;

/** Listen on the stage of the picture. `send(state)` gets positions in its CSS pixels; `refused` a click in vain. */
export function followPointer(stage, { send, maySend, refused, taken }) {
  const element = () => stage.firstElementChild;
  const mouse = new Mouse(stage);
  mouse.onEach(["mousedown", "mouseup", "mousemove"], (event) => {
    event.preventDefault();
    if (event.type === "mousedown") taken(false);
    if (maySend()) send(shifted(event.state, stage, element()));
    else if (event.type === "mousedown") refused();
  });
  followTouch(stage, { element, send, maySend, refused, taken });
  return {
    /** Draw the desktop's cursor as the browser's own. */
    showCursor: (canvas, x, y) => mouse.setCursor(canvas, x, y),
    showPlain: () => (stage.style.cursor = ""),
  };
}

/** The stage may show a part of the picture only: positions are those of the picture. */
function shifted(state, stage, element) {
  const left = element ? Number.parseFloat(element.style.marginLeft) || 0 : 0;
  return new Mouse.State({ ...state, x: state.x - left, y: state.y });
}

function followTouch(stage, { element, send, maySend, refused, taken }) {
  let start = null;
  let longPress;
  let isDragging = false;
  let scrollY = null;

  const at = (touch, buttons = {}) => {
    const box = stage.getBoundingClientRect();
    const x = touch.clientX - box.left + stage.scrollLeft;
    const y = touch.clientY - box.top + stage.scrollTop;
    send(shifted({ x, y, ...buttons }, stage, element()));
  };
  const click = (touch, name) => {
    at(touch);
    at(touch, { [name]: true });
    setTimeout(() => at(touch), CLICK_MS);
  };
  const finish = () => {
    clearTimeout(longPress);
    start = null;
    isDragging = false;
    scrollY = null;
  };
  const middle = (touches) => (touches[0].clientY + touches[1].clientY) / 2;

  const begin = (event) => {
    event.preventDefault();
    taken(true);
    if (!maySend()) return refused();
    if (event.touches.length === 1) {
      const [touch] = event.touches;
      start = { clientX: touch.clientX, clientY: touch.clientY };
      longPress = setTimeout(() => {
        if (start) click(start, "right");
        finish();
      }, LONG_MS);
    } else {
      if (isDragging) at(event.touches[0]);
      finish();
      if (event.touches.length === 2) scrollY = middle(event.touches);
    }
  };
  const move = (event) => {
    event.preventDefault();
    if (!maySend()) return;
    if (scrollY !== null && event.touches.length === 2) {
      const now = middle(event.touches);
      if (Math.abs(now - scrollY) < SCROLL_PX) return;
      click(event.touches[0], now > scrollY ? "up" : "down");
      scrollY = now;
    } else if (start && event.touches.length === 1) {
      const [touch] = event.touches;
      const moved = Math.hypot(touch.clientX - start.clientX, touch.clientY - start.clientY);
      if (!isDragging && moved < MOVED_PX) return;
      clearTimeout(longPress);
      if (!isDragging) at(start, { left: true });
      isDragging = true;
      at(touch, { left: true });
    }
  };
  const end = (event) => {
    event.preventDefault();
    if (event.touches.length) return;
    const [touch] = event.changedTouches;
    if (start && maySend()) {
      if (isDragging) at(touch);
      else click(start, "left");
    }
    finish();
  };
  stage.addEventListener("touchstart", begin, { passive: false });
  stage.addEventListener("touchmove", move, { passive: false });
  stage.addEventListener("touchend", end, { passive: false });
  stage.addEventListener("touchcancel", finish);
}
