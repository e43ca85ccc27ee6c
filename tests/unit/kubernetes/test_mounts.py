"""Which volume has a folder of the site, and what may be shown where in a pod."""

import time
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from spawners.backend import SubmitError
from spawners.kubernetes.mounts import volumes_and_mounts
from spawners.kubernetes.settings import KubernetesClusterSettings
from spawners.kubernetes.storage import absent, locate, missing
from spawners.plan import MountMode
from tests.support.kubernetes_plans import PROCESSED, RAW, a_cluster, a_plan, mount

STORAGE = [
    {"path": "/data", "source": {"kind": "claim", "claim": "data"}},
    {"path": "/data/fast", "source": {"kind": "nfs", "server": "fast", "export": "/export"}},
    {"path": "/home", "source": {"kind": "claim", "claim": "homes", "sub_path": "people"}},
    {"path": "/gpfs", "source": {"kind": "host", "path": "/mnt/gpfs"}},
]


@pytest.mark.parametrize(
    ("path", "volume", "sub_path"),
    [
        ("/data", "storage-0", "."),
        ("/data/v/RAW", "storage-0", "v/RAW"),
        ("/data/fast/v", "storage-1", "v"),  # the innermost
        ("/data/faster/v", "storage-0", "faster/v"),
        ("/home/alice", "storage-2", "people/alice"),
        ("/gpfs/a", "storage-3", "a"),
        ("/database", None, None),
        ("/", None, None),
        ("data/v", None, None),
        ("/data/../etc", None, None),
    ],
)
def test_a_folder_is_where_the_innermost_entry_has_it(path, volume, sub_path):
    found = locate(PurePosixPath(path), a_cluster(storage=STORAGE).storage)
    assert (found and found.volume) == volume
    assert (found and str(found.sub_path)) == sub_path


@pytest.mark.parametrize("sub_path", ["/people", "../people", "a/../.."])
def test_a_claims_folder_lies_in_it(sub_path):
    source = {"kind": "claim", "claim": "homes", "sub_path": sub_path}
    with pytest.raises(ValueError, match="relative path"):
        a_cluster(storage=[{"path": "/home", "source": source}])


def test_what_no_storage_has_is_named_once():
    plan = a_plan(mounts=(RAW, mount("/x/a", "/x/a"), mount("/x/a", "/y/a")))
    assert missing(plan, a_cluster()) == (PurePosixPath("/x/a"),)
    assert missing(plan, KubernetesClusterSettings())[0] == PurePosixPath("/storage/home/alice")
    assert missing(a_plan(), a_cluster()) == ()


def test_a_folder_that_is_not_there_is_told_where_the_engine_sees_the_storage(tmp_path):
    seen, empty = tmp_path / "seen", tmp_path / "empty"
    for folder in (seen / "home" / "alice", seen / "RAW", empty):
        folder.mkdir(parents=True)
    cluster = a_cluster(
        storage=[
            {"path": str(root), "source": {"kind": "claim", "claim": "x"}}
            for root in (seen, empty, "/nowhere")
        ]
    )
    account = replace(a_plan().account, home=PurePosixPath(seen / "home" / "alice"))
    there = mount(str(seen / "RAW"), "/data/RAW")
    gone = mount(str(seen / "GONE"), "/data/GONE")
    unseen = (mount(str(empty / "a"), "/data/a"), mount("/nowhere/b", "/data/b"), mount("/other", "/data/c"))
    assert absent(a_plan(account=account, mounts=(there, *unseen)), cluster) == ()
    assert absent(a_plan(account=account, mounts=(gone,)), cluster) == (gone.source,)
    account = replace(account, home=PurePosixPath(seen / "home" / "bob"))
    assert absent(a_plan(account=account, mounts=()), cluster) == (account.home,)


def storage_volumes(plan, **settings):
    volumes, _ = volumes_and_mounts(plan, a_cluster(**settings))
    return [volume for volume in volumes if volume["name"].startswith("storage-")]


def test_only_storage_that_is_needed_is_there_and_once():
    storage = [{"path": "/storage", "source": {"kind": "claim", "claim": "site"}}, *STORAGE]
    assert storage_volumes(a_plan(), storage=storage) == [
        {"name": "storage-0", "persistentVolumeClaim": {"claimName": "site"}}
    ]


