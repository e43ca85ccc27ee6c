"""Wakes who follows a desktop, and tells the tunnel that decisions may have changed."""

from __future__ import annotations

import asyncio
import secrets

from hub.launch.feed import Feed, person_topic, wait_for_news

_ALL = "desktops"


def desktop_topic(desktop: str) -> str:
    """Topic of one desktop in the feed."""
    return f"desktop:{desktop}"


class Bell:
    """News of sharing, over the service's feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._told = 0
        self._life = secrets.token_hex(4)

    @property
    def position(self) -> str:
        """How far the news is; another text once there is more, or after a restart."""
        return f"{self._life}-{self._told}"

    def tell(self, desktop: str, *usernames: str | None) -> None:
        """Something of a desktop changed; also on the pages of the people named."""
        self._told += 1
        self._feed.notify(desktop_topic(desktop), _ALL, *(person_topic(u) for u in usernames if u))

    async def wait(self, position: str, timeout_s: float) -> str:
        """The position once it is another one than ``position``, or after ``timeout_s`` seconds."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        with self._feed.listen(_ALL) as news:
            while self.position == position:
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0 or not await wait_for_news(news, left):
                    break
        return self.position
