"""Refusals of sharing: one function a case, each with a stable code and a next step."""

from __future__ import annotations

from typing import Any

from hub.problems import Problem, RequestError

_CONTROL = {
    "control_not_yours": Problem(
        "control_not_yours",
        403,
        "You are watching",
        "Who watches cannot have or give control.",
        "Ask for control; the owner is told.",
    ),
    "control_needs_role": Problem(
        "control_needs_role",
        409,
        "They may not have control",
        "That person may not have control here.",
        "Give them the role control first.",
    ),
    "control_not_here": Problem(
        "control_not_here",
        409,
        "They are not here",
        "That person does not have the desktop open.",
        "Wait until they are here.",
    ),
    "control_taken": Problem(
        "control_taken",
        409,
        "Somebody else has control",
        "Control is with somebody else.",
        "Ask for it; who has it can hand it over.",
    ),
    "desktop_locked": Problem(
        "desktop_locked",
        409,
        "Locked while the owner is away",
        "The owner is away and has locked the desktop: everybody sees it, nobody types.",
        "Wait until the owner is back.",
    ),
}


def desktop_not_found() -> RequestError:
    """No such desktop, or not open to who asks."""
    return RequestError(
        Problem(
            "desktop_not_found",
            404,
            "No such desktop",
            "There is no such desktop, or it is not shared with you.",
            "If somebody sent you here, ask to see it: its owner is told.",
        )
    )


def control(code: str) -> RequestError:
    """Why control is not given."""
    return RequestError(_CONTROL[code])


def not_manager() -> RequestError:
    """Only the owner gives and takes roles."""
    return RequestError(
        Problem(
            "only_the_owner",
            403,
            "That is the owner's",
            "Only the owner may do this: a session's person, or the staff of the instrument.",
            "Ask the owner.",
        )
    )


def no_owner_to_leave() -> RequestError:
    """A workstation has no owner."""
    return RequestError(
        Problem(
            "no_owner_to_leave",
            409,
            "Not at a workstation",
            "A workstation has no owner who could leave.",
            "End it for others, or take control.",
        )
    )


def needs_control_role() -> RequestError:
    """A viewer did what needs the role control."""
    return RequestError(
        Problem("role_too_low", 403, "You are watching", "Who watches may not do this.", "Ask for control.")
    )


def person_unknown() -> RequestError:
    """Nobody of that name, or somebody who may not sign in."""
    return RequestError(
        Problem(
            "person_unknown",
            404,
            "Nobody of that name",
            "Nobody of that name has signed in here.",
            "Check the name, or send an invitation link: it works for everybody who can sign in.",
        )
    )


def already_owner() -> RequestError:
    """The owner needs no role."""
    return RequestError(
        Problem(
            "already_owner", 409, "They own it", "That person owns this desktop.", "Choose somebody else."
        )
    )


def member_unknown() -> RequestError:
    """Nobody to take a role from."""
    return RequestError(
        Problem("member_unknown", 404, "Not a member", "That person has no role here.", "Reload the page.")
    )


def item_unknown() -> RequestError:
    """No such open request or invitation."""
    return RequestError(
        Problem(
            "not_open_any_more",
            404,
            "Not open any more",
            "There is no such request or invitation, or it was answered, used or taken back.",
            "Reload the page.",
        )
    )


def data_not_theirs(proposal: str) -> RequestError:
    """The site forbids to show data to who may not read it."""
    return RequestError(
        Problem(
            "data_not_theirs",
            403,
            "They may not read the data",
            f"This shows data of {proposal}, which that person may not read; this site forbids it.",
            "Ask the principal investigator to add them to the proposal.",
            {"proposal": proposal},
        )
    )


def confirm_needed(proposal: str) -> RequestError:
    """The owner must say yes to showing data to who may not read it."""
    return RequestError(
        Problem(
            "confirm_needed",
            409,
            "They may not read the data",
            f"This shows data of {proposal}, which that person may not read themselves.",
            "Send it again with confirm, if you may show it to them and want to.",
            {"proposal": proposal},
        )
    )


def invitation_not_valid() -> RequestError:
    """Unknown, used, taken back, expired, or for what is over: one answer."""
    return RequestError(
        Problem(
            "invitation_not_valid",
            404,
            "This invitation does not work",
            "It was used, taken back or has expired, or what it was for is over.",
            "Ask for a new one.",
        )
    )


def too_many_items(what: str, most: int) -> RequestError:
    """More than one desktop may have."""
    return RequestError(
        Problem(
            "sharing_limit",
            409,
            "That is the limit",
            f"A desktop has {most} {what} at most.",
            "Take one back first.",
            {"limit": most},
        )
    )


def too_often(seconds: int) -> RequestError:
    """Slower."""
    return RequestError(
        Problem(
            "too_often",
            429,
            "Too often",
            f"That was asked too often; it is possible again in {seconds} s.",
            "Wait a little.",
            {"retry_after_s": seconds},
        )
    )


def not_ready() -> RequestError:
    """There is nothing to connect to yet."""
    return RequestError(
        Problem(
            "desktop_not_ready",
            409,
            "Not ready yet",
            "The session does not run yet.",
            "Wait until it runs; its page shows where it is.",
        )
    )


def no_picture() -> RequestError:
    """A session with JupyterLab alone."""
    return RequestError(
        Problem(
            "no_picture",
            409,
            "No desktop in this session",
            "This session was started without a desktop.",
            "Open its JupyterLab, or start a session with the interface Desktop.",
        )
    )


def may_not_join(text: str) -> RequestError:
    """The rules of the desktop keep somebody with a role out for now."""
    return RequestError(Problem("may_not_join", 403, "Not now", text, "Try again later, or ask the owner."))


def full(most: int) -> RequestError:
    """More people, or windows, than are let in at once."""
    return RequestError(
        Problem(
            "desktop_full",
            429,
            "Full",
            f"{most} are connected already, which is the most.",
            "Close another window, or wait until somebody leaves.",
            {"limit": most},
        )
    )


def ticket_refused() -> RequestError:
    """Whatever is wrong with it."""
    return RequestError(
        Problem(
            "ticket_refused", 403, "Ticket refused", "The ticket does not open anything.", "Get a new one."
        )
    )


def not_a_thumbnail(why: str, **extra: Any) -> RequestError:
    """What was sent is no small JPEG."""
    return RequestError(
        Problem("not_a_thumbnail", 400, "Not a thumbnail", why, "Send a JPEG of 64 KiB at most.", extra)
    )


def no_thumbnail() -> RequestError:
    """None was made yet."""
    return RequestError(
        Problem("no_thumbnail", 404, "No thumbnail", "There is no thumbnail of this desktop yet.", "")
    )
