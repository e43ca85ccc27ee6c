"""Plans that a partition takes, and those that it does not, each with what to do."""

from __future__ import annotations

from typing import Any

import pytest

from spawners.backend import NotAdmittedError
from spawners.plan import LaunchPlan, Scheduling
from spawners.slurm.limits import check_plan
from spawners.slurm.models import Association, Qos, Tres
from spawners.slurm.snapshot import Snapshot
from tests.support.slurm_models import HOUR, NOW, job, node, plan, reservation, snapshot

NODES = (
    node("a"),
    node("b"),
    node("g", cpus=16, memory_mib=32000, gpus={"a100": 4, "v100": 2}),
)
ASSOCIATIONS = (
    Association("p1", "vera", is_default=True, qos=("normal", "long", "own")),
    Association("p2", "vera", qos=("normal",), max_tres_per_job=Tres(cpus=4)),
    Association("p9", "otto", qos=("normal", "vip")),
    Association("p1", qos=("normal",), group_tres=Tres(cpus=24, gpus={"": 3})),
)
QOS = (
    Qos("normal", max_wall=8 * HOUR),
    Qos("long", max_wall=48 * HOUR, max_tres_per_job=Tres(gpus={"a100": 1})),
    Qos("own", max_tres_per_user=Tres(memory_mib=10000)),
    Qos("vip"),
)


def cluster(**changes: Any) -> Snapshot:
    nodes = changes.pop("nodes", NODES)
    return snapshot(*nodes, **{"associations": ASSOCIATIONS, "qos": QOS, **changes})


def refusal(wanted: LaunchPlan, partition: str = "cpu", **changes: Any) -> tuple[str, str, str]:
    with pytest.raises(NotAdmittedError) as caught:
        check_plan(cluster(**changes), partition, wanted, NOW)
    return caught.value.code, str(caught.value), caught.value.hint


@pytest.mark.parametrize(
    "wanted",
    [
        plan(),
        plan(24, memory_mib=64000),
        plan(16, memory_mib=32000, gpus=3),
        plan(1, gpus=2, gpu_type="v100"),
        plan(1, gpu_type="h100"),  # a type without GPUs asks for nothing
        plan(hours=8),
        plan(hours=48, scheduling=Scheduling(qos="long")),
        plan(4, scheduling=Scheduling(account="p2")),
    ],
)
def test_plan_within_all_limits_is_taken(wanted: LaunchPlan) -> None:
    check_plan(cluster(), "cpu", wanted, NOW)


@pytest.mark.parametrize(
    ("wanted", "text", "hint"),
    [
        (plan(33), "The largest node of partition cpu has 32 CPUs; asked were 33.", "at most 32 CPUs"),
        (plan(25), "Account p1 allows at most 24 CPUs; asked were 25 CPUs.", "Choose at most 24 CPUs."),
        (
            plan(5, scheduling=Scheduling(account="p2")),
            "Account p2 allows at most 4 CPUs; asked were 5 CPUs.",
            "at most 4 CPUs, or account p1.",
        ),
        (plan(memory_mib=65536), "has 62.5 GiB of memory; asked were 64 GiB.", "at most 62.5 GiB"),
        (
            plan(memory_mib=20000, scheduling=Scheduling(qos="own")),
            "QOS own allows at most 9.8 GiB of memory; asked were 19.5 GiB of memory.",
            "or QOS normal or QOS long.",
        ),
        (
            plan(hours=9),
            "QOS normal allows at most 8 h; asked were 9 h.",
            "Choose at most 8 h, or QOS long or QOS own.",
        ),
        (plan(1, gpus=7), "has 6 GPUs; asked were 7.", "at most 6"),
        (
            plan(1, gpus=4),
            "Account p1 allows at most 3 GPUs; asked were 4 GPUs.",
            "at most 3 GPUs, or account p2.",
        ),
        (plan(1, gpus=3, gpu_type="v100"), "has 2 GPUs (v100); asked were 3.", "at most 2"),
        (
            plan(1, gpus=1, gpu_type="h100"),
            "Partition cpu has no GPUs of type h100.",
            "Choose a100 or v100, or any",
        ),
        (
            plan(1, gpus=2, gpu_type="a100", scheduling=Scheduling(qos="long")),
            "QOS long allows at most 1 GPU (a100); asked were 2 GPUs (a100).",
            "or QOS normal or QOS own.",
        ),
        (
            plan(20, memory_mib=40000, gpus=1, gpu_type="a100"),
            "No node of partition cpu has 20 CPUs, 39.1 GiB and 1 GPU (a100) together.",
            "Choose at most 16 CPUs and 31.2 GiB with it",
        ),
    ],
)
def test_plan_over_a_limit_is_told_the_limit_and_the_next_step(
    wanted: LaunchPlan, text: str, hint: str
) -> None:
    code, said, next_step = refusal(wanted)

    assert code == "place_limit"
    assert text in said
    assert hint in next_step


