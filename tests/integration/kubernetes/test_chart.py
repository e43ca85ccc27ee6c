"""The chart on a real cluster: installed by helm, used by people, upgraded under them, removed.

One release for the module; the tests go through its life in their order.
"""

from __future__ import annotations

import asyncio
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from hub.demo import visitor as visitors
from hub.demo.desktopsmoke import Walk
from hub.demo.kubernetes.cluster import Cluster
from hub.demo.smoke import Report
from hub.demo.visitor import VisitError, Visitor
from spawners.kubernetes.naming import FINALIZER
from tests.support.chart import RELEASE, with_value
from tests.support.chart_install import Installed, installed, left_behind, wait

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.may_block("the identity provider runs in a thread of this process, and makes pages"),
]

_DATA = {"inputs": [{"kind": "dataset", "ref": "ds-ma5501-lab6-series"}], "walltime_s": 3600}
_STARTS_S = 240
_COMPONENTS = ("proxy", "hub", "service", "desktop")


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Installed]:
    with installed(cluster) as made:
        # Ready is each part by itself; the way through the proxy is there when the hub has told its routes.
        made.tested = made.helm.test(RELEASE, timeout=180)
        yield made


@pytest.fixture
async def maja(release: Installed, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Visitor]:
    """A person whose browser trusts the site's authority."""
    trust = await asyncio.to_thread(ssl.create_default_context, cafile=str(release.certificate))
    monkeypatch.setattr(visitors, "_TLS", trust)
    visitor = Visitor(release.url, "maja")
    for attempt in range(3):
        try:
            await visitor.sign_in()
            break
        except VisitError as error:  # on a busy machine somebody may be too slow for the hub's patience
            if "(503)" not in str(error) or attempt == 2:
                raise
    yield visitor
    await visitor.aclose()


async def _start(visitor: Visitor, **more: Any) -> dict[str, Any]:
    reply = await visitor.api("POST", "/launches", json={**_DATA, **more})
    assert reply.status_code == 202, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def _stop(visitor: Visitor, launch: dict[str, Any]) -> dict[str, Any]:
    await visitor.api("DELETE", f"/launches/{launch['id']}")
    return await visitor.wait_for(launch["id"], "ended", timeout_s=_STARTS_S)


def _books(release: Installed, query: str) -> list[tuple[Any, ...]]:
    """Rows of the service's database, read from the claim that it lies in."""
    path = release.folder / "state/service/panhub.sqlite"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query).fetchall()


def test_all_parts_answer(release):
    assert release.tested["release"]["status"] == "deployed"


async def test_people_work_while_the_release_is_upgraded(release, maja):
    notebook = await _start(maja, template="auto")
    walk = Walk(maja, maja, maja, Report(), {})
    desktop = await walk.start()
    notebook = await maja.wait_for(notebook["id"], "running", timeout_s=_STARTS_S)

    path = f"{notebook['summary']['workdir']}/{notebook['summary']['template']['notebook']}"
    ran = await maja.run_notebook(notebook, path)
    assert ran.plots > 0
    looked = await maja.run_code(
        notebook,
        "import os, pathlib; print(os.getuid(), pathlib.Path('/run/secrets/kubernetes.io').exists())",
    )
    assert looked.split() == ["20001", "False"]

    window = await walk.open(maja)
    await walk.terminal(window)
    await window.write("touch by-owner\n")
    await window.calm()
    assert "by-owner" in await maja.files_of(desktop, desktop["summary"]["workdir"])
    await window.aclose()
    await _stop(maja, desktop)

    before = await asyncio.to_thread(_uids, release)
    (pod,) = await asyncio.to_thread(release.session_pods, notebook["id"])
    secret = await asyncio.to_thread(release.objects, "secrets")
    values = with_value(release.values, "settings.site.name", "Another name")
    await asyncio.to_thread(release.upgrade, values)
    after = await asyncio.to_thread(_uids, release)
    assert {name for name in _COMPONENTS if before[name] != after[name]} == {"hub", "service", "desktop"}
    assert _own(await asyncio.to_thread(release.objects, "secrets")) == _own(secret)
    assert "Another name" in (await maja.page("")).text
    assert await maja.run_code(notebook, "print(6 * 7)") == "42\n"
    (still,) = await asyncio.to_thread(release.session_pods, notebook["id"])
    assert still["metadata"]["uid"] == pod["metadata"]["uid"]
    assert still["status"]["containerStatuses"][0]["restartCount"] == 0

    ended = await _stop(maja, notebook)
    assert ended["usage"]["elapsed_seconds"] > 0
    await _until(lambda: not release.session_pods(notebook["id"]))


