"""Parts of a node and limits that the form offers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub.pages.sizing import Room, gpu_counts, memory_for, room_of, shares, too_large, widest
from profiles.choose import Custom
from spawners.backend import NodeShape, PlaceOffer
from spawners.plan import Size

CPU_NODE = NodeShape(64, 256_000, {})
GPU_NODE = NodeShape(32, 512_000, {"a100": 4})
MIXED_NODE = NodeShape(32, 512_000, {"v100": 2, "a100": 1})


def titles(room, chosen=None):
    return [(share.title, share.cpus) for share in shares(room, chosen)]


@pytest.mark.parametrize(
    ("cpus", "expected"),
    [
        (64, [("Minimum", 1), ("Quarter", 16), ("Half", 32), ("Whole node", 64)]),
        (5, [("Minimum", 1), ("Half", 2), ("Whole node", 5)]),
        (4, [("Minimum", 1), ("Half", 2), ("Whole node", 4)]),
        (2, [("Minimum", 1), ("Whole node", 2)]),
        (1, [("Whole node", 1)]),
    ],
)
def test_parts_of_a_node_are_offered_once_each(cpus, expected):
    assert titles(room_of(PlaceOffer(shapes=(NodeShape(cpus, 4096, {}),)))) == expected


def test_a_part_over_a_persons_limit_is_shown_with_why_and_their_most_is_offered():
    found = {share.title: share for share in shares(room_of(PlaceOffer(max_cpus=24, shapes=(CPU_NODE,))))}
    assert [title for title, share in found.items() if share.is_allowed] == [
        "Minimum",
        "Quarter",
        "Your most",
    ]
    assert found["Your most"].cpus == 24
    assert found["Half"].why == "At most 24 CPU here for you"


def test_the_profiles_largest_own_size_limits_like_the_place():
    room = room_of(PlaceOffer(max_cpus=48, shapes=(CPU_NODE,)), Custom(16, 65_536, 0))
    assert (room.cpus, room.memory_mib, room.node_cpus) == (16, 65_536, 64)
    assert gpu_counts(room_of(PlaceOffer(shapes=(GPU_NODE,)), Custom(16, 65_536, 0))) == ()


def test_one_part_is_chosen_only_if_it_can_be_had():
    room = room_of(PlaceOffer(max_cpus=24, shapes=(CPU_NODE,)))
    assert [s.cpus for s in shares(room, 16) if s.is_chosen] == [16]
    assert [s.cpus for s in shares(room, 32) if s.is_chosen] == []


def test_a_place_without_nodes_offers_no_parts_and_no_gpus():
    assert shares(room_of(PlaceOffer())) == ()
    assert gpu_counts(room_of(PlaceOffer())) == ()


@pytest.mark.parametrize(
    ("room", "cpus", "gib"),
    [
        (room_of(PlaceOffer(shapes=(CPU_NODE,))), 16, 62),
        (room_of(PlaceOffer(shapes=(CPU_NODE,))), 64, 250),
        (room_of(PlaceOffer(max_memory_mib=32_768, shapes=(CPU_NODE,))), 32, 32),
        (room_of(PlaceOffer(shapes=(NodeShape(64, 2048, {}),))), 1, 1),
        (Room(), 3, 6),
    ],
)
def test_memory_goes_with_the_part_of_the_node(room, cpus, gib):
    assert memory_for(room, cpus) == gib


@pytest.mark.parametrize(
    ("offer", "counts"),
    [
        (PlaceOffer(shapes=(GPU_NODE,)), (0, 1, 2, 3, 4)),
        (PlaceOffer(max_gpus=1, shapes=(GPU_NODE,)), (0, 1)),
        (PlaceOffer(shapes=(CPU_NODE, MIXED_NODE)), (0, 1, 2)),
        (PlaceOffer(max_gpus=0, shapes=(GPU_NODE,)), ()),
    ],
)
def test_gpus_are_counted_up_to_what_a_node_has_and_a_person_may(offer, counts):
    assert gpu_counts(room_of(offer)) == counts


@pytest.mark.parametrize(
    ("size", "why"),
    [
        (Size("s", "S", 16, 4096), ""),
        (Size("s", "S", 65, 4096), "At most 64 CPU here"),
        (Size("s", "S", 1, 300_000), "At most 250 GB here"),
        (Size("s", "S", 1, 4096, 1), "No GPUs here"),
        (Size("s", "S", 1, 4096, 1, "a100"), "No GPUs here"),
    ],
)
def test_a_size_that_cannot_be_had_says_why(size, why):
    assert too_large(size, room_of(PlaceOffer(shapes=(CPU_NODE,)))) == why


def test_a_size_of_another_type_of_gpu_or_too_many_says_why():
    room = room_of(PlaceOffer(shapes=(MIXED_NODE,)))
    assert too_large(Size("g", "G", 1, 4096, 1, "h100"), room) == "No h100 here"
    assert too_large(Size("g", "G", 1, 4096, 3), room) == "At most 2 GPU here"
    assert too_large(Size("g", "G", 1, 4096, 2, "v100"), room) == ""
    assert too_large(Size("g", "G", 1, 4096, 2, "a100"), room) == "At most 1 A100 here"


def test_a_place_that_names_no_limits_refuses_no_size():
    assert too_large(Size("g", "G", 999, 10**7, 9), room_of(PlaceOffer())) == ""


def test_over_several_places_the_most_of_each_counts():
    room = widest(
        [
            room_of(PlaceOffer(max_cpus=16, max_walltime=timedelta(hours=2), shapes=(CPU_NODE,))),
            room_of(PlaceOffer(max_walltime=timedelta(hours=8), shapes=(GPU_NODE,))),
        ]
    )
    assert (room.cpus, room.node_cpus, room.most_gpus) == (32, 64, 4)
    assert room.walltime == timedelta(hours=8)
    assert widest([]) == Room()


def test_one_place_without_a_limit_of_time_means_none_for_all():
    with_limit = room_of(PlaceOffer(max_walltime=timedelta(hours=2)))
    assert widest([with_limit, room_of(PlaceOffer())]).walltime is None