def test_99_days_and_9999_cpus_are_refused_by_the_partition_alone() -> None:
    alone: dict[str, Any] = {"associations": (), "qos": (), "partitions": {"cpu": {"max_time": 48 * HOUR}}}

    assert "at most 2 days; asked were 99 days" in refusal(plan(hours=99 * 24), **alone)[1]
    assert "has 32 CPUs; asked were 9999" in refusal(plan(9999), **alone)[1]


def test_partition_limits_memory_of_a_node_and_of_a_cpu() -> None:
    whole = {"partitions": {"cpu": {"max_memory_per_node_mib": 10240}}}
    each = {"partitions": {"cpu": {"max_memory_per_cpu_mib": 1024}}}

    assert "Partition cpu allows at most 10 GiB of memory" in refusal(plan(memory_mib=10241), **whole)[1]
    code, text, hint = refusal(plan(4, memory_mib=5000), **each)
    assert (code, hint) == ("place_limit", "Choose at most 4 GiB, or 5 CPUs.")
    assert "1 GiB of memory for each CPU" in text


def test_partition_without_gpus_says_so() -> None:
    assert refusal(plan(1, gpus=1), nodes=(node("a"),))[1] == "Partition cpu has no GPUs."


def test_type_cannot_be_asked_where_gpus_have_none() -> None:
    untyped = (node("a", gpus={"": 4}),)

    check_plan(cluster(nodes=untyped), "cpu", plan(1, gpus=2), NOW)
    assert "any type" in refusal(plan(1, gpus=2, gpu_type="a100"), nodes=untyped)[2]


@pytest.mark.parametrize("state", ["ALLOCATED", "DOWN", "IDLE+DRAIN", "IDLE+RESERVED"])
def test_what_is_in_use_or_down_is_a_queue_and_no_refusal(state: str) -> None:
    busy = node("a", states=state, cpus_used=32, memory_mib_used=64000)
    others = job(1, "a", account="p1", cpus=24, memory_mib=64000)  # all that p1 may have together

    check_plan(cluster(nodes=(busy,), jobs=(others,)), "cpu", plan(24), NOW)


def test_ask_that_alone_is_more_than_all_may_have_together_is_refused() -> None:
    assert "Account p1 allows at most 24 CPUs" in refusal(plan(25))[1]


# Who may name what.


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({"account": "{}"}, "account_unknown"),
        ({"qos": "{}"}, "qos_unknown"),
        ({"reservation": "{}"}, "reservation_unknown"),
    ],
)
def test_foreign_and_missing_have_one_text(named: dict[str, str], code: str) -> None:
    foreign_name = {"account": "p9", "qos": "vip", "reservation": "theirs"}[next(iter(named))]
    theirs = (reservation("theirs", "a", users=("otto",)),)

    def said(name: str) -> tuple[str, str, str]:
        wanted = plan(scheduling=Scheduling(**{key: value.format(name) for key, value in named.items()}))
        found, text, hint = refusal(wanted, reservations=theirs)
        return found, text.replace(name, "X"), hint.replace(name, "X")

    assert said(foreign_name) == said("nowhere")
    assert said(foreign_name)[0] == code


