"""The system's directory of accounts (NSS), asked without blocking and without end.

A look-up is a C call that an LDAP server may hold for minutes. It runs in a daemon thread, so that
it stops neither the loop nor the process's end; a few at most, so that threads do not pile up.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import threading
from collections.abc import Callable, Collection
from typing import TypeVar

from spawners.slurm.gateway.policy import Entry

_T = TypeVar("_T")

_MOST_LOOKUPS = 4


class DirectoryUnavailableError(Exception):
    """No answer in time: nothing is known of the account."""


class Directory:
    """Looks up accounts; ``groups`` are the groups that matter."""

    def __init__(self, *, groups: Collection[str], slurm_user: str, timeout_s: float) -> None:
        self._groups = tuple(groups)
        self._slurm_user = slurm_user
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(_MOST_LOOKUPS)

    async def lookup(self, name: str) -> Entry | None:
        """Account of that name, as the directory spells it; None if there is none.

        Raises
        ------
        DirectoryUnavailableError
            If there is no answer in time, or an error in its place.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free.acquire()
                future = _in_thread(lambda: self._lookup(name))
                # Released when the look-up ends, which may be long after its time is over.
                future.add_done_callback(lambda _: self._free.release())
                return await asyncio.shield(future)
        except (TimeoutError, OSError) as error:
            raise DirectoryUnavailableError from error

    def _lookup(self, name: str) -> Entry | None:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            return None
        gids = set(os.getgrouplist(found.pw_name, found.pw_gid)) if self._groups else set()
        groups = frozenset(group for group in self._groups if _gid(group) in gids)
        return Entry(found.pw_name, found.pw_uid, groups, _uid(self._slurm_user))


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _in_thread(function: Callable[[], _T]) -> asyncio.Future[_T]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def finish(result: _T | None, error: Exception | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)
            future.exception()  # somebody who waits no longer need not be told

    def run() -> None:
        result, failed = None, None
        try:
            result = function()
        except Exception as error:
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(finish, result, failed)

    threading.Thread(target=run, daemon=True, name="directory").start()
    return future
