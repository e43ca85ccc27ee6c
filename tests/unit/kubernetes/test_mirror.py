"""A copy of the cluster's pods, kept by lists and watches that break in every way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from spawners.kubernetes import decode, mirror
from spawners.kubernetes.client import KubernetesRefusedError, KubernetesUnavailableError
from spawners.kubernetes.events import PodEvents
from spawners.kubernetes.mirror import Mirror

DOWN = KubernetesUnavailableError("connection refused")
TOO_OLD = KubernetesRefusedError(410, "Expired", "too old resource version", {})


def raw(name, version, uid="u", phase="Running"):
    metadata = {"name": name, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata, "status": {"phase": phase}}


def page(*items, version, again=""):
    return {"metadata": {"resourceVersion": str(version), "continue": again}, "items": list(items)}


def line(kind, item):
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def bookmark(version):
    return line("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


class Server:
    """Plays lists and watches one after the other; the last watch goes on for ever.

    ``asked`` are the queries. A watch is a list of lines, of exceptions, and of functions that are called.
    """

    def __init__(self, lists, watches):
        self.lists, self.watches = list(lists), list(watches)
        self.asked = []

    def path(self, *parts: str) -> str:
        return "/".join(parts)

    async def get(self, path, query=None, *, wait_s=15):
        self.asked.append(dict(query))
        found = self.lists.pop(0)
        if isinstance(found, Callable):
            found = found()
        if isinstance(found, Exception):
            raise found
        return found

    @asynccontextmanager
    async def lines(self, path, query, *, silence_s):
        self.asked.append(dict(query))
        script = self.watches.pop(0) if self.watches else None
        if isinstance(script, Exception):
            raise script
        yield self._play(script)

    async def _play(self, script) -> AsyncIterator[bytes]:
        for each in script or ():
            if isinstance(each, Exception):
                raise each
            if isinstance(each, bytes):
                yield each
            else:
                each()
            await asyncio.sleep(0)
        if script is None:
            await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(mirror, "_PAUSE_S", 0.0)
    monkeypatch.setattr(mirror, "_SHORT_S", 0.0)


@asynccontextmanager
async def mirrored(lists, watches):
    """A mirror of a server that plays all of its script."""
    server = Server(lists, watches)
    told = []
    copy = Mirror(
        server,
        "/pods",
        decode.pod,
        what="Pods",
        labels="a=b",
        changed=lambda b, n: told.append((b, n)),
        page=2,
    )
    copy.start()
    try:
        yield server, copy, told
    finally:
        await copy.aclose()


async def played(server):
    """Wait until the last watch, which never ends, is being read."""
    async with asyncio.timeout(10):
        while server.watches or server.lists or "watch" not in server.asked[-1]:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)


def names(copy):
    return {name: pod.version for name, pod in copy.items.items()}


async def test_pages_are_put_together_and_the_watch_goes_on_from_them() -> None:
    lists = [page(raw("a", 1), raw("b", 2), version=9, again="more"), page(raw("c", 3), version=9)]
    watches = [[line("ADDED", raw("d", 10)), line("MODIFIED", raw("a", 11)), line("DELETED", raw("b", 12))]]
    async with mirrored(lists, watches) as (server, copy, told):
        await played(server)
        assert names(copy) == {"a": 11, "c": 3, "d": 10}
        assert server.asked[0] == {"labelSelector": "a=b", "limit": 2}
        assert server.asked[1] == {"labelSelector": "a=b", "limit": 2, "continue": "more"}
        assert [query.get("resourceVersion") for query in server.asked[2:]] == ["9", "12"]
        assert server.asked[2]["allowWatchBookmarks"] == "true"
        assert (told[-1][0].name, told[-1][1]) == ("b", None)
        assert not copy.is_stale


async def test_a_broken_watch_goes_on_where_it_was_and_nothing_is_listed_anew() -> None:
    watches = [
        [line("ADDED", raw("b", 10)), bookmark(20), DOWN],
        DOWN,
        [b'{"type": "ADDED", "object": {"metad'],
        [line("MODIFIED", raw("b", 21))],
    ]
    async with mirrored([page(raw("a", 1), version=9)], watches) as (server, copy, _):
        await played(server)
        assert names(copy) == {"a": 1, "b": 21}
        asked = [query["resourceVersion"] for query in server.asked if "watch" in query]
        assert asked == ["9", "20", "20", "20", "21"]
        assert copy.requests["lists"] == 1


@pytest.mark.parametrize(
    "too_old",
    [
        [line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})],
        [line("ERROR", {"kind": "Status", "reason": "Gone"})],
        TOO_OLD,
    ],
)
async def test_where_the_server_no_longer_knows_the_point_all_is_listed_anew(too_old) -> None:
    lists = [page(raw("a", 1), raw("b", 2), version=9), page(raw("b", 2), raw("c", 30), version=40)]
    async with mirrored(lists, [too_old]) as (server, copy, told):
        await played(server)
        assert names(copy) == {"b": 2, "c": 30}
        assert [(b and b.name, n and n.name) for b, n in told[2:]] == [(None, "c"), ("a", None)]


async def test_a_server_that_forgets_at_once_is_not_asked_for_all_without_end(monkeypatch) -> None:
    monkeypatch.setattr(mirror, "_SHORT_S", 0.2)
    lists = [page(raw("a", 1), version=9) for _ in range(1000)]
    async with mirrored(lists, [TOO_OLD] * 1000) as (_, copy, _):
        await asyncio.sleep(0.5)
        assert copy.requests["lists"] <= 4


async def test_a_list_that_gets_too_old_between_two_pages_begins_anew() -> None:
    lists = [page(raw("a", 1), version=9, again="more"), TOO_OLD, page(raw("a", 5), version=12)]
    async with mirrored(lists, []) as (server, copy, _):
        await played(server)
        assert names(copy) == {"a": 5}


async def test_other_errors_of_a_watch_are_an_outage_and_its_point_is_kept() -> None:
    watches = [[line("ERROR", {"code": 500, "message": "etcd leader changed"})]]
    async with mirrored([page(version=9)], watches) as (server, _copy, _):
        await played(server)
        assert [query.get("resourceVersion") for query in server.asked[1:]] == ["9", "9"]


async def test_what_others_were_told_is_neither_lost_nor_overwritten_by_what_is_older() -> None:
    copies = []

    def first():
        # Made by us while the list was under way, which does not have it yet.
        copies[0].put(decode.pod(raw("new", 50)))
        copies[0].put(decode.pod(raw("a", 60, phase="Failed")))
        return page(raw("a", 1), version=9)

    watches = [
        [line("MODIFIED", raw("a", 55)), line("ADDED", raw("new", 50)), line("DELETED", raw("a", 70, "old"))]
    ]
    server = Server([first], watches)
    copy = Mirror(server, "/pods", decode.pod, what="Pods")
    copies.append(copy)
    copy.start()
    try:
        await played(server)
        assert names(copy) == {"new": 50, "a": 60}  # the deleted one was another of the same name
    finally:
        await copy.aclose()


async def test_an_answer_that_comes_after_the_watch_brings_nothing_back() -> None:
    copies = []

    def late():
        copies[0].put(decode.pod(raw("a", 12)))
        copies[0].put(decode.pod(raw("b", 13, "another")))

    server = Server(
        [page(raw("a", 1), raw("b", 2, "one"), version=9)],
        [[line("DELETED", raw("a", 12)), line("DELETED", raw("b", 12, "one")), late]],
    )
    copy = Mirror(server, "/pods", decode.pod, what="Pods")
    copies.append(copy)
    copy.start()
    try:
        await played(server)
        assert names(copy) == {"b": 13}
    finally:
        await copy.aclose()


async def test_a_copy_without_an_answer_is_stale_and_says_why(monkeypatch) -> None:
    monkeypatch.setattr(mirror, "_SILENCE_S", 0.05)
    monkeypatch.setattr(mirror, "_PAUSE_MOST_S", 0.02)
    monkeypatch.setattr(mirror, "_PAUSE_S", 0.01)
    lists = [page(raw("a", 1), version=9)]
    async with mirrored(lists, [[line("ADDED", raw("b", 10)), DOWN], *[DOWN] * 12]) as (server, copy, _):
        assert copy.is_stale
        async with asyncio.timeout(10):
            while not (copy.is_loaded and copy.is_stale):
                await asyncio.sleep(0.001)
        assert copy.error == "connection refused"
        assert names(copy) == {"a": 1, "b": 10}  # the last that was known stays
        await played(server)
        async with asyncio.timeout(10):
            while copy.is_stale:
                await asyncio.sleep(0.001)
        assert copy.error == ""


async def test_a_server_that_does_not_answer_is_waited_for_once(monkeypatch) -> None:
    monkeypatch.setattr(mirror, "_PAUSE_S", 0.05)
    may_not = KubernetesRefusedError(403, "Forbidden", "nodes is forbidden", {})
    lists = [may_not, DOWN, DOWN, DOWN, page(raw("a", 1), version=9)]
    async with mirrored(lists, []) as (server, copy, _):
        async with asyncio.timeout(10):
            assert not await copy.loaded(60)
            assert not await copy.loaded(60)
        await played(server)
        assert await copy.loaded(60)


async def test_a_fault_of_ours_does_not_end_the_copy() -> None:
    def fault():
        raise ZeroDivisionError

    lists = [page(version=9), page(raw("a", 3), version=20)]
    async with mirrored(lists, [[fault]]) as (server, copy, _):
        await played(server)
        assert names(copy) == {"a": 3}


@pytest.mark.parametrize("nonsense", [{}, {"items": []}, {"metadata": {}, "items": []}])
async def test_an_answer_that_is_no_list_empties_nothing(nonsense) -> None:
    lists = [page(raw("a", 1), version=9), nonsense, page(raw("a", 1), raw("b", 12), version=12)]
    async with mirrored(lists, [TOO_OLD]) as (server, copy, told):
        await played(server)
        assert names(copy) == {"a": 1, "b": 12}
        assert [(b and b.name, n and n.name) for b, n in told] == [(None, "a"), (None, "b")]


async def test_the_last_event_of_each_kind_is_kept_for_a_pod_and_no_others() -> None:
    def event(name, reason, uid, message=""):
        metadata = {"name": name, "uid": name, "resourceVersion": "5"}
        return {"metadata": metadata, "involvedObject": {"uid": uid}, "reason": reason, "message": message}

    said = [
        event("1", "Pulling", "p"),
        event("2", "FailedMount", "p", "first"),
        event("3", "FailedMount", "p", "second"),
        event("4", "Started", "p"),
        event("5", "Pulling", "q"),
    ]
    server = Server([page(event("0", "Pulled", "p"), version=4)], [[line("ADDED", each) for each in said]])
    events = PodEvents(server, what="Events")
    events.start()
    try:
        await played(server)
        assert {key: each.message for key, each in events.of("p").items()} == {
            "Pulling": "",
            "FailedMount": "second",
        }
        assert set(events.of("q")) == {"Pulling"}
        events.forget("p")
        assert events.of("p") == {}
    finally:
        await events.aclose()
