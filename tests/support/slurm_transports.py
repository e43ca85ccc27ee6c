"""Every transport on every release, with tokens as the gateway would give them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from hub.demo.slurm import SlurmCluster
from spawners.slurm.cli import as_user
from spawners.slurm.connect import make_transport
from spawners.slurm.models import Job, JobSpec, mark
from spawners.slurm.settings import ClusterSettings
from spawners.slurm.transport import SlurmUnavailableError, Transport

T = TypeVar("T")

CASES = ("22.05-cli", "22.05-v0.0.38", "24.11-cli", "24.11-v0.0.40", "24.11-v0.0.41", "24.11-v0.0.42")
EACH_CLIENT = ("22.05-cli", "22.05-v0.0.38", "24.11-cli", "24.11-v0.0.42")
"""Where the version does not matter: one of each release and client."""


@dataclass
class KeyTokens:
    """Tokens made from the cluster's key; ``make`` makes another kind instead."""

    cluster: SlurmCluster
    forgotten: list[str] = field(default_factory=list)
    make: Callable[[str], str] | None = None

    async def token(self, user: str) -> str:
        """A token for anybody."""
        return self.make(user) if self.make is not None else self.cluster.token(user)

    def forget(self, user: str) -> None:
        """Keep that it was asked for."""
        self.forgotten.append(user)


def connect(cluster: SlurmCluster, kind: str, tokens: KeyTokens, timeout_s: float = 10) -> Transport:
    """Transport ``cli`` or of an API version. Programs run as the service account or the person."""
    transport: dict[str, Any]
    if kind == "cli":
        # Where the release has its own root, only the state folder is on both sides.
        helper = cluster.state / "as_user.py"
        shutil.copyfile(as_user.__file__, helper)
        run_as = [word.replace("USER", "{user}") for word in cluster.command(user="USER")]
        transport = {"kind": "cli", "conf": cluster.conf, "run_as": run_as, "helper": helper}
    else:
        transport = {"kind": "rest", "url": cluster.rest_url, "version": kind}
    settings = ClusterSettings.model_validate(
        {"transport": {**transport, "timeout_s": timeout_s}, "session_code": "/opt/panhub"}
    )
    return make_transport(settings, tokens)


def spec(cluster: SlurmCluster, script: str, **changes: Any) -> JobSpec:
    """A small job of maja's."""
    user = changes.get("user", "maja")
    given: dict[str, Any] = {
        "user": user,
        "script": f"#!/bin/sh\n{script}\n",
        "environment": {"PATH": "/usr/bin:/bin"},
        "name": "panhub-test",
        "comment": mark("0123456789abcdef"),
        "partition": "cpu",
        "cpus": 1,
        "memory_mib": 100,
        "time_limit": timedelta(minutes=5),
        "workdir": str(cluster.people.home(user)),
        "log": f"{cluster.people.home(user)}/transport-%j.log",
        "account": "ma5501",
    }
    return JobSpec(**{**given, **changes})


async def until(ask: Callable[[], Awaitable[T | None]], timeout_s: float = 20) -> T:
    """First answer that is one, of a question asked again and again."""
    async with asyncio.timeout(timeout_s):
        while not (found := await ask()):
            await asyncio.sleep(0.1)
    return found


async def job_when(transport: Transport, job_id: int, is_so: Callable[[Job], bool]) -> Job:
    """The job as soon as something is so."""

    async def look() -> Job | None:
        return next((job for job in await transport.jobs() if job.id == job_id and is_so(job)), None)

    return await until(look)


async def answers_again(transport: Transport) -> None:
    """Wait until slurmctld and slurmdbd answer."""

    async def look() -> bool:
        with suppress(SlurmUnavailableError):
            await transport.jobs()
            await transport.qos()
            return True
        return False

    await until(look)


def read(path: Path) -> str:
    """Text of a file that may not be there yet."""
    return path.read_text() if path.exists() else ""
