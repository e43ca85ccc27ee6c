"""How large is a variant, and what does it run? Traits read as a size of ours and as an image by digest."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from profiles.importer.notes import Notes
from profiles.importer.source import Traits

TODO = "TODO"
"""Stands where only the operator knows; our loader refuses it."""

_MIB = 1024**2
_UNITS = {"": 1, "K": 1024, "M": _MIB, "G": 1024**3, "T": 1024**4}
"""As JupyterHub's ByteSpecification has them; Kubernetes' own Ki, Mi … are the same."""

_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]?)i?B?\Z")
_IS_GPU = re.compile(r"(^|[./-])(gpu|mig-[0-9a-z.]+)\Z", re.IGNORECASE)
_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})\Z")

_MOST_CPUS = 10**6
_LEAST_MIB = 256
_DEFAULT_MIB = 1024
"""What zero-to-jupyterhub guarantees where nothing is said."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Whole CPUs and MiB of a session, its GPUs and their resource, and the share of CPUs reserved."""

    cpus: int
    memory_mib: int
    gpus: int = 0
    gpu_resource: str = ""
    cpu_share: float = 1.0

    @property
    def name(self) -> str:
        """Id of the size."""
        gpus = f"-{self.gpus}gpu" if self.gpus else ""
        return f"{self.cpus}cpu-{_memory_name(self.memory_mib).lower()}{gpus}"

    @property
    def title(self) -> str:
        """What people read."""
        cpus = f"{self.cpus} CPU" if self.cpus == 1 else f"{self.cpus} CPUs"
        gpus = f", {self.gpus} GPU" + ("s" if self.gpus > 1 else "") if self.gpus else ""
        return f"{cpus}, {_memory_name(self.memory_mib, ' ')}{gpus}"


def resources(traits: Traits, where: str, notes: Notes) -> Resources:
    """Size of a variant: its limits, or what is guaranteed where there is none."""
    limit, guarantee = (_cpus(traits.get(f"cpu_{kind}"), where, notes) for kind in ("limit", "guarantee"))
    cpus = max(1, math.ceil(limit or guarantee or 1))
    if limit is None:
        text = f"has no limit of CPUs; its size has {cpus}, and no session uses more than its size"
        notes.add(f"{where}.cpu_limit", text)
    elif limit != cpus:
        notes.add(f"{where}.cpu_limit", f"{limit:g} CPUs became {cpus}: sizes have whole CPUs")
    most, least = (_mib(traits.get(f"mem_{kind}"), where, notes) for kind in ("limit", "guarantee"))
    memory = max(_LEAST_MIB, most or least or _DEFAULT_MIB)
    if most is None:
        notes.add(f"{where}.mem_limit", f"has no limit of memory; its size has {memory} MiB")
    elif least is not None and least < most:
        text = f"{least} MiB were reserved of {most}; memory is reserved as a whole here"
        notes.add(f"{where}.mem_guarantee", text)
    gpus, resource = _gpus(traits, where, notes)
    share = min(1.0, guarantee / cpus) if guarantee else 1.0
    if guarantee is None and limit is not None:
        notes.add(f"{where}.cpu_guarantee", "none; the CPUs of a size are reserved, see `cpu_reserved`")
    return Resources(cpus, memory, gpus, resource, share)


def is_gpu(resource: str) -> bool:
    """Whether an extended resource counts GPUs."""
    return bool(_IS_GPU.search(resource))


def container(image: str, digests: Mapping[str, str]) -> str:
    """The image by digest; with `TODO` in its place where it is not known."""
    found = _DIGEST.search(image)
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")  # a registry may have a port
    untagged = f"{folder}{slash}{last.partition(':')[0]}"
    digest = found.group(1) if found else digests.get(image) or digests.get(untagged) or f"sha256:{TODO}"
    return f"{untagged}@{digest}"


def _cpus(value: Any, where: str, notes: Notes) -> float | None:
    if value in (None, ""):
        return None
    try:
        text = str(value)
        number = float(text[:-1]) / 1000 if text.endswith("m") else float(text)
    except ValueError:
        number = math.nan
    if 0 <= number <= _MOST_CPUS:
        return number
    notes.add(where, f"`{value}` is no number of CPUs")
    return None


def _mib(value: Any, where: str, notes: Notes) -> int | None:
    if value in (None, ""):
        return None
    match = _MEMORY.match(str(value))
    if match is None:
        notes.add(where, f"`{value}` is no amount of memory")
        return None
    return math.ceil(float(match.group(1)) * _UNITS[match.group(2)] / _MIB)


def _gpus(traits: Traits, where: str, notes: Notes) -> tuple[int, str]:
    asked = {**(traits.get("extra_resource_guarantees") or {}), **(traits.get("extra_resource_limits") or {})}
    found = {name: amount for name, amount in asked.items() if is_gpu(str(name)) and str(amount) != "0"}
    if len(found) > 1:
        notes.add(where, f"has GPUs of several kinds ({', '.join(sorted(found))}); the first was taken")
    for name, amount in found.items():
        if re.fullmatch("[0-9]{1,6}", str(amount)):
            return int(amount), str(name)
        notes.add(where, f"`{amount}` is no number of {name}")
    return 0, ""


def _memory_name(mib: int, gap: str = "") -> str:
    return f"{mib // 1024}{gap}GiB" if mib % 1024 == 0 else f"{mib}{gap}MiB"
