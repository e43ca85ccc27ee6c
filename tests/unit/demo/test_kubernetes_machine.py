"""What the demo's Kubernetes needs of the machine, and what it says where that is missing."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from hub.demo.kubernetes import machine, minder
from hub.demo.kubernetes.enforcer import Seen, enforce
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.machine import check_nftables

KINDS = ("namespaces", "pods", "policies")


def _groups(root: Path, *, has: str, gives: str) -> None:
    """A hierarchy of version 2, in files: what the machine has, and what a new group is given."""
    (root / "cgroup.controllers").write_text(f"{has}\n")
    (root / "cgroup.subtree_control").touch()
    (root / "ours").mkdir()
    (root / "ours/cgroup.controllers").write_text(f"{gives}\n")


def test_a_group_of_version_2_has_the_controllers_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minder, "CGROUPS", tmp_path)
    _groups(tmp_path, has="cpuset cpu io memory pids", gives="cpuset cpu memory pids")
    minder.make_groups("ours")
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+pids"


def test_controllers_that_a_container_keeps_to_itself_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minder, "CGROUPS", tmp_path)
    _groups(tmp_path, has="cpuset cpu memory pids", gives="cpuset pids")
    with pytest.raises(OSError, match=r"gives its groups no cpu, memory\. In a container"):
        minder.make_groups("ours")


def test_a_machine_without_control_groups_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minder, "CGROUPS", tmp_path / "none")
    with pytest.raises(OSError, match="there are no control groups in"):
        minder.make_groups("ours")
    minder.remove_groups("ours")


@pytest.mark.parametrize(
    ("uid", "binaries", "missing", "said"),
    [
        (1000, None, ["nft"], "must be started by root"),
        (0, None, ["nft"], "run make kubernetes"),
        (0, Path("/made"), ["runc", "nft"], "Missing: runc, nft. Run make kubernetes-packages"),
    ],
)
def test_what_is_missing_is_said_with_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, uid: int, binaries: Path | None, missing: list[str], said: str
) -> None:
    monkeypatch.setattr(machine.os, "geteuid", lambda: uid)
    monkeypatch.setattr(machine, "kubernetes_binaries", lambda: binaries)
    monkeypatch.setattr(machine, "missing_programs", lambda: missing)
    with pytest.raises(KubernetesDemoError, match=said):
        machine.check_machine()


def test_a_kernel_without_nftables_is_named() -> None:
    def run(*argv: str, timeout_s: float = 0.0) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, 1, "", "Unable to initialize Netlink socket\n")

    with pytest.raises(KubernetesDemoError, match=r"does not do nftables .*Netlink socket$"):
        check_nftables(run)


def test_rules_that_the_kernel_did_not_take_are_written_again() -> None:
    written: list[str] = []
    is_again = threading.Event()

    def write(rules: str) -> bool:
        written.append(rules)
        if len(written) > 1:
            is_again.set()
        return len(written) > 1

    seen = Seen()
    threading.Thread(target=enforce, args=(seen, "198.18.1.0/24", write), daemon=True).start()
    for kind in KINDS:
        seen.replace(kind, {})
    # Nothing changes in the API meanwhile.
    assert is_again.wait(30.0)
    assert written[0] == written[1]
