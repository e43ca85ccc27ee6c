"""How often one person may ask for something: a sliding window in memory.

One engine runs at a time, and its restart forgives.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from hub.sharing import refusals

_MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``most`` times in ``seconds``."""

    most: int
    seconds: float


TICKETS = Rate(30, 60)
"""A page that reconnects by itself, with two windows, stays far below it."""

REQUESTS = Rate(6, 300)
"""Each may appear on somebody's screen."""

INVITATIONS = Rate(20, 300)
THUMBNAILS = Rate(12, 60)


class Limits:
    """Counts by kind and person."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: OrderedDict[tuple[Rate, str], deque[float]] = OrderedDict()

    def check(self, rate: Rate, who: str) -> None:
        """Count one.

        Raises
        ------
        RequestError
            ``too_often`` (429) above the rate; what is refused does not count.
        """
        now = self._clock()
        times = self._times.setdefault((rate, who), deque())
        self._times.move_to_end((rate, who))
        while times and times[0] <= now - rate.seconds:
            times.popleft()
        if len(times) >= rate.most:
            raise refusals.too_often(ceil(times[0] + rate.seconds - now))
        times.append(now)
        if len(self._times) > _MOST_KEYS:
            self._times.popitem(last=False)
