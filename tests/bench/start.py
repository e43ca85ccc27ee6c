"""How long from the click until JupyterLab answers, and what is that beside doing without us?

Four ways to a session in the same notebook environment, in turns:

* ours, as a person starts it: data, a template that fits, quota, a data view of its own;
* ours with nothing chosen;
* a JupyterHub with its own local spawner and the same proxy: no data, no view, no quota;
* ``jupyterhub-singleuser`` started by hand, where a hub for it runs already.

"Answers" is the session's own ``/api``, through the proxy where there is one; "JupyterLab" is the
page ``/lab`` with status 200, after the sign-in that the session asks for (by hand: with a token).
Processor time is of all processes of the platform and the session, from the click until it answers.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from hub.demo.configure import HOST, free_ports
from hub.demo.install import SESSION_ENVIRONMENT
from tests.bench.harness import Row, at_most, in_turns, percentile
from tests.support.bench_ours import unwatch
from tests.support.bench_processes import base_environment, status_of, tree_cpu_seconds
from tests.support.bench_stock import StockHub, server_prefix, stock_hub
from tests.support.demo_access import dataset
from tests.support.platform import Platform, Visitor

NAME = "start"

ROUNDS = 7
GOAL = 1.15
PEER = "JupyterHub, local spawner"
BY_HAND = "singleuser by hand"

_LOOK_S = 0.05
"""Until there is a route, each look costs the hub some milliseconds; half of it is in every time."""

_TIMEOUT_S = 60.0
_GRACE_S = 5.0
_USER = "bench"


@dataclass
class Measured:
    """Seconds of each round."""

    api_s: list[float] = field(default_factory=list)
    lab_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)


class Way(ABC):
    """One way to a session."""

    def __init__(self) -> None:
        self.measured = Measured()

    def round(self, *, counts: bool) -> None:
        """Start a session, look at it, and end it."""
        before = self.cpu_seconds()
        began = time.perf_counter()
        url = self.click()
        _until(lambda: self.answers(url), url)
        api_s = time.perf_counter() - began
        cpu_s = self.cpu_seconds() - before
        _until(lambda: self.lab_status(url) == 200, f"{url}lab")
        lab_s = time.perf_counter() - began
        self.end()
        if counts:
            self.measured.api_s.append(api_s)
            self.measured.lab_s.append(lab_s)
            self.measured.cpu_s.append(cpu_s)

    def answers(self, url: str) -> bool:
        """Whether the session itself answers, not a page about it."""
        return status_of(f"{url}api") == 200

    @abstractmethod
    def click(self) -> str:
        """Ask for a session; its address."""

    @abstractmethod
    def lab_status(self, url: str) -> int | None:
        """Status of JupyterLab's page for a person who is signed in."""

    @abstractmethod
    def cpu_seconds(self) -> float:
        """Processor time so far, of all that serves sessions and of those that run."""

    @abstractmethod
    def end(self) -> None:
        """End the session, and wait for it."""


class Ours(Way):
    """A session of the platform, asked for by its API."""

    def __init__(self, platform: Platform, visitor: Visitor, request: dict[str, Any]) -> None:
        super().__init__()
        self._platform = platform
        self._visitor = visitor
        self._request = request
        self._launch_id = ""

    def click(self) -> str:
        """POST the launch."""
        launch = self._visitor.launch(**self._request)
        self._launch_id = launch["id"]
        return f"{self._platform.url}/user/{self._visitor.username}/{launch['server_name']}/"

    def lab_status(self, url: str) -> int | None:
        """With the person's cookies."""
        return self._visitor.client.get(f"{url}lab").status_code

    def cpu_seconds(self) -> float:
        """All programs of the platform, and the session with its supervisor."""
        programs = [process.pid for process in self._platform.processes.values()]
        session = self._platform.session_processes(self._launch_id) if self._launch_id else []
        return tree_cpu_seconds([*programs, *session])

    def end(self) -> None:
        """Stop it."""
        self._visitor.api("DELETE", f"/launches/{self._launch_id}")
        self._visitor.wait_for(self._launch_id, "ended")
        self._launch_id = ""


