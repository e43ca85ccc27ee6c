"""Who is told of a launch's progress, and what the time is."""

from __future__ import annotations

from datetime import UTC, datetime

from hub.database import Database
from hub.launch import store
from hub.launch.feed import OPERATORS_TOPIC, Feed, person_topic
from hub.launch.store import Launch


def utcnow() -> datetime:
    """Now, aware UTC."""
    return datetime.now(UTC)


class News:
    """Lines of progress, and waking those who read them."""

    def __init__(self, db: Database, feed: Feed) -> None:
        self._db = db
        self._feed = feed

    def tell(self, launch: Launch) -> None:
        """Wake all who follow a launch."""
        self._feed.notify(launch.id, person_topic(launch.username), OPERATORS_TOPIC)

    async def note(self, launch: Launch, step: str, message: str) -> None:
        """Add a line of progress and wake its readers."""
        await self._db.run(lambda s: store.add_event(s, launch.id, step, message, utcnow()))
        self.tell(launch)
