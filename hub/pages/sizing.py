"""How large may a session be at a place, and which parts of a node are worth offering?

Pure: from a place's kinds of node, a person's limits there and the profile's largest own size to
the choices of the form. The launch path and the scheduler decide for themselves; this only keeps
the form from offering what they would refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from hub.pages.placeviews import Share
from profiles.choose import Custom
from spawners.backend import NodeShape, PlaceOffer
from spawners.plan import Size

_GIB = 1024
_COUNTS = (0, 1, 2, 3, 4, 6, 8, 16, 32, 64)
"""Numbers of GPUs worth a button."""


@dataclass(frozen=True, slots=True)
class Room:
    """The largest session that a person can have. None: nothing is known to limit it.

    ``cpus``, ``memory_mib`` and ``gpus`` are the limits; ``node_cpus`` and ``node_memory_mib`` what the
    largest node has. ``gpu_types`` are the most of each type in one node ("" where it has no name).
    """

    cpus: int | None = None
    memory_mib: int | None = None
    gpus: int | None = None
    walltime: timedelta | None = None
    node_cpus: int | None = None
    node_memory_mib: int | None = None
    gpu_types: Mapping[str, int] = field(default_factory=dict)

    @property
    def most_gpus(self) -> int:
        """GPUs that one session can have."""
        in_a_node = max(self.gpu_types.values(), default=0)
        return in_a_node if self.gpus is None else min(in_a_node, self.gpus)


def room_of(offer: PlaceOffer, largest: Custom | None = None) -> Room:
    """Room of a person at a place; ``largest`` is the profile's limit for sizes of one's own."""
    node_cpus = max((shape.cpus for shape in offer.shapes), default=None)
    node_memory = max((shape.memory_mib for shape in offer.shapes), default=None)
    return Room(
        cpus=_least(node_cpus, offer.max_cpus, largest.cpus if largest else None),
        memory_mib=_least(node_memory, offer.max_memory_mib, largest.memory_mib if largest else None),
        gpus=_least(offer.max_gpus, largest.gpus if largest else None),
        walltime=offer.max_walltime,
        node_cpus=node_cpus,
        node_memory_mib=node_memory,
        gpu_types=_types(offer.shapes),
    )


def widest(rooms: Iterable[Room]) -> Room:
    """Room over several places, one of which will be taken: the most of each."""
    all_of_them = list(rooms)
    if not all_of_them:
        return Room()
    types: dict[str, int] = {}
    for room in all_of_them:
        for name, most in room.gpu_types.items():
            types[name] = max(most, types.get(name, 0))
    walltimes = [room.walltime for room in all_of_them]
    known = [walltime for walltime in walltimes if walltime is not None]
    return Room(
        cpus=_greatest(room.cpus for room in all_of_them),
        memory_mib=_greatest(room.memory_mib for room in all_of_them),
        gpus=_greatest(room.gpus for room in all_of_them),
        walltime=max(known) if known and len(known) == len(walltimes) else None,
        node_cpus=_greatest(room.node_cpus for room in all_of_them),
        node_memory_mib=_greatest(room.node_memory_mib for room in all_of_them),
        gpu_types=types,
    )


def shares(room: Room, chosen: int | None = None) -> tuple[Share, ...]:
    """Minimum, quarter, half and whole of a node; a person's own most where that is none of them.

    Parts that come to the same number are offered once; those over a limit say so. Nothing where
    the place names no nodes.
    """
    whole = room.node_cpus
    if whole is None:
        return ()
    parts = (("Minimum", 1), ("Quarter", whole // 4), ("Half", whole // 2), ("Whole node", whole))
    found: dict[int, str] = {}
    for title, cpus in reversed(parts):
        # The plainer word wins: one CPU is the minimum, also where it is a quarter of the node.
        if cpus >= 1:
            found[cpus] = "Whole node" if cpus == whole else title
    if room.cpus is not None and room.cpus not in found:
        found[room.cpus] = "Your most"
    return tuple(_share(room, cpus, title, is_chosen=cpus == chosen) for cpus, title in sorted(found.items()))


def _share(room: Room, cpus: int, title: str, *, is_chosen: bool) -> Share:
    is_allowed = room.cpus is None or cpus <= room.cpus
    return Share(
        cpus=cpus,
        title=title,
        memory_gib=memory_for(room, cpus),
        is_chosen=is_chosen and is_allowed,
        is_allowed=is_allowed,
        why="" if is_allowed else f"At most {room.cpus} CPU here for you",
    )


def memory_for(room: Room, cpus: int) -> int:
    """Memory [GiB] that goes with some CPUs of a node, at least one, within the limit."""
    if not room.node_cpus or not room.node_memory_mib:
        return max(1, cpus * 2)
    part = room.node_memory_mib * cpus // room.node_cpus
    if room.memory_mib is not None:
        part = min(part, room.memory_mib)
    return max(1, part // _GIB)


def gpu_counts(room: Room) -> tuple[int, ...]:
    """Numbers of GPUs to choose from; nothing where there are none."""
    most = room.most_gpus
    return tuple(n for n in _COUNTS if n <= most) if most else ()


def too_large(size: Size, room: Room) -> str:
    """Why a size cannot be had, in words; empty if it can."""
    if size.gpus and size.gpu_type and size.gpu_type not in room.gpu_types and "" not in room.gpu_types:
        return f"No {size.gpu_type} here" if room.most_gpus else "No GPUs here"
    most_of_type = room.gpu_types.get(size.gpu_type, 0) if size.gpu_type else 0
    if size.gpu_type in room.gpu_types and size.gpus > most_of_type > 0:
        return f"At most {most_of_type} {size.gpu_type.upper()} here"
    if size.gpus > room.most_gpus and (room.gpus is not None or room.node_cpus is not None):
        return "No GPUs here" if not room.most_gpus else f"At most {room.most_gpus} GPU here"
    if room.cpus is not None and size.cpus > room.cpus:
        return f"At most {room.cpus} CPU here"
    if room.memory_mib is not None and size.memory_mib > room.memory_mib:
        return f"At most {room.memory_mib // _GIB} GB here"
    return ""


def _types(shapes: Iterable[NodeShape]) -> dict[str, int]:
    types: dict[str, int] = {}
    for shape in shapes:
        for name, most in shape.gpus.items():
            types[name] = max(most, types.get(name, 0))
    return types


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _greatest(values: Iterable[int | None]) -> int | None:
    """The largest; None as soon as one is not limited."""
    known = list(values)
    return None if None in known else max((value for value in known if value is not None), default=None)
