"""JupyterLab for those who have control: shares of a session's server at the hub.

The table says what is wanted; the hub is told in the background, again and again until it says yes. A
share lets a person act as the session's owner, so the hub is told of one that is taken back at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hub.database import Database
from hub.desktop.models import Role
from hub.launch.hubclient import HubAnswer, HubClient
from hub.sharing.directory import Desktop
from hub.sharing.schema import LabShareRow

log = logging.getLogger(__name__)

_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class LabShare:
    """A share as it is wanted."""

    desktop: str
    username: str
    owner: str
    server_name: str
    is_wanted: bool


def want(session: Session, desktop: Desktop, username: str, role: Role | None) -> None:
    """Want a share for who has control, and none for others; nothing for workstations."""
    if desktop.owner is None or not desktop.server_name:
        return
    is_wanted = role is Role.CONTROL
    row = session.get(LabShareRow, (desktop.id, username))
    if row is None:
        if not is_wanted:
            return
        row = LabShareRow(
            desktop=desktop.id,
            username=username,
            owner=desktop.owner.username,
            server_name=desktop.server_name,
            is_wanted=False,
            is_done=True,
        )
        session.add(row)
    if row.is_wanted != is_wanted:
        row.is_wanted, row.is_done = is_wanted, False


def end(session: Session, alive: Collection[str]) -> None:
    """Take back the shares of all sessions that are not alive."""
    wanted = select(LabShareRow.desktop).where(LabShareRow.is_wanted).distinct()
    for desktop in session.scalars(wanted).all():
        if desktop not in alive:
            session.execute(
                update(LabShareRow)
                .where(LabShareRow.desktop == desktop, LabShareRow.is_wanted)
                .values(is_wanted=False, is_done=False)
            )


def shared(session: Session) -> set[str]:
    """Desktops with shares that are wanted."""
    return set(session.scalars(select(LabShareRow.desktop).where(LabShareRow.is_wanted).distinct()))


def undone(session: Session) -> list[LabShare]:
    """What the hub was not told yet; what it shall take away comes first."""
    rows = session.scalars(
        select(LabShareRow)
        .where(LabShareRow.is_done.is_(False))
        .order_by(LabShareRow.is_wanted)
        .limit(_AT_ONCE)
    )
    return [LabShare(r.desktop, r.username, r.owner, r.server_name, r.is_wanted) for r in rows]


def _has_successor(session: Session, share: LabShare) -> bool:
    """Whether another session of the same server name shares with the same person."""
    query = select(LabShareRow.desktop).where(
        LabShareRow.owner == share.owner,
        LabShareRow.server_name == share.server_name,
        LabShareRow.username == share.username,
        LabShareRow.desktop != share.desktop,
        LabShareRow.is_wanted,
    )
    return session.scalar(query.limit(1)) is not None


def _done(session: Session, share: LabShare) -> None:
    session.execute(
        update(LabShareRow)
        .where(
            LabShareRow.desktop == share.desktop,
            LabShareRow.username == share.username,
            LabShareRow.is_wanted == share.is_wanted,
        )
        .values(is_done=True)
    )


class LabShares:
    """Brings the hub's shares into agreement with the table."""

    def __init__(self, db: Database, hub: HubClient) -> None:
        self._db = db
        self._hub = hub
        self._working = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def kick(self) -> None:
        """Tell the hub now, in the background."""
        if len(self._tasks) > 1:
            return  # one works, and one comes after it
        task = asyncio.create_task(self.work(), name="lab-shares")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def work(self) -> None:
        """Tell the hub all that it was not told; what it does not answer is left for the next time."""
        async with self._working:
            for share in await self._db.run(undone):
                answer = await self._tell(share)
                if answer is HubAnswer.DONE:
                    await self._db.run(lambda s, share=share: _done(s, share))  # type: ignore[misc]
                if answer is HubAnswer.UNKNOWN:
                    return  # the hub does not answer: the others can wait as well

    async def _tell(self, share: LabShare) -> HubAnswer:
        if share.is_wanted:
            reply = await self._hub.share_server(share.owner, share.server_name, share.username)
        elif await self._db.run(lambda s: _has_successor(s, share)):
            return HubAnswer.DONE
        else:
            reply = await self._hub.unshare_server(share.owner, share.server_name, share.username)
        if reply.answer is not HubAnswer.DONE:
            log.warning("The hub answered %s to a share of %s: %s", reply.status, share.desktop, reply.text)
        return reply.answer

    async def aclose(self) -> None:
        """Drop calls under way; the next life makes them again."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
