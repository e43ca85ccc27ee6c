"""The way of a session, from its request to its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hub.launch.states import EndReason, LaunchState
from hub.pages.sessionviews import Event, ProgressView, Step
from hub.pages.views import Action, Refusal
from hub.problems import Problem
from tests.support.samples.base import NOW, ago, cpu_hours
from tests.support.samples.sessions import LOG, MEMORY_FAILURE, PENDING, QUEUED, QUOTA_REFUSAL, RUNNING

EVENTS = (
    Event(1, ago(seconds=9), "Asked for by maja"),
    Event(2, ago(seconds=8), "Access checked: ma1234 as team member"),
    Event(3, ago(seconds=8), "4 CPU-hours held from proposal ma1234"),
    Event(4, ago(seconds=5), "Started on this machine"),
)
STEPS = (
    Step("Access checked", ago(seconds=8), "team member of ma1234"),
    Step("Quota held", ago(seconds=8), "4 CPU-hours from proposal ma1234"),
    Step("Started on this machine", ago(seconds=5)),
    Step("Server answers", None, "usually within 20 s", is_current=True),
    Step("Open"),
)
PROGRESS = ProgressView(PENDING, STEPS, EVENTS)
WAITING = ProgressView(
    QUEUED,
    (
        Step("Access and quota checked", ago(minutes=3)),
        Step("Quota held", ago(minutes=3)),
        Step("Handed to the scheduler", ago(minutes=3)),
        Step("Waiting in the queue", is_current=True),
        Step("Server answers"),
    ),
    EVENTS,
)
IN_A_POD = ProgressView(
    replace(
        PENDING,
        step="Its image is being fetched by node-7, which may take some minutes.",
        place="Kubernetes",
        payer="Facility account cloud",
        job="Pod maja--s-88ab12cd34ef in panhub-sessions on pan",
    ),
    (
        Step("Access and quota checked", ago(seconds=8)),
        Step("Quota held", ago(seconds=8)),
        Step("Handed to the cluster", ago(seconds=7)),
        Step("Server answers", is_current=True),
    ),
    EVENTS,
)
READY = ProgressView(
    RUNNING, tuple(replace(step, at=step.at or NOW, is_current=False) for step in STEPS), EVENTS
)
FAILED = ProgressView(
    replace(RUNNING, state=LaunchState.ENDED, charges=(cpu_hours(0.1),), open_url="", ends_at=None),
    (*STEPS[:3], replace(STEPS[3], is_current=False, is_failed=True), STEPS[4]),
    EVENTS,
    refusal=MEMORY_FAILURE,
    log_tail=LOG,
    end_reason=EndReason.OUT_OF_MEMORY,
    ended_at=ago(minutes=1),
    ran=timedelta(minutes=41),
    actions=(
        Action("Same again", ("launches", "x", "relaunch"), method="post", icon="arrow-repeat"),
        Action("Change something", ("new",), (("from", "x"),), icon="sliders"),
    ),
    returns_to="/data-portal",
)
REFUSED = ProgressView(
    replace(PENDING, state=LaunchState.REFUSED, step=""),
    (Step("Access checked", ago(seconds=3)), Step("Quota held", is_failed=True)),
    EVENTS[:2],
    refusal=QUOTA_REFUSAL,
)
ENDED = ProgressView(
    replace(RUNNING, state=LaunchState.ENDED, charges=(cpu_hours(2.3),), open_url="", ends_at=None),
    READY.steps,
    EVENTS,
    end_reason=EndReason.STOPPED_BY_USER,
    ended_at=ago(minutes=1),
    ran=timedelta(minutes=41),
    actions=(
        Action(
            "Relaunch", ("launches", "x", "relaunch"), method="post", icon="arrow-repeat", is_primary=True
        ),
    ),
)


def _failed(reason: EndReason, title: str, detail: str, hint: str, *actions: Action) -> ProgressView:
    """A session on Slurm that ended so."""
    again = (
        Action("Start again", ("launches", "x", "relaunch"), method="post", icon="arrow-repeat"),
        Action("Change something", ("new",), (("from", "x"),), icon="sliders"),
    )
    return replace(
        FAILED,
        card=replace(FAILED.card, place="CPU nodes", job="Slurm job 4711 on pan"),
        steps=READY.steps[:4],
        refusal=Refusal(
            Problem(f"launch_{reason.value}", 500, title, detail, hint), actions=(*actions, *again)
        ),
        end_reason=reason,
        actions=(),
        log_path="~/.panhub/logs/3f9c0a7b21de4455.log",
        returns_to="",
    )


SLURM_FAILURES = {
    "out-of-memory": _failed(
        EndReason.OUT_OF_MEMORY,
        "The session used more memory than its size has",
        "Slurm says: OUT_OF_MEMORY, exit code 0:125.",
        "Start it again with a larger size.",
        Action(
            "Again with 8 GB", ("new",), (("size", "l"), ("place", "cpu")), icon="memory", is_primary=True
        ),
    ),
    "preempted": _failed(
        EndReason.PREEMPTED,
        "The scheduler ended the session to make room for a job of higher priority",
        "Slurm says: PREEMPTED after 41 min.",
        "Start it again: it waits for its turn anew.",
    ),
    "node-failure": _failed(
        EndReason.NODE_FAILURE,
        "The node of the session failed",
        "Slurm says: NODE_FAIL on cpu-17 (<b>Not responding</b>).",
        "The fault was the machine's, not yours: start it again.",
    ),
    "cancelled-outside": _failed(
        EndReason.CANCELLED_BY_SCHEDULER,
        "The session's job was cancelled at the scheduler, not here",
        "Slurm says: CANCELLED by root.",
        "If that was not you, ask the operators of the cluster.",
    ),
}
TIME_LIMIT = replace(
    ENDED,
    end_reason=EndReason.TIME_LIMIT,
    card=replace(ENDED.card, job="Slurm job 4711 on pan"),
    log_path="~/.panhub/logs/3f9c0a7b21de4455.log",
    actions=(
        Action("Again for 8 h", ("new",), (("walltime_s", "28800"),), icon="clock-history", is_primary=True),
        Action("Start again", ("launches", "x", "relaunch"), method="post", icon="arrow-repeat"),
        Action("Change something", ("new",), (("from", "x"),), icon="sliders"),
    ),
)
