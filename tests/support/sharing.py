"""Sharing on a database of its own, with desktops that a test declares and a hub that takes note."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from hub.database import Database, sqlite_url
from hub.desktop.models import (
    Admission,
    ConnectionState,
    Decision,
    RedeemBody,
    ReportBody,
    Role,
    SessionTarget,
    WorkstationTarget,
)
from hub.desktop.settings import DesktopSettings
from hub.identity import persons
from hub.identity.models import Person
from hub.identity.persons import PersonRow
from hub.launch.feed import Feed
from hub.launch.hubclient import HubAnswer, HubReply
from hub.launch.news import utcnow
from hub.migrate import upgrade
from hub.problems import RequestError
from hub.sharing.directory import Desktop
from hub.sharing.models import MemberBody
from hub.sharing.schema import AuditRow, ConnectionRow
from hub.sharing.service import Sharing

SESSION = "0123456789abcdef"
OTHER = "fedcba9876543210"
STATION = "ws-id22-control"
TUNNEL = "a" * 16
PEOPLE = ("olive", "vera", "carl", "nora", "sam")
"""Owner, viewer, somebody with control, nobody, an operator."""


class Desktops:
    """A directory that a test fills: a session of olive's and a workstation whose staff is olive too."""

    def __init__(self, owner: Person) -> None:
        target = SessionTarget(launch_id=SESSION, url="http://node:40001/user/olive/work/")  # type: ignore[arg-type]
        session = Desktop(
            SESSION, "Work", "session", owner, target, investigations=("ma1",), server_name="work"
        )
        station = Desktop(STATION, "Control", "workstation", None, WorkstationTarget(name="id22-control"))
        self.all = {SESSION: session, STATION: station, OTHER: replace(session, id=OTHER)}
        self.staff = {"olive"}
        self.team: set[str] = set()
        self.outsiders: set[str] = set()
        self.is_silent = False

    async def find(self, desktop_id: str) -> Desktop | None:
        """As `DesktopDirectory.find`."""
        return self.all.get(desktop_id)

    async def role_of(self, person: Person, desktop: Desktop, now: datetime) -> Role | None:
        """As `DesktopDirectory.role_of`."""
        if desktop.owner is not None:
            return Role.OWNER if desktop.owner.id == person.id else None
        if self.is_silent:
            raise _unavailable()
        if person.username in self.staff:
            return Role.OWNER
        return Role.CONTROL if person.username in self.team else None

    async def unreadable(self, person: Person, desktop: Desktop) -> str:
        """As `DesktopDirectory.unreadable`."""
        if self.is_silent:
            raise _unavailable()
        return "ma1" if person.username in self.outsiders else ""

    def change(self, desktop_id: str, **changes: Any) -> None:
        """Let a desktop be otherwise."""
        self.all[desktop_id] = replace(self.all[desktop_id], **changes)


class NotingHub:
    """Takes note of shares; ``answer`` is what it says."""

    def __init__(self) -> None:
        self.answer = HubAnswer.DONE
        self.shared: set[tuple[str, str, str]] = set()
        self.calls = 0

    async def share_server(self, owner: str, server_name: str, username: str) -> HubReply:
        """As `HubClient.share_server`."""
        self.calls += 1
        if self.answer is HubAnswer.DONE:
            self.shared.add((owner, server_name, username))
        return HubReply(self.answer, 200)

    async def unshare_server(self, owner: str, server_name: str, username: str) -> HubReply:
        """As `HubClient.unshare_server`."""
        self.calls += 1
        if self.answer is HubAnswer.DONE:
            self.shared.discard((owner, server_name, username))
        return HubReply(self.answer, 200)


class NoCatalogue:
    """A catalogue without an investigation."""

    async def investigation(self, ref: str) -> None:
        """None."""

    async def proposal(self, name: str) -> tuple[()]:
        """None."""
        return ()


