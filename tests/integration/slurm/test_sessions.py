"""Whole sessions on a real Slurm, from sign-in to the charge, and what kills and queues do to them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.demo.slurm.apptainer import apptainer_prefix
from hub.demo.slurm.image import PREFIX
from hub.demo.slurm.site import IMAGE_PROFILE
from tests.support.afterwards import (
    assert_books_are_right,
    servers,
    session_tokens,
    wait_until_reachable,
)
from tests.support.kernels import Kernel
from tests.support.platform import Visitor, wait_until
from tests.support.required import require
from tests.support.slurm_platform import SlurmPlatform, running_slurm_platform

pytestmark = pytest.mark.timeout(300)

_DATA = {"inputs": [{"kind": "dataset", "ref": "ds-ma5501-lab6-series"}], "walltime_s": 3600}


@pytest.fixture(scope="module")
def platform() -> Iterator[SlurmPlatform]:
    with running_slurm_platform(has_image=apptainer_prefix() is not None) as platform:
        yield platform


@pytest.fixture(scope="module")
def maja(platform: SlurmPlatform) -> Visitor:
    return platform.sign_in("maja")


@pytest.fixture(scope="module")
def session(platform: SlurmPlatform, maja: Visitor) -> dict[str, Any]:
    """A session on CPUs with measured data."""
    return maja.wait_for(maja.launch(**_DATA, place="cpu")["id"], "running", timeout_s=90)


def job(platform: SlurmPlatform, launch_id: str) -> dict[str, str]:
    """What ``scontrol show job`` says of a session's job."""
    text = platform.cluster.checked("scontrol", "show", "job", str(platform.job_of(launch_id)), "--oneliner")
    return dict(part.split("=", 1) for part in text.split() if "=" in part)


def assert_is_over(platform: SlurmPlatform, visitor: Visitor, launch_id: str) -> dict[str, Any]:
    """Ended and charged once by Slurm's accounting; the hub lists nothing of it any more."""
    ended = visitor.wait_for(launch_id, "ended", timeout_s=60)
    rows = platform.cluster.checked(
        "sacct", "--allusers", "--allocations", "--duplicates", "--noheader", "--parsable2",
        "--starttime=now-1hours", "--format=Comment,ElapsedRaw,AllocCPUS",
    )  # fmt: skip
    runs = [line.split("|") for line in rows.splitlines() if line.startswith(f"panhub:{launch_id}|")]
    ran = sum(int(seconds) * int(cpus or 0) for _, seconds, cpus in runs)
    charged = platform.database(
        "SELECT e.used FROM quota_entries e JOIN quota_accounts a ON a.id = e.account_id"
        " WHERE e.launch_id = :id AND e.kind = 'charge' AND a.resource = 'cpu_seconds'",
        id=launch_id,
    )
    assert [int(row[0]) for row in charged] == ([ran] if ran else [])
    name = ended["server_name"]
    wait_until(lambda: name not in servers(platform, visitor.username), f"{name} is left in the hub")
    assert session_tokens(platform, name) == []
    assert_books_are_right(platform)
    return ended


def fill(platform: SlurmPlatform, partition: str) -> list[int]:
    """Take all CPUs of a partition, so that the next job waits."""
    nodes = [name for name in platform.cluster.node_states() if name.startswith(partition)]
    return [
        platform.cluster.submit_for_test(
            "sam", "sleep 600", account="staff", partition=partition, nodelist=node,
            cpus_per_task=32, mem=1000, time=10,
        )
        for node in nodes
    ]  # fmt: skip


# --- what a session is --------------------------------------------------------------------------


def test_a_session_is_a_job_of_its_person_that_carries_its_launch_id(
    platform: SlurmPlatform, session: dict[str, Any]
) -> None:
    said = job(platform, session["id"])
    assert said["UserId"].startswith("maja(")
    assert said["Comment"] == f"panhub:{session['id']}"
    assert (said["Partition"], said["NumCPUs"], said["Requeue"]) == ("cpu", "1", "0")


def test_no_secret_is_where_others_can_read_it(platform: SlurmPlatform, session: dict[str, Any]) -> None:
    number = str(platform.job_of(session["id"]))
    tokens = _tokens_of(platform, session["id"])
    script = platform.cluster.checked("scontrol", "write", "batch_script", number, "-")
    shown = platform.cluster.checked("scontrol", "show", "job", number)
    logs = "".join(path.read_text(errors="replace") for path in (platform.state / "logs").glob("*.log"))
    lines = [Path(f"/proc/{pid}/cmdline") for pid in _processes(session["id"])]
    commands = "".join(path.read_text(errors="replace") for path in lines if path.exists())
    assert len(lines) >= 3
    for token in tokens:
        assert token not in script + shown + logs + commands


