"""The chart on a real cluster: installed by helm, used by people, upgraded under them, removed.

One release for the module; the tests go through its life in their order.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator
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
from tests.support.chart_database import left_books
from tests.support.chart_install import Installed, installed, left_behind, wait
from tests.support.chart_reach import MAY, expected, who_reaches_whom
from tests.support.chart_values import PEOPLE, SLURM_KEY

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.may_block("the identity provider runs in a thread of this process, and makes pages"),
]

_DATA = {"inputs": [{"kind": "dataset", "ref": "ds-ma5501-lab6-series"}], "walltime_s": 3600}
_STARTS_S = 240
_COMPONENTS = ("proxy", "hub", "service", "desktop", "database")


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


def test_all_parts_answer(release):
    assert release.tested["release"]["status"] == "deployed"
    path = f"/apis/networking.k8s.io/v1/namespaces/{release.namespace}/ingresses/{RELEASE}"
    (rule,) = release.cluster.api.request("GET", path)["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == f"{RELEASE}-proxy"


_ASK = """
import asyncio, json, sys
from pathlib import Path
from spawners.slurm.gateway.client import GatewayTokens
from spawners.slurm.transport import SlurmError

async def ask(name):
    try:
        return await GatewayTokens(Path("/run/panhub-gateway/tokens.sock")).token(name)
    except SlurmError as error:
        return f"refused: {error}"

print(json.dumps({name: asyncio.run(ask(name)) for name in sys.argv[1:]}))
"""


def test_the_token_gateway_answers_the_service_and_keeps_its_key(release):
    ask = ("python3", "-c", _ASK, "maja", "yuki", "root", "nobody-here")
    answers = json.loads(release.execute("service", *ask))
    signed, _, signature = answers.pop("maja").rpartition(".")
    proof = hmac.new(release.slurm_key.encode(), signed.encode(), hashlib.sha256).digest()
    assert signature == base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
    claims = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
    assert claims["sun"] == "maja"
    assert claims["exp"] > time.time()
    assert answers == {
        "yuki": "refused: yuki is not among the people for whom tokens are minted.",
        "root": "refused: root is a system account, for which no tokens are minted.",
        "nobody-here": "refused: The gateway's machine has no account nobody-here.",
    }

    folders = ("/run", "/etc", "/tmp", "/var")
    look = ("sh", "-c", 'grep -rlsF "$0" "$@" | sort', release.slurm_key, *folders)
    assert release.execute("service", *look) == ""
    assert release.execute("service", *look, container="token-gateway") == "/run/panhub-key/jwt_hs256.key\n"
    secrets = ("sh", "-c", "ls -d /run/panhub /run/panhub-* /run/secrets/* 2>/dev/null; id -u")
    gateway = release.execute("service", *secrets, container="token-gateway").split()
    assert gateway == ["/run/panhub-gateway", "/run/panhub-key", "64011"]
    names = release.execute("service", "grep", "^passwd:", "/etc/nsswitch.conf", container="token-gateway")
    assert "sss" in names.split()


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
    (pod,) = await asyncio.to_thread(release.session_pods, notebook["id"])
    (other,) = await asyncio.to_thread(release.session_pods, desktop["id"])
    release.reached = await asyncio.to_thread(who_reaches_whom, release, pod, other)
    await asyncio.to_thread(release.write_seccomp_profile, "panhub-desktop.json")

    before = await asyncio.to_thread(_uids, release)
    secret = await asyncio.to_thread(release.objects, "secrets")
    values = with_value(release.values, "settings.site.name", "Another name")
    values = with_value(values, "desktop.guacd", {"kind": "sandbox"})
    values = with_value(values, "desktop.seccompProfile", "panhub-desktop.json")
    await asyncio.to_thread(release.upgrade, values)
    after = await asyncio.to_thread(_uids, release)
    assert {name for name in _COMPONENTS if before[name] != after[name]} == {"hub", "service", "desktop"}
    assert _own(await asyncio.to_thread(release.objects, "secrets")) == _own(secret)
    assert "Another name" in (await maja.page("")).text
    assert await _runs_code(maja, notebook)
    (still,) = await asyncio.to_thread(release.session_pods, notebook["id"])
    assert still["metadata"]["uid"] == pod["metadata"]["uid"]
    assert still["status"]["containerStatuses"][0]["restartCount"] == 0

    # The same desktop, now by a guacd of its own that has no network but a loopback.
    window = await walk.open(maja)
    assert await asyncio.to_thread(release.execute, "desktop", *_NETWORKS_OF_GUACD) == "lo\n"
    await window.aclose()
    await _stop(maja, desktop)

    ended = await _stop(maja, notebook)
    assert ended["usage"]["elapsed_seconds"] > 0
    await _until(lambda: not release.session_pods(notebook["id"]))


_NETWORKS_OF_GUACD = (
    "sh",
    "-c",
    "cat $(grep -l guacd /proc/*/comm | sed s,comm,net/dev,) | sed -n 's/^ *\\([a-z0-9]*\\):.*/\\1/p' | uniq",
)


def _uids(release: Installed) -> dict[str, str]:
    """Uid of each process's pod that is to stay."""
    return {
        name: pod["metadata"]["uid"]
        for name in _COMPONENTS
        for pod in release.pods_of(name)
        if "deletionTimestamp" not in pod["metadata"]
    }


