"""What do the pages show of a launch in the session table: its card, notice, row, progress?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from hub.api.models import open_path
from hub.launch.outlook import NO_OUTLOOK, Outlook
from hub.launch.states import EndReason, LaunchState
from hub.launch.store import Event as StoredEvent
from hub.launch.store import Launch
from hub.launch.summary import Summary as LaunchSummary
from hub.pages import refusing
from hub.pages.failures import refusal_of, ways_on
from hub.pages.jobs import job_lines, log_path, own_job
from hub.pages.sessionviews import Event, Notice, ProgressView, RecentRow, SessionCard, Step
from hub.pages.summaries import grants_of, payer_title, resources_of, summary_of
from hub.pages.views import Action, Allowed, Amount
from profiles.loader import Profiles
from quota.models import Resource
from spawners.backend import State, Status
from spawners.kubernetes.handles import is_pod
from spawners.plan import Interface, LaunchId

_WORDS = {
    LaunchState.REQUESTED: "Access and quota are checked; the hub was asked to start it.",
    LaunchState.PLANNED: "Everything is decided; the start begins.",
    LaunchState.HELD: "Quota is held; the place was asked to start it.",
    LaunchState.SUBMITTED: "The server is starting; this usually takes a few seconds.",
    LaunchState.RUNNING: "",
    LaunchState.ENDING: "The session is being ended; what was saved is kept.",
}

_CHARGED = {Resource.CPU_SECONDS, Resource.GPU_SECONDS}

_STEPS = (
    ("Access and quota checked", None),
    ("Quota held", LaunchState.HELD),
    ("Started", LaunchState.SUBMITTED),
    ("Server answers", LaunchState.RUNNING),
)

_OF_JOBS = ("Handed to the scheduler", "Waiting in the queue")
_OF_PODS = ("Handed to the cluster", "Waiting for room")


class Cards:
    """Builds the views of one moment.

    ``statuses`` is what the backends last said, ``live`` the sessions of whoever looks, ``outlooks`` what
    their places say of starts and of jobs from inside.
    """

    def __init__(
        self,
        statuses: Mapping[LaunchId, Status],
        now: datetime,
        extend_step: timedelta,
        live: Sequence[Launch] = (),
        *,
        profiles: Profiles,
        outlooks: Mapping[LaunchId, Outlook] | None = None,
    ) -> None:
        self._profiles = profiles
        self._outlooks = outlooks or {}
        self._statuses = statuses
        self._now = now
        self._extend_step = extend_step
        self._live = live

    def card(self, launch: Launch) -> SessionCard:
        """Card of a launch, live or over."""
        said = summary_of(launch)
        status = self._statuses.get(launch.id)
        is_unknown = status is not None and status.state is State.UNKNOWN
        outlook = self._outlooks.get(launch.id, NO_OUTLOOK)
        # One that has its node waits for nobody else: it is being prepared there, and its step says how far.
        is_waiting = status is not None and status.state is State.PENDING and bool(status.reason)
        is_queued = is_waiting and status is not None and not status.node
        walltime = timedelta(
            seconds=launch.plan["walltime"] if launch.plan else said.walltime_s if said else 0
        )
        can_extend, steps = self._extensions(launch, said, walltime)
        return SessionCard(
            launch_id=launch.id,
            title=refusing.title_of(launch),
            state=launch.state,
            interface=Interface(said.interface.id) if said else Interface.LAB,
            environment=said.environment.title if said else "",
            place=said.place.title if said else "",
            resources=resources_of(said),
            walltime=walltime,
            requested_at=launch.created_at,
            template=f"{said.template.title} {said.template.version}" if said and said.template else "",
            grants=grants_of(said),
            started_at=launch.running_at,
            ends_at=launch.deadline if launch.is_live else launch.ended_at,
            step=self._step(launch, status, is_unknown=is_unknown),
            charges=self._charges(launch),
            payer=payer_title(said),
            open_url=_open_url(launch),
            extend_by=steps,
            can_extend=can_extend,
            is_unknown=is_unknown,
            is_queued=is_queued,
            expected_start=outlook.expected_start,
            idle_ends_at=outlook.idle_ends_at,
            jobs=job_lines(outlook.jobs),
            job=own_job(launch.handle),
        )

    def _step(self, launch: Launch, status: Status | None, *, is_unknown: bool) -> str:
        if is_unknown:
            return "The place does not answer at the moment; your session keeps running."
        if status is not None and status.state is State.PENDING and status.reason:
            return status.reason
        return _WORDS.get(launch.state, "")

    def _extensions(
        self, launch: Launch, said: LaunchSummary | None, walltime: timedelta
    ) -> tuple[Allowed, tuple[timedelta, ...]]:
        if said is None or launch.state is not LaunchState.RUNNING:
            return Allowed(), ()
        room = timedelta(seconds=said.max_walltime_s) - walltime
        steps = tuple(self._extend_step * n for n in (1, 2, 4) if self._extend_step * n <= room)
        if steps:
            return Allowed(), steps
        longest = said.max_walltime_s / 3600
        return Allowed(ok=False, why=f"{longest:g} h is the longest a session may run here."), ()

    def _charges(self, launch: Launch) -> tuple[Amount, ...]:
        """What was charged, or what would be if it ended now; waiting in a queue costs nothing."""
        if launch.usage is not None:
            return tuple(one for one in _recorded(launch.usage) if one.resource in _CHARGED)
        said = summary_of(launch)
        if said is None or launch.deadline is None or not launch.is_live:
            return ()
        began = launch.deadline - launch.launch_plan().walltime
        seconds = max(0, int((self._now - began).total_seconds()))
        charges = [Amount(Resource.CPU_SECONDS, seconds * said.cpus)]
        if said.gpus:
            charges.append(Amount(Resource.GPU_SECONDS, seconds * said.gpus))
        return tuple(charges)

    def recent(self, launch: Launch) -> RecentRow:
        """Row of a launch that is over."""
        said = summary_of(launch)
        ran = timedelta(seconds=launch.usage["elapsed_seconds"]) if launch.usage else timedelta(0)
        return RecentRow(
            launch_id=launch.id,
            title=refusing.title_of(launch),
            proposal=launch.proposal or "",
            data=", ".join(one.title for one in said.data) if said else "",
            state=launch.state,
            at=launch.created_at,
            ran=ran,
            end_reason=EndReason(launch.end_reason) if launch.end_reason else None,
            charges=self._charges(launch),
            recorded=_recorded(launch.usage) if launch.usage else (),
            payer=payer_title(said),
        )

    def notice(self, launch: Launch) -> Notice | None:
        """What went wrong with a launch, or None if nothing did."""
        refusal = refusal_of(launch, self._profiles, self._live)
        if refusal is None:
            return None
        return Notice(
            launch_id=launch.id,
            title=refusing.title_of(launch),
            at=launch.ended_at or launch.created_at,
            refusal=refusal,
            charges=self._charges(launch),
            log_tail=tuple(launch.log_tail or ()),
            is_failure=launch.state is LaunchState.ENDED,
        )

    def progress(self, launch: Launch, events: Sequence[StoredEvent]) -> ProgressView:
        """A launch from request to end."""
        reason = EndReason(launch.end_reason) if launch.end_reason else None
        refusal = refusal_of(launch, self._profiles, self._live)
        actions: tuple[Action, ...] = ()
        if not launch.is_live and refusal is None:
            reason_ways = ways_on(launch, reason, self._profiles)
            actions = (
                *reason_ways,
                Action(
                    "Start again",
                    ("launches", launch.id, "relaunch"),
                    method="post",
                    icon="arrow-repeat",
                    is_primary=not reason_ways,
                ),
                Action("Change something", ("new",), (("from", launch.id),), icon="sliders"),
            )
        card = self.card(launch)
        return ProgressView(
            card=card,
            steps=steps_of(launch, is_queued=card.is_queued),
            events=tuple(Event(event.seq, event.at, event.message) for event in events),
            refusal=refusal,
            log_tail=tuple(launch.log_tail or ()),
            log_path=log_path(launch.id, launch.handle),
            end_reason=reason if launch.state is LaunchState.ENDED else None,
            ended_at=launch.ended_at if not launch.is_live else None,
            ran=timedelta(seconds=launch.usage["elapsed_seconds"]) if launch.usage else None,
            actions=actions,
        )


def _recorded(usage: Mapping[str, Any]) -> tuple[Amount, ...]:
    """What a session used, by its backend's account: as allocated there, not as it was asked for."""
    seconds = int(usage["elapsed_seconds"])
    amounts = [Amount(Resource.CPU_SECONDS, seconds * int(usage["cpus"]))]
    if usage["gpus"]:
        amounts.append(Amount(Resource.GPU_SECONDS, seconds * int(usage["gpus"])))
    return (*amounts, Amount(Resource.MIB_SECONDS, seconds * int(usage["memory_mib"])))


