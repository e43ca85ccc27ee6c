"""Ways to a session in a scheduler's hands: what ``slurm-start`` and ``kubernetes-start`` share.

Each way is asked for a session, looked at until its server answers, and asked to end it.
"""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx

from hub.settings import SERVICE_PREFIX
from tests.bench.harness import Row, at_most, in_turns, percentile
from tests.support.bench_stock import StockHub
from tests.support.platform import Platform, wait_until

TIMEOUT_S = 120.0


class Way(ABC):
    """One way to a session. ``seconds`` of each round; ``clear`` waits until nothing of one is left."""

    def __init__(self, clear: Callable[[], None]) -> None:
        self.seconds: list[float] = []
        self.client = httpx.Client(timeout=30, trust_env=False)
        self._clear = clear

    def round(self, *, counts: bool) -> None:
        """Start a session, end it, and wait until the cluster is as it was."""
        began = time.perf_counter()
        self.click()
        wait_until(self._answers, f"{type(self).__name__} does not answer", TIMEOUT_S)
        if counts:
            self.seconds.append(time.perf_counter() - began)
        self.end()
        self._clear()

    def _answers(self) -> bool:
        """Whether it answers; until it has a route, each look costs its hub some milliseconds."""
        url = self.url()
        try:
            return url is not None and self.client.get(f"{url}api").status_code == 200
        except httpx.HTTPError:
            return False

    @abstractmethod
    def click(self) -> None:
        """Ask for a session."""

    @abstractmethod
    def url(self) -> str | None:
        """Its address, once that is known."""

    @abstractmethod
    def end(self) -> None:
        """End the session."""


class Ours(Way):
    """A session of the platform, asked for by its API."""

    def __init__(self, clear: Callable[[], None], platform: Platform, person: str, place: str) -> None:
        super().__init__(clear)
        self._url = platform.url
        self._place = place
        self._visitor = platform.sign_in(person)
        self._headers = {"Authorization": f"token {self._visitor.token}"}
        self._launch: dict[str, Any] = {}

    def click(self) -> None:
        """POST the launch."""
        url = f"{self._url}{SERVICE_PREFIX}/api/v1/launches"
        reply = self.client.post(url, headers=self._headers, json={"place": self._place})
        self._launch = reply.raise_for_status().json()

    def url(self) -> str:
        """Behind the proxy."""
        return f"{self._url}/user/{self._visitor.username}/{self._launch['server_name']}/"

    def end(self) -> None:
        """Stop it."""
        self._visitor.api("DELETE", f"/launches/{self._launch['id']}")
        self._visitor.wait_for(self._launch["id"], "ended")


class Peer(Way):
    """A named server of a plain JupyterHub, asked for by its REST API."""

    def __init__(self, clear: Callable[[], None], hub: StockHub, person: str) -> None:
        super().__init__(clear)
        self._url = f"{hub.url}/user/{person}/one/"
        self._servers = httpx.Client(
            base_url=f"{hub.api_url}/users/{person}", headers=hub.headers, timeout=TIMEOUT_S, trust_env=False
        )
        self._thread = ThreadPoolExecutor(1)
        self._starting: Future[httpx.Response] | None = None

    def click(self) -> None:
        """POST the server; the hub answers once it runs, so that is not waited for here."""
        self._starting = self._thread.submit(self._servers.post, "/servers/one")

    def url(self) -> str:
        """Behind the proxy."""
        return self._url

    def end(self) -> None:
        """Stop it."""
        assert self._starting is not None
        self._starting.result().raise_for_status()
        wait_until(
            lambda: self._servers.delete("/servers/one").status_code in {204, 404},
            "the server does not end",
            TIMEOUT_S,
        )


def measure(
    ways: Sequence[Way],
    rounds: int,
    *,
    peer: str,
    floor: str,
    goal_floor: float,
    goal_peer: float | None = None,
) -> list[Row]:
    """Rows of ours, the peer and the floor, measured in turns."""
    for number in in_turns(ways, rounds):
        print(number, *(f"{way.seconds[-1]:.2f}" for way in ways if way.seconds), flush=True)
    ours, theirs, bare = (way.seconds for way in ways)
    beside = ((floor, bare, goal_floor), (peer, theirs, goal_peer))
    kinds: dict[str, Callable[[list[float]], float]] = {
        "median": statistics.median,
        "p90": lambda of: percentile(of, 90),
        "fastest": min,
    }
    return [
        at_most(
            f"answers, {what}",
            "s",
            of(ours),
            peer=(name, of(seconds)),
            goal_ratio=goal if what == "median" else None,
        )
        for what, of in kinds.items()
        for name, seconds, goal in beside
    ]
