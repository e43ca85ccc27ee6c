"""How often one user's tokens may be asked for: a bucket for each, refilled evenly."""

from __future__ import annotations

_MOST_USERS = 10_000


class RateLimit:
    """Allows ``per_minute`` at once, and then as many each minute."""

    def __init__(self, per_minute: int) -> None:
        self._size = float(per_minute)
        self._left: dict[str, tuple[float, float]] = {}

    def allows(self, user: str, now: float) -> bool:
        """Take one from the user's bucket at a time in seconds; False if it is empty."""
        left, at = self._left.pop(user, (self._size, now))
        left = min(self._size, left + max(0.0, now - at) * self._size / 60)
        # Put back at the end: the first of the dict is the one that was not asked for longest.
        self._left[user] = (left - 1, now) if left >= 1 else (left, now)
        if len(self._left) > _MOST_USERS:
            del self._left[next(iter(self._left))]
        return left >= 1
