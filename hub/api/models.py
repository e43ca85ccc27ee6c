"""Bodies of the spawn API, from which its OpenAPI document is made."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hub.launch.models import LaunchRequest
from hub.launch.outlook import NO_OUTLOOK, Outlook
from hub.launch.states import LaunchState
from hub.launch.store import Event, Launch
from hub.launch.summary import Summary
from spawners.plan import Interface


class LaunchBody(LaunchRequest):
    """Body of ``POST /launches``."""

    dry_run: bool = Field(
        default=False, strict=True, description="Only say what would start; nothing is kept."
    )

    def to_request(self) -> LaunchRequest:
        """The launch request in it."""
        return LaunchRequest.model_validate(self.model_dump(mode="json", exclude={"dry_run"}))


class ExtendBody(BaseModel):
    """Body of ``POST /launches/{id}/extend``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: Annotated[int, Field(strict=True, ge=60, le=60 * 60 * 24)] = Field(
        description="How much longer it may run, in seconds.", examples=[3600]
    )


class ReportBody(BaseModel):
    """A session's one report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: Annotated[int, Field(strict=True, ge=1024, le=65535)] = Field(
        description="Port its server listens on."
    )


class UsageOut(BaseModel):
    """What a session that ended has used, by its backend's account."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    started_at: datetime
    ended_at: datetime
    elapsed_seconds: int
    cpus: int
    memory_mib: int
    gpus: int


class ProblemOut(BaseModel):
    """Problem details (RFC 9457); further members depend on the code."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    code: str
    status: int
    title: str
    detail: str
    hint: str = ""


class PlaceOut(BaseModel):
    """Where a launch runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str


class InnerJobOut(BaseModel):
    """A job that the person submitted from inside the session."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)

    id: str
    name: str
    state: str = Field(description="The scheduler's own word.")
    reason: str
    started_at: datetime | None
    ended_at: datetime | None


class JobList(BaseModel):
    """Answer of ``GET /launches/{id}/jobs``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: tuple[InnerJobOut, ...]


class LaunchOut(BaseModel):
    """A launch as the API shows it. No address in it holds a token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    state: LaunchState
    server_name: str
    display_name: str
    created_at: datetime
    running_at: datetime | None
    deadline: datetime | None = Field(
        description="When it ends; null while it waits in a queue: the time counts from its real start."
    )
    place: PlaceOut | None = Field(description="Where it runs; null until that is decided.")
    expected_start: datetime | None = Field(
        description="While it waits in a queue: when the scheduler expects to start it, if it says so."
    )
    pending_reason: str = Field(description="While it waits in a queue: why, in plain words.")
    idle_ends_at: datetime | None = Field(
        description="Nobody uses it: it ends then unless somebody does. Null: it was not warned."
    )
    jobs: tuple[InnerJobOut, ...] = Field(description="Jobs submitted from inside the session.")
    ended_at: datetime | None
    end_reason: str | None
    end_message: str
    open_url: str | None = Field(description="Where a browser opens the session, once it runs.")
    events_url: str = Field(description="Server-sent events of its progress.")
    request: LaunchRequest
    summary: Summary | None
    usage: UsageOut | None
    problem: ProblemOut | None

    @classmethod
    def of(cls, launch: Launch, *, public_url: str, prefix: str, outlook: Outlook = NO_OUTLOOK) -> LaunchOut:
        """The view of one row, and of what its place says of it now."""
        is_open = launch.state is LaunchState.RUNNING
        summary = None if launch.summary is None else Summary.model_validate(launch.summary)
        return cls(
            id=launch.id,
            state=launch.state,
            server_name=launch.server_name,
            display_name=launch.display_name,
            created_at=launch.created_at,
            running_at=launch.running_at,
            deadline=launch.deadline,
            place=_place(launch, summary),
            expected_start=outlook.expected_start,
            idle_ends_at=outlook.idle_ends_at,
            pending_reason=outlook.pending_reason,
            jobs=tuple(InnerJobOut.model_validate(job) for job in outlook.jobs),
            ended_at=launch.ended_at,
            end_reason=launch.end_reason,
            end_message=launch.end_message,
            open_url=f"{public_url}{_shown_at(launch, prefix)}" if is_open else None,
            events_url=f"{public_url}{prefix}/api/v1/launches/{launch.id}/events",
            request=LaunchRequest.model_validate(launch.request),
            summary=summary,
            usage=None if launch.usage is None else UsageOut.model_validate(launch.usage),
            problem=None if launch.problem is None else ProblemOut.model_validate(launch.problem),
        )


def _shown_at(launch: Launch, prefix: str) -> str:
    is_desktop = launch.launch_plan().interface is Interface.DESKTOP
    return f"{prefix}/desktops/{launch.id}" if is_desktop else open_path(launch)


def _place(launch: Launch, summary: Summary | None) -> PlaceOut | None:
    if launch.place is None:
        return None
    title = summary.place.title if summary and summary.place.id == launch.place else launch.place
    return PlaceOut(id=launch.place, title=title)


class LaunchList(BaseModel):
    """Answer of ``GET /launches``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: tuple[LaunchOut, ...]


class DryRunOut(BaseModel):
    """Answer of a dry run that would start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dry_run: bool = True
    summary: Summary


def open_path(launch: Launch) -> str:
    """Path of the session's server at the proxy."""
    return f"/user/{launch.username}/{launch.server_name}/"


def event_json(event: Event) -> dict[str, object]:
    """One line of progress as the event stream carries it."""
    return {"seq": event.seq, "at": event.at.isoformat(), "step": event.step, "message": event.message}
