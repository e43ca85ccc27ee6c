"""A session's pod as the kernel has it, in a namespace that admits nothing but restricted pods."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from hub.demo.kubernetes.cluster import Cluster
from spawners.backend import State, SubmitError
from spawners.kubernetes.naming import pod_name
from spawners.plan import Mount, MountMode
from tests.support.kubernetes import own_namespace
from tests.support.kubernetes_backends import (
    SERVE,
    Ours,
    Site,
    connected,
    import_scripted,
    make_site,
    remove_all,
)
from tests.support.mounts import mounts_of

UID, GID, GROUP = 21001, 21002, 21003
LOOK = (
    "cd /home/alice; exec >seen 2>&1; b=/bin/busybox; $b whoami; $b id; "
    "for f in /data/v/RAW/x /data/v/PROCESSED/x /x /etc/x /run/panhub/x /tmp/x /var/tmp/y /dev/shm/x "
    "/opt/panhub/run/x /opt/panhub/jupyter/x; do $b touch $f && echo wrote $f; done; "
    "echo folders /data/* /data/v/* /home/*; "
)
TARGETS = {
    "/data/v/RAW": "ro",
    "/data/v/PROCESSED": "rw",
    "/home/alice": "rw",
    "/run/panhub": "ro",
    "/etc/passwd": "ro",
    "/etc/group": "ro",
    "/tmp": "rw",
    "/var/tmp": "rw",
    "/opt/panhub/run": "rw",
    "/opt/panhub/jupyter": "rw",
    "/dev/shm": "rw",
}
CLAIM = "site"


@pytest.fixture(scope="module")
def restricted(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A namespace for restricted pods, with a claim on a local volume of the node."""
    storage = Path(tmp_path_factory.mktemp("storage"))
    for name, mode, group in (("RAW", 0o755, 0), ("PROCESSED", 0o2770, GROUP), ("SCRIPTS", 0o777, 0)):
        folder = storage / "data" / "v" / name
        folder.mkdir(parents=True)
        (folder / "file").write_text(name)
        os.chown(folder, 0, group)
        folder.chmod(mode)
    with own_namespace(cluster) as namespace:
        site = make_site(cluster, namespace, import_scripted(cluster), storage)
        os.chown(storage / "home" / "alice", UID, GID)
        label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
        merge = "application/merge-patch+json"
        cluster.api.request("PATCH", f"/api/v1/namespaces/{namespace}", label, content_type=merge)
        volume = f"/api/v1/persistentvolumes/{namespace}"
        size = {"storage": "1Gi"}
        cluster.api.apply(
            volume,
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "spec": {
                    "capacity": size,
                    "accessModes": ["ReadWriteMany"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "storageClassName": "",
                    "claimRef": {"namespace": namespace, "name": CLAIM},
                    "local": {"path": str(storage)},
                    "nodeAffinity": {
                        "required": {
                            "nodeSelectorTerms": [
                                {
                                    "matchExpressions": [
                                        {
                                            "key": "kubernetes.io/hostname",
                                            "operator": "In",
                                            "values": [cluster.node],
                                        }
                                    ]
                                }
                            ]
                        }
                    },
                },
            },
        )
        cluster.api.apply(
            f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{CLAIM}",
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "spec": {
                    "accessModes": ["ReadWriteMany"],
                    "storageClassName": "",
                    "volumeName": namespace,
                    "resources": {"requests": size},
                },
            },
        )
        yield site
        remove_all(site)
        cluster.api.request("DELETE", volume)


