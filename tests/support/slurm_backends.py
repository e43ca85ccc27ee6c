"""Our side of a cluster that runs: a backend over a real transport, with jobs that are short scripts."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Literal

from hub.demo.slurm import SlurmCluster as DemoCluster
from spawners.backend import Handle, State, Status, Usage
from spawners.plan import Account, Credentials, LaunchId, LaunchPlan, Scheduling
from spawners.slurm.backend import MakeSpec, SlurmBackend
from spawners.slurm.cluster import SlurmCluster
from spawners.slurm.connect import make_transport
from spawners.slurm.job import job_spec
from spawners.slurm.settings import ClusterSettings
from tests.support.slurm_models import plan

Kind = Literal["cli", "rest"]

SLEEP = "exec sleep 300"
CREDENTIALS = Credentials({"JUPYTERHUB_API_TOKEN": "t"}, "http://127.0.0.1:1/internal/reports/x", "s")
_POLL_S = 0.02


@dataclass
class KeyTokens:
    """Tokens made with the cluster's key; ``minted`` counts them."""

    cluster: DemoCluster
    lifespan_s: int = 600
    minted: int = 0
    _kept: dict[str, str] = field(default_factory=dict)

    async def token(self, user: str) -> str:
        """The kept one, however old."""
        if user not in self._kept:
            self._kept[user] = self.cluster.token(user, self.lifespan_s)
            self.minted += 1
        return self._kept[user]

    def forget(self, user: str) -> None:
        """Make another next time."""
        self._kept.pop(user, None)


def with_script(script: str) -> MakeSpec:
    """Jobs as ours are, but for the script."""

    def make(a_plan: LaunchPlan, credentials: Credentials, settings: ClusterSettings, partition: str) -> Any:
        made = job_spec(a_plan, credentials, settings, partition)
        text = f"#!/bin/bash\n{script}\n"
        return replace(made, script=text, log="/dev/null")

    return make


@dataclass
class Session:
    """A session that was started, and the questions about it."""

    backend: SlurmBackend
    launch_id: LaunchId
    handle: Handle

    @property
    def job(self) -> int:
        """Slurm's id."""
        return int(self.handle["job"])

    async def status(self) -> Status:
        """By the last look, as the engine asks."""
        return (await self.backend.status({self.launch_id: self.handle}))[self.launch_id]

    async def wait(self, state: State, *, reason: str = "", timeout_s: float = 30) -> Status:
        """Status as soon as it is so; a session that is gone instead fails the test at once."""
        status = Status(State.UNKNOWN)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            status = await self.status()
            if status.state is state and reason in status.reason:
                return status
            assert status.state is not State.GONE, f"job {self.job}: {status}"
            await asyncio.sleep(_POLL_S)
        raise AssertionError(
            f"job {self.job} is not {state.value} ({reason!r}) after {timeout_s} s: {status}"
        )

    async def usage(self, *, timeout_s: float = 20) -> Usage:
        """As soon as slurmdbd has it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            used = await self.backend.usage(self.launch_id, self.handle)
            if used is not None:
                return used
            await asyncio.sleep(0.1)
        raise AssertionError(f"the use of job {self.job} is not known after {timeout_s} s")

    async def stop(self) -> None:
        """As the engine does."""
        await self.backend.stop(self.launch_id, self.handle)


@dataclass
class Ours:
    """Our side of one cluster."""

    demo: DemoCluster
    cluster: SlurmCluster

    @property
    def kind(self) -> str:
        """How it talks to the cluster."""
        return self.cluster.settings.transport.kind

    def account(self, name: str) -> Account:
        """POSIX account of a person of the demo."""
        return Account(name, 20001, 20001, PurePosixPath(self.demo.people.home(name)))

    def plan(
        self, user: str = "maja", *, account: str | None = None, qos: str | None = None, **of_plan: Any
    ) -> LaunchPlan:
        """A small plan with a launch id of its own."""
        sizes = {"cpus": 1, "memory_mib": 200, "hours": 0.5, **of_plan}
        made = plan(account=self.account(user), scheduling=Scheduling(account, qos), **sizes)
        return replace(made, launch_id=LaunchId(secrets.token_hex(8)))

    async def start(
        self, script: str = SLEEP, *, partition: str = "cpu", user: str = "maja", **of_plan: Any
    ) -> Session:
        """Start a session whose job is a script."""
        backend = self.cluster.backend(partition, make_spec=with_script(script))
        a_plan = self.plan(user, **of_plan)
        steps = [step async for step in backend.start(a_plan, CREDENTIALS)]
        return Session(backend, a_plan.launch_id, steps[-1].handle)

    async def command(self, *argv: str, user: str | None = None) -> str:
        """Output of a command on the cluster; one that fails fails the test."""
        done = await asyncio.to_thread(self.demo.run, *argv, user=user)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    async def do(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """A slow thing that the test does to the cluster, away from the loop."""
        return await asyncio.to_thread(work, *arguments)


@asynccontextmanager
async def connected(
    demo: DemoCluster, kind: Kind = "cli", *, tokens: KeyTokens | None = None, **changes: Any
) -> AsyncIterator[Ours]:
    """Our side of a cluster; as after a start of the engine, nothing is known."""
    transports: dict[Kind, dict[str, Any]] = {
        "cli": {
            "kind": "cli",
            "conf": demo.conf,
            "run_as": ("setpriv", "--reuid={user}", "--regid={user}", "--init-groups", "--"),
        },
        "rest": {"kind": "rest", "url": demo.rest_url},
    }
    settings = ClusterSettings.model_validate(
        {
            "transport": {**transports[kind], **changes.pop("transport", {})},
            "session_code": "/opt/panhub/session",
            "poll_s": 0.2,
            "poll_idle_s": 1,
            **changes,
        }
    )
    tokens = tokens or (KeyTokens(demo) if kind == "rest" else None)
    ours = Ours(demo, SlurmCluster("pan", settings, make_transport(settings, tokens)))
    try:
        yield ours
    finally:
        await ours.cluster.aclose()
