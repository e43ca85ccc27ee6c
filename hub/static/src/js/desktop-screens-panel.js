// How large is the desktop shown? The panel of size and screens, and the full screen.
import { at, icons, page, say, screen } from "./desktop-page.js";

/** Take the panel's orders; returns `show()`, which says how it is now. */
export function screensPanel(screens, picture) {
  function show() {
    const isSession = page.state?.kind === "session";
    // Whoever watches may look at both screens of a workstation; those of a session are made by who has control.
    const hasTwo = isSession ? page.state.me.has_control : page.state?.screens > 1;
    at("second-screen").hidden = screen === 2 || !hasTwo;
    at("second-hint").hidden = !hasTwo;
    at("second-screen").lastChild.textContent = screens.isTwo ? "Show the second window" : "Open a second screen";
    at("sharp-choice").hidden = (window.devicePixelRatio || 1) === 1;
    say(at("screens-words"), `${sizeWords(isSession)} ${screens.words}`.trim());
  }

  function sizeWords(isSession) {
    if (!isSession) return "The size is that of the machine's own screens; here it is scaled.";
    return page.state.me.has_control ? "" : "The size is that of whose control it is; here it is scaled.";
  }

  for (const radio of document.querySelectorAll("[name=size-mode]"))
    radio.addEventListener("change", () => {
      screens.isSharp = radio.value === "sharp";
      picture.mode = radio.value === "one" ? "one" : "fit";
      picture.place();
      screens.renew();
    });
  at("second-screen").addEventListener("click", () => screens.openSecond());
  return { show };
}

/** Take the orders of the button of the full screen. */
export function takeFullScreen() {
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
    full.querySelector("use").setAttribute("href", `${icons}#${isFull ? "fullscreen-exit" : "fullscreen"}`);
  });
}
