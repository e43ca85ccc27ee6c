"""Threads for what may never answer: storage of the network, a directory of accounts.

A system call on a file server that has gone does not return, and nothing can end its thread. In the
loop's own threads a few of these would be all of them, and with them goes what else waits there: names of
hosts, to begin with. So such questions have threads of their own, a few at once, which no process waits
for when it ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class OwnThreads:
    """``most`` threads at once, stuck ones included; ``name`` is what debuggers see."""

    def __init__(self, name: str, most: int = 8) -> None:
        self._name = name
        self._free = asyncio.Semaphore(most)

    async def run(self, ask: Callable[[], T], *, timeout_s: float) -> T:
        """What a blocking call returns or raises. One that comes too late is thrown away.

        Raises
        ------
        TimeoutError
            If there is no answer in time, or all threads still wait for theirs.
        """
        async with asyncio.timeout(timeout_s):
            await self._free.acquire()
            answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            try:
                threading.Thread(target=self._work, args=(ask, answer), name=self._name, daemon=True).start()
            except RuntimeError:
                self._free.release()
                raise
            return await answer

    def _work(self, ask: Callable[[], T], answer: asyncio.Future[T]) -> None:
        try:
            found = ask()
        except BaseException as error:
            self._tell(answer, answer.set_exception, error)
        else:
            self._tell(answer, answer.set_result, found)

    def _tell(self, answer: asyncio.Future[T], tell: Callable[..., None], said: object) -> None:
        def done() -> None:
            self._free.release()
            if not answer.done():
                tell(said)

        with suppress(RuntimeError):  # the loop has been closed
            answer.get_loop().call_soon_threadsafe(done)
