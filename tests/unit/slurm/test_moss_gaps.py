"""What people and operators miss in forms for Slurm, one test for each."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from pydantic import ValidationError

from hub.launch.models import LaunchRequest
from hub.pages.render import Renderer
from profiles.choose import Wishes, choose
from profiles.gates import Subject
from profiles.loader import load_profiles
from spawners.backend import GpuCount, NotAdmittedError, State
from spawners.plan import LaunchId
from spawners.slurm.availability import availability_of
from spawners.slurm.forecast import estimate
from spawners.slurm.limits import check_plan, offer_of
from spawners.slurm.models import Association, Qos, mark
from spawners.slurm.parse import gres_gpus
from spawners.slurm.transport import SlurmUnavailableError
from tests.support.samples.pages import PAGES
from tests.support.samples.places import CPU_CARD
from tests.support.slurm_backends import CREDENTIALS
from tests.support.slurm_models import HOUR, NOW, VERA, ask, job, node, plan, reservation, snapshot
from tests.support.slurm_scripted import Scripted
from tests.unit.pages.test_pages import MANIFEST, PREFIX, Page
from tests.unit.profiles.test_choose import ROOT
from tests.unit.slurm.backend.conftest import MakeCluster, make_cluster

__all__ = ["make_cluster"]

OTTO = replace(VERA, name="otto")
ID = LaunchId("0123456789abcdef")


async def test_a_scheduler_that_fails_aborts_neither_page_nor_start(make_cluster: MakeCluster) -> None:
    """There sinfo is called twice for each form, and when it fails the page and the start fail."""
    transport = Scripted(nodes=[SlurmUnavailableError("no answer")], submit=[7])
    backend = make_cluster(transport).backend("cpu")

    free = await backend.availability()
    assert not free.is_reachable
    assert free.note
    steps = [step async for step in backend.start(plan(), CREDENTIALS)]
    assert steps[0].handle["job"] == 7


async def test_many_forms_ask_the_scheduler_once(make_cluster: MakeCluster) -> None:
    transport = Scripted()
    cluster = make_cluster(transport)
    backends = [cluster.backend("cpu") for _ in range(5)]

    for backend in backends * 20:
        await backend.availability()

    assert transport.count("nodes") == 1


def test_each_person_is_offered_what_they_may_use() -> None:
    """There everybody sees every partition, and names reservations freely."""
    cluster = snapshot(
        node("a", partitions=("cpu", "staff")),
        partitions={"staff": {"allowed_accounts": ("staff",)}},
        associations=(
            Association("p1", "vera", is_default=True, qos=("normal",)),
            Association("staff", "otto", is_default=True, qos=("normal", "long")),
        ),
        qos=(Qos("normal"), Qos("long")),
        reservations=(reservation("beamtime", "a"),),
    )

    vera, otto = (offer_of(cluster, "cpu", who, NOW) for who in (VERA, OTTO))
    assert (vera.accounts, vera.qos, len(vera.reservations)) == (("p1",), ("normal",), 1)
    assert (otto.accounts, otto.qos, len(otto.reservations)) == (("staff",), ("normal", "long"), 0)
    closed = offer_of(cluster, "staff", VERA, NOW).why_not
    assert closed == "Partition staff takes none of the accounts of vera."
    assert offer_of(cluster, "staff", OTTO, NOW).why_not is None


def test_a_start_without_options_takes_the_defaults() -> None:
    """There it fails with status 500."""
    profiles = load_profiles(ROOT / "profiles/site/demo.yaml", environments_root=ROOT)
    LaunchRequest.model_validate({})

    choice = choose(profiles, Subject("vera", groups=frozenset({"panhub:users"})), Wishes())

    assert (choice.profile, choice.size.id, choice.walltime) == ("lab", "small", timedelta(hours=2))


def test_memory_is_checked_against_the_nodes() -> None:
    with pytest.raises(NotAdmittedError, match=r"62\.5 GiB of memory; asked were 1000 GiB"):
        check_plan(snapshot(node("a")), "cpu", plan(1, memory_mib=1024000), NOW)


def test_a_partition_of_several_kinds_of_node_is_summed_up() -> None:
    """There the last line of sinfo wins."""
    cluster = snapshot(node("a", cpus=128, memory_mib=512000), node("b", cpus=16, memory_mib=32000))

    assert availability_of(cluster, "cpu").cpus_total == 144
    assert offer_of(cluster, "cpu", VERA, NOW).max_cpus == 128


@pytest.mark.parametrize("said", ["gpu:4", "gpu:4(S:0-1)", "gpu:(null):4(IDX:0-3)"])
def test_gpus_without_a_type_are_gpus(said: str) -> None:
    cluster = snapshot(node("a", gpus=gres_gpus(said)))

    assert availability_of(cluster, "cpu").gpus == (GpuCount("", 4, 4),)
    check_plan(cluster, "cpu", plan(1, gpus=4), NOW)


def test_every_type_of_gpu_is_there_and_can_be_chosen() -> None:
    """There only the first one is."""
    cluster = snapshot(node("a", gpus=gres_gpus("gpu:a100:2(S:0),gpu:v100:4(S:1)")))

    assert availability_of(cluster, "cpu").gpus == (GpuCount("a100", 2, 2), GpuCount("v100", 4, 4))
    for kind in ("a100", "v100"):
        check_plan(cluster, "cpu", plan(1, gpus=2, gpu_type=kind), NOW)


def test_a_partition_that_is_missing_is_shown_as_such() -> None:
    free = availability_of(snapshot(node("a")), "renamed")

    assert (free.is_reachable, free.note) == (False, "The cluster has no partition renamed at present.")


@pytest.mark.parametrize(
    "text", ["Nodes of the users' beamline", 'a "large" one', "</script><b>", "50 % \\ x"]
)
def test_no_sign_in_what_a_place_is_called_breaks_the_page(text: str) -> None:
    """There an apostrophe does: JSON stands within a script."""
    template, context = PAGES["new-slurm"]
    renderer = Renderer(PREFIX, MANIFEST, "PaNHub", support="help@facility.example")

    page = renderer.render(template, **{key: renamed(value, text) for key, value in context.items()})

    assert Page(page).faults == []
    assert text in unescape(page)
    assert CPU_CARD.title not in page


def renamed(value: Any, text: str) -> Any:
    """The same view with another name of the place."""
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{f.name: renamed(getattr(value, f.name), text) for f in fields(value) if f.init}
        )
    if isinstance(value, tuple):
        return tuple(renamed(item, text) for item in value)
    return text if value == CPU_CARD.title else value


async def test_a_pending_session_has_a_reason_and_an_expected_start(make_cluster: MakeCluster) -> None:
    """There the progress has three fixed sentences."""
    soon = NOW.replace(year=NOW.year + 5)
    waiting = job(7, user="vera", comment=mark(ID), reason="Resources", starts_at=soon)
    backend = make_cluster(Scripted(jobs=[(waiting,)])).backend("cpu")

    status = (await backend.status({ID: {"cluster": "pan", "job": 7, "user": "vera"}}))[ID]

    assert (status.state, status.expected_start) == (State.PENDING, soon)
    assert status.reason


def test_a_start_is_forecast_before_it_is_asked_for() -> None:
    full = snapshot(node("a", cpus_used=32), jobs=(job(1, "a", cpus=32, ends_at=NOW + HOUR),))

    assert estimate(full, "cpu", ask(), NOW).starts_at == NOW + HOUR


@pytest.mark.parametrize("key", ["options", "batch_script", "req_options", "prologue", "environment_path"])
def test_no_free_text_reaches_the_scheduler(key: str) -> None:
    """There "extra options" do."""
    with pytest.raises(ValidationError):
        LaunchRequest.model_validate(json.loads(json.dumps({key: "--exclusive"})))
