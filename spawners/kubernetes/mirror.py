"""A copy of the cluster's objects of one kind, kept by one list and one watch.

The list comes in pages, each decoded by itself, so that no page keeps the event loop; of an object
only what is needed is kept. The watch goes on where it was after every break; only where the server no longer
knows that point (410) everything is listed anew. A watch is renewed every half minute, so that silence
is noticed: without a sign of life the copy is *stale*, and says nothing about now.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from spawners.kubernetes.client import KubernetesClient, KubernetesRefusedError, KubernetesUnavailableError
from spawners.kubernetes.outage import Outage

log = logging.getLogger(__name__)


class Versioned(Protocol):
    """An object of a cluster."""

    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def version(self) -> int: ...


T = TypeVar("T", bound=Versioned)

Changed = Callable[[T | None, T | None], None]
"""Called with what was known of an object and what is known now; None: not there."""

PAGE = 50
"""Pods of a page: some 0.45 MB of JSON, 4 ms to decode."""

_WATCH_S = 30
_SILENCE_S = 15.0
"""After which without a sign of life, beyond the end of a watch or while there is an outage, it is stale."""

_YIELD_S = 0.004
"""Longest run of decoding between two chances for others on the loop."""

_SHORT_S = 1.0
"""A watch that ends sooner than this is not begun again at once."""

_GONE_MOST = 10_000

_PAUSE_S = 0.5
_PAUSE_MOST_S = 10.0


class ExpiredError(Exception):
    """The server no longer knows the point from which a watch or a list was to go on."""


class Turns:
    """Lets others run on the loop after every few milliseconds of work."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def give(self) -> None:
        """Give way if it is time."""
        if time.perf_counter() - self._since > _YIELD_S:
            await asyncio.sleep(0)
            self._since = time.perf_counter()


