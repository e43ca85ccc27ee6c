"""What a person may use of a partition."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from spawners.backend import NodeShape, PlaceOffer
from spawners.slurm.limits import offer_of
from spawners.slurm.models import Association, Qos, Tres
from tests.support.slurm_models import HOUR, NOW, VERA, node, reservation, snapshot

NODES = (node("a"), node("b"), node("g", cpus=16, memory_mib=128000, gpus={"a100": 4, "v100": 2}))


def association(account: str = "p1", user: str = "vera", **changes: Any) -> Association:
    return Association(account, user, **{"qos": ("normal",), **changes})


def offer(*associations: Association, groups: Any = None, **changes: Any) -> PlaceOffer:
    cluster = snapshot(*NODES, associations=associations, **changes)
    return offer_of(cluster, "cpu", VERA, NOW, groups)


def test_cluster_without_accounting_restricts_by_the_partition_alone() -> None:
    found = offer(partitions={"cpu": {"max_time": 2 * HOUR, "max_memory_per_node_mib": 100000}})

    assert found.why_not is None
    assert (found.max_cpus, found.max_memory_mib, found.max_gpus) == (32, 100000, 6)
    assert found.max_walltime == 2 * HOUR
    assert (found.accounts, found.qos, found.default_account) == ((), (), None)


def test_cluster_whose_accounting_has_only_root_does_not_restrict() -> None:
    assert offer(Association("root"), Association("root", "root")).why_not is None


def test_shapes_are_the_kinds_of_node_largest_first() -> None:
    assert offer().shapes == (
        NodeShape(32, 64000, {}, 2),
        NodeShape(16, 128000, {"a100": 4, "v100": 2}, 1),
    )


@pytest.mark.parametrize(
    ("partition", "accounts"),
    [
        ({}, ("p1", "p2")),
        ({"allowed_accounts": ("p2",)}, ("p2",)),
        ({"denied_accounts": ("p2",)}, ("p1",)),
        ({"allowed_accounts": ("p1", "p2"), "denied_accounts": ("p1",)}, ("p1", "p2")),
        ({"allowed_accounts": ("science",)}, ("p1",)),  # the account above p1
    ],
)
def test_accounts_are_those_that_the_partition_takes(
    partition: dict[str, Any], accounts: tuple[str, ...]
) -> None:
    found = offer(
        association("p1", is_default=True),
        association("p2"),
        association("p3", partition="elsewhere"),
        association("p9", user="otto"),
        association("p1", user="", parent="science"),
        association("science", user="", parent="root"),
        partitions={"cpu": partition},
    )

    assert found.accounts == accounts
    assert found.default_account == accounts[0]


def test_association_with_the_partition_comes_before_the_general_one() -> None:
    found = offer(
        association(max_wall=8 * HOUR),
        association(partition="cpu", max_wall=HOUR),
        association(partition="gpu", max_wall=2 * HOUR),
    )

    assert (found.accounts, found.max_walltime) == (("p1",), HOUR)


@pytest.mark.parametrize(
    ("partition", "qos", "default"),
    [
        ({}, ("normal", "long"), "normal"),
        ({"allowed_qos": ("long", "other")}, ("long",), "long"),
        ({"denied_qos": ("long",)}, ("normal",), "normal"),
        ({"allowed_qos": ("long",), "denied_qos": ("long",)}, ("long",), "long"),
    ],
)
def test_qos_are_those_of_the_associations_that_the_partition_takes(
    partition: dict[str, Any], qos: tuple[str, ...], default: str
) -> None:
    found = offer(
        association(qos=("normal", "long", "removed")),
        qos=(Qos("normal"), Qos("long"), Qos("other")),
        partitions={"cpu": partition},
    )

    assert (found.qos, found.default_qos) == (qos, default)


@pytest.mark.parametrize(
    ("associations", "partition", "text"),
    [
        ([association(user="otto")], {}, "vera has no account on this cluster."),
        ([association()], {"allowed_accounts": ("p2",)}, "Partition cpu takes none of the accounts of vera."),
        ([association()], {"allowed_qos": ("long",)}, "Partition cpu takes none of the QOS of vera."),
        ([], {"allowed_groups": ("staff", "mx")}, "Partition cpu is for members of mx or staff."),
        ([], {"is_up": False}, "Partition cpu is closed at present."),
        ([], {"nodes": (), "max_nodes": 0}, "Partition cpu has no nodes at present."),
    ],
)
def test_why_not_is_a_sentence(associations: list[Association], partition: dict[str, Any], text: str) -> None:
    found = offer(*associations, partitions={"cpu": partition}, groups=lambda who: {who.name})

    assert found == PlaceOffer(why_not=text)


def test_missing_partition_is_said() -> None:
    assert "gone" in (offer_of(snapshot(*NODES), "gone", VERA, NOW).why_not or "")


def test_group_opens_and_unknown_groups_do_not_close() -> None:
    closed = {"cpu": {"allowed_groups": ("mx",)}}

    assert offer(partitions=closed, groups=lambda who: {"mx", "users"}).why_not is None
    assert offer(partitions=closed, groups=lambda who: None).why_not is None
    assert offer(partitions=closed).why_not is None


@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        ({}, True),
        ({"starts_at": NOW + 24 * HOUR, "ends_at": NOW + 30 * HOUR}, True),
        ({"starts_at": NOW + 25 * HOUR, "ends_at": NOW + 30 * HOUR}, False),
        ({"starts_at": NOW - 3 * HOUR, "ends_at": NOW}, False),
        ({"users": ("otto",)}, False),
        ({"users": (), "accounts": ("p1",)}, True),
        ({"users": (), "accounts": ("p2",)}, False),
        ({"users": ("vera",), "accounts": ("p2",)}, False),  # both must match
        ({"users": ("-vera",)}, False),
        ({"users": ("-otto",)}, True),
        ({"users": (), "accounts": ("-p1",)}, False),
        ({"users": (), "groups": ("mx",)}, True),
        ({"users": (), "groups": ("staff",)}, False),
        ({"users": ()}, False),
        ({"partition": "cpu"}, True),
        ({"partition": "gpu"}, False),
        ({"nodes": ("elsewhere",)}, False),
        ({"nodes": ()}, True),
    ],
)
def test_reservations_are_those_that_the_person_may_use_today(changes: dict[str, Any], offered: bool) -> None:
    fields = {"nodes": ("a",), **changes}
    inside = fields.pop("nodes")
    found = offer(
        association(), reservations=(reservation("bt", *inside, **fields),), groups=lambda who: {"mx"}
    )

    assert [r.name for r in found.reservations] == (["bt"] if offered else [])


@pytest.mark.parametrize(
    ("of_partition", "of_job", "of_account", "hours"),
    [
        (None, None, None, 100),
        (None, None, 8, 8),
        (None, 4, 8, 4),
        (None, 12, 8, 12),  # a QOS comes before the association
        (2, 12, 8, 2),  # the partition's QOS before both
        (None, 200, None, 100),  # the partition's own time holds besides
    ],
)
def test_first_limit_that_is_set_holds(
    of_partition: int | None, of_job: int | None, of_account: int | None, hours: int
) -> None:
    def wall(limit: int | None) -> timedelta | None:
        return limit * HOUR if limit else None

    found = offer(
        association(max_wall=wall(of_account)),
        qos=(Qos("normal", max_wall=wall(of_job)), Qos("part", max_wall=wall(of_partition))),
        partitions={"cpu": {"max_time": 100 * HOUR, "qos": "part"}},
    )

    assert found.max_walltime == hours * HOUR


def test_flags_of_a_qos_lift_the_partitions_limits() -> None:
    flags = frozenset({"OverPartQOS", "PartitionTimeLimit"})
    found = offer(
        association(),
        qos=(Qos("normal", max_wall=9 * HOUR, flags=flags), Qos("part", max_wall=2 * HOUR)),
        partitions={"cpu": {"max_time": HOUR, "qos": "part"}},
    )

    assert found.max_walltime == 9 * HOUR


@pytest.mark.parametrize(
    ("limits", "cpus"),
    [
        ({"max_tres_per_job": Tres(cpus=8)}, 8),
        ({"group_tres": Tres(cpus=6)}, 6),
        ({"max_tres_per_job": Tres(cpus=8), "group_tres": Tres(cpus=100)}, 8),
        ({"max_tres_per_job": Tres(cpus=100)}, 32),
    ],
)
def test_limits_of_an_association_bound_the_size(limits: dict[str, Any], cpus: int) -> None:
    assert offer(association(**limits)).max_cpus == cpus


def test_group_limit_of_every_account_above_holds() -> None:
    found = offer(
        association(group_tres=Tres(cpus=24)),
        association(user="", parent="science"),
        association("science", user="", parent="root", group_tres=Tres(cpus=10)),
        association("root", user="", group_tres=Tres(cpus=1000)),
    )

    assert found.max_cpus == 10


def test_accounts_that_are_each_others_parents_end() -> None:
    assert (
        offer(
            association(), association(user="", parent="p2"), association("p2", user="", parent="p1")
        ).max_cpus
        == 32
    )


def test_offer_is_the_largest_that_one_choice_allows() -> None:
    found = offer(
        association(qos=("normal", "long"), max_tres_per_job=Tres(cpus=4, gpus={"": 1})),
        association("p2", max_tres_per_job=Tres(cpus=12, memory_mib=9000, gpus={"": 2})),
        qos=(Qos("normal", max_wall=HOUR), Qos("long", max_wall=10 * HOUR)),
    )

    assert (found.max_cpus, found.max_gpus, found.max_walltime) == (12, 2, 10 * HOUR)
    assert found.max_memory_mib == 128000  # p1 has no limit of memory


def test_memory_that_a_site_does_not_track_is_not_limited() -> None:
    assert offer_of(snapshot(node("a", memory_mib=1)), "cpu", VERA, NOW).max_memory_mib is None
