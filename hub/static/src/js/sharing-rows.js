// How is each person, request and link of a desktop's sharing shown, with what may be done about it? What is
// done, `deeds` does.
import { badge, button, icon, make } from "./elements.js";
import { localTime } from "./times.js";

const ROLES = { viewer: "may see", control: "may take control", owner: "owner" };

/** A person of the desktop, or a member who is not here. */
export function personRow(person, state, deeds) {
  const { me, has_picture: hasPicture } = state;
  const isMe = person.username === me.username;
  const isMember = state.members.some((member) => member.username === person.username);
  const actions = [];
  const act = (label, key, call, look = "small quiet") =>
    button(label, call, { look, "data-key": `${key}:${person.username}`, "aria-label": `${label}: ${person.name}` });
  if (hasPicture && person.is_here && !isMe && person.role !== "viewer" && !person.has_control && (me.role === "owner" || me.has_control))
    actions.push(act("Give control", "control", () => deeds.give(person.username)));
  if (hasPicture && person.has_control && !isMe && me.role === "owner")
    actions.push(act("Take control back", "take", () => deeds.takeBack(), "small"));
  // At a workstation the team may see without being given it; control is given to them as to members.
  if (me.may_manage && !isMe && (isMember || person.role === "viewer")) {
    const other = person.role === "viewer" ? "control" : "viewer";
    const label = other === "control" ? "Let take control" : "Let see only";
    actions.push(act(label, "role", () => deeds.invite(person.username, other)));
    if (isMember) actions.push(act("Remove", "remove", () => deeds.remove(person.username)));
  }
  return make(
    "li",
    {},
    make("span", { className: `face${person.is_here ? " is-here" : ""}`, "aria-hidden": "true" }, initial(person.name)),
    make(
      "span",
      { className: "who" },
      make("strong", {}, person.name),
      isMe && make("span", { className: "muted" }, " (you)"),
      make("span", { className: "hint" }, `${person.username} · ${ROLES[person.role]}${person.is_here ? " · here now" : ""}`),
      person.warning && make("span", { className: "hint tone-warn" }, icon("exclamation-triangle"), `May not read ${person.warning} otherwise`),
    ),
    person.has_control && badge("has control", "accent", "cursor"),
    make("span", { className: "row end" }, actions),
  );
}

/** Somebody who asks to see, or for control. */
export function requestRow(request, state, deeds) {
  const wants = request.role === "control" ? "asks for control" : "asks to see";
  const answer = (label, value, look = "small") =>
    button(label, () => deeds.answer(request, value), { look, "data-key": `${value}:${request.id}`, "aria-label": `${label}: ${request.name}` });
  return make(
    "li",
    {},
    make("span", { className: "face", "aria-hidden": "true" }, initial(request.name)),
    make(
      "span",
      { className: "who" },
      make("strong", {}, request.name),
      ` ${wants}`,
      make("span", { className: "hint" }, request.username),
      request.warning && make("span", { className: "hint tone-warn" }, icon("exclamation-triangle"), `May not read ${request.warning} otherwise`),
    ),
    make("span", { className: "row end wrap" }, answers(request, answer, state, deeds)),
  );
}

function answers(request, answer, state, deeds) {
  const { me, has_picture: hasPicture } = state;
  // Who has control and is not the owner can only hand it on.
  if (!me.may_manage) return [button("Give control", () => deeds.give(request.username), { look: "small", "data-key": `give:${request.id}` })];
  return [
    hasPicture && answer("Let see", "viewer", request.role === "viewer" ? "small primary" : "small"),
    answer("Let take control", "control", request.role === "control" || !hasPicture ? "small primary" : "small"),
    answer("Refuse", "refuse", "small quiet"),
  ];
}

/** A link that lets one person in. */
export function invitationRow(invitation, deeds) {
  const words = invitation.used_by
    ? `used by ${invitation.used_by}`
    : `for one person, until ${localTime(new Date(invitation.expires_at), "moment")}`;
  return make(
    "li",
    {},
    make("span", { className: "face" }, icon("link-45deg")),
    make("span", { className: "who" }, make("strong", {}, `Link: ${ROLES[invitation.role]}`), make("span", { className: "hint" }, words)),
    make(
      "span",
      { className: "row end" },
      !invitation.used_by &&
        button("Take back", () => deeds.withdraw(invitation.id), { look: "small quiet", "data-key": `link:${invitation.id}` }),
    ),
  );
}

const initial = (name) => [...name][0]?.toUpperCase() ?? "?";
