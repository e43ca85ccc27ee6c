"""What "starts nothing" for the benchmark of launches: a spawner, a backend, and the server both name.

``python -m tests.support.bench_null PORT`` is that server: it answers like a session, to all.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

from jupyterhub import __version__
from jupyterhub.spawner import Spawner
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler
from traitlets import Unicode

from spawners.backend import (
    Availability,
    EndCause,
    Handle,
    Started,
    State,
    Status,
    Unscheduled,
    Usage,
    View,
)
from spawners.plan import Account, Credentials, LaunchId, LaunchPlan


class NullSpawner(Spawner):
    """Says at once that the server runs at ``target``."""

    target = Unicode("", help="URL that every server has.").tag(config=True)

    async def start(self) -> str:
        """Start nothing; ask for the environment, as every spawner does."""
        self.get_env()
        return self.target

    async def poll(self) -> None:
        """Running."""

    async def stop(self, now: bool = False) -> None:
        """Nothing to stop."""


class NullBackend(Unscheduled):
    """Says at once that the session runs, and reports the port of the server that stands for all."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._client = AsyncHTTPClient(force_instance=True, max_clients=50)
        self._started_at: dict[LaunchId, datetime] = {}

    async def start(self, plan: LaunchPlan, credentials: Credentials) -> AsyncIterator[Started]:
        """Start nothing; the report comes once the handle is saved, as a session's would."""
        self._started_at[plan.launch_id] = datetime.now(UTC)
        yield Started({"number": len(self._started_at)}, "Started nothing.")
        await self._client.fetch(
            credentials.report_url,
            method="POST",
            headers={"Authorization": f"Bearer {credentials.report_secret}"},
            body=json.dumps({"port": self._port}),
        )

    async def status(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Status]:
        """All run."""
        return {launch_id: Status(State.RUNNING, host="127.0.0.1") for launch_id in handles}

    def view(self, launch_id: LaunchId, account: Account) -> View:
        """As a container would have it."""
        return View(root=PurePosixPath("/"), home=PurePosixPath("/home") / account.name)

    async def find(self) -> Mapping[LaunchId, Handle]:
        """Nothing is found again: the benchmark restarts nothing."""
        return {}

    async def stop(self, launch_id: LaunchId, handle: Handle) -> None:
        """Nothing to stop."""

    async def set_deadline(self, launch_id: LaunchId, handle: Handle, deadline: datetime) -> None:
        """Nothing to end."""

    async def usage(self, launch_id: LaunchId, handle: Handle) -> Usage:
        """The time between start and now."""
        began, now = self._started_at[launch_id], datetime.now(UTC)
        elapsed = int((now - began).total_seconds())
        return Usage(began, now, elapsed, cpus=1, memory_mib=1024, gpus=0, cause=EndCause.STOPPED)

    async def forget(self, launch_id: LaunchId, handle: Handle) -> None:
        """Forget the start."""
        self._started_at.pop(launch_id, None)

    async def log_tail(self, launch_id: LaunchId, handle: Handle, *, lines: int = 40) -> Sequence[str]:
        """There is no log."""
        return ()

    async def availability(self) -> Availability:
        """Room for all."""
        return Availability(is_reachable=True)

    async def aclose(self) -> None:
        """Close the client."""
        self._client.close()


class _Answer(RequestHandler):
    def get(self, _: str) -> None:
        # The hub takes the version from here, and warns without it.
        self.set_header("X-JupyterHub-Version", __version__)
        self.finish({"version": "2.0.0"})


async def _serve(port: int) -> None:
    Application([("(.*)", _Answer)], log_function=lambda _: None).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