def _processes(launch_id: str) -> list[int]:
    mark = f"PANHUB_LAUNCH_ID={launch_id}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _tokens_of(platform: SlurmPlatform, launch_id: str) -> set[str]:
    names = (b"JUPYTERHUB_API_TOKEN=", b"JPY_API_TOKEN=")
    found = set()
    for pid in _processes(launch_id):
        try:
            parts = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        found |= {part.split(b"=", 1)[1].decode() for part in parts if part.startswith(names)}
    assert found
    return found


def test_raw_is_read_only_and_nothing_else_is_there(maja: Visitor, session: dict[str, Any]) -> None:
    code = """
import pathlib, json
data = pathlib.Path("/data/visitor")
raw = next(data.glob("ma5501/*/*/RAW_DATA"))
try:
    (raw / "x").write_text("x")
    wrote = True
except OSError:
    wrote = False
processed = next(data.glob("ma5501/*/*/PROCESSED_DATA"))
(processed / "by-hand.txt").write_text("x")
print(json.dumps([wrote, sorted(p.name for p in data.iterdir())]))
"""
    assert json.loads(maja.open_session(session).run(code)) == [False, ["ma5501"]]


def test_a_job_from_inside_belongs_to_the_session(maja: Visitor, session: dict[str, Any]) -> None:
    code = (
        "import subprocess; print(subprocess.run(['sbatch', '--parsable', '--output=/dev/null',"
        " '--time=5', '--mem=100', '--wrap=sleep 60'], capture_output=True, text=True))"
    )
    said = maja.open_session(session).run(code)
    assert "returncode=0" in said, said
    shown = wait_until(
        lambda: maja.api("GET", f"/launches/{session['id']}/jobs").json()["items"], "no job is shown"
    )
    assert shown[0]["id"] in said
    assert maja.get(session["id"])["jobs"][0]["id"] == shown[0]["id"]


def test_more_time_is_given_by_slurm_too(
    platform: SlurmPlatform, maja: Visitor, session: dict[str, Any]
) -> None:
    before = maja.get(session["id"])["deadline"]
    reply = maja.api("POST", f"/launches/{session['id']}/extend", json={"seconds": 3600})
    assert reply.status_code == 200, reply.text
    assert reply.json()["deadline"] > before
    wait_until(lambda: job(platform, session["id"])["TimeLimit"] == "02:00:00", "Slurm gave no more time")


def test_a_limit_of_slurm_is_told_before_anything_is_held(maja: Visitor) -> None:
    body = {"place": "cpu", "resources": {"cpus": 32, "memory_mib": 65_000}}
    reply = maja.api("POST", "/launches", json=body)
    assert (reply.status_code, reply.json()["code"]) == (400, "place_limit"), reply.text
    foreign = {"place": "cpu", "scheduling": {"account": "hc4802"}}
    reply = maja.api("POST", "/launches", json=foreign)
    assert 400 <= reply.status_code < 500
    assert reply.json()["code"] == "account_unknown"


def test_kills_of_hub_service_and_gateway_leave_the_same_job_and_kernel(
    platform: SlurmPlatform, maja: Visitor, session: dict[str, Any]
) -> None:
    kernel = Kernel(maja.open_session(session))
    kernel.run("kept = 6 * 7")
    number = platform.job_of(session["id"])
    for name in ("service", "hub", "gateway"):
        platform.restart(name)
    wait_until_reachable(maja, session)
    assert platform.job_of(session["id"]) == number
    assert kernel.value("kept") == "42"
    assert maja.get(session["id"])["state"] == "running"


def test_stopped_it_is_charged_what_slurm_says(
    platform: SlurmPlatform, maja: Visitor, session: dict[str, Any]
) -> None:
    maja.api("DELETE", f"/launches/{session['id']}")
    ended = assert_is_over(platform, maja, session["id"])
    assert ended["end_reason"] == "stopped_by_user"
    assert not _processes(session["id"])


# --- in an apptainer image ----------------------------------------------------------------------

_LOOK = """
import json, os, pathlib, sys
def change(path):
    try:
        path.write_text("x")
    except OSError as error:
        return error.strerror
data, own = pathlib.Path("/data/visitor"), pathlib.Path.home()
mounts = [line.split() for line in open("/proc/self/mountinfo")]
print(json.dumps({
    "prefix": sys.prefix,
    "raw": change(next(data.glob("ma5501/*/*/RAW_DATA")) / "x"),
    "raw as mounted": sorted({m[5].split(",")[0] for m in mounts if m[4].endswith("/RAW_DATA")}),
    "processed": change(next(data.glob("ma5501/*/*/PROCESSED_DATA")) / "x"),
    "image": change(pathlib.Path("/opt/x")),
    "proposals": sorted({m[4].split("/")[3] for m in mounts if m[4].startswith("/data/")}),
    "homes": [path.name for path in own.parent.iterdir()],
    "node": os.path.exists("/usr/sbin/slurmd"),
    "person": [os.getuid() == own.stat().st_uid, os.environ["USER"]],
    "first process": open("/proc/1/comm").read().strip(),
}))
"""