def test_refused_account_and_qos_list_the_own_ones() -> None:
    assert "Choose p1 or p2" in refusal(plan(scheduling=Scheduling(account="p9")))[2]
    assert "Choose normal, long or own" in refusal(plan(scheduling=Scheduling(qos="vip")))[2]


def test_qos_of_another_own_account_names_that_account() -> None:
    code, text, hint = refusal(plan(scheduling=Scheduling(account="p2", qos="long")))

    assert code == "qos_unknown"
    assert text == "QOS long does not go with account p2."
    assert hint == "Choose account p1 with it."


def test_default_account_that_the_partition_does_not_take_must_be_named() -> None:
    only_p2 = {"partitions": {"cpu": {"allowed_accounts": ("p2",)}}}

    code, text, hint = refusal(plan(4), **only_p2)

    assert (code, hint) == ("place_not_allowed", "Name an account: p2.")
    assert "default account p1" in text
    check_plan(cluster(**only_p2), "cpu", plan(4, scheduling=Scheduling(account="p2")), NOW)


def test_default_qos_that_the_partition_does_not_take_must_be_named() -> None:
    only_long = {"partitions": {"cpu": {"allowed_qos": ("long",)}}}

    assert refusal(plan(), **only_long)[::2] == ("place_not_allowed", "Name a QOS: long.")
    check_plan(cluster(**only_long), "cpu", plan(scheduling=Scheduling(qos="long")), NOW)


@pytest.mark.parametrize(
    ("partition", "changes", "code"),
    [
        ("gone", {}, "place_closed"),
        ("cpu", {"partitions": {"cpu": {"is_up": False}}}, "place_closed"),
        ("cpu", {"partitions": {"cpu": {"allowed_accounts": ("p9",)}}}, "place_not_allowed"),
        ("cpu", {"associations": ASSOCIATIONS[2:]}, "place_not_allowed"),
    ],
)
def test_partition_that_is_not_for_the_person_is_refused(
    partition: str, changes: dict[str, Any], code: str
) -> None:
    assert refusal(plan(), partition, **changes)[0] == code


def test_cluster_without_accounting_takes_any_account() -> None:
    without = cluster(associations=(), qos=())

    check_plan(without, "cpu", plan(scheduling=Scheduling(account="any", qos="any")), NOW)


# Reservations.


def booked(**changes: Any) -> dict[str, Any]:
    return {"reservations": (reservation("bt", "a", **changes),)}


BT = Scheduling(reservation="bt")


def test_session_within_its_reservation_is_taken() -> None:
    check_plan(cluster(**booked()), "cpu", plan(hours=2, scheduling=BT), NOW)
    later = booked(starts_at=NOW + 5 * HOUR, ends_at=NOW + 9 * HOUR)
    check_plan(cluster(**later), "cpu", plan(hours=4, scheduling=BT), NOW)


@pytest.mark.parametrize(
    ("changes", "hours", "code", "text"),
    [
        (
            {"starts_at": NOW - 3 * HOUR, "ends_at": NOW - HOUR},
            1,
            "place_limit",
            "ended at 21 Nov 2026 11:00 UTC",
        ),
        (
            {"starts_at": NOW + 48 * HOUR, "ends_at": NOW + 60 * HOUR},
            1,
            "place_limit",
            "begins only at 23 Nov",
        ),
        ({}, 2.5, "place_limit", "which leaves 2 h; asked were 2 h 30 min"),
        ({"partition": "gpu"}, 1, "place_not_allowed", "no nodes of partition cpu"),
        ({"users": (), "accounts": ("p2",)}, 1, "place_not_allowed", "not for account p1"),
    ],
)
def test_reservation_that_does_not_fit_says_why(
    changes: dict[str, Any], hours: float, code: str, text: str
) -> None:
    found, said, hint = refusal(plan(hours=hours, scheduling=BT), **booked(**changes))

    assert found == code
    assert text in said
    assert hint


def test_only_the_nodes_of_a_reservation_count_within_it() -> None:
    assert refusal(plan(1, gpus=1, scheduling=BT), **booked())[1] == "Partition cpu has no GPUs."
