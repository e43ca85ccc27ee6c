"""How are data files looked into without endangering the engine? In worker processes with limits.

A worker is the program ``python -m templates.inspect``: it has no secret in its environment, a limit on
memory, and is killed when an answer takes too long. The next request starts a new one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from templates.facts import FileFacts
from templates.inspect import main_file

log = logging.getLogger(__name__)

_ROOT = Path(__file__).parent.parent

_ANSWER_BYTES = 4 << 20  # 2,000 items of some 200 bytes, ten times over

_START_SECONDS = 15.0  # importing h5py from a cold, busy disk

_RETRY_SECONDS = 60.0

_Key = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class _Known:
    facts: FileFacts | None
    until: float


class InspectError(Exception):
    """A worker gave no answer."""


class Inspector:
    """Facts of data files, from worker processes, kept by path, time of change and size.

    Parameters
    ----------
    workers
        Most worker processes at a time.
    seconds
        Longest wait for one file; above the worker's own cap, so that it ends only a hanging worker.
    keep
        Number of files whose facts are kept.
    command
        Program of a worker.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        seconds: float = 3.0,
        keep: int = 4096,
        command: tuple[str, ...] = (sys.executable, "-m", "templates.inspect"),
    ) -> None:
        self._seconds = seconds
        self._keep = keep
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        self._workers = tuple(_Worker(command) for _ in range(workers))
        for worker in self._workers:
            self._idle.put_nowait(worker)

    async def start(self) -> None:
        """Start the workers, so that the first person does not wait for them. Never raises."""
        await asyncio.gather(*(self._warm_up() for _ in self._workers))

    async def facts(self, path: Path) -> FileFacts | None:
        """Facts of a file or data set folder; None if it is missing, unreadable or not HDF5."""
        try:
            key = await asyncio.to_thread(_key, path)
        except OSError:
            return None
        if (known := self._look_up(key)) is not None:
            return known.facts
        worker = await self._idle.get()
        try:
            known = self._look_up(key)  # somebody else may have asked while this waited
            if known is None:
                known = await self._ask(worker, path)
                self._known[key] = known
                self._drop_oldest()
        finally:
            self._idle.put_nowait(worker)
        return known.facts

    async def aclose(self) -> None:
        """End the workers."""
        await asyncio.gather(*(worker.aclose() for worker in self._workers))

    async def _warm_up(self) -> None:
        worker = await self._idle.get()
        try:
            await worker.ask({"path": ""}, self._seconds)  # answered with an error, h5py being imported
        except InspectError as error:
            log.warning("A worker for data files did not start: %s", error)
        finally:
            self._idle.put_nowait(worker)

    def _look_up(self, key: _Key) -> _Known | None:
        known = self._known.get(key)
        if known is None or known.until < time.monotonic():
            return None
        self._known.move_to_end(key)
        return known

    async def _ask(self, worker: _Worker, path: Path) -> _Known:
        try:
            answer = await worker.ask({"path": str(path)}, self._seconds)
        except InspectError as error:
            log.warning("No answer about %s: %s", path, error)
            return _Known(None, time.monotonic() + _RETRY_SECONDS)
        if "facts" not in answer:
            log.info("%s was not indexed: %s", path, answer.get("error"))
            return _Known(None, time.monotonic() + _RETRY_SECONDS)
        return _Known(FileFacts.from_json(answer["facts"]), float("inf"))

    def _drop_oldest(self) -> None:
        while len(self._known) > self._keep:
            self._known.popitem(last=False)


class _Worker:
    """One worker process, started when first asked and again after it was lost."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Answer to one request.

        Raises
        ------
        InspectError
            If the worker did not start, ended, took too long, or answered nonsense.
        """
        is_new = self._process is None or self._process.returncode is not None
        if is_new:
            try:
                self._process = await self._start()
            except OSError as error:
                raise InspectError(f"not started: {error}") from error
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(seconds + (_START_SECONDS if is_new else 0)):
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                await self._process.stdin.drain()
                line = await self._process.stdout.readline()
            answer = json.loads(line)
        except (TimeoutError, OSError, ValueError) as error:
            await self.aclose()
            raise InspectError(f"{type(error).__name__} {error}".strip()) from error
        except asyncio.CancelledError:
            await self.aclose()  # its answer would be taken for that to the next request
            raise
        assert isinstance(answer, dict)
        return answer

    async def aclose(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.kill()
        await process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(_ROOT),
            "HDF5_PLUGIN_PATH": "/nonexistent",  # no filter plugin is loaded for a file's sake
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            limit=_ANSWER_BYTES,
        )


def _key(path: Path) -> _Key:
    file = main_file(path)
    if file is None:
        raise FileNotFoundError(path)
    status = file.stat()
    return str(file), status.st_mtime_ns, status.st_size
