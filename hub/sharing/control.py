"""Whose mouse and keyboard pass, what holds while the owner is away, and the end for everybody else."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session

from hub.desktop.models import Role
from hub.identity.models import Person
from hub.launch.news import utcnow
from hub.sharing import refusals, store, trail
from hub.sharing.models import OwnerLeaves
from hub.sharing.parts import Parts
from hub.sharing.rules import control_refusal, holder_now
from hub.sharing.trail import Trail, What

CLOSED_FOR = timedelta(minutes=10)
"""Pages reconnect by themselves: others stay out for long enough to do what needed them out."""


class Control:
    """Hands control over, sets the policy, ends it for others."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def hand(self, actor: Person, desktop_id: str, to: str | None) -> None:
        """Give control to somebody (oneself too), or free it with None.

        Raises
        ------
        RequestError
            ``control_not_yours``, ``control_needs_role``, ``control_not_here``, ``control_taken`` or
            ``desktop_locked``.
        """
        scene = await self._parts.rooms.enter(desktop_id, actor)

        def unit(session: Session, trail: Trail) -> bool:
            now = utcnow()
            room = self._parts.rooms.again(session, scene, now)
            code = control_refusal(room, actor.username, to, now)
            if code is not None:
                raise refusals.control(code)
            if holder_now(room, now) == to and (to is not None or room.holder is None):
                return False
            store.change(session, desktop_id, holder=to)
            if to is not None:
                # Who asked for it has it now.
                store.close_asks(session, desktop_id, to, state="granted", by=actor.username, now=now)
            trail.add(actor.username, desktop_id, What.CONTROL, to or "")
            return True

        if await trail.run(self._parts.db, unit):
            self._parts.bell.tell(desktop_id)

    async def set_policy(self, actor: Person, desktop_id: str, policy: OwnerLeaves) -> None:
        """Say what others may do while the owner is away.

        Raises
        ------
        RequestError
            ``no_owner_to_leave`` at a workstation.
        """
        scene = await self._parts.enter_as_owner(desktop_id, actor)
        if scene.owner is None:
            raise refusals.no_owner_to_leave()

        def unit(session: Session, trail: Trail) -> bool:
            room = self._parts.rooms.again(session, scene, utcnow())
            if room.policy is policy:
                return False
            store.change(session, desktop_id, when_owner_leaves=policy.value)
            trail.add(actor.username, desktop_id, What.POLICY, detail=policy.value)
            return True

        if await trail.run(self._parts.db, unit):
            self._parts.bell.tell(desktop_id)

    async def end(self, actor: Person, desktop_id: str) -> None:
        """End it at once for all who are not owners, and take control.

        At a workstation operators may, too, who see nothing of it.

        Raises
        ------
        RequestError
            As `Parts.enter_as_owner`.
        """
        scene = await self._parts.rooms.look(desktop_id) if actor.is_operator else None
        if scene is None or scene.owner is not None:
            scene = await self._parts.enter_as_owner(desktop_id, actor)

        def unit(session: Session, trail: Trail) -> None:
            now = utcnow()
            room = self._parts.rooms.again(session, scene, now)
            others = [name for name in room.here if room.roles.get(name) is not Role.OWNER]
            holder = actor.username if actor.username in room.here else scene.owner
            store.change(session, desktop_id, holder=holder, closed_until=now + CLOSED_FOR)
            trail.add(actor.username, desktop_id, What.END, detail=f"{len(others)} put out")
            self._parts.put_out(session, desktop_id, others, trail, now, "ended for all others")

        await trail.run(self._parts.db, unit)
        self._parts.bell.tell(desktop_id)
