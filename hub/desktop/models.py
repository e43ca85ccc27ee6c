"""What engine and tunnel say to each other about connections; closed models at their edge.

A *desktop* is what people connect to: a session with a desktop (its id is the launch id) or a
workstation (``ws-<name>``). A *connection* is one window of one person at one desktop. The engine
admits a connection by a ticket, and goes on deciding while it lasts: the tunnel reports its connections
and gets a decision on each.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from spawners.plan import LaunchId

DESKTOP_PATTERN = r"(?:[0-9a-f]{16}|ws-[a-z0-9](?:[a-z0-9-]{0,40}[a-z0-9])?)"
"""Launch id of a session, or ``ws-`` and the name of a workstation."""

DesktopId = Annotated[str, StringConstraints(pattern=f"^{DESKTOP_PATTERN}$")]
ConnectionId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]

MOST_CONNECTIONS = 2000
"""Connections in one report, an order of magnitude above what one tunnel carries."""


class Role(StrEnum):
    """What a person may do at a desktop, from least to most.

    ``viewer`` sees. ``control`` may take mouse and keyboard while holding control. ``owner`` may besides
    give and take rights: the session's person; of a workstation the instrument's staff.
    """

    VIEWER = "viewer"
    CONTROL = "control"
    OWNER = "owner"


class Closed(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RedeemBody(Closed):
    """A ticket that a browser brought, and who the hub says the browser belongs to."""

    ticket: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22,64}$")]
    username: Annotated[str, StringConstraints(max_length=64)]


class SessionTarget(Closed):
    """The desktop of a session, reached by the relay in its server."""

    kind: Literal["session"] = "session"
    launch_id: LaunchId
    url: str = Field(
        description="Base URL of the session's own server, with its path, as the hub's proxy reaches it."
    )


class WorkstationTarget(Closed):
    """A workstation of the operator's settings."""

    kind: Literal["workstation"] = "workstation"
    name: str


class Decision(Closed):
    """What a connection may do from now on.

    Without ``may_stay`` it is closed with ``status`` (a Guacamole status code) and ``text`` (for the person).
    """

    may_stay: bool
    role: Role = Role.VIEWER
    has_control: bool = False
    may_copy: bool = Field(default=True, description="Whether the desktop's clipboard reaches the browser.")
    may_transfer: bool = Field(default=False, description="Whether files may be brought in and taken out.")
    until: datetime | None = Field(default=None, description="When the session ends, as known now.")
    status: int = 0x0303
    text: str = ""


class Admission(Closed):
    """Answer to a redeemed ticket: one connection, and what it may do."""

    connection: ConnectionId
    desktop: DesktopId
    target: Annotated[SessionTarget | WorkstationTarget, Field(discriminator="kind")]
    username: str
    display_name: str
    screen: int = Field(default=1, ge=1, le=2, description="Which of the person's windows it is.")
    decision: Decision


class ConnectionState(Closed):
    """One connection as the tunnel has it."""

    connection: ConnectionId
    last_input: datetime | None = Field(
        default=None, description="Last mouse, key or touch that was let through."
    )


class ReportBody(Closed):
    """All connections of a tunnel process; what is not in it has ended. ``tunnel`` is the process' life."""

    tunnel: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    connections: tuple[ConnectionState, ...] = Field(default=(), max_length=MOST_CONNECTIONS)


class ReportAnswer(Closed):
    """A decision for each reported connection. ``position`` is for the next wait for changes."""

    decisions: dict[ConnectionId, Decision]
    position: str
