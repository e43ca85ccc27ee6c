"""The steps of a pod's life against a server that may fail, or not be the server, at each of them."""

from __future__ import annotations

import pytest

from spawners.kubernetes.client import KubernetesRefusedError, KubernetesUnavailableError
from spawners.kubernetes.handles import Link
from spawners.kubernetes.naming import FINALIZER, LAUNCH_LABEL
from spawners.kubernetes.pods import Pods
from spawners.kubernetes.watcher import ClusterWatcher

DOWN = KubernetesUnavailableError("connection refused")
ABSENT = KubernetesRefusedError(404, "NotFound", "not found", {})
TAKEN = KubernetesRefusedError(409, "AlreadyExists", "it exists", {})
LINK = Link("session-1", "uid-1")
ENDING = {"deletionTimestamp": "2026-11-21T12:00:00Z"}


def raw(*, launch="1", finalizers=(FINALIZER,), **more):
    metadata = {"name": "session-1", "uid": "uid-1", "resourceVersion": "5", "labels": {LAUNCH_LABEL: launch}}
    return {
        "kind": "Pod",
        "metadata": {**metadata, "finalizers": list(finalizers), **more},
        "spec": {},
        "status": {},
    }


class Api:
    """Answers in turn, to whatever is asked; ``asked`` are method and what is below the namespace."""

    namespace = "ns"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def path(self, *parts):
        return "/".join(parts)

    async def _answer(self, method, path):
        self.asked.append((method, path))
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def get(self, path, query=None, **_):
        return await self._answer("GET", path)

    async def text(self, path, query, *, most):
        """As the kubelet: so many lines of the end, and of these the first bytes."""
        said = (await self._answer("GET", path)).removesuffix("\n").split("\n")
        return "\n".join(said[-query["tailLines"] :])[: min(most, query["limitBytes"])]

    async def create(self, path, body, **_):
        return await self._answer("POST", path)

    async def patch(self, path, body, **_):
        return await self._answer("PATCH", path)

    async def delete(self, path, options=None, **_):
        return await self._answer("DELETE", path)


def pods(*answers):
    api = Api(*answers)
    watcher = ClusterWatcher("c", api, sees_nodes=False)
    return Pods(api, watcher), watcher, api


WANTED = {"metadata": {"name": "session-1"}, "spec": {}}


@pytest.mark.parametrize("nonsense", [{}, {"kind": "Pod"}, {"kind": "Status", "status": "Success"}])
async def test_an_answer_that_is_no_pod_says_nothing_of_one(nonsense):
    steps, watcher, _ = pods(nonsense, nonsense, TAKEN, nonsense)
    with pytest.raises(KubernetesUnavailableError):
        await watcher.look("session-1")
    for _ in range(2):
        with pytest.raises(KubernetesUnavailableError):
            await steps.make(WANTED, "1")
    assert watcher.pods.items == {}


async def test_a_pod_of_an_earlier_try_is_taken_over_and_nobody_else_s():
    steps, watcher, _ = pods(TAKEN, raw())
    assert (await steps.make(WANTED, "1")).uid == "uid-1"
    assert watcher.pod("session-1", "uid-1") is not None
    steps, _, _ = pods(TAKEN, raw(launch="2"))
    with pytest.raises(Exception, match="session-1"):
        await steps.make(WANTED, "1")


async def test_a_pod_is_let_go_so_that_a_crash_in_between_leaves_it_to_be_found():
    steps, watcher, api = pods(raw(**ENDING, resourceVersion="6"), DOWN)
    watcher.heard(raw())
    with pytest.raises(KubernetesUnavailableError):
        await steps.let_go(LINK)
    (left,) = watcher.pods.items.values()
    assert left.has_finalizer  # what a later life looks for
    assert left.deleted_at is not None
    api.answers = [raw(**ENDING, resourceVersion="6"), raw(**ENDING, finalizers=(), resourceVersion="7")]
    await steps.let_go(LINK)
    assert api.asked == [("DELETE", "pods/session-1"), ("PATCH", "pods/session-1")] * 2


async def test_what_has_gone_already_is_let_go_too():
    steps, watcher, _ = pods(ABSENT, ABSENT, ABSENT, ABSENT)
    watcher.heard(raw())
    await steps.let_go(LINK)
    assert watcher.pods.items == {}
    assert watcher.vanished == {}


async def test_the_end_of_a_log_is_its_end_though_a_progress_bar_is_in_it():
    bar = "".join(f"\r{percent / 100:7.2f} % {'#' * 40}" for percent in range(10_000))
    steps, _, _ = pods(f"begin\n{bar}\nTraceback\nMemoryError\n")
    found = await steps.log_tail("session-1", 3)
    assert found[-2:] == ["Traceback", "MemoryError"]
