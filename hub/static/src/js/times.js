// How are times shown? Local ones in place of UTC, the zone on hover, and time left that runs down.

const LOCALE = "en-GB";
const FORMATS = {
  time: { hour: "2-digit", minute: "2-digit" },
  second: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
  short: { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  moment: { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" },
  day: { weekday: "short", day: "numeric", month: "short" },
};
const FULL = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "long" });
const TODAY = new Intl.DateTimeFormat(LOCALE, { dateStyle: "short" });

/** Text of a local time. A `moment` of today is its time of day. */
export function localTime(date, show) {
  const today = TODAY.format(date) === TODAY.format(new Date());
  if (show === "moment" && today) return `today, ${localTime(date, "time")}`;
  if (show === "short" && today) return `Today, ${localTime(date, "time")}`;
  return new Intl.DateTimeFormat(LOCALE, FORMATS[show] ?? FORMATS.moment).format(date);
}

/** Duration as the server writes it: `45 s`, `12 min`, `1 h 20 min`, `2 d 4 h`. */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

const NOW_MS = 30_000;
const FIVE_MIN_MS = 300_000;
const START = new Intl.DateTimeFormat(LOCALE, { weekday: "short", day: "numeric", month: "short" });

/** When something starts, as the server says it in UTC: `now`, `in about 20 min`, `tomorrow about 09:00`. */
export function startWords(date, now = new Date()) {
  const left = date - now;
  if (left <= NOW_MS) return "now";
  let minutes = Math.max(1, Math.round(left / 60_000));
  if (minutes >= 10) minutes = 5 * Math.round(minutes / 5);
  if (minutes < 60) return `in about ${minutes} min`;
  const rounded = new Date(FIVE_MIN_MS * Math.round(date / FIVE_MIN_MS));
  const tomorrow = new Date(now);
  tomorrow.setDate(tomorrow.getDate() + 1);
  let day = START.format(rounded);
  if (TODAY.format(rounded) === TODAY.format(now)) day = "today";
  else if (TODAY.format(rounded) === TODAY.format(tomorrow)) day = "tomorrow";
  return `${day} about ${localTime(rounded, "time")}`;
}

const MOVING = { start: startWords, ago: (date) => `${duration((Date.now() - date) / 1000)} ago` };

/** Let what is said of a start or an age go on with time. */
export function moveOn(root) {
  for (const element of root.querySelectorAll('time[data-show="start"], time[data-show="ago"]')) {
    const date = new Date(element.dateTime);
    const words = Number.isNaN(date.getTime()) ? "" : MOVING[element.dataset.show](date);
    if (words && element.textContent !== words) element.textContent = words;
    if (words) element.title ||= FULL.format(date);
  }
}

/** Turn every time below `root` into local time, once. */
export function showLocalTimes(root) {
  for (const element of root.querySelectorAll("time[data-show]:not([title])")) {
    const date = new Date(element.dateTime);
    if (Number.isNaN(date.getTime()) || element.dataset.show in MOVING) continue;
    element.textContent = localTime(date, element.dataset.show);
    element.title = FULL.format(date);
  }
}

/** Let time left run down, its bar with it. */
export function runDown(root) {
  for (const element of root.querySelectorAll("[data-ends]")) {
    const left = Math.max(0, (new Date(element.dataset.ends) - Date.now()) / 1000);
    const share = Math.min(100, (100 * left) / Math.max(1, Number(element.dataset.walltime)));
    element.querySelector("[data-left]").textContent = duration(left);
    const near = element.querySelector("[data-near]");
    if (near) near.hidden = left > Number(near.dataset.near);
    for (const bar of element.querySelectorAll(".bar-first, .bar-second")) bar.setAttribute("width", share);
  }
}