def _uids(release: Installed) -> dict[str, str]:
    """Uid of each process's pod that is to stay."""
    return {
        name: pod["metadata"]["uid"]
        for name in _COMPONENTS
        for pod in release.pods_of(name)
        if "deletionTimestamp" not in pod["metadata"]
    }


def _own(found: list[dict[str, Any]]) -> dict[str, Any]:
    (secret,) = [one for one in found if one["metadata"]["name"] == f"{RELEASE}-secrets"]
    data: dict[str, Any] = secret["data"]
    return data


async def test_a_hub_that_is_killed_leaves_no_start_half_done(release, maja):
    """Three starts meet it: one that has its pod, one that was just asked for, one that comes meanwhile."""
    (before,) = await asyncio.to_thread(release.pods_of, "hub")
    starts = [await _start(maja)]
    await _until(lambda: release.session_pods(starts[0]["id"]))
    starts.append(await _start(maja))
    await asyncio.to_thread(release.kill, "hub")
    reply = await maja.api("POST", "/launches", json=_DATA)
    if reply.status_code == 202:
        starts.append(reply.json())
    else:
        assert reply.status_code >= 500, reply.text  # nobody can say who it is; nothing was begun
    await asyncio.to_thread(release.wait_ready, "hub", other_than=before["metadata"]["uid"])

    ends = [await _outcome(maja, launch["id"]) for launch in starts]
    assert ends[0]["state"] == "running", ends[0]
    for launch in ends:
        if launch["state"] == "running":
            assert await maja.run_code(launch, "print(6 * 7)") == "42\n"
            await _stop(maja, launch)
        else:
            assert launch["end_message"] or launch["problem"], launch
        await _until(lambda launch=launch: not release.session_pods(launch["id"]))
    # Nothing is held for any of them any more.
    await _until(lambda: _books(release, "SELECT sum(held) FROM quota_accounts") == [(0,)])


async def _until(what: Any) -> None:
    await asyncio.to_thread(wait, what, "it did not come to that")


async def _outcome(visitor: Visitor, launch_id: str) -> dict[str, Any]:
    """The launch once it runs or is over; the hub may not yet be reached by all."""
    deadline = time.monotonic() + _STARTS_S
    while time.monotonic() < deadline:
        reply = await visitor.api("GET", f"/launches/{launch_id}")
        if reply.status_code == 200 and reply.json()["state"] in {"running", "ended", "refused"}:
            found: dict[str, Any] = reply.json()
            return found
        await asyncio.sleep(0.2)
    raise AssertionError(f"{launch_id} is neither running nor over: {reply.text}")


async def test_removing_it_settles_who_works_and_leaves_nothing(release, maja):
    launch = await maja.wait_for((await _start(maja))["id"], "running", timeout_s=_STARTS_S)
    (pod,) = await asyncio.to_thread(release.session_pods, launch["id"])
    assert FINALIZER in pod["metadata"]["finalizers"]
    await maja.aclose()

    await asyncio.to_thread(release.helm.uninstall, RELEASE, timeout=300, wait="watcher")

    rows = await asyncio.to_thread(
        _books, release, f"SELECT state, usage FROM launches WHERE id = '{launch['id']}'"
    )
    assert rows[0][0] == "ended"
    assert "elapsed_seconds" in rows[0][1]
    with pytest.raises(httpx.HTTPError):
        await asyncio.to_thread(httpx.get, release.url, timeout=5)
    own = {f"/api/v1/namespaces/{release.namespace}"}  # the operator's own, and the claims in it
    volumes = "/api/v1/persistentvolumes/"

    def others() -> list[str]:
        return [path for path in left_behind(release) if path not in own and not path.startswith(volumes)]

    await _until(lambda: not others())
    given = {"kube-root-ca.crt", "facility-ca", "panhub-oidc"}
    for kind in ("pods", "services", "configmaps", "secrets"):
        await _until(lambda kind=kind: {one["metadata"]["name"] for one in release.objects(kind)} <= given)
