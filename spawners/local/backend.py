"""Where does a session run? Here, on the service's own machine, below a supervisor of its own.

The handle of a session names its supervisor by pid, start time and boot id, and its run folder;
see `spawners.local.supervisor` for who does what. Everything that looks at files or processes
runs in threads of this backend, so that the engine's loop never waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from spawners.backend import (
    Availability,
    BackendError,
    BackendUnavailableError,
    Handle,
    Started,
    State,
    Status,
    SubmitError,
    Unscheduled,
    Usage,
    View,
)
from spawners.local.bubblewrap import Isolation, probe
from spawners.local.processes import kill_launch, open_process
from spawners.local.records import Records, Supervised
from spawners.local.settings import LocalSettings
from spawners.local.submission import Preparer
from spawners.plan import Account, Credentials, LaunchId, LaunchPlan
from spawners.session import sessionlog

log = logging.getLogger(__name__)

T = TypeVar("T")

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_HAND_OVER_TIMEOUT_S = 30
_KILL_MARGIN_S = 5
"""Beyond the grace, what a supervisor may take to end a session before it is killed itself."""

_THREADS = 4


class LocalBackend(Unscheduled):
    """Sessions on this machine; implements `spawners.backend.Backend`."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._records = Records(settings.state)
        self._preparer = Preparer(settings, self._records)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="local-backend")
        self._isolation: asyncio.Task[Isolation] | None = None

    # --- start --------------------------------------------------------------------------------

    async def isolation(self) -> Isolation:
        """How sessions are kept apart here; found out once.

        Raises
        ------
        BackendError
            If the site requires a view of its own for each session and there is none.
        """
        if self._isolation is None:
            self._isolation = asyncio.create_task(self._find_isolation())
        found = await asyncio.shield(self._isolation)
        if found.kind == "links" and self._settings.isolation == "required":
            raise BackendError(f"Sessions cannot be kept apart, which this site requires: {found.reason}.")
        return found

    async def _find_isolation(self) -> Isolation:
        found = await self._in_thread(lambda: probe(self._settings.isolation))
        if found.kind == "links":
            log.warning(
                "ISOLATION IS OFF: sessions can read all that this service can read; %s", found.reason
            )
        return found

    async def start(self, plan: LaunchPlan, credentials: Credentials) -> AsyncIterator[Started]:
        """Start the session; see `Backend.start`."""
        try:
            isolation = await self.isolation()
        except BackendError as error:
            raise SubmitError(str(error)) from error
        spec = await self._in_thread(lambda: self._preparer.prepare(plan, credentials, isolation))
        run = self._records.folder(plan.launch_id).path
        identity = await self._in_thread(lambda: _spawn(plan.launch_id, run, spec))
        seen = "with a data view of its own" if isolation.kind == "bubblewrap" else "without isolation"
        yield Started({**identity, "run": str(run)}, f"The session is starting on this machine, {seen}.")

    def view(self, launch_id: LaunchId, account: Account) -> View:
        """Where the session would see its files; see `Backend.view`."""
        known = self._isolation is not None and self._isolation.done()
        if known and self._isolation is not None and self._isolation.result().kind == "links":
            links = self._records.folder(launch_id).path / "view"
            return View(root=PurePosixPath(links), home=account.home)
        return View(root=PurePosixPath("/"), home=PurePosixPath("/home") / account.name)

    # --- questions ----------------------------------------------------------------------------

    async def status(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Status]:
        """State of all given sessions; see `Backend.status`."""
        try:
            return await self._in_thread(lambda: {key: self._status(key, handles[key]) for key in handles})
        except Exception:
            log.exception("The state of local sessions could not be read")
            return {key: Status(State.UNKNOWN, "The machine does not say.") for key in handles}

    def _status(self, launch_id: LaunchId, handle: Handle) -> Status:
        supervised = self._records.supervised(launch_id, handle)
        if supervised.is_running:
            return Status(State.RUNNING if supervised.pid else State.PENDING, host="127.0.0.1")
        return Status(State.GONE, self._records.end_sentence(launch_id))

    async def find(self) -> Mapping[LaunchId, Handle]:
        """Every session that runs or was not forgotten; see `Backend.find`."""
        try:
            return await self._in_thread(self._records.find)
        except OSError as error:
            raise BackendUnavailableError(
                f"The sessions of this machine cannot be listed: {error}"
            ) from error

    async def usage(self, launch_id: LaunchId, handle: Handle) -> Usage | None:
        """What an ended session used; see `Backend.usage`."""
        return await self._in_thread(lambda: self._usage(launch_id, handle))

    def _usage(self, launch_id: LaunchId, handle: Handle) -> Usage | None:
        if self._records.supervised(launch_id, handle).is_running:
            return None
        # A killed supervisor takes its session along, except for what left the view of links.
        kill_launch(launch_id)
        return self._records.usage(launch_id)

    async def log_tail(self, launch_id: LaunchId, handle: Handle, *, lines: int = 40) -> Sequence[str]:
        """Last lines of the session's log; see `Backend.log_tail`."""
        path = self._records.log_path(launch_id)
        return await self._in_thread(lambda: sessionlog.tail(path, lines))

    async def availability(self) -> Availability:
        """What is free, and how sessions are kept apart and limited; see `Backend.availability`."""
        try:
            isolation = await self.isolation()
            return await self._in_thread(lambda: self._preparer.availability(isolation))
        except (BackendError, OSError) as error:
            return Availability(is_reachable=False, note=str(error))

    # --- changes ------------------------------------------------------------------------------

    async def set_deadline(self, launch_id: LaunchId, handle: Handle, deadline: datetime) -> None:
        """Let the session run until ``deadline``; see `Backend.set_deadline`."""
        try:
            await self._in_thread(lambda: self._records.set_deadline(launch_id, deadline))
        except OSError as error:
            raise BackendError(f"The end of the session could not be moved: {error.strerror}.") from error

    async def stop(self, launch_id: LaunchId, handle: Handle) -> None:
        """End the session and return when it is gone; see `Backend.stop`."""
        supervised = await self._in_thread(lambda: self._records.supervised(launch_id, handle))
        if supervised.is_running:
            ended = await self._end(supervised, signal.SIGTERM, self._settings.grace_s + _KILL_MARGIN_S)
            if not ended and not await self._end(supervised, signal.SIGKILL, _KILL_MARGIN_S):
                raise BackendUnavailableError("The session does not end; trying again later.")
        await self._in_thread(lambda: self._sweep(launch_id))

    async def _end(self, supervised: Supervised, number: signal.Signals, timeout_s: float) -> bool:
        """Signal a supervisor; whether it ended within the time."""
        if not supervised.pid:
            return False
        process = open_process(supervised.pid, supervised.start_time)
        if process is None:
            return True
        try:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, number)
            await asyncio.wait_for(_readable(process), timeout_s)
        except TimeoutError:
            return False
        finally:
            os.close(process)
        return True

    def _sweep(self, launch_id: LaunchId) -> None:
        """Leave no process of the launch, and a record of its end."""
        if not kill_launch(launch_id):
            raise BackendUnavailableError("Some of the session does not end; trying again later.")
        self._records.record_stop(launch_id)

    async def forget(self, launch_id: LaunchId, handle: Handle) -> None:
        """Remove the run folder; the log stays for the time that the site set."""
        keep = self._settings.keep_logs_days
        await self._in_thread(lambda: self._records.forget(launch_id, handle, keep_logs_days=keep))

    async def aclose(self) -> None:
        """End the threads; sessions go on."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _spawn(launch_id: LaunchId, run: Path, spec: dict[str, Any]) -> dict[str, Any]:
    """Start a supervisor, which detaches itself; returns who it is. Blocking (30 ms)."""
    environment = {"PANHUB_LAUNCH_ID": launch_id, "PANHUB_RUN": str(run), "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(_SUPERVISOR), str(run)],
            input=json.dumps(spec).encode(),
            capture_output=True,
            timeout=_HAND_OVER_TIMEOUT_S,
            env=environment,
            cwd="/",
            start_new_session=True,
            check=True,
        )
        identity: dict[str, Any] = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        log.error("A supervisor failed: %s", error.stderr.decode(errors="replace"))  # noqa: TRY400 - its words, not ours
        raise SubmitError("The session's supervisor could not be started.") from error
    except OSError as error:
        raise SubmitError(f"The session's supervisor could not be started: {error.strerror}.") from error
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise BackendUnavailableError("The session's supervisor does not answer.") from error
    return identity


async def _readable(descriptor: int) -> None:
    """Wait until a descriptor is readable; a pidfd is when its process has ended (pidfd_open(2))."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