def _restarts(release: Installed) -> int:
    """How often containers of ours were started again in their pods."""
    pods = [pod for name in _COMPONENTS for pod in release.pods_of(name)]
    return sum(one["restartCount"] for pod in pods for one in pod["status"].get("containerStatuses", ()))


def _own(found: list[dict[str, Any]]) -> dict[str, Any]:
    """What is in the secrets that the chart makes."""
    names = {f"{RELEASE}-secrets", f"{RELEASE}-database"}
    data = {one["metadata"]["name"]: one["data"] for one in found if one["metadata"]["name"] in names}
    assert set(data) == names
    return data


@pytest.mark.parametrize("who", MAY)
def test_everybody_reaches_whom_they_need_and_nobody_else(release, who):
    """While people worked it was tried, by connections."""
    assert release.reached[who] == expected(who)


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
            assert await _runs_code(maja, launch)
            await _stop(maja, launch)
        else:
            assert launch["end_message"] or launch["problem"], launch
        await _until(lambda launch=launch: not release.session_pods(launch["id"]))
    # Nothing is held for any of them any more.
    held = "SELECT count(*) FROM quota_accounts WHERE held <> 0"
    await _until(lambda: release.books(held) == [("0",)])


async def test_a_database_that_is_killed_comes_back_with_all_that_was_in_it(release, maja):
    launch = await maja.wait_for((await _start(maja))["id"], "running", timeout_s=_STARTS_S)
    (before,) = await asyncio.to_thread(release.pods_of, "database")
    parts, restarts = await asyncio.to_thread(_uids, release), await asyncio.to_thread(_restarts, release)
    await asyncio.to_thread(release.kill, "database", grace_s=1)
    await asyncio.to_thread(release.wait_ready, "database", other_than=before["metadata"]["uid"])

    found = await _outcome(maja, launch["id"])
    assert found["state"] == "running", found
    assert await _runs_code(maja, launch)
    next_one = await _outcome(maja, (await _start(maja))["id"])
    assert next_one["state"] == "running", next_one
    for each in (launch, next_one):
        assert (await _stop(maja, each))["usage"]["elapsed_seconds"] > 0
    now = await asyncio.to_thread(_uids, release)
    assert {name for name in _COMPONENTS if parts[name] != now[name]} == {"database"}
    assert await asyncio.to_thread(_restarts, release) <= restarts


async def _runs_code(visitor: Visitor, launch: dict[str, Any]) -> bool:
    """Whether a kernel answers, once the hub is in reach of all again: they learn of a new pod one by one."""
    deadline = time.monotonic() + _STARTS_S
    while True:
        try:
            return await visitor.run_code(launch, "print(6 * 7)") == "42\n"
        except VisitError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.2)


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

    image = release.values["database"]["bundled"]["image"]
    query = f"SELECT state, usage FROM launches WHERE id = '{launch['id']}'"
    ((state, usage),) = await asyncio.to_thread(
        left_books, release.cluster, image, release.folder / "database", query
    )
    assert state == "ended"
    assert "elapsed_seconds" in usage
    with pytest.raises(httpx.HTTPError):
        await asyncio.to_thread(httpx.get, release.url, timeout=5)
    own = {f"/api/v1/namespaces/{release.namespace}"}  # the operator's own, and the claims in it
    volumes = "/api/v1/persistentvolumes/"

    def others() -> list[str]:
        return [path for path in left_behind(release) if path not in own and not path.startswith(volumes)]

    await _until(lambda: not others())
    given = {"kube-root-ca.crt", "facility-ca", "panhub-oidc", PEOPLE, SLURM_KEY}
    for kind in ("pods", "services", "configmaps", "secrets"):
        await _until(lambda kind=kind: {one["metadata"]["name"] for one in release.objects(kind)} <= given)