def steps_of(launch: Launch, *, is_queued: bool = False) -> tuple[Step, ...]:
    """The steps of a start with their times; ``is_queued``: its job waits for its turn."""
    times = (launch.created_at, launch.held_at, launch.submitted_at, launch.running_at)
    is_over = not launch.is_live
    handed, waiting = _OF_PODS if is_pod(launch.handle) else _OF_JOBS
    said = summary_of(launch)
    overflowed = f"{said.place.title}, instead of {said.instead_of.title}" if said and said.instead_of else ""
    steps: list[Step] = []
    is_open = True
    for (title, state), at in zip(_STEPS, times, strict=True):
        reached = at is not None and not (launch.state is LaunchState.REFUSED and title == _STEPS[0][0])
        is_scheduled = state is LaunchState.SUBMITTED and own_job(launch.handle)
        if state is LaunchState.RUNNING and is_queued and is_open:
            steps.append(Step(waiting, is_current=True))
            is_open = False
        is_next = not reached and is_open
        steps.append(
            Step(
                handed if is_scheduled else title,
                at if reached else None,
                detail=overflowed if state is None and reached else "",
                is_current=is_next and not is_over,
                is_failed=is_next and is_over,
            )
        )
        is_open = is_open and reached
    return tuple(steps)


def _open_url(launch: Launch) -> str:
    if launch.state is not LaunchState.RUNNING or launch.plan is None:
        return ""
    path = launch.plan["open_path"]
    return f"{open_path(launch)}lab/tree/{path}" if path else open_path(launch)
