"""The small picture on a session's card: sent by the page of somebody with control, seen by its people.

None is kept of a workstation: people change with the beamtime, and the next team would see the last one's.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from hub.identity.models import Person
from hub.launch.news import utcnow
from hub.sharing import refusals, store
from hub.sharing.limits import THUMBNAILS
from hub.sharing.parts import Parts
from hub.sharing.rules import may_use

MOST_BYTES = 64 * 1024
_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
"""First and last bytes of a JPEG (ISO/IEC 10918-1, SOI with the next marker's first byte, and EOI)."""


class Thumbnails:
    """Keeps one picture for each desktop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def put(self, person: Person, desktop_id: str, picture: bytes) -> None:
        """Keep a picture in place of the last one.

        Raises
        ------
        RequestError
            ``role_too_low`` for viewers and who is not here, ``no_thumbnail`` at a workstation,
            ``not_a_thumbnail``, ``too_often``.
        """
        scene = await self._parts.rooms.enter(desktop_id, person)
        if not may_use(scene.role(person)) or person.username not in scene.room.here:
            raise refusals.needs_control_role()
        if scene.desktop.kind == "workstation":
            raise refusals.no_thumbnail()
        if len(picture) > MOST_BYTES:
            raise refusals.not_a_thumbnail(f"It has {len(picture)} bytes.")
        if not (picture.startswith(_START) and picture.endswith(_END)):
            raise refusals.not_a_thumbnail("It is no JPEG.")
        self._parts.limits.check(THUMBNAILS, person.username)

        def unit(session: Session) -> None:
            now = utcnow()
            self._parts.rooms.again(session, scene, now)
            store.change(session, desktop_id, thumbnail=picture, thumbnail_at=now)

        await self._parts.db.run(unit)

    async def get(self, person: Person, desktop_id: str) -> bytes:
        """The picture.

        Raises
        ------
        RequestError
            ``desktop_not_found`` for who is nobody there, ``no_thumbnail``.
        """
        await self._parts.rooms.enter(desktop_id, person)
        picture = await self._parts.db.run(lambda s: store.thumbnail(s, desktop_id))
        if picture is None:
            raise refusals.no_thumbnail()
        return picture
