"""The whole way of two people in pods: one in a notebook, one in a desktop. `panhub smoke --kubernetes`.

Beside what the demo's own walk looks at: accounts, privileges and mounts as the kernel has them, from
outside the pod and from inside, that nothing of the cluster is within reach, and that the charge
is what the pod's own times say.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from hub.demo.kubernetes.follow import PodFollower
from hub.demo.kubernetes.kernel import mounts, processes
from hub.demo.kubernetes.people import account_table
from hub.demo.kubernetes.site import PLACE, KubernetesSite
from hub.demo.run import Demo
from hub.demo.smoke import Plan, Report, Walk
from hub.demo.visitor import VisitError, Visitor
from hub.demo.window import Window
from spawners.kubernetes.naming import LAUNCH_LABEL

WALKS = (
    Walk(
        "maja",
        "ds-ma5501-lab6-series",
        "ma5501/id22/*/PROCESSED_DATA/panhub/*_azint.nxs",
        {"profile": "lab", "place": PLACE},
    ),
    Walk(
        "rui",
        "ds-hc4802-ceo2-series",
        "hc4802/id22/*/PROCESSED_DATA/panhub/*_azint.nxs",
        {"profile": "desktop", "interface": "desktop", "place": PLACE},
    ),
)

_TARGET = PurePosixPath("/data/visitor")
_TOKEN = PurePosixPath("/var/run/secrets/kubernetes.io")

_LOOK_AROUND = f"""
import errno, json, os, pathlib, socket
data = pathlib.Path("{_TARGET}")
raw = next(data.glob("*/*/*/RAW_DATA"))
try:
    (raw / "written").write_text("x")
    said = "written"
except OSError as error:
    said = errno.errorcode[error.errno]
try:
    socket.create_connection(("kubernetes.default.svc", 443), timeout=3).close()
    api = "reached"
except socket.gaierror:
    api = "no name server"
except OSError as error:
    api = errno.errorcode.get(error.errno, "no answer")
