// Who may see and use a session, and how is that given and taken back? One view, on the desktop's page and on
// every session's card; all that it does is asked of the service, whose state it shows.
import { ask, wordsOf } from "./asking.js";
import { announce, button, icon, make, refill } from "./elements.js";
import { invitationRow, personRow, requestRow } from "./sharing-rows.js";

const HOURS = [
  [1, "1 hour"],
  [8, "8 hours"],
  [24, "1 day"],
  [168, "1 week"],
];
const GIVE_TRIES = 8;
const GIVE_PAUSE_MS = 700;
const LEAVING = [
  ["lock", "Others go on seeing; nobody has control"],
  ["disconnect", "Others are disconnected"],
  ["stay", "Others go on as they are"],
];

/** The view of one desktop's sharing; `show(state)` fills it. */
export class Sharing {
  element = make("div", { className: "sharing" });
  #api;
  #state = null;
  #suggested = [];
  #people = make("ul", { className: "people" });
  #requests = make("ul", { className: "people asking" });
  #links = make("ul", { className: "people" });
  #fresh = make("div", { className: "fresh-link", hidden: true });
  #problem = make("p", { className: "banner tone-bad", role: "alert", hidden: true });
  #confirm = make("div", { className: "refusal tone-warn", role: "alertdialog", "aria-label": "Please confirm", hidden: true });
  #names = make("datalist", { id: "sharing-names" });
  #team = make("div", { className: "row tight team" });
  #manage;
  #notes = make("p", { className: "hint" });
  #deeds = {
    give: (username) => this.#do(() => this.#give(username)),
    takeBack: () => this.#do(() => this.#ask("POST", "control", { to: this.#state.me.username })),
    invite: (username, role) => this.#do(() => this.#invite(username, role)),
    remove: (username) => this.#do(() => this.#ask("DELETE", `members/${encodeURIComponent(username)}`)),
    answer: (request, answer) => this.#answer(request, answer),
    withdraw: (id) => this.#do(() => this.#ask("DELETE", `invitations/${id}`)),
  };

  constructor(api) {
    this.#api = api;
    this.#manage = this.#management();
    this.element.append(this.#problem, this.#confirm, this.#requests, this.#people, this.#manage, this.#notes);
    this.#manage.hidden = true;
  }

  show(state) {
    const asked = new Set(this.#state?.requests.map((request) => request.id));
    const isFirst = this.#state === null;
    this.#state = state;
    const { may_manage: mayManage } = state.me;
    this.#manage.hidden = !mayManage;
    refill(this.#requests, state.requests.map((request) => requestRow(request, state, this.#deeds)));
    this.#requests.hidden = !state.requests.length;
    refill(this.#people, this.#everybody().map((person) => personRow(person, state, this.#deeds)));
    this.#notes.textContent = notes(state);
    if (!mayManage) return;
    refill(this.#links, state.invitations.map((invitation) => invitationRow(invitation, this.#deeds)));
    for (const radio of this.#manage.querySelectorAll("[name=leaving]")) radio.checked = radio.value === state.when_owner_leaves;
    this.#manage.querySelector(".leaving").hidden = state.kind !== "session" || !state.has_picture;
    for (const request of state.requests)
      if (!asked.has(request.id)) announce(`${request.name} asks ${request.role === "control" ? "for control" : "to see"}.`);
    this.#showTeam();
    if (isFirst) {
      this.#offerRoles();
      void this.#suggest();
    }
  }

  /** Without a picture there is nothing to watch: who is let in gets JupyterLab. */
  #offerRoles() {
    if (this.#state.has_picture) return;
    for (const radio of this.#manage.querySelectorAll(".segment input")) {
      if (radio.value === "viewer") radio.closest("label").hidden = true;
      else radio.defaultChecked = true;
    }
    for (const why of this.#manage.querySelectorAll(".segment .segment-detail")) why.textContent = "use JupyterLab as you";
  }

  /** People of the desktop and members who are not here, each once. */
  #everybody() {
    const { people, members, owner } = this.#state;
    const byName = new Map(people.map((person) => [person.username, { ...person }]));
    for (const member of members)
      byName.set(member.username, { is_here: false, has_control: false, ...byName.get(member.username), ...member });
    return [...byName.values()].sort((a, b) => (b.username === owner?.username) - (a.username === owner?.username) || a.name.localeCompare(b.name));
  }

  #management() {
    const name = make("input", { className: "input", name: "username", required: true, maxLength: 32, autocomplete: "off", spellcheck: false, list: "sharing-names", "aria-label": "User name", placeholder: "User name", autocapitalize: "none" });
    const role = roleChoice("invite-role");
    const invite = make(
      "form",
      { className: "invite", "aria-label": "Invite a person" },
      make("h3", {}, "Invite a person"),
      make("div", { className: "row" }, name, make("button", { className: "button primary" }, icon("person-plus"), "Invite")),
      this.#names,
      this.#team,
      role,
    );
    invite.addEventListener("submit", (event) => {
      event.preventDefault();
      const username = name.value.trim();
      void this.#invite(username, chosen(role)).then((isDone) => isDone && invite.reset());
    });
    const hours = make("select", { className: "input short", "aria-label": "How long the link may be used" }, HOURS.map(([value, text]) => make("option", { value, selected: value === 24 }, text)));
    const linkRole = roleChoice("link-role");
    const links = make(
      "form",
      { className: "invite", "aria-label": "Make a link" },
      make("h3", {}, "Or make a link"),
      make("p", { className: "hint" }, "It lets one person in who can sign in here, once. Send it only to whom it is meant for."),
      make("div", { className: "row" }, hours, make("button", { className: "button" }, icon("link-45deg"), "Make a link")),
      linkRole,
      this.#fresh,
      this.#links,
    );
    links.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#do(async () => this.#showLink(await this.#ask("POST", "invitations", { role: chosen(linkRole), hours: Number(hours.value) })));
    });
    const leaving = make(
      "fieldset",
      { className: "leaving" },
      make("legend", {}, "When you leave"),
      LEAVING.map(([value, text]) =>
        make("label", { className: "choice" }, make("input", { type: "radio", name: "leaving", value, onclick: () => this.#do(() => this.#ask("PATCH", "policy", { when_owner_leaves: value })) }), make("span", { className: "choice-text" }, text)),
      ),
    );
    return make("div", { className: "manage" }, invite, links, leaving);
  }

  #showLink({ url }) {
    const field = make("input", { className: "input", readOnly: true, value: url, "aria-label": "The link", onclick: () => field.select() });
    const copy = button("Copy", async () => {
      field.select();
      try {
        await navigator.clipboard.writeText(url);
        copy.lastChild.textContent = "Copied";
        announce("The link was copied.");
      } catch {
        document.execCommand("copy");
      }
    }, { name: "copy" });
    this.#fresh.replaceChildren(make("p", { className: "hint" }, "It is shown only now:"), make("div", { className: "row" }, field, copy));
    this.#fresh.hidden = false;
    field.focus();
    field.select();
  }

  /** Members of the team whom the service proposes; without an answer there is the field alone. */
  async #suggest() {
    try {
      this.#suggested = (await ask("GET", `${this.#api}/suggestions`))?.items ?? [];
    } catch {
      return;
    }
    this.#showTeam();
  }

  #showTeam() {
    const members = new Set(this.#everybody().map((person) => person.username));
    const others = this.#suggested.filter((person) => !members.has(person.username));
    this.#names.replaceChildren(...others.map((person) => make("option", { value: person.username }, person.name)));
    const left = others.slice(0, 8);
    const pick = (person) => {
      const field = this.element.querySelector("[name=username]");
      field.value = person.username;
      field.focus();
    };
    refill(this.#team, [
      left.length > 0 && make("span", { className: "hint" }, "Of the team:"),
      ...left.map((person) => button(person.name, () => pick(person), { look: "small", "data-key": `team:${person.username}` })),
    ]);
  }

  #invite(username, role, confirm = false) {
    return this.#confirmed(
      (isSure) => this.#ask("POST", "members", { username, role, confirm: isSure }),
      confirm,
      `Let ${username} in all the same`,
    );
  }

  #answer(request, answer) {
    return this.#confirmed(
      (isSure) => this.#ask("POST", `requests/${request.id}`, { answer, confirm: isSure }),
      false,
      `Let ${request.name} in all the same`,
    );
  }

  /** Do what may need a second word of the owner, for somebody who may not read the data. */
  async #confirmed(call, isSure, label) {
    this.#confirm.hidden = true;
    try {
      await call(isSure);
      this.#problem.hidden = true;
      return true;
    } catch (error) {
      if (isSure || !error.code?.includes("confirm")) {
        this.#complain(error);
        return false;
      }
      this.#problem.hidden = true;
      const close = () => (this.#confirm.hidden = true);
      const yes = button(label, () => void this.#confirmed(call, true, label).then(close), { look: "danger" });
      this.#confirm.replaceChildren(
        make("h3", {}, icon("exclamation-triangle"), "They may not read this data"),
        make("p", {}, `${error.message} What is open on the screen is seen by them. Let them in only if you may show it.`),
        make("div", { className: "row" }, yes, button("Do not", close, { look: "quiet" })),
      );
      this.#confirm.hidden = false;
      yes.focus();
      return false;
    }
  }

  /** Hand control over. Who was just given the role connects anew for it, and is away for a moment. */
  async #give(username, tries = GIVE_TRIES) {
    try {
      await this.#ask("POST", "control", { to: username });
    } catch (error) {
      if (error.code !== "control_not_here" || tries <= 1) throw error;
      await new Promise((done) => setTimeout(done, GIVE_PAUSE_MS));
      await this.#give(username, tries - 1);
    }
  }

  async #do(call) {
    try {
      const isDone = await call();
      // What was refused and told of already stays to be read.
      if (isDone !== false) this.#problem.hidden = true;
    } catch (error) {
      this.#complain(error);
    }
  }

  #complain(error) {
    this.#problem.textContent = wordsOf(error);
    this.#problem.hidden = false;
  }

  #ask(method, path, body) {
    return ask(method, `${this.#api}/${path}`, body);
  }
}

function notes(state) {
  const lab = "Whoever may take control also gets its JupyterLab, which acts as the owner: it reads, changes and deletes what the owner may.";
  if (!state.has_picture) return `${lab} Who may only see has no way into JupyterLab.`;
  const control = "One person has control at a time: mouse, keys and clipboard are theirs";
  if (state.kind !== "session") return `${control}. The instrument's scientists can take it at any moment; roles given here end by themselves.`;
  return `${control}, and what they do is done as the owner. The owner can take it back at any moment. ${lab}`;
}

function roleChoice(name) {
  const one = (value, title, why) =>
    make("label", { className: "segment" }, make("input", { type: "radio", name, value, defaultChecked: value === "viewer" }), make("span", { className: "segment-text" }, make("span", { className: "segment-title" }, title), make("span", { className: "segment-detail" }, why)));
  return make("div", { className: "segments", role: "radiogroup", "aria-label": "What they may do" }, one("viewer", "See", "watching only"), one("control", "Take control", "type and click as you"));
}

const chosen = (group) => group.querySelector("input:checked").value;
