// Who is here, and who has control? The bar says it, and gives control or asks for it.
import { ask, wordsOf } from "./asking.js";
import { api, at, nameOf, page, tell } from "./desktop-page.js";
import { button, icon, make, refill } from "./elements.js";

/** The faces of who is here. */
export function showPeople() {
  const here = page.state.people.filter((person) => person.is_here);
  const asked = page.state.requests.length;
  const faces = here.slice(0, 4).map((person) =>
    make("span", { className: `face${person.has_control ? " has-control" : ""}`, title: person.name, "aria-hidden": "true" }, [...person.name][0]?.toUpperCase() ?? "?"),
  );
  at("faces").replaceChildren(...faces);
  const others = here.length > 4 ? ` +${here.length - 4}` : "";
  at("people-count").textContent = others;
  at("people-words").textContent = `People and sharing: ${here.length} here${asked ? `, ${asked} asking` : ""}`;
  at("asking-mark").hidden = !asked;
}

/** Who has control, and how to get it or give it back. */
export function showControl() {
  const { me, holder, kind } = page.state;
  const place = at("control");
  const change = (label, to, look = "") => button(label, () => control("POST", "control", { to }), { look: `small ${look}`, "data-key": "control", name: "cursor" });
  const askFor = () => button("Ask for control", () => control("POST", "requests", { role: "control" }), { look: "small", "data-key": "control", name: "cursor" });
  const parts = [];
  if (me.has_control) {
    if (me.role !== "owner" || page.state.people.some((person) => person.is_here && person.username !== me.username))
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

/** Ask the service about control of the desktop, and say what it answers. */
export async function control(method, path, body) {
  try {
    const answer = await ask(method, `${api}/${path}`, body);
    if (answer?.detail) tell(answer.detail);
  } catch (error) {
    tell(wordsOf(error));
  }
}
