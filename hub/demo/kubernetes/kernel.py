"""What does the kernel say of a pod's processes? Accounts, privileges and mounts, from proc(5). Blocking."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class Process:
    """One process: real, effective, saved and file-system ids, groups, and what it may."""

    pid: int
    uids: frozenset[int]
    gids: frozenset[int]
    groups: frozenset[int]
    capabilities: int
    has_no_new_privileges: bool
    seccomp: int

    @property
    def is_unprivileged(self) -> bool:
        """No capability now or to be had, no way to more, and system calls are filtered (mode 2)."""
        return self.capabilities == 0 and self.has_no_new_privileges and self.seccomp == 2

    @property
    def privileges(self) -> str:
        """The same in words."""
        return (
            f"capabilities {self.capabilities:#x}, NoNewPrivs {self.has_no_new_privileges:d}, "
            f"Seccomp {self.seccomp}"
        )


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One mount as the process sees it."""

    target: PurePosixPath
    is_read_only: bool


def processes(pids: Iterable[int]) -> list[Process]:
    """The processes that still run."""
    found = []
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        facts = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        if "Uid" not in facts or facts["State"].startswith("Z"):
            continue
        masks = (int(facts[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
        capabilities = 0
        for mask in masks:
            capabilities |= mask
        found.append(
            Process(
                pid,
                _numbers(facts["Uid"]),
                _numbers(facts["Gid"]),
                _numbers(facts["Groups"]),
                capabilities,
                facts["NoNewPrivs"].strip() == "1",
                int(facts["Seccomp"]),
            )
        )
    return found


def mounts(pid: int) -> list[MountPoint]:
    """Mounts in the process's view (proc_pid_mountinfo(5)): read-only by the mount or by its file system."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8").splitlines()
    found = []
    for line in lines:
        fields, _, _ = line.partition(" - ")
        words = fields.split()
        target = words[4].encode().decode("unicode_escape")
        found.append(MountPoint(PurePosixPath(target), "ro" in words[5].split(",")))
    return found


def _numbers(text: str) -> frozenset[int]:
    return frozenset(int(word) for word in text.split())
