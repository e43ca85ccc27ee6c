"""What `profiles` refuses, as refusals with codes."""

from __future__ import annotations

from datetime import timedelta

from hub.launch import refusals
from hub.launch.models import LaunchRequest
from hub.problems import Problem, RequestError
from profiles.choose import Choice, Custom, Subject, Wishes, choose
from profiles.loader import Profiles
from profiles.wishes import ChoiceError, NoProfileError, UnknownProfileError, WalltimeError
from spawners.plan import Scheduling


def choose_or_refuse(profiles: Profiles, subject: Subject, request: LaunchRequest) -> Choice:
    """The profile's answer to a request.

    Raises
    ------
    RequestError
        ``profile_unknown``, ``walltime_exceeded`` or ``invalid_option``.
    """
    try:
        return choose(profiles, subject, _wishes(request))
    except WalltimeError as error:
        raise refusals.walltime_exceeded(error.asked, error.limit) from error
    except (UnknownProfileError, NoProfileError) as error:
        raise _refusal("profile_unknown", 404, "No such profile", error) from error
    except ChoiceError as error:
        raise _refusal("invalid_option", 400, "Not offered", error) from error


def _wishes(request: LaunchRequest) -> Wishes:
    own = request.resources
    return Wishes(
        profile=request.profile,
        size=request.size,
        place=request.place,
        overflow=request.overflow,
        resources=None if own is None else Custom(own.cpus, own.memory_mib, own.gpus, own.gpu_type or ""),
        interface=request.interface,
        walltime=None if request.walltime_s is None else timedelta(seconds=request.walltime_s),
        scheduling=Scheduling(**request.scheduling.model_dump()),
    )


def _refusal(code: str, status: int, title: str, error: ChoiceError) -> RequestError:
    return RequestError(
        Problem(code, status, title, str(error), "Choose one that the page New session lists for you.")
    )
