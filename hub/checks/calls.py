"""Does this machine reach the nodes? A probe listens as a session will; we call it as the proxy will."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

PORTS = range(40000, 60000)
"""One of these is listened on: all ports of 1024 and above must be open to the proxy."""

_AGAIN_S = 0.2
_PATIENCE_S = 30.0
_LONG_ENOUGH_S = 1.0
"""A job that ended sooner after it was first called says nothing about the way to it."""


class Calls:
    """Calls to probes that run, by job. ``addresses`` are those of the nodes, by name."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        self._calls: dict[int, tuple[float, asyncio.Task[bool]]] = {}

    def begin(self, job_id: int, node: str, port: int, word: str) -> None:
        """Call a job that has been seen to run; once."""
        if job_id not in self._calls:
            address = self._addresses.get(node) or node
            now = asyncio.get_running_loop().time()
            self._calls[job_id] = now, asyncio.create_task(_call(address, port, word))

    async def end(self) -> dict[int, bool]:
        """Which jobs answered, and which did not by now; those are left out of which it is not known."""
        now = asyncio.get_running_loop().time()
        tasks = [task for _, task in self._calls.values()]
        for task in tasks:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        return {
            job_id: answer is True
            for (job_id, (began, _)), answer in zip(self._calls.items(), answers, strict=True)
            if answer is True or now - began > _LONG_ENOUGH_S
        }


async def _call(address: str, port: int, word: str) -> bool:
    """Whether the word comes back; tried again while nobody listens yet."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    return await _heard(address, port, len(word)) == word.encode("ascii")
                except (OSError, EOFError):
                    await asyncio.sleep(_AGAIN_S)
    except TimeoutError:
        return False


async def _heard(address: str, port: int, length: int) -> bytes:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        return await reader.readexactly(length)
    finally:
        writer.close()
