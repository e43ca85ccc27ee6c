// How good is the connection? Measured each second, in a word for the bar and in numbers for the panel.
import { sizeText } from "./desktop-files.js";
import { at } from "./desktop-page.js";
import { quality } from "./desktop-words.js";
import { make, refill } from "./elements.js";

const MEASURE_MS = 1_000;

/**
 * Measure a connection; `frames()` counts what came, `isOpen()` says whether the panel is looked at. Returns
 * `showChip()` for the bar and `opened()` for when the panel opens.
 */
export function followQuality({ link, picture, frames, isOpen }) {
  let heard = 0;
  let rate = 0;
  let seenFrames = 0;
  let fps = 0;
  const trips = [];

  setInterval(() => {
    rate = Math.max(0, link.received - heard);
    heard = link.received;
    fps = frames() - seenFrames;
    seenFrames = frames();
    if (link.roundTripMs !== null && link.isLive) trips.push(link.roundTripMs);
    if (trips.length > 30) trips.shift();
    showChip();
    if (isOpen()) show();
  }, MEASURE_MS);

  const middleTrip = () => (trips.length ? [...trips].sort((a, b) => a - b)[Math.floor(trips.length / 2)] : null);

  function showChip() {
    const chip = at("open-quality");
    const { word, tone } = link.isLive ? quality(middleTrip(), link.phase === "unstable") : { word: "not connected", tone: "bad" };
    chip.className = `bar-button tone-${tone} quality`;
    chip.setAttribute("aria-label", `Connection: ${word}`);
    at("quality-word").textContent = word;
  }

  function show() {
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

  return { showChip, opened: show };
}
