"""Processes of a benchmark: started, waited for, ended; and how much processor time they took."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]

_READY_S = 60.0


@contextlib.contextmanager
def running(
    argv: Sequence[str], environment: Mapping[str, str], log: Path, ready_url: str
) -> Iterator[psutil.Process]:
    """A program that answers at ``ready_url`` (below 500); ended, with its children, with the context."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=ROOT,
        )
    try:
        _wait_until_ready(process, ready_url, log)
        yield psutil.Process(process.pid)
    finally:
        _end(process)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while (status_of(url) or 500) >= 500:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(
                f"{process.args!r} does not answer:\n{log.read_text(errors='replace')[-3000:]}"
            )
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    children = []
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def status_of(url: str, headers: Mapping[str, str] | None = None) -> int | None:
    """Status of a GET; None without an answer."""
    try:
        return httpx.get(url, timeout=5, headers=dict(headers or {})).status_code
    except httpx.HTTPError:
        return None


def base_environment() -> dict[str, str]:
    """What a program needs of this process's environment, without anything of the tests."""
    kept = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


def cpu_seconds(process: psutil.Process) -> float:
    """Processor time of one process and of those of its children that it has waited for."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def own_cpu_seconds(process: psutil.Process) -> float:
    """Processor time of one process alone."""
    times = process.cpu_times()
    return float(times.user + times.system)


def tree_cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time of processes and all below them, each counted once."""
    found = set()
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found |= {root, *root.children(recursive=True)}
    total = 0.0
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += cpu_seconds(process)
    return total
