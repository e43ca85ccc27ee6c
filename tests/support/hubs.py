"""What tests do to a hub: restart it with other traits, start a server by its REST API, pause processes."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from spawners.local.processes import of_launch
from tests.support.afterwards import servers
from tests.support.platform import Platform, Visitor, wait_until


def restart_hub(platform: Platform, *traits: str) -> None:
    """kill -9 of the hub, and start it with traits of its command line, which go before the file's."""
    platform.kill("hub")
    start_hub(platform, *traits)


def start_hub(platform: Platform, *traits: str) -> None:
    """Start the hub with traits of its command line."""
    program = platform.programs["hub"]
    platform.programs["hub"] = replace(program, argv=(*program.argv, *traits))
    try:
        platform.start("hub")
    finally:
        platform.programs["hub"] = program


def start_by_rest(visitor: Visitor, name: str, **body: Any) -> dict[str, Any]:
    """Start a named server by plain hub REST; its launch, once it runs."""
    reply = visitor.hub("POST", f"/users/{visitor.username}/servers/{name}", json=body or None)
    assert reply.status_code in {201, 202}, reply.text
    return visitor.wait_for(newest(visitor, name)["id"], "running")


def newest(visitor: Visitor, name: str) -> dict[str, Any]:
    """The newest launch of a server name."""
    found = visitor.api("GET", "/launches").json()["items"]
    launch: dict[str, Any] = next(one for one in found if one["server_name"] == name)
    return launch


def pending(visitor: Visitor, name: str) -> str | None:
    """What the hub is doing with a server."""
    try:
        found = servers(visitor.platform, visitor.username).get(name, {})
    except httpx.HTTPError:  # it is not up yet
        return None
    what: str | None = found.get("pending")
    return what


@contextlib.contextmanager
def paused(*pids: int) -> Iterator[None]:
    """Processes that do not answer."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def server_pids(launch_id: str) -> list[int]:
    """Processes of a session's own notebook server, without its supervisor and its first process."""
    return [pid for pid in of_launch(launch_id) if b"jupyterhub-singleuser" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextlib.contextmanager
def in_background(work: Any) -> Iterator[None]:
    """Do something beside the test, and wait for its end."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # shown by the test's own thread
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(120)
    if failed:
        raise failed[0]


def until_gone(visitor: Visitor, name: str) -> None:
    """Wait until the hub no longer lists a server."""
    wait_until(lambda: name not in servers(visitor.platform, visitor.username), f"{name} stays in the list")
