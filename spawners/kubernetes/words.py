"""Resources and amounts of Kubernetes in the words of people."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spawners.kubernetes.quantity import count, mebibytes, number

_WORDS = {
    "cpu": "CPUs",
    "memory": "memory",
    "ephemeral-storage": "disk of the node",
    "storage": "storage",
    "pods": "sessions",
}
_BYTES = frozenset({"memory", "storage", "disk of the node"})


def resource(name: str) -> str:
    """``requests.cpu`` → CPUs, ``nvidia.com/gpu`` → GPUs; others as they are."""
    bare = re.sub(r"^(?:requests|limits|count)[./]", "", name.strip())
    if bare in _WORDS:
        return _WORDS[bare]
    return "GPUs" if "gpu" in bare.rpartition("/")[2].lower() else bare


def amount(name: str, quantity: str) -> str:
    """A quantity of a resource: ``2 CPUs``, ``4 GiB of memory``, ``1 GPU``."""
    word, shown = resource(name), bare(name, quantity)
    if word in _BYTES:
        return f"{shown} of {word}"
    return f"{shown} {word.removesuffix('s') if shown == '1' else word}"


def bare(name: str, quantity: str) -> str:
    """The same without the name of the resource: ``2``, ``4 GiB``."""
    if resource(name) in _BYTES:
        return size(mebibytes(quantity))
    value = number(quantity)
    return f"{value.normalize():f}" if value % 1 else str(count(quantity))


def size(memory_mib: int) -> str:
    """``62.5 GiB``, or MiB below one."""
    if memory_mib < 1024:
        return f"{memory_mib} MiB"
    return f"{memory_mib / 1024:.1f}".removesuffix(".0") + " GiB"


def several(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def sentence(text: str, most: int = 300) -> str:
    """A component's own words as a sentence of bounded length, on one line."""
    found = " ".join(text.split())
    cut = found[: most - 1] + "…" if len(found) > most else found
    return cut if cut.endswith((".", "…", "!", "?")) or not cut else f"{cut}."