def test_a_session_in_an_image_sees_the_image_and_its_data(platform: SlurmPlatform, maja: Visitor) -> None:
    require(apptainer_prefix(), "apptainer (make apptainer)")
    launch = maja.launch(**_DATA, place="cpu", profile=IMAGE_PROFILE)
    runs = maja.wait_for(launch["id"], "running", "ended", timeout_s=90)
    assert runs["state"] == "running", runs["end_message"]
    opened = maja.open_session(runs)
    kernel = Kernel(opened)
    kernel.run("kept = 6 * 7")
    assert kernel.value("kept") == "42"
    assert json.loads(opened.run(_LOOK)) == {
        "prefix": str(PREFIX),
        "raw": "Read-only file system",
        "raw as mounted": ["ro"],
        "processed": None,
        "image": "Read-only file system",
        "proposals": ["ma5501"],
        "homes": ["maja"],
        "node": False,
        "person": [True, "maja"],
        "first process": "appinit",
    }
    maja.api("DELETE", f"/launches/{launch['id']}")
    assert assert_is_over(platform, maja, launch["id"])["end_reason"] == "stopped_by_user"
    assert not _processes(launch["id"])


# --- in the queue -------------------------------------------------------------------------------


def test_a_queue_outlives_kills_and_its_time_counts_for_nothing(
    platform: SlurmPlatform, maja: Visitor
) -> None:
    filling = fill(platform, "cpu")
    platform.cluster.wait_job(filling[-1], "RUNNING")
    waits = maja.launch(place="cpu", walltime_s=3600)
    cancelled = maja.launch(place="cpu")
    for launch in (waits, cancelled):
        maja.wait_for(launch["id"], "submitted")
    just_asked = maja.launch(place="cpu")
    platform.kill("service")  # between any two lines of the third one's start

    def is_shown() -> bool:
        said = maja.get(waits["id"])
        return said["state"] == "submitted" and bool(said["pending_reason"])

    platform.start("service")
    wait_until(is_shown, f"no reason to wait is shown: {platform.log('service')}")
    said = maja.get(waits["id"])
    assert said["deadline"] is None
    assert said["place"]["id"] == "cpu"
    platform.restart("hub")
    wait_until(lambda: maja.get(waits["id"])["state"] == "submitted", "the queue was left")

    began = time.monotonic()
    maja.api("DELETE", f"/launches/{cancelled['id']}")
    assert_is_over(platform, maja, cancelled["id"])
    assert time.monotonic() - began < 30

    for number in filling:
        platform.cluster.checked("scancel", str(number))
    runs = maja.wait_for(waits["id"], "running", timeout_s=90)
    wait_until_reachable(maja, runs)
    assert runs["deadline"] is not None
    for launch in (waits, just_asked):
        maja.wait_for(launch["id"], "running", "ended", timeout_s=90)
        maja.api("DELETE", f"/launches/{launch['id']}")
        assert_is_over(platform, maja, launch["id"])
    comments = platform.cluster.checked("squeue", "--noheader", "--format=%k")
    assert "panhub:" not in comments


def test_soonest_takes_the_place_that_starts_first(platform: SlurmPlatform, maja: Visitor) -> None:
    filling = fill(platform, "cpu")
    platform.cluster.wait_job(filling[-1], "RUNNING")
    body = {"place": "soonest", "dry_run": True}

    def chosen() -> str:
        return str(maja.api("POST", "/launches", json=body).json()["summary"]["place"]["id"])

    wait_until(lambda: chosen() == "gpu", "the full place is still taken for the soonest")
    for number in filling:
        platform.cluster.checked("scancel", str(number))
    wait_until(lambda: chosen() == "cpu", "the free place is not taken")


def test_a_job_that_slurm_ends_says_why(platform: SlurmPlatform, maja: Visitor) -> None:
    launch = maja.wait_for(maja.launch(place="cpu")["id"], "running", timeout_s=90)
    platform.cluster.checked("scancel", str(platform.job_of(launch["id"])))
    ended = assert_is_over(platform, maja, launch["id"])
    assert ended["end_reason"] == "cancelled_by_scheduler"
    assert "cancelled" in ended["end_message"].lower()
    ((tail,),) = platform.database("SELECT log_tail FROM launches WHERE id = :id", id=launch["id"])
    assert str(tail) not in {"None", "[]"}


def test_no_loop_was_blocked(platform: SlurmPlatform) -> None:
    assert platform.is_watched("service")
    assert platform.blocked_loops() == []
