"""Which placeholders are made and removed in a round of their keeper."""

from __future__ import annotations

import pytest

from spawners.kubernetes.client import KubernetesRefusedError
from spawners.kubernetes.pods import Pods
from spawners.kubernetes.warm import WarmKeeper, wanted_placeholders
from spawners.kubernetes.watcher import ClusterWatcher
from tests.support.kubernetes_plans import a_cluster

SETTINGS = a_cluster(pools={"default": {"warm": {"pods": 2}}, "GPU.x": {"warm": {"pods": 1}}})
WANTED = wanted_placeholders(SETTINGS)
FIRST, SECOND, GPU = WANTED


def raw(name, *, phase="Running", wanted=FIRST, **more):
    """A placeholder as the server has it; ``wanted`` gives it its mark and labels."""
    metadata = WANTED[wanted]["metadata"]
    metadata = {**metadata, "name": name, "uid": f"uid-{name}", "resourceVersion": "5", **more}
    return {"kind": "Pod", "metadata": metadata, "spec": {}, "status": {"phase": phase}}


class Api:
    """Takes all that is asked of it."""

    namespace = "ns"

    def __init__(self, refused=()):
        self.asked = []
        self._refused = refused

    def path(self, *parts):
        return "/".join(parts)

    async def create(self, path, body):
        name = body["metadata"]["name"]
        self.asked.append(("make", name))
        if name in self._refused:
            raise KubernetesRefusedError(403, "Forbidden", f"exceeded quota: {name}", {})
        raise KubernetesRefusedError(409, "AlreadyExists", "it exists", {})

    async def delete(self, path, options):
        self.asked.append(("remove", path.rpartition("/")[2]))
        return {"kind": "Status"}


async def a_round(*there, api=None):
    api = api or Api()
    watcher = ClusterWatcher("c", api, sees_nodes=False)
    watcher.pods._loaded.set()
    watcher.pods._hear()
    watcher.pods._task = "never begun"
    for each in there:
        watcher.heard(each)
    await WarmKeeper("c", SETTINGS, api, watcher, Pods(api, watcher))._round()
    return api.asked


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        ([], [("make", name) for name in WANTED]),
        ([raw(FIRST), raw(SECOND, wanted=SECOND), raw(GPU, wanted=GPU)], []),
        ([raw(FIRST, phase="Pending"), raw(SECOND, wanted=SECOND)], [("make", GPU)]),
        # Of another form, of none that is wanted any more, and one that is going already.
        ([raw(FIRST, wanted=GPU)], [("remove", FIRST), ("make", SECOND), ("make", GPU)]),
        ([raw("warm-default-7")], [("remove", "warm-default-7"), *(("make", name) for name in WANTED)]),
        (
            [raw(FIRST, wanted=GPU, deletionTimestamp="2026-11-21T12:00:00Z")],
            [("make", SECOND), ("make", GPU)],
        ),
        # Its node put it out, or did not take it.
        ([raw(FIRST, phase="Failed")], [("remove", FIRST), ("make", SECOND), ("make", GPU)]),
        ([raw(FIRST, phase="Succeeded")], [("remove", FIRST), ("make", SECOND), ("make", GPU)]),
    ],
)
async def test_what_is_kept_is_what_keeps_room(there, asked):
    assert await a_round(*there) == asked


async def test_a_pool_that_may_have_no_more_keeps_none_from_another():
    api = Api(refused={FIRST})
    with pytest.raises(KubernetesRefusedError, match=FIRST):
        await a_round(api=api)
    assert api.asked == [("make", FIRST), ("make", GPU)]