class Stock(Way):
    """A named server of a plain JupyterHub, asked for by its REST API."""

    def __init__(self, hub: StockHub) -> None:
        super().__init__()
        self._hub = hub
        self._servers = httpx.Client(base_url=f"{hub.api_url}/users/{_USER}", headers=hub.headers, timeout=60)
        self._thread = ThreadPoolExecutor(1)
        self._browser = httpx.Client(base_url=hub.url, follow_redirects=True, timeout=60)
        page = self._browser.get("/hub/login")
        xsrf = re.search(r'name="_xsrf"\s+value="([^"]+)"', page.text)
        assert xsrf, page.text
        form = {"username": _USER, "password": hub.password, "_xsrf": xsrf[1]}
        # To a page that starts nothing.
        self._browser.post("/hub/login?next=%2Fhub%2Ftoken", data=form).raise_for_status()

    def click(self) -> str:
        """POST the server; the hub answers once it runs, so that is not waited for here."""
        self._starting = self._thread.submit(self._servers.post, "/servers/one")
        return f"{self._hub.url}/user/{_USER}/one/"

    def lab_status(self, url: str) -> int | None:
        """With the person's cookies."""
        return self._browser.get(f"{url}lab").status_code

    def cpu_seconds(self) -> float:
        """Proxy, hub, and the session below it."""
        return tree_cpu_seconds([self._hub.hub.pid, self._hub.proxy.pid])

    def end(self) -> None:
        """Stop it."""
        self._starting.result().raise_for_status()
        _until(lambda: self._servers.delete("/servers/one").status_code == 204, "the end of the server")


class ByHand(Way):
    """``jupyterhub-singleuser`` as a person would start it, with what the hub would tell it."""

    def __init__(self, hub: StockHub, folder: Path) -> None:
        super().__init__()
        self._hub = hub
        self._folder = folder
        folder.mkdir()
        self._token = hub.token_of(_USER)
        self._process: subprocess.Popen[bytes] | None = None

    def click(self) -> str:
        """Start the process."""
        origin = f"http://{HOST}:{free_ports().service}"
        environment = base_environment() | {
            "HOME": str(self._folder),
            "PATH": f"{SESSION_ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin",
            **self._hub.told(_USER, "hand", self._token, origin),
        }
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(SESSION_ENVIRONMENT / "bin/jupyterhub-singleuser"), "--allow-root"],
                env=environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # As from a terminal of its own: the kernel shares time between sessions.
                start_new_session=True,
            )
        return f"{origin}{server_prefix(_USER, 'hand')}"

    def lab_status(self, url: str) -> int | None:
        """With a token, which saves the way through the hub's pages."""
        return status_of(f"{url}lab", {"Authorization": f"token {self._token}"})

    def cpu_seconds(self) -> float:
        """The one process."""
        return tree_cpu_seconds([self._process.pid]) if self._process else 0.0

    def end(self) -> None:
        """Stop it; the server does not always hear the request when it is young."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def run() -> list[Row]:
    """Measure all ways in turns."""
    with _ways() as ways:
        for number in in_turns(ways, ROUNDS):
            print(number, *(f"{way.measured.api_s[-1]:.2f}" for way in ways if number), flush=True)
        person, plain, stock, by_hand = (way.measured for way in ways)
    return [
        *_rows("template and data", person, stock, by_hand),
        *_rows("nothing chosen", plain, stock, by_hand),
    ]


@contextmanager
def _ways() -> Iterator[list[Way]]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        platform = Platform(folder / "ours")
        unwatch(platform)
        stack.callback(platform.stop)
        platform.start()
        hub = stack.enter_context(stock_hub(folder / "stock", spawner="local"))
        visitor = platform.sign_in("maja")
        chosen = {"inputs": [dataset("ma5501")], "template": "auto"}
        stock = Stock(hub)
        by_hand = ByHand(hub, folder / "hand")
        stack.callback(by_hand.end)
        yield [
            Ours(platform, visitor, chosen),
            Ours(platform, visitor, {}),
            stock,
            by_hand,
        ]


def _rows(what: str, ours: Measured, stock: Measured, by_hand: Measured) -> list[Row]:
    median = statistics.median
    hub, hand = (PEER, median(stock.api_s)), (BY_HAND, median(by_hand.api_s))
    return [
        at_most(f"{what}: answers, median", "s", median(ours.api_s), peer=hub, goal_ratio=GOAL),
        at_most(
            f"{what}: answers, p95", "s", percentile(ours.api_s, 95), peer=(PEER, percentile(stock.api_s, 95))
        ),
        at_most(f"{what}: answers, median", "s", median(ours.api_s), peer=hand),
        at_most(f"{what}: JupyterLab, median", "s", median(ours.lab_s), peer=(PEER, median(stock.lab_s))),
        at_most(f"{what}: CPU of all processes", "s", median(ours.cpu_s), peer=(PEER, median(stock.cpu_s))),
    ]


def _until(is_done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not is_done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} does not come")
        time.sleep(_LOOK_S)
