"""Large answers are decoded in a spare process.

A thread would not do: the interpreter's lock is held while JSON is parsed, and the event loop waits.
The worker parses *and* reduces, so that little comes back. Small answers are decoded at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import pickle
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from spawners.slurm.parse import NotUnderstoodError
from spawners.slurm.transport import SlurmUnavailableError

T = TypeVar("T")

INLINE = 64 * 1024
"""Answers shorter than this take about a millisecond."""

_PIPE = 1024 * 1024
"""Size of the pipes: fewer turns between the two processes."""

_LENGTH = struct.Struct("!Q")
_ROOT = Path(__file__).resolve().parents[2]
_LOST = (OSError, EOFError, struct.error, ValueError, pickle.PickleError)


class Decoder:
    """Runs functions of importable modules on answers; one spare process, started when first needed."""

    def __init__(self, timeout_s: float = 30.0) -> None:
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._busy = asyncio.Lock()

    async def decode(self, function: Callable[[bytes], T], body: bytes) -> T:
        """Result of the function.

        Raises
        ------
        SlurmUnavailableError
            If it does not understand the answer (`NotUnderstoodError`), or takes too long.
        """
        try:
            if len(body) < INLINE:
                return function(body)
            async with self._busy:
                return await self._elsewhere(function, body)
        except NotUnderstoodError as e:
            raise SlurmUnavailableError(f"An answer that is not understood: {e}") from e
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as e:
            raise SlurmUnavailableError(f"An answer of another form: {type(e).__name__} {e}") from e

    async def decode_text(self, function: Callable[[str], T], body: bytes) -> T:
        """The same for a function of text."""
        return await self.decode(_OfText(function), body)

    async def start(self) -> None:
        """Start the process now, so that the first large answer does not wait for it."""
        async with self._busy:
            await self._elsewhere(len, b"")

    async def aclose(self) -> None:
        """End the process."""
        async with self._busy:
            await asyncio.to_thread(self._end)

    async def _elsewhere(self, function: Callable[[bytes], T], body: bytes) -> T:
        late = threading.Timer(self._timeout_s, self._kill)
        late.start()
        task = asyncio.create_task(asyncio.to_thread(self._exchange, function, body))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Half a message must not stay in the pipe for the next one.
            self._kill()
            await asyncio.wait([task])
            task.exception()
            raise
        finally:
            late.cancel()

    def _exchange(self, function: Callable[[bytes], T], body: bytes) -> T:
        try:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            _send(process.stdin, pickle.dumps(function), body)
            (head,) = _receive(process.stdout, 1)
            result = pickle.loads(head)  # noqa: S301 - from our own child
            if isinstance(result, _Rows):
                return cast(T, tuple(result.received(process.stdout)))
        except _LOST as e:
            self._end()
            raise SlurmUnavailableError(f"The decoder ended: {e}") from e
        if isinstance(result, _Raised):
            raise result.error
        return cast(T, result)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(_ROOT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={},
                start_new_session=True,
                pipesize=_PIPE,
            )
        return self._process

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from spawners.slurm.decode import serve; serve()"


class _OfText:
    def __init__(self, function: Callable[[str], Any]) -> None:
        self._function = function

    def __call__(self, body: bytes) -> Any:
        return self._function(body.decode(errors="replace"))


class _Raised:
    def __init__(self, error: Exception) -> None:
        self.error = error


class _Rows:
    """Head of an answer of many objects of one dataclass: their fields follow, some at a time.

    Building a few hundred objects from plain tuples takes a millisecond or two, after which the
    event loop may have the interpreter; unpickling 5,000 of them is one step of 40 ms.
    """

    _AT_A_TIME = 250

    def __init__(self, kind: type[Any], number: int) -> None:
        self.kind = kind
        self.number = number

    @classmethod
    def of(cls, result: Any) -> _Rows | None:
        """Head for a result that is such a tuple."""
        if not isinstance(result, tuple) or len(result) < cls._AT_A_TIME or not is_dataclass(result[0]):
            return None
        kind = type(result[0])
        return cls(kind, len(result)) if all(type(item) is kind for item in result) else None

    def send(self, stream: BinaryIO | Any, result: tuple[Any, ...]) -> None:
        """Send the fields."""
        get = attrgetter(*(field.name for field in fields(self.kind)))
        for at in range(0, self.number, self._AT_A_TIME):
            rows = [get(item) for item in result[at : at + self._AT_A_TIME]]
            _send(stream, pickle.dumps(rows, pickle.HIGHEST_PROTOCOL))

    def received(self, stream: BinaryIO | Any) -> Iterator[Any]:
        """The objects."""
        for _ in range(0, self.number, self._AT_A_TIME):
            (rows,) = _receive(stream, 1)
            for row in pickle.loads(rows):  # noqa: S301 - from our own child
                yield self.kind(*row)
            time.sleep(0)


def _send(stream: BinaryIO | Any, *parts: bytes) -> None:
    for part in parts:
        stream.write(_LENGTH.pack(len(part)))
        stream.write(part)
    stream.flush()


def _receive(stream: BinaryIO | Any, number: int) -> list[bytes]:
    found = []
    for _ in range(number):
        (length,) = _LENGTH.unpack(stream.read(_LENGTH.size))
        part = stream.read(length)
        if len(part) != length:
            raise EOFError("a message was cut")
        found.append(part)
    return found


def serve() -> None:
    """What the spare process does: answer until its input ends."""
    from spawners.slurm.rest import adapters  # noqa: F401 - imported before the first answer

    # What is decoded has no cycles, and looking for them takes as long as decoding.
    gc.disable()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            function, body = _receive(source, 2)
        except (struct.error, EOFError):
            return
        try:
            result = pickle.loads(function)(body)  # noqa: S301 - from our own parent
        except Exception as e:
            result = _Raised(e)
        rows = _Rows.of(result)
        _send(sink, pickle.dumps(rows or result, pickle.HIGHEST_PROTOCOL))
        if rows is not None:
            rows.send(sink, result)
