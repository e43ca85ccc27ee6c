"""What `profiles` refuses, as refusals with codes."""

from __future__ import annotations

from datetime import timedelta

from hub.launch import refusals
from hub.launch.models import LaunchRequest
from hub.problems import Problem, RequestError
from profiles.choose import (
    Choice,
    ChoiceError,
    NoProfileError,
    Subject,
    UnknownProfileError,
    WalltimeError,
    choose,
)
from profiles.loader import Profiles


def choose_or_refuse(profiles: Profiles, subject: Subject, request: LaunchRequest) -> Choice:
    """The profile's answer to a request.

    Raises
    ------
    RequestError
        ``profile_unknown``, ``walltime_exceeded`` or ``invalid_option``.
    """
    walltime = None if request.walltime_s is None else timedelta(seconds=request.walltime_s)
    try:
        return choose(profiles, subject, request.profile, request.size, request.interface, walltime)
    except WalltimeError as error:
        raise refusals.walltime_exceeded(error.asked, error.limit) from error
    except (UnknownProfileError, NoProfileError) as error:
        raise _refusal("profile_unknown", 404, "No such profile", error) from error
    except ChoiceError as error:
        raise _refusal("invalid_option", 400, "Not offered", error) from error


def _refusal(code: str, status: int, title: str, error: ChoiceError) -> RequestError:
    return RequestError(
        Problem(code, status, title, str(error), "Choose one that the page New session lists for you.")
    )


def place_missing(title: str) -> RequestError:
    """The profile's place has no backend in this service."""
    return refusals.backend_unavailable(title)
