"""A transport that answers from a script: by method a list of answers, of which the last one stays.

An answer is a value, an exception to raise, or a function of the call's arguments. Every call is kept.
A method without a script is one that must not be called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from spawners.slurm.models import (
    AccountedJob,
    Association,
    Job,
    JobSpec,
    Node,
    Partition,
    Qos,
    Reservation,
)
from spawners.slurm.pace import Pace
from tests.support.slurm_models import node, snapshot

WORLD = snapshot(node("cpu1", address="10.0.0.1"), node("cpu2", address="10.0.0.2"))


class QuickPace(Pace):
    """Quicker than a site may set; an answer is not stale at once on a busy machine."""

    def stale_after(self, delay_s: float, round_s: float) -> float:
        """A second."""
        return 1.0


QUICK = QuickPace(poll_s=0.02, poll_idle_s=0.05)


class Scripted:
    """Implements `spawners.slurm.transport.Transport`."""

    def __init__(self, **script: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.script: dict[str, list[Any]] = {
            "jobs": [()],
            "nodes": [WORLD.nodes],
            "partitions": [WORLD.partitions],
            "reservations": [()],
            "associations": [()],
            "qos": [()],
        }
        for method, answers in script.items():
            self.say(method, *answers)

    def say(self, method: str, *answers: Any) -> None:
        """Answer so from now on; the last answer stays."""
        self.script[method] = list(answers)

    def count(self, method: str) -> int:
        """How often a method was called."""
        return sum(call[0] == method for call in self.calls)

    async def _next(self, method: str, *arguments: Any) -> Any:
        self.calls.append((method, *arguments))
        answers = self.script.get(method)
        assert answers, f"{method}{arguments} was not expected"
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Callable):
            answer = answer(*arguments)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def submit(self, spec: JobSpec) -> int:
        return await self._next("submit", spec)

    async def cancel(self, job_id: int, *, user: str) -> None:
        await self._next("cancel", job_id, user)

    async def set_time_limit(self, job_id: int, limit: timedelta) -> None:
        await self._next("set_time_limit", job_id, limit)

    async def jobs(self) -> tuple[Job, ...]:
        return await self._next("jobs")

    async def nodes(self) -> tuple[Node, ...]:
        return await self._next("nodes")

    async def partitions(self) -> tuple[Partition, ...]:
        return await self._next("partitions")

    async def reservations(self) -> tuple[Reservation, ...]:
        return await self._next("reservations")

    async def associations(self) -> tuple[Association, ...]:
        return await self._next("associations")

    async def qos(self) -> tuple[Qos, ...]:
        return await self._next("qos")

    async def accounted(self, job_ids: Collection[int]) -> tuple[AccountedJob, ...]:
        return await self._next("accounted", tuple(job_ids))

    async def accounted_since(self, since: datetime) -> tuple[AccountedJob, ...]:
        return await self._next("accounted_since", since)

    async def expected_start(self, spec: JobSpec) -> datetime | None:
        return await self._next("expected_start", spec)

    async def ping(self) -> None:
        await self._next("ping")

    async def aclose(self) -> None:
        self.calls.append(("aclose",))


def now() -> datetime:
    """Now, aware UTC, as the watcher sees it."""
    return datetime.now(UTC)