class Site:
    """Sharing with its parts, and what people and the tunnel do with it."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        url = sqlite_url(folder / "panhub.sqlite")
        if not (folder / "panhub.sqlite").exists():
            upgrade(url)
        self.db = Database(url)
        self.db._threads.submit(lambda: None).result()
        self.people = {name: self._person(name) for name in PEOPLE}
        self.desktops = Desktops(self.people["olive"])
        self.hub = NotingHub()
        self.sharing = self.life(rules)
        self.connections: dict[str, str] = {}
        """Username by connection that the tunnel has."""

    def life(self, rules: Mapping[str, Any]) -> Sharing:
        """One life of the service; another one on the same database is the next."""
        settings = DesktopSettings.model_validate(
            {"secret_file": "/s", "service_token_file": "/t", "key_file": "/k", "sharing": rules}
        )
        return Sharing(
            db=self.db,
            feed=Feed(),
            hub=self.hub,  # type: ignore[arg-type]  # the same two calls
            catalogue=NoCatalogue(),  # type: ignore[arg-type]  # the same two calls
            directories=[self.desktops],
            settings=settings,
            invitation_page="https://hub.example/services/panhub/invitations",
            recheck_s=300,
        )

    def _person(self, username: str) -> Person:
        now = utcnow()
        roles = ["operator"] if username == "sam" else []

        def add(session: Any) -> Person:
            session.add(
                PersonRow(
                    issuer="https://idp", subject=username, username=username, user_id=username,
                    display_name=username.title(), groups=[], roles=roles, posix={},
                    first_seen=now, last_seen=now,
                )
            )  # fmt: skip
            session.flush()
            found = persons.by_username(session, username)
            assert found is not None
            return found

        return self.db.run_now(add)

    async def aclose(self) -> None:
        """Release the database."""
        await self.sharing.aclose()
        self.db.close()

    # --- people -----------------------------------------------------------------------------------

    async def give(
        self, username: str, role: Role, desktop: str = SESSION, *, by: str = "olive", confirm: bool = False
    ) -> None:
        """The owner gives a role."""
        body = MemberBody(username=username, role=role, confirm=confirm)  # type: ignore[arg-type]
        await self.sharing.members.give(self.people[by], desktop, body)

    async def ticket(self, username: str, desktop: str = SESSION) -> str:
        """A person's page asks for a ticket."""
        return (await self.sharing.doors.ticket(self.people[username], desktop, 1)).ticket

    async def join(self, username: str, desktop: str = SESSION) -> Admission:
        """A person connects."""
        body = RedeemBody(ticket=await self.ticket(username, desktop), username=username)
        admission = await self.sharing.doors.redeem(body)
        self.connections[admission.connection] = username
        return admission

    async def leave(self, *usernames: str) -> None:
        """Windows are closed; the tunnel reports what it has left."""
        self.connections = {c: u for c, u in self.connections.items() if u not in usernames}
        await self.report()

    async def report(self, tunnel: str = TUNNEL) -> dict[str, Decision]:
        """The tunnel reports; decisions by username. What may not stay is closed."""
        states = tuple(ConnectionState(connection=one) for one in self.connections)
        answer = await self.sharing.doors.report(ReportBody(tunnel=tunnel, connections=states))
        found = {self.connections[one]: decision for one, decision in answer.decisions.items()}
        self.connections = {c: u for c, u in self.connections.items() if answer.decisions[c].may_stay}
        return found

    async def holder(self, desktop: str = SESSION) -> str | None:
        """Who has control, as the owner sees it."""
        return (await self.sharing.views.state(self.people["olive"], desktop)).holder

    async def hand(self, actor: str, to: str | None, desktop: str = SESSION) -> None:
        """Somebody gives control to somebody."""
        await self.sharing.control.hand(self.people[actor], desktop, to)

    # --- time and record --------------------------------------------------------------------------

    def later(self, by: timedelta) -> None:
        """Let everything that happened with connections have happened earlier, but for reports."""

        def shift(session: Any) -> None:
            for row in session.scalars(select(ConnectionRow)):
                if row.ended_at is not None:
                    row.ended_at -= by

        self.db.run_now(shift)

    def silence(self, by: timedelta) -> None:
        """Let no tunnel have reported anything for a time."""

        def shift(session: Any) -> None:
            session.execute(update(ConnectionRow).values(seen_at=utcnow() - by))

        self.db.run_now(shift)

    def audit(self, desktop: str = SESSION) -> list[tuple[str, str, str]]:
        """(actor, what, about) of all that was recorded, oldest first."""
        rows = self.db.run_now(
            lambda s: s.scalars(
                select(AuditRow).where(AuditRow.desktop == desktop).order_by(AuditRow.id)
            ).all()
        )
        return [(row.actor, row.what, row.about) for row in rows]

    def block(self, username: str) -> None:
        """An operator blocks a person."""
        self.db.run_now(
            lambda s: persons.set_blocked(
                s, username=username, is_blocked=True, by="sam", reason="test", now=utcnow()
            )
        )


def _unavailable() -> RequestError:
    from hub.access.cache import catalogue_unavailable

    return catalogue_unavailable()
