// What do the cards of sessions do by script? They share, and show a small picture of the desktop.
import { openSharing } from "./sharing-dialog.js";

const LOOK_AGAIN_MS = 60_000;

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-share]");
  if (button) openSharing(button.dataset.share, button.dataset.title);
});

function dress(root) {
  for (const button of root.querySelectorAll("[data-share]")) button.hidden = false;
}

dress(document);
document.addEventListener("htmx:load", (event) => dress(event.detail.elt.parentElement ?? document));
// A page that was there with a picture gets another one within a minute.
setInterval(() => {
  for (const image of document.querySelectorAll("img[data-thumbnail]"))
    if (!document.hidden) image.src = `${image.dataset.thumbnail}?at=${Date.now()}`;
}, LOOK_AGAIN_MS);
