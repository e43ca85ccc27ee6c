// Where do pictures of the desktop go? To the person's downloads, and small to the cards of sessions.
import { ask } from "./asking.js";
import { api, at, page, screen, tell } from "./desktop-page.js";
import { make } from "./elements.js";

const THUMBNAIL_MS = 60_000;
const THUMBNAIL_WIDE = 320;
const THUMBNAIL_MOST = 64 * 1024;

/** Save the picture when the button says so. */
export function takeScreenshots(picture) {
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
}

/** Send a small picture each minute in which it changed; returns what sends one at once. */
export function followThumbnail({ link, picture, frames }) {
  let lastThumbnail = "";
  let framesThen = 0;

  async function send() {
    if (screen !== 1 || document.hidden || !link.isLive || frames() === framesThen) return;
    if (page.state?.kind !== "session") return; // of a workstation nothing is kept
    if (!(page.state?.me.has_control || page.state?.me.role === "owner")) return;
    framesThen = frames();
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

  setInterval(() => void send(), THUMBNAIL_MS);
  return send;
}

async function digest(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let sum = bytes.length;
  for (const byte of bytes) sum = (Math.imul(sum, 31) + byte) | 0;
  return String(sum);
}
