"""The launch path's refusals: one function a case, each with a stable code and a next step."""

from __future__ import annotations

import re
from datetime import timedelta

from pydantic import ValidationError

from hub.problems import Problem, RequestError
from spawners.backend import NotAdmittedError

_SERVER_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?\Z")
_MAX_CAUSES = 5


def login_required() -> RequestError:
    """Nobody is known by that name, or they may not log in."""
    return RequestError(
        Problem(
            "login_required",
            403,
            "Sign in first",
            "The service does not know this person, or they are blocked.",
            "Sign out and in again; if that does not help, ask the operators.",
        )
    )


def token_not_accepted() -> RequestError:
    """The token is somebody's, but does not open this service."""
    return RequestError(
        Problem(
            "token_not_accepted",
            403,
            "This token does not open the service",
            "The token was made for something else, such as one session.",
            "Make a token on the hub's token page, and use that.",
        )
    )


def check_server_name(name: str) -> None:
    """Refuse the default server and names that the hub would not take.

    A start of the default server would have no launch of its own in the list of sessions.
    """
    if name == "":
        raise RequestError(
            Problem(
                "default_server_refused",
                400,
                "Sessions have names",
                "The default server is not used here: every session has a name of its own.",
                "Start a session from the page New session, or name it in the address.",
            )
        )
    if not _SERVER_NAME.match(name):
        raise RequestError(
            Problem(
                "invalid_server_name",
                400,
                "Not a session name",
                "A session's name has 1 to 30 letters a–z, digits and hyphens, and starts with a letter.",
                "Choose another name.",
            )
        )


def invalid_request(error: ValidationError) -> RequestError:
    """The request does not fit its schema. Keys are named, values are not repeated."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    causes = []
    for item in errors[:_MAX_CAUSES]:
        where = ".".join(str(part)[:40] for part in item["loc"]) or "request"
        causes.append({"key": "".join(c for c in where if c.isprintable()), "cause": item["msg"][:200]})
    first = causes[0]
    return RequestError(
        Problem(
            "invalid_request",
            400,
            "The request is not valid",
            f"{first['key']}: {first['cause']}.",
            "Correct the named keys; the API's description says what each may be.",
            extra={"errors": causes},
        )
    )


def session_exists(server_name: str) -> RequestError:
    """The server name has a live session."""
    return RequestError(
        Problem(
            "session_exists",
            409,
            "A session of this name is there already",
            f"The session {server_name} still exists.",
            "Open it, or stop it and wait until it has ended.",
        )
    )


def launch_over() -> RequestError:
    """The launch ended (was cancelled) while it was being planned."""
    return RequestError(
        Problem("launch_cancelled", 409, "Cancelled", "The launch was cancelled.", "Start a new session.")
    )


def launch_unknown() -> RequestError:
    """No such launch, or somebody else's."""
    return RequestError(
        Problem(
            "launch_not_found",
            404,
            "No such session",
            "There is no such session, or it is not yours.",
            "Look at the list of your sessions.",
        )
    )


def not_running() -> RequestError:
    """Only what runs can be extended."""
    return RequestError(
        Problem(
            "not_running",
            409,
            "The session does not run",
            "Only a running session can be extended.",
            "Wait until it runs, or start a new one.",
        )
    )


def walltime_exceeded(asked: timedelta, limit: timedelta) -> RequestError:
    """Longer than the profile allows."""
    hours = limit.total_seconds() / 3600
    return RequestError(
        Problem(
            "walltime_exceeded",
            400,
            "Too long",
            f"A session of this profile may run for {hours:g} h at most, extensions included.",
            "Choose a shorter time, or save your work and start a new session later.",
            extra={"limit_s": int(limit.total_seconds()), "asked_s": int(asked.total_seconds())},
        )
    )


def idempotency_mismatch() -> RequestError:
    """The same key with another request."""
    return RequestError(
        Problem(
            "idempotency_mismatch",
            422,
            "This key was used for another request",
            "The Idempotency-Key was sent before with a different request.",
            "Use a new key for a new request.",
        )
    )


def wrong_report_secret() -> RequestError:
    """A report that proves nothing; the same for an unknown launch."""
    return RequestError(
        Problem("wrong_secret", 401, "Not accepted", "The report's secret is not that of this launch.")
    )


def already_reported() -> RequestError:
    """The one report was used."""
    return RequestError(
        Problem("already_reported", 409, "Reported before", "This session has reported its port already.")
    )


def hub_unavailable() -> Problem:
    """The hub did not take the launch."""
    return Problem(
        "hub_unavailable",
        503,
        "The hub does not answer",
        "The hub did not take the start in time; nothing was held or started.",
        "Try again in a minute.",
    )


def backend_unavailable(place: str) -> RequestError:
    """The place cannot take sessions now."""
    return RequestError(
        Problem(
            "backend_unavailable",
            503,
            "The place does not answer",
            f"{place} does not answer at the moment; nothing was started.",
            "Try again in a few minutes, or choose another place.",
        )
    )


def not_admitted(error: NotAdmittedError) -> RequestError:
    """The place does not take the plan, for a reason of its scheduler's."""
    text, hint = str(error), error.hint
    known = (
        Problem("place_limit", 400, "More than the place gives", text, hint),
        Problem("place_not_allowed", 403, "Not open to you", text, hint),
        Problem("place_closed", 409, "The place takes no sessions now", text, hint),
        Problem("account_unknown", 400, "Not an account of yours", text, hint),
        Problem("qos_unknown", 400, "Not a QOS of yours", text, hint),
        Problem("reservation_unknown", 400, "Not a reservation of yours", text, hint),
        Problem("data_not_here", 409, "The data is not there", text, hint),
    )
    other = Problem(error.code, 400, "The place does not take it", text, hint)
    return RequestError(next((problem for problem in known if problem.code == error.code), other))


def extend_refused(reason: str) -> RequestError:
    """The place does not let the session run longer."""
    return RequestError(
        Problem(
            "extend_refused",
            409,
            "Not extended",
            f"The session goes on until its end as before: {reason}",
            "Save your work before the end, or try a shorter extension.",
        )
    )
