"""What the sharing API takes and answers; closed where input enters.

People are named by their username. A *member* is somebody to whom the owner gave a role; *people* are
the owner, the members and whoever is here.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from hub.desktop.models import DesktopId, Role

Username = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{0,31}$")]
GivenRole = Literal[Role.VIEWER, Role.CONTROL]
ItemId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class OwnerLeaves(StrEnum):
    """What others may do once the owner's last connection has ended.

    ``disconnect``: they are closed after a grace. ``lock``: they see, nobody types. ``stay``: they go on.
    """

    DISCONNECT = "disconnect"
    LOCK = "lock"
    STAY = "stay"


class Closed(BaseModel):
    """Base of all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NamedPerson(Closed):
    """A person by username, with the name that people read."""

    username: str
    name: str


class Me(Closed):
    """Who asks, and what they may do here."""

    username: str
    name: str
    role: Role | None = Field(description="Null at a desktop without a role of one's own.")
    has_control: bool = Field(description="Whether mouse and keyboard are theirs now.")
    may_copy: bool = Field(description="Whether the desktop's clipboard reaches them.")
    may_transfer: bool = Field(description="Whether they may bring files in and take them out.")
    may_manage: bool = Field(description="Whether they may give and take roles.")
    asked: Role | None = Field(description="What they have asked for and nobody has answered yet.")


class PersonHere(NamedPerson):
    """Somebody of the desktop."""

    role: Role
    is_here: bool = Field(description="Whether they have it open now.")
    has_control: bool


class MemberOut(NamedPerson):
    """Somebody to whom a role was given."""

    role: Role
    warning: str = Field(description="Proposal whose data they may not read themselves; empty if none.")


class RequestOut(NamedPerson):
    """Somebody who asks for a role."""

    id: ItemId
    role: Role
    warning: str = Field(description="As that of a member.")


class InvitationOut(Closed):
    """A one-use link that was made. Its token is shown once only, when it is made."""

    id: ItemId
    role: Role
    expires_at: datetime
    used_by: str | None


class DesktopState(Closed):
    """A desktop as one person sees it. Members, requests and invitations are told to who may manage."""

    desktop: DesktopId
    title: str
    kind: Literal["session", "workstation"]
    owner: NamedPerson | None = Field(description="Null at a workstation.")
    me: Me
    people: tuple[PersonHere, ...]
    members: tuple[MemberOut, ...]
    requests: tuple[RequestOut, ...]
    invitations: tuple[InvitationOut, ...]
    holder: str | None = Field(description="Username of whose mouse and keyboard pass; null: nobody's.")
    when_owner_leaves: OwnerLeaves
    until: datetime | None
    idle_ends_at: datetime | None = Field(
        default=None, description="Nobody uses it: it ends then unless somebody does."
    )
    has_picture: bool = Field(description="Whether there is a desktop to see, not JupyterLab alone.")
    lab_url: str | None = Field(description="Path of the session's JupyterLab, for those who may open it.")
    call_url: str | None
    screens: int = Field(description="Screens that a workstation shows side by side, of equal width; else 1.")
    unreadable_policy: Literal["warn", "forbid"]
    thumbnail_at: datetime | None


class TicketBody(Closed):
    """Which of the person's windows is to be opened."""

    screen: Annotated[int, Field(ge=1, le=2, strict=True)] = 1


class TicketOut(Closed):
    """A one-use ticket for the tunnel's WebSocket."""

    ticket: str
    expires_in_s: int
    tunnel: str = Field(description="Path of the tunnel; the ticket goes into its query.")


class MemberBody(Closed):
    """Give somebody a role, or another one than they have."""

    username: Username
    role: GivenRole
    confirm: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="Yes, although they may not read the session's data themselves."
    )


class RequestBody(Closed):
    """Ask for a role."""

    role: GivenRole = Role.VIEWER


class RequestMade(Closed):
    """Answer to who asks; the same whether the desktop exists or not."""

    detail: str


class AnswerBody(Closed):
    """The owner's answer to a request."""

    answer: Literal["viewer", "control", "refuse"]
    confirm: Annotated[bool, Field(strict=True)] = Field(default=False, description="As in `MemberBody`.")


class InvitationBody(Closed):
    """Make a one-use link."""

    role: GivenRole = Role.VIEWER
    hours: Annotated[int, Field(ge=1, le=168, strict=True)] = 24


class InvitationMade(Closed):
    """The link, shown once. Its token stands behind the ``#``, which browsers send to nobody."""

    id: ItemId
    url: str
    expires_at: datetime


class AcceptBody(Closed):
    """Token of an invitation."""

    token: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22,64}$")]


class Accepted(Closed):
    """Where the invitation leads. With ``waits`` the owner has to agree first."""

    desktop: DesktopId
    waits: bool


class ControlBody(Closed):
    """Who is to have control; null frees it."""

    to: Username | None


class PolicyBody(Closed):
    """What others may do while the owner is away."""

    when_owner_leaves: OwnerLeaves


class AuditLine(Closed):
    """One line of what happened at a desktop."""

    at: datetime
    actor: str
    what: str
    about: str
    detail: str


class AuditOut(Closed):
    """What happened at a desktop, newest first."""

    items: tuple[AuditLine, ...]


class PeopleOut(Closed):
    """People that the owner may want to invite."""

    items: tuple[NamedPerson, ...]
