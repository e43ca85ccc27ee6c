// What do the parts of a desktop's page share? Its addresses, what the service last said of the desktop, and
// where the page says something.
import { announce } from "./elements.js";

export const { api, service, desktop, launches, home, launch, progress, site, icons } = document.body.dataset;
export const screen = new URLSearchParams(location.search).get("screen") === "2" ? 2 : 1;
export const hostAddress = `${service}/desktops/${encodeURIComponent(desktop)}`;

/** `state` is what the service said last; null before. */
export const page = { state: null };

export const at = (id) => document.getElementById(id);

/** Name of a person of the desktop. */
export const nameOf = (username) => page.state.people.find((person) => person.username === username)?.name ?? username;

/** Words in an element of the page, which is hidden without any. */
export function say(element, text) {
  element.textContent = text;
  element.hidden = !text;
  if (text) announce(text);
}

let toastTimer;

/** Words that go away by themselves. */
export function tell(text) {
  const toast = at("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (toast.hidden = true), 6_000);
}
