"""Does a session fit: the partition's nodes, and the limits of partition, account and QOS?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from spawners.backend import NodeShape, NotAdmittedError
from spawners.plan import LaunchPlan, Size
from spawners.slurm.caps import Cap, Caps, Shapes
from spawners.slurm.models import Partition
from spawners.slurm.words import devices, one_of, size, span

Elsewhere = Callable[[Callable[[Caps], bool]], str]
"""Words for the person's other choices whose limits pass a test (``, or QOS long``), or nothing."""


def check_sizes(
    partition: Partition, shapes: Shapes, caps: Caps, plan: LaunchPlan, elsewhere: Elsewhere
) -> None:
    """Refuse a plan over a limit. ``shapes`` are the nodes that it may get.

    Raises
    ------
    NotAdmittedError
        With code ``place_limit``.
    """
    wanted = plan.size
    if not shapes or partition.max_nodes == 0:
        raise _over(f"Partition {partition.name} has no nodes for this.", "Choose another place.")
    _check_walltime(caps, plan.walltime, elsewhere)
    _check_nodes(partition, shapes, wanted)
    _check_cap(caps.cpus, wanted.cpus, lambda n: f"{n} CPUs", elsewhere, lambda c: c.cpus)
    _check_cap(
        caps.memory_mib,
        wanted.memory_mib,
        lambda n: f"{size(n)} of memory",
        elsewhere,
        lambda c: c.memory_mib,
    )
    _check_memory_per_cpu(partition, wanted)
    if wanted.gpus:
        for kind in dict.fromkeys(("", wanted.gpu_type)):
            _check_cap(caps.gpus.get(kind), wanted.gpus, _gpu_words(kind), elsewhere, _of_gpu(kind))


def _gpu_words(kind: str) -> Callable[[int], str]:
    return lambda count: devices({kind: count})


def _of_gpu(kind: str) -> Callable[[Caps], Cap | None]:
    return lambda caps: caps.gpus.get(kind)


def _check_walltime(caps: Caps, walltime: timedelta, elsewhere: Elsewhere) -> None:
    _check_cap(
        caps.walltime_s,
        int(walltime.total_seconds()),
        lambda seconds: span(timedelta(seconds=seconds)),
        elsewhere,
        lambda c: c.walltime_s,
    )


def _check_cap(
    cap: Cap | None,
    asked: int,
    words: Callable[[int], str],
    elsewhere: Elsewhere,
    get: Callable[[Caps], Cap | None],
) -> None:
    if cap is None or asked <= cap.most:
        return

    def passes(caps: Caps) -> bool:
        other = get(caps)
        return other is None or asked <= other.most

    # With another choice the cap could be the nodes'; those were looked at before.
    raise _over(
        f"{cap.whose} allows at most {words(cap.most)}; asked were {words(asked)}.",
        f"Choose at most {words(cap.most)}{elsewhere(passes)}.",
    )


def _check_nodes(partition: Partition, shapes: Shapes, wanted: Size) -> None:
    """One session runs on one node, so one kind of node must have it all."""
    where = f"of partition {partition.name}"
    cpus = max(shape.cpus for shape in shapes)
    if wanted.cpus > cpus:
        raise _over(
            f"The largest node {where} has {cpus} CPUs; asked were {wanted.cpus}.",
            f"Choose at most {cpus} CPUs, or another place.",
        )
    memory = max(shape.memory_mib for shape in shapes)
    if wanted.memory_mib > memory > 1:
        raise _over(
            f"The largest node {where} has {size(memory)} of memory; asked were {size(wanted.memory_mib)}.",
            f"Choose at most {size(memory)}, or another place.",
        )
    if wanted.gpus:
        _check_gpus(partition, shapes, wanted)
    if not any(_fits(shape, wanted) for shape in shapes):
        gpus = f" and {devices({wanted.gpu_type: wanted.gpus})}" if wanted.gpus else ""
        best = max(
            (s for s in shapes if _gpus(s, wanted) >= wanted.gpus), key=lambda s: (s.cpus, s.memory_mib)
        )
        raise _over(
            f"No node {where} has {wanted.cpus} CPUs, {size(wanted.memory_mib)}{gpus} together.",
            f"Choose at most {best.cpus} CPUs and {size(best.memory_mib)} with it, or another place.",
        )


def _check_gpus(partition: Partition, shapes: Shapes, wanted: Size) -> None:
    types = sorted({kind for shape in shapes for kind in shape.gpus})
    where = f"Partition {partition.name}"
    if not types:
        raise _over(f"{where} has no GPUs.", "Choose a size without GPUs, or another place.")
    if wanted.gpu_type and wanted.gpu_type not in types:
        named = [kind for kind in types if kind]
        hint = (
            f"Choose {one_of(named)}, or any type." if named else "Choose any type: they have no names here."
        )
        raise _over(f"{where} has no GPUs of type {wanted.gpu_type}.", hint)
    most = max(_gpus(shape, wanted) for shape in shapes)
    if wanted.gpus > most:
        raise _over(
            f"The largest node of partition {partition.name} has {devices({wanted.gpu_type: most})}; "
            f"asked were {wanted.gpus}.",
            f"Choose at most {most}, or another place.",
        )


def _check_memory_per_cpu(partition: Partition, wanted: Size) -> None:
    # Slurm would raise the CPUs instead, and the charge with them.
    most = partition.max_memory_per_cpu_mib
    if most is not None and wanted.memory_mib > most * wanted.cpus:
        raise _over(
            f"Partition {partition.name} allows at most {size(most)} of memory for each CPU; asked were "
            f"{size(wanted.memory_mib)} with {wanted.cpus}.",
            f"Choose at most {size(most * wanted.cpus)}, or {-(-wanted.memory_mib // most)} CPUs.",
        )


def _fits(shape: NodeShape, wanted: Size) -> bool:
    has_memory = shape.memory_mib <= 1 or wanted.memory_mib <= shape.memory_mib
    return wanted.cpus <= shape.cpus and has_memory and wanted.gpus <= _gpus(shape, wanted)


def _gpus(shape: NodeShape, wanted: Size) -> int:
    """Devices of the type that is wanted, or of any."""
    return shape.gpus.get(wanted.gpu_type, 0) if wanted.gpu_type else sum(shape.gpus.values())


def _over(text: str, hint: str) -> NotAdmittedError:
    return NotAdmittedError("place_limit", text, hint)