print(json.dumps({{
    "raw": said,
    "api": api,
    "proposals": sorted(path.name for path in data.iterdir()),
    "uid": os.getuid(),
    "gid": os.getgid(),
    "groups": sorted({{os.getgid(), *os.getgroups()}}),
    "home": str(pathlib.Path.home()),
    "token": os.path.exists("{_TOKEN}"),
    "secrets": sorted(name for name in os.environ if "SECRET" in name or name.startswith("KUBERNETES_")),
}}))
"""


def kubernetes_plan(site: KubernetesSite) -> Plan:
    """What `panhub smoke --kubernetes` walks."""
    looks = _Looks(site)
    return Plan(
        WALKS,
        site,
        running=(looks.from_inside, looks.from_outside, looks.at_the_desktop),
        ended=(looks.charge,),
        with_desktops=True,
    )


class _Looks:
    """Looks at sessions of a site."""

    def __init__(self, site: KubernetesSite) -> None:
        self._site = site
        self._follower: PodFollower | None = None

    async def from_inside(
        self, _demo: Demo, visitor: Visitor, launch: Mapping[str, Any], report: Report
    ) -> None:
        """What the person's own code finds."""
        who = visitor.username
        text = await report.step(who, "looks around in the session", visitor.run_code(launch, _LOOK_AROUND))
        seen = json.loads(text)
        account = account_table(self._site.homes)[who]
        own = {entry["proposal"] for entry in launch["summary"]["data"]}
        found = set(seen["proposals"])
        ids = (seen["uid"], seen["gid"], set(seen["groups"]))
        wanted = (account["uid"], account["gid"], {account["gid"], *account["groups"]})
        for what, is_right, shown in (
            ("raw data is read-only", seen["raw"] == "EROFS", seen["raw"]),
            ("no other proposal is to be seen", found == own, ", ".join(seen["proposals"])),
            ("it runs as their own account, with its groups", ids == wanted, ids),
            ("the home is theirs", seen["home"] == f"/home/{who}", seen["home"]),
            ("no token of the cluster is there", not seen["token"], ""),
            (
                "its API is out of reach",
                seen["api"] not in {"reached", "no name server"},
                seen["api"],
            ),
            ("no further secret in the environment", not seen["secrets"], ", ".join(seen["secrets"])),
        ):
            report.check(who, what, is_right=is_right, found=shown)

    async def from_outside(
        self, _demo: Demo, visitor: Visitor, launch: Mapping[str, Any], report: Report
    ) -> None:
        """What the kernel has of the pod's processes."""
        who, cluster = visitor.username, self._site.cluster
        pod = await asyncio.to_thread(self._pod, launch["id"])
        if self._follower is None:
            self._follower = PodFollower(cluster.kubeconfig, self._site.namespace)
        self._follower.follow(launch["id"])
        pids = await asyncio.to_thread(cluster.processes, pod["metadata"]["uid"])
        running = await asyncio.to_thread(processes, pids)
        account = account_table(self._site.homes)[who]
        uid, gid, groups = account["uid"], account["gid"], {account["gid"], *account["groups"]}
        is_theirs = all(p.uids == {uid} and p.gids == {gid} and p.groups | {gid} == groups for p in running)
        report.check(
            who,
            "every process is theirs, as the kernel has it",
            is_right=bool(running) and is_theirs,
            found=f"{len(running)} processes, uid {uid}, groups {sorted(groups)}",
        )
        report.check(
            who,
            "none has a privilege, or a way to one",
            is_right=bool(running) and all(one.is_unprivileged for one in running),
            found=", ".join(sorted({one.privileges for one in running})),
        )
        await self._check_mounts(who, running[0].pid, launch, report)

    async def _check_mounts(self, who: str, pid: int, launch: Mapping[str, Any], report: Report) -> None:
        seen = await asyncio.to_thread(mounts, pid)
        data = {one.target: one.is_read_only for one in seen if one.target.is_relative_to(_TARGET)}
        granted = launch["summary"]["mounts"]
        wanted = {PurePosixPath(one["path"]): one["mode"] == "ro" for one in granted}
        report.check(
            who,
            "the kernel has the granted folders, read-only or not",
            is_right=bool(wanted) and data == wanted,
            found=", ".join(f"{path.name} {'ro' if ro else 'rw'}" for path, ro in sorted(data.items())),
        )
        root = next(one for one in seen if one.target == PurePosixPath("/"))
        has_token = any(one.target.is_relative_to(_TOKEN) for one in seen)
        report.check(
            who,
            "the image is read-only, and no token is mounted",
            is_right=root.is_read_only and not has_token,
        )

    async def at_the_desktop(
        self, _demo: Demo, visitor: Visitor, launch: Mapping[str, Any], report: Report
    ) -> None:
        """Where the session has a desktop: it is drawn in a window."""
        if launch["summary"]["interface"]["id"] != "desktop":
            return
        window = await report.step(
            visitor.username, "opens the desktop, until it is drawn", _open_window(visitor, launch["id"])
        )
        await window.aclose()

    async def charge(self, _demo: Demo, visitor: Visitor, launch: Mapping[str, Any], report: Report) -> None:
        """The charge is what the pod's own times say."""
        assert self._follower is not None
        who, usage = visitor.username, launch["usage"] or {}
        record = await report.step(who, "has their pod removed", self._follower.last(launch["id"]))
        charged = (usage.get("elapsed_seconds"), str(usage.get("cpus")))
        is_right = charged == (record.elapsed, record.limits["cpu"])
        found = f"{record.elapsed} s on {record.limits['cpu']} CPU"
        report.check(who, "the charge is what the pod's times say", is_right=is_right, found=found)

    def _pod(self, launch_id: str) -> dict[str, Any]:
        path = f"/api/v1/namespaces/{self._site.namespace}/pods?labelSelector={LAUNCH_LABEL}%3D{launch_id}"
        found = self._site.cluster.api.request("GET", path)["items"]
        if len(found) != 1:
            raise VisitError(f"{launch_id} has {len(found)} pods")
        pod: dict[str, Any] = found[0]
        return pod


async def _open_window(visitor: Visitor, desktop: str) -> Window:
    await visitor.open_desktop(desktop)
    reply = await visitor.api("POST", f"/desktops/{desktop}/tickets", json={"screen": 1})
    if reply.status_code not in {200, 201}:
        raise VisitError(f"no ticket: {reply.status_code} {reply.text[:300]}")
    window = await Window.open(visitor, str(reply.json()["ticket"]))
    await window.drawn()
    return window