def test_a_volume_of_raw_data_alone_is_read_only_itself():
    def storage(source):
        homes = {"path": "/storage/home", "source": {"kind": "claim", "claim": "homes"}}
        return [{"path": "/storage/data", "source": source}, homes]

    claim = {"kind": "claim", "claim": "data"}
    nfs = {"kind": "nfs", "server": "fast", "export": "/e"}
    for source, kind in ((claim, "persistentVolumeClaim"), (nfs, "nfs")):
        volumes = storage_volumes(a_plan(mounts=(RAW,)), storage=storage(source))
        assert {volume["name"]: volume.get(kind, {}).get("readOnly") for volume in volumes}[
            "storage-0"
        ] is True
        volumes = storage_volumes(a_plan(mounts=(RAW, PROCESSED)), storage=storage(source))
        assert not any("readOnly" in volume.get(kind, {}) for volume in volumes)
    host = {"kind": "host", "path": "/mnt"}
    (volume, _) = sorted(storage_volumes(a_plan(), storage=storage(host)), key=lambda one: one["name"])
    assert volume["hostPath"] == {"path": "/mnt", "type": "Directory"}  # never made where it is missing


def test_outer_targets_come_first():
    inner = mount("/storage/data/v/sub/deep", "/data/v/sub/deep", MountMode.READ_WRITE)
    outer = mount("/storage/data/v", "/data/v")
    _, mounts = volumes_and_mounts(a_plan(mounts=(inner, outer)), a_cluster())
    paths = [one["mountPath"] for one in mounts if one["name"] == "storage-0"]
    assert paths == ["/home/alice", "/data/v", "/data/v/sub/deep"]


@pytest.mark.parametrize(
    ("mounts", "words"),
    [
        # In the outer folder the mount point would be made as root.
        (
            (mount("/storage/a", "/data/v"), mount("/storage/b", "/data/v/b")),
            "/storage/a is shown around it",
        ),
        ((mount("/storage/a", "/home/alice/data"),), "/storage/home/alice is shown around it"),
        ((mount("/storage/a", "/data/a"), mount("/storage/b", "/data/a")), "both be shown"),
        ((mount("/storage/a", "/home/alice"),), "both be shown"),
        ((mount("/storage/a", "/home"),), "is shown around it"),
        *(
            ((mount("/storage/a", target),), "the image's own")
            for target in ("/etc/x", "/usr", "/", "/run/a")
        ),
        *(((mount("/storage/a", target),), "the image's own") for target in ("/opt", "/tmp/a", "/proc/1")),
        ((mount("/storage/a", "/data/a:b"),), "no path"),
        ((mount("/storage/a", "/data/../etc"),), "no path"),
        ((mount("/storage/a", "data"),), "no path"),
    ],
)
def test_what_would_be_made_or_hidden_in_a_pod_is_refused(mounts, words):
    with pytest.raises(SubmitError, match=words):
        volumes_and_mounts(a_plan(mounts=mounts), a_cluster())


def test_all_visits_of_a_long_life_are_looked_through_at_once():
    shown = [mount(f"/storage/data/v{number}/RAW", f"/data/v{number}/RAW") for number in range(2000)]
    began = time.monotonic()
    _, mounts = volumes_and_mounts(a_plan(mounts=(*shown, RAW)), a_cluster())
    assert time.monotonic() - began < 5  # each against each other takes minutes
    assert len([one for one in mounts if one["name"] == "storage-0"]) == 2002


def test_nothing_below_a_read_only_folder_can_be_written_to_either():
    _, mounts = volumes_and_mounts(a_plan(), a_cluster())
    shown = {one["mountPath"]: one for one in mounts if one["name"] == "storage-0"}
    assert shown["/data/v/RAW"]["recursiveReadOnly"] == "IfPossible"
    assert "recursiveReadOnly" not in shown["/data/v/PROCESSED"]


def test_a_desktops_and_a_servers_own_files_have_room_that_is_bounded():
    volumes, mounts = volumes_and_mounts(a_plan(), a_cluster(tmp_mib=512))
    empty = {volume["name"]: volume["emptyDir"] for volume in volumes if "emptyDir" in volume}
    assert empty == {"scratch": {"sizeLimit": "512Mi"}, "shm": {"medium": "Memory", "sizeLimit": "2048Mi"}}
    paths = {one["mountPath"]: one.get("subPath") for one in mounts if one["name"] in empty}
    assert paths == {
        "/tmp": "tmp",
        "/var/tmp": "tmp",
        "/opt/panhub/run": "run",
        "/opt/panhub/jupyter": "jupyter",
        "/dev/shm": None,
    }
    secret = [one for one in mounts if one["name"] == "panhub"]
    assert all(one["readOnly"] for one in secret)
    assert {one["mountPath"] for one in secret} == {"/run/panhub", "/etc/passwd", "/etc/group"}
