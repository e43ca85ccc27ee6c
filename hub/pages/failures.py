"""Why did a launch not start, or fail, and what would have helped?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hub.launch.ends import sentence
from hub.launch.states import EndReason, LaunchState
from hub.launch.storage import DATA_NOT_HERE
from hub.launch.store import Launch
from hub.pages import again, refusing
from hub.pages.summaries import summary_of
from hub.pages.views import Action, Refusal
from hub.problems import Problem
from profiles.loader import Profiles

_FAILURES = {
    EndReason.OUT_OF_MEMORY,
    EndReason.LOST,
    EndReason.START_FAILED,
    EndReason.START_TIMEOUT,
    EndReason.NOT_HANDED_OVER,
    EndReason.ACCESS_LOST,
    EndReason.EXITED,
    EndReason.PREEMPTED,
    EndReason.NODE_FAILURE,
    EndReason.EVICTED,
    EndReason.CANCELLED_BY_SCHEDULER,
}

_HINTS = {
    EndReason.OUT_OF_MEMORY: "Start it again with a larger size.",
    EndReason.LOST: "Start it again; if it happens again, ask for help with the log attached.",
    EndReason.START_FAILED: "The last lines of the log below tell more; start it again or ask for help.",
    EndReason.START_TIMEOUT: "Start it again; if it happens again, ask for help.",
    EndReason.NOT_HANDED_OVER: "Start it again.",
    EndReason.ACCESS_LOST: "Ask the principal investigator to add you to the team again.",
    EndReason.EXITED: "The last lines of the log below tell more.",
    EndReason.PREEMPTED: "It gave way to more urgent work. Start it again: it waits for its turn anew.",
    EndReason.NODE_FAILURE: "The fault was the machine's, not yours: start it again.",
    EndReason.EVICTED: "Start it again. If its node ran short, a size with more memory is put out later.",
    EndReason.CANCELLED_BY_SCHEDULER: "If that was not you, ask the operators of the cluster.",
}

_ELSEWHERE = {
    EndReason.START_FAILED,
    EndReason.START_TIMEOUT,
    EndReason.EVICTED,
    EndReason.NODE_FAILURE,
    EndReason.PREEMPTED,
}
"""Ends that another place may spare a person."""


def refusal_of(launch: Launch, profiles: Profiles, live: Sequence[Launch] = ()) -> Refusal | None:
    """Why a launch did not start, or failed; ``live`` are sessions that may be in its way."""
    if launch.problem is not None:
        problem = Problem.from_json(launch.problem)
        # The same again would be refused again where the data is not.
        there = _elsewhere(launch, problem)
        return refusing.with_actions(
            problem, (*there, *_again(launch)[1:]) if there else _again(launch), live
        )
    if launch.state is not LaunchState.ENDED or launch.end_reason is None:
        return None
    reason = EndReason(launch.end_reason)
    if reason not in _FAILURES:
        return None
    problem = Problem(
        f"launch_{reason.value}", 500, _title(launch, reason), _cause(launch, reason), _HINTS.get(reason, "")
    )
    return refusing.with_actions(problem, (*ways_on(launch, reason, profiles), *_again(launch)))


def _title(launch: Launch, reason: EndReason) -> str:
    """An end in a few words; the next step, which a sentence may have too, stands apart."""
    return sentence(reason, launch.handle).partition("; ")[0].rstrip(".")


def _cause(launch: Launch, reason: EndReason) -> str:
    """What else is known of an end: not what its title says already, but the scheduler's own word."""
    said = launch.end_message.removeprefix(sentence(reason, launch.handle)).strip()
    detail = str((launch.usage or {}).get("detail", "")).strip()
    return said if not detail or detail in said else f"{said} {detail}".strip()


def ways_on(launch: Launch, reason: EndReason | None, profiles: Profiles) -> tuple[Action, ...]:
    """What would have helped, as a form filled in."""
    request, said = again.request_of(launch), summary_of(launch)
    if request is None or said is None:
        return ()
    found = None
    if reason is EndReason.OUT_OF_MEMORY:
        found = again.with_more_memory(request, said, profiles)
    elif reason is EndReason.TIME_LIMIT:
        found = again.for_longer(request, said)
    elif reason in _ELSEWHERE:
        found = again.elsewhere(request, said, profiles)
    return () if found is None else (replace(found, is_primary=True),)


def _elsewhere(launch: Launch, problem: Problem) -> tuple[Action, ...]:
    request = again.request_of(launch)
    if request is None or problem.code != DATA_NOT_HERE:
        return ()
    return again.where_the_data_is(request, problem)[:2]


def _again(launch: Launch) -> tuple[Action, ...]:
    if launch.problem is not None and launch.problem["code"] == "invalid_request":
        return ()  # what was asked for was not kept: there is nothing to start again
    return (
        Action("Start again", ("launches", launch.id, "relaunch"), method="post", icon="arrow-repeat"),
        Action("Change something", ("new",), (("from", launch.id),), icon="sliders"),
    )
