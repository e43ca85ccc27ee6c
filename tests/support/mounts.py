"""Mounts of a process as the kernel tells them (proc_pid_mountinfo(5))."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mount:
    """``root`` is the folder within its file system (``device``) that is shown at ``target``."""

    device: str
    root: Path
    target: Path
    is_read_only: bool


def mounts_of(process: int | str) -> list[Mount]:
    """Mounts in a process's view."""
    lines = [line.split() for line in Path(f"/proc/{process}/mountinfo").read_text().splitlines()]
    return [Mount(words[2], Path(words[3]), Path(words[4]), "ro" in words[5].split(",")) for words in lines]


def origin(mount: Mount, view: list[Mount]) -> Path | None:
    """Where another view has what a mount shows; None if nowhere."""
    holders = [one for one in view if one.device == mount.device and mount.root.is_relative_to(one.root)]
    if not holders:
        return None
    nearest = max(holders, key=lambda one: len(one.root.parts))
    return nearest.target / mount.root.relative_to(nearest.root)
