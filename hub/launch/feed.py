"""Who waits for news of a launch, within this process.

The news itself is in the database; the feed only wakes those who would read it. A waiter that
misses a wake-up loses nothing: it reads from the last number it has seen.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Feed:
    """Wakes waiters by topic; topics are launch ids and ``person:<username>``."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._told: dict[str, int] = defaultdict(int)
        self._life = secrets.token_hex(4)

    def position(self, username: str) -> str:
        """How far the news of a person is; another text once there is more, or after a restart."""
        return f"{self._life}-{self._told.get(person_topic(username), 0)}"

    @contextmanager
    def listen(self, *topics: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever one of the topics has news."""
        event = asyncio.Event()
        for topic in topics:
            self._waiters[topic].add(event)
        try:
            yield event
        finally:
            for topic in topics:
                self._waiters[topic].discard(event)
                if not self._waiters[topic]:
                    del self._waiters[topic]

    def notify(self, *topics: str) -> None:
        """Wake all who listen to one of the topics."""
        for topic in topics:
            if topic.startswith(_PERSON):
                self._told[topic] += 1
            for event in self._waiters.get(topic, ()):
                event.set()


_PERSON = "person:"


def person_topic(username: str) -> str:
    """Topic of all that concerns one person."""
    return f"{_PERSON}{username}"


OPERATORS_TOPIC = "operators"
"""Topic of all launches, for the operators' pages."""


async def wait_for_news(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait until the event is set, then clear it; False if nothing came in time."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return False
    event.clear()
    return True
