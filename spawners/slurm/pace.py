"""How long to wait between two questions for all jobs. Pure.

SchedMD asks that nobody runs squeue in a loop (squeue(1), PERFORMANCE). So one question serves all
sessions, waits longer the longer nothing has changed, and longer than the scheduler needed to answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

_QUIET_SHARE = 0.1
"""Of the time that nothing has changed: a session that waited 100 s is seen to start within 10 s more."""

_DURATION_SHARE = 5
_JITTER = 0.1
_LEAST_GAP_S = 0.2
_PROBE_S = 2.0
"""During an outage, who waits for an answer makes for a question at most this often."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Periods by the cluster's settings, in seconds."""

    poll_s: float
    poll_idle_s: float

    def delay(self, *, is_changing: bool, quiet_s: float, took_s: float, failures: int) -> float:
        """Seconds until the next question.

        ``quiet_s`` is how long none of our jobs has changed, ``took_s`` what the last question took,
        ``failures`` how many in a row had no answer.
        """
        if failures:
            wanted = self.poll_s * 2.0 ** min(failures, 10)
        elif is_changing:
            wanted = max(self.poll_s, quiet_s * _QUIET_SHARE)
        else:
            wanted = self.poll_idle_s
        return min(max(wanted, _DURATION_SHARE * took_s), self.poll_idle_s)

    def gap(self, *, took_s: float, failures: int) -> float:
        """Least seconds between two questions, also for one who waits for an answer."""
        least = _PROBE_S if failures else _LEAST_GAP_S
        return min(max(min(least, self.poll_s), _DURATION_SHARE * took_s), self.poll_idle_s)

    def stale_after(self, delay_s: float, round_s: float) -> float:
        """Age in seconds at which an answer says nothing about now: two periods with their rounds."""
        return 2 * (max(delay_s, self.poll_s) + round_s)


def jittered(seconds: float) -> float:
    """A tenth more or less, so that several services do not ask in step."""
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
