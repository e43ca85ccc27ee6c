"""Tables of sharing: who was given what, who is here, and an append-only record of it all.

``desktop`` is a launch id or ``ws-<name>`` everywhere, without a foreign key: workstations are no launches.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from hub.database import HubBase, UtcTime

_DESKTOP = String(48)
_USERNAME = String(32)
_ROLE = String(8)
_SERIAL = BigInteger().with_variant(Integer(), "sqlite")
_IS_OPEN = text("state = 'open'")


class DesktopRow(HubBase):
    """State of one desktop: made with its first member, ticket or change of policy."""

    __tablename__ = "desktops"

    desktop: Mapped[str] = mapped_column(_DESKTOP, primary_key=True)
    holder: Mapped[str | None] = mapped_column(_USERNAME)
    when_owner_leaves: Mapped[str] = mapped_column(String(12))
    closed_until: Mapped[datetime | None] = mapped_column(UtcTime)
    thumbnail: Mapped[bytes | None] = mapped_column(LargeBinary)
    thumbnail_at: Mapped[datetime | None] = mapped_column(UtcTime)


class MemberRow(HubBase):
    """A role given to one person; ``revoked_at`` ends it. ``warning`` is the proposal they may not read."""

    __tablename__ = "desktop_members"

    desktop: Mapped[str] = mapped_column(_DESKTOP, primary_key=True)
    username: Mapped[str] = mapped_column(_USERNAME, primary_key=True)
    role: Mapped[str] = mapped_column(_ROLE)
    granted_by: Mapped[str] = mapped_column(_USERNAME)
    at: Mapped[datetime] = mapped_column(UtcTime)
    until: Mapped[datetime | None] = mapped_column(UtcTime)
    warning: Mapped[str] = mapped_column(String(64), default="")
    revoked_at: Mapped[datetime | None] = mapped_column(UtcTime)


class AskRow(HubBase):
    """A request for a role: ``state`` is ``open``, ``granted`` or ``refused``; each person has one open."""

    __tablename__ = "desktop_requests"
    __table_args__ = (
        Index(
            "uq_desktop_requests_open",
            "desktop",
            "username",
            unique=True,
            sqlite_where=_IS_OPEN,
            postgresql_where=_IS_OPEN,
        ),
    )

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    desktop: Mapped[str] = mapped_column(_DESKTOP)
    username: Mapped[str] = mapped_column(_USERNAME)
    role: Mapped[str] = mapped_column(_ROLE)
    state: Mapped[str] = mapped_column(String(8))
    warning: Mapped[str] = mapped_column(String(64), default="")
    at: Mapped[datetime] = mapped_column(UtcTime)
    answered_by: Mapped[str | None] = mapped_column(_USERNAME)
    answered_at: Mapped[datetime | None] = mapped_column(UtcTime)


class InvitationRow(HubBase):
    """A link for one person; of its token only the SHA-256 is kept."""

    __tablename__ = "desktop_invitations"
    __table_args__ = (Index("ix_desktop_invitations_desktop", "desktop"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    desktop: Mapped[str] = mapped_column(_DESKTOP)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(_ROLE)
    made_by: Mapped[str] = mapped_column(_USERNAME)
    at: Mapped[datetime] = mapped_column(UtcTime)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)
    used_by: Mapped[str | None] = mapped_column(_USERNAME)
    used_at: Mapped[datetime | None] = mapped_column(UtcTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcTime)


class TicketRow(HubBase):
    """The right to open one window, once, within seconds; deleted by its use."""

    __tablename__ = "desktop_tickets"
    __table_args__ = (Index("ix_desktop_tickets_expires_at", "expires_at"),)

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    desktop: Mapped[str] = mapped_column(_DESKTOP)
    username: Mapped[str] = mapped_column(_USERNAME)
    screen: Mapped[int]
    role: Mapped[str] = mapped_column(_ROLE)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)


class ConnectionRow(HubBase):
    """One window of one person. ``tunnel`` is the life of the process that reported it last."""

    __tablename__ = "desktop_connections"
    __table_args__ = (
        Index("ix_desktop_connections_desktop", "desktop"),
        Index("ix_desktop_connections_ended_at", "ended_at"),
    )

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    desktop: Mapped[str] = mapped_column(_DESKTOP)
    username: Mapped[str] = mapped_column(_USERNAME)
    screen: Mapped[int]
    role: Mapped[str] = mapped_column(_ROLE)
    tunnel: Mapped[str | None] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(UtcTime)
    seen_at: Mapped[datetime] = mapped_column(UtcTime)
    last_input: Mapped[datetime | None] = mapped_column(UtcTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)


class LabShareRow(HubBase):
    """A share of a session's server at the hub: what is wanted, and whether the hub has it so."""

    __tablename__ = "desktop_lab_shares"
    __table_args__ = (Index("ix_desktop_lab_shares_is_done", "is_done"),)

    desktop: Mapped[str] = mapped_column(_DESKTOP, primary_key=True)
    username: Mapped[str] = mapped_column(_USERNAME, primary_key=True)
    owner: Mapped[str] = mapped_column(_USERNAME)
    server_name: Mapped[str] = mapped_column(String(30))
    is_wanted: Mapped[bool]
    is_done: Mapped[bool]


class AuditRow(HubBase):
    """One line of what happened. The database itself refuses to change or delete it."""

    __tablename__ = "desktop_audit"
    __table_args__ = (Index("ix_desktop_audit_desktop_id", "desktop", "id"),)

    id: Mapped[int] = mapped_column(_SERIAL, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcTime)
    actor: Mapped[str] = mapped_column(_USERNAME)
    desktop: Mapped[str] = mapped_column(_DESKTOP)
    what: Mapped[str] = mapped_column(String(16))
    about: Mapped[str] = mapped_column(_USERNAME, default="")
    detail: Mapped[str] = mapped_column(String(200), default="")
