// How do scripts make elements? Text only ever becomes text: what people and files are called is never HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties and children; strings become text, what is missing is left out. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "onclick") element.addEventListener("click", value);
    else if (name in element && !name.startsWith("aria") && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** An icon of the site's file of symbols. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${document.body.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon, if it has one, and a label. */
export function button(label, onclick, { name, look = "", ...rest } = {}) {
  return make("button", { type: "button", className: `button ${look}`.trim(), onclick, ...rest }, name && icon(name), label);
}

/** A small mark of one or two words. */
export function badge(word, tone = "neutral", name) {
  return make("span", { className: `chip small tone-${tone}` }, name && icon(name), word);
}

/** Say something to those who do not see it. */
export function announce(text) {
  const region = document.getElementById("announce");
  if (region) region.textContent = text;
}

/** Fill an element anew only where it changed, and give focus back to the control that had it. */
export function refill(element, children) {
  const fresh = make("div", {}, children);
  if (fresh.innerHTML === element.innerHTML && element.childElementCount) return;
  const key = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...fresh.childNodes);
  if (key) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}