def owners(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Owner, group and mode of all below a folder."""
    found = {str(path): path.stat() for path in (folder, *folder.rglob("*"))}
    return {name: (stat.st_uid, stat.st_gid, stat.st_mode) for name, stat in found.items()}


async def test_a_session_has_its_persons_numbers_exactly_its_mounts_and_nothing_else(
    restricted: Site,
) -> None:
    data = PurePosixPath(restricted.storage) / "data" / "v"
    shown = PurePosixPath("/data/v")
    mounts = (
        Mount(data / "RAW", shown / "RAW", MountMode.READ_ONLY, "team"),
        Mount(data / "PROCESSED", shown / "PROCESSED", MountMode.READ_WRITE, "team"),
    )
    claim = {"path": str(restricted.storage), "source": {"kind": "claim", "claim": CLAIM}}
    before = owners(restricted.storage)
    async with connected(restricted, storage=[claim]) as ours:
        session = await ours.start(f"{LOOK}{SERVE}", mounts=mounts)
        await session.wait(State.RUNNING)
        seen = restricted.storage / "home" / "alice" / "seen"
        await ours.until(lambda: seen.exists() and "folders" in seen.read_text(), "nothing was seen")
        said = seen.read_text().splitlines()
        pod = await session.pod()
        (pid, *_) = restricted.cluster.processes(pod["metadata"]["uid"])
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        mounted = mounts_of(pid)
        await session.stop()
        await session.forget()

    assert said[0] == "alice"
    assert said[1].startswith(f"uid={UID}(alice) gid={GID}(alice) groups={GID}(alice),{GROUP}")
    assert {line.removeprefix("wrote ") for line in said if line.startswith("wrote")} == {
        f"{path}/x"
        for path in ("/data/v/PROCESSED", "/tmp", "/dev/shm", "/opt/panhub/run", "/opt/panhub/jupyter")
    } | {"/var/tmp/y"}
    assert said[-1] == "folders /data/v /data/v/PROCESSED /data/v/RAW /home/alice"

    assert status["Uid"].split() == [str(UID)] * 4
    assert status["Gid"].split() == [str(GID)] * 4
    assert set(status["Groups"].split()) == {str(GID), str(GROUP)}
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"  # a filter (proc(5))

    options = {str(mount.target): "ro" if mount.is_read_only else "rw" for mount in mounted}
    assert {target: options.get(target) for target in TARGETS} == TARGETS
    assert options["/"] == "ro"
    ours_too = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/termination-log"}  # the kubelet's
    systems = ("/proc", "/sys", "/dev")
    others = set(options) - set(TARGETS) - ours_too - {"/"}
    assert not [target for target in others if not target.startswith(systems)]

    # Nothing of the site's was handed over to anybody, and the kubelet made no folder in it.
    after = owners(restricted.storage)
    assert {name: after[name] for name in before} == before
    assert {name: after[name][:2] for name in set(after) - set(before)} == {
        str(restricted.storage / "home/alice/seen"): (UID, GID),
        str(restricted.storage / "data/v/PROCESSED/x"): (UID, GROUP),
    }


async def test_folders_of_nodes_need_a_namespace_that_admits_them(restricted: Site) -> None:
    async with connected(restricted) as ours:
        plan, credentials = ours.planned()
        with pytest.raises(SubmitError, match="hostPath"):
            async for _ in ours.backend.start(plan, credentials):
                pass
        assert pod_name(plan.launch_id) not in [one["metadata"]["name"] for one in restricted.objects("pods")]


async def test_what_is_mounted_below_raw_data_on_the_node_is_read_only_too(ours: Ours) -> None:
    storage, run = ours.site.storage, ours.site.cluster.run
    inner = storage / "open" / "inner"
    inner.mkdir(parents=True)
    entries = [
        {"path": f"{storage}/{each}", "source": {"kind": "host", "path": f"{storage}/{each}"}}
        for each in ("open", "home")
    ]
    shown = Mount(PurePosixPath(storage / "open"), PurePosixPath("/data/open"), MountMode.READ_ONLY, "open")
    act = "b=/bin/busybox; $b touch /data/open/inner/x && exit 7; $b grep open/inner /proc/mounts || exit 8"
    mounted = await ours.do(lambda: run("mount", "-t", "tmpfs", "-o", "mode=1777", "inner", str(inner)))
    assert mounted.returncode == 0, mounted.stderr
    try:
        async with connected(ours.site, storage=entries) as here:
            session = await here.start(f"{act}; exit 9", mounts=(shown,))
            await session.wait(State.GONE)
            assert (await session.usage()).exit_code == 9  # it is there, and cannot be written to
    finally:
        await ours.do(lambda: run("umount", str(inner)))