class Mirror(Generic[T]):
    """Objects of one kind by name. ``requests`` counts lists (pages) and watches.

    ``kept`` makes what is known of an object from what was and what the server says now.
    """

    def __init__(
        self,
        client: KubernetesClient,
        path: str,
        decode: Callable[[Mapping[str, Any]], T],
        *,
        what: str,
        labels: str = "",
        fields: str = "",
        changed: Changed[T] | None = None,
        kept: Callable[[T, T], T] = lambda before, now: now,
        page: int = PAGE,
    ) -> None:
        self.items: dict[str, T] = {}
        self.requests = {"pages": 0, "lists": 0, "watches": 0}
        self._client = client
        self._path = path
        self._decode = decode
        selector: dict[str, object] = {"labelSelector": labels, "fieldSelector": fields}
        self._selector = {key: value for key, value in selector.items() if value}
        self._changed = changed or (lambda before, now: None)
        self._kept = kept
        self._page = page
        self._version = ""
        self._heard = -1e9
        self._loaded = asyncio.Event()
        self._tried = asyncio.Event()
        self._outage = Outage(what)
        self._told: dict[str, T] | None = None
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    # --- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to copy; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"mirror-{self._path}")

    async def aclose(self) -> None:
        """Stop."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # --- what readers use -----------------------------------------------------------------------

    @property
    def is_loaded(self) -> bool:
        """Whether it was listed once."""
        return self._loaded.is_set()

    @property
    def is_stale(self) -> bool:
        """Whether it says nothing about now."""
        allowed = _SILENCE_S if self._outage.failures else _WATCH_S + _SILENCE_S
        return not self.is_loaded or time.monotonic() - self._heard > allowed

    @property
    def error(self) -> str:
        """Why there is no answer now; empty while there is."""
        return self._outage.error

    async def loaded(self, timeout_s: float) -> bool:
        """Wait for the first list; whether it came in time. Where none came before, nobody waits again."""
        self.start()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._tried.wait()
        return self.is_loaded

    def put(self, item: T) -> None:
        """An answer of the server to somebody else, that the watch will tell later, or has told already."""
        if self._told is not None:
            self._told[item.name] = item
        self._take(item)

    def drop(self, item: T) -> None:
        """The server said that an object is not there."""
        self._remove(item)

    # --- changes --------------------------------------------------------------------------------

    def _take(self, item: T) -> None:
        before = self.items.get(item.name)
        if before is not None and before.uid == item.uid:
            if before.version >= item.version:
                return
            item = self._kept(before, item)
        if item.uid in self._gone:  # the answer to who removed it was slower than the watch
            return
        self.items[item.name] = item
        self._changed(before, item)

    def _remove(self, item: T) -> None:
        self._gone[item.uid] = None
        while len(self._gone) > _GONE_MOST:
            self._gone.popitem(last=False)
        before = self.items.get(item.name)
        if before is not None and before.uid == item.uid:
            del self.items[item.name]
            self._changed(before, None)

    async def _run(self) -> None:
        expired = 0
        while True:
            try:
                if not self._version:
                    await self._list()
                began = time.monotonic()
                await self._watch()
                expired = 0
                await asyncio.sleep(_SHORT_S if time.monotonic() - began < _SHORT_S else 0)
            except ExpiredError:
                self._version = ""
                # A server that forgets faster than it lists is not asked for all without end.
                await asyncio.sleep(min(_SHORT_S * expired, _PAUSE_MOST_S))
                expired += 1
            except (KubernetesUnavailableError, KubernetesRefusedError) as error:
                self._failed(error)
                await self._pause(error)
            except Exception as error:  # a fault of ours must not end the copy
                self._failed(error)
                self._version = ""
                await self._pause(error)

    def _failed(self, error: Exception) -> None:
        self._outage.failed(error)
        self._tried.set()

    async def _pause(self, error: Exception) -> None:
        least = getattr(error, "retry_after_s", 0.0)
        wait = min(_PAUSE_S * 2.0 ** min(self._outage.failures - 1, 10), _PAUSE_MOST_S)
        await asyncio.sleep(max(wait * random.uniform(0.7, 1.3), least))  # noqa: S311 - no secret

    # --- the list -------------------------------------------------------------------------------

    async def _list(self) -> None:
        self._told, turns = {}, Turns()
        self._gone.clear()
        self.requests["lists"] += 1
        try:
            found: dict[str, T] = {}
            query: dict[str, object] = {**self._selector, "limit": self._page}
            while True:
                page = await self._get(query)
                for raw in page.get("items") or ():
                    item = self._decode(raw)
                    known = self.items.get(item.name)
                    is_same = known is not None and (known.uid, known.version) == (item.uid, item.version)
                    found[item.name] = known if is_same and known is not None else item
                    await turns.give()
                metadata = page.get("metadata") or {}
                if not (again := metadata.get("continue")):
                    break
                query["continue"] = again
            await self._replace(found, turns)
            self._version = str(metadata["resourceVersion"])
        finally:
            self._told = None
        self._hear()
        self._loaded.set()

    async def _get(self, query: Mapping[str, object]) -> Mapping[str, Any]:
        self.requests["pages"] += 1
        try:
            page = await self._client.get(self._path, query, wait_s=5)
        except KubernetesRefusedError as error:
            if error.status == 410:
                raise ExpiredError from error
            raise
        if not (page.get("metadata") or {}).get("resourceVersion"):
            raise KubernetesUnavailableError("The answer is no list.")
        return page

    async def _replace(self, found: dict[str, T], turns: Turns) -> None:
        for item in found.values():
            self._take(item)
            await turns.give()
        told = self._told or {}
        for item in [item for name, item in self.items.items() if name not in found and name not in told]:
            self._remove(item)
            await turns.give()

    # --- the watch ------------------------------------------------------------------------------

    async def _watch(self) -> None:
        query: dict[str, object] = {
            **self._selector,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": _WATCH_S,
        }
        self.requests["watches"] += 1
        turns = Turns()
        try:
            async with self._client.lines(self._path, query, silence_s=_WATCH_S + _SILENCE_S) as lines:
                self._hear()
                async for line in lines:
                    self._event(line)
                    await turns.give()
        except KubernetesRefusedError as error:
            if error.status == 410:
                raise ExpiredError from error
            raise

    def _event(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            kind, raw = said["type"], said["object"]
        except (ValueError, KeyError, TypeError) as error:  # cut off in the middle: the connection was lost
            raise KubernetesUnavailableError("A line of the watch is not complete.") from error
        if kind == "ERROR":
            if raw.get("code") == 410 or raw.get("reason") in ("Expired", "Gone"):
                raise ExpiredError
            raise KubernetesUnavailableError(str(raw.get("message") or "The watch was ended."))
        self._hear()
        if kind != "BOOKMARK":
            item = self._decode(raw)
            if kind == "DELETED":
                self._remove(item)
            else:
                self._take(item)
        if version := (raw.get("metadata") or {}).get("resourceVersion"):
            self._version = str(version)

    def _hear(self) -> None:
        self._heard = time.monotonic()
        self._outage.answered()
        self._tried.set()
