"""The workstations that a person may see, now or soon. Handlers translate only; see `hub.sharing`."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from hub.api.base import PersonHandler
from hub.desktop.models import Role
from hub.launch.news import utcnow
from hub.sharing.workstations import Listed


class WorkstationOut(BaseModel):
    """A control computer of an instrument, as one person may see it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    desktop: str = Field(description="Its id, for the addresses of desktops.")
    title: str
    instrument: str
    proposal: str = Field(description="Whose beamtime lets the person in; empty for staff.")
    role: Role | None = Field(description="Null while it is not open to the person yet.")
    opens_at: datetime | None = Field(description="From when it is open; null once it is.")
    closes_at: datetime | None = Field(description="Until when it is open; null for staff.")
    call_url: str | None = Field(description="Where to talk to the others, for whom it is open to.")


class WorkstationsOut(BaseModel):
    """Workstations in the order of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: tuple[WorkstationOut, ...]


class WorkstationsHandler(PersonHandler):
    """``/workstations``"""

    async def get(self) -> None:
        """Those that are open to the caller, and those that a coming beamtime opens."""
        stations = self.app.workstations
        found = () if stations is None else await stations.listed(self.person, utcnow())
        self.write_model(WorkstationsOut(items=tuple(map(_out, found))))


def _out(one: Listed) -> WorkstationOut:
    mine = one.standing
    return WorkstationOut(
        desktop=one.desktop,
        title=one.title,
        instrument=one.instrument,
        proposal=mine.proposal,
        role=mine.role,
        opens_at=mine.opens_at,
        closes_at=mine.closes_at,
        call_url=one.call_url if mine.role is not None else None,
    )
