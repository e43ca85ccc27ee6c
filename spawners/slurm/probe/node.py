"""Runs on a node: looks at what a session needs there. Exit code: the sum of what is amiss.

Standard library only, Python 3.9 or newer; it comes with the job, so that it needs no file there.
It changes nothing. `spawners.slurm.probe.verdict` knows the numbers.
"""

from __future__ import annotations

import email.utils
import json
import os
import pwd
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HUB = 1
SERVICE = 2
CLOCK = 4
ENVIRONMENT = 8
SESSION_CODE = 16
HOME = 32
VIEW = 64

# Only the service's answer tells the time, so CLOCK never comes with SERVICE: their sum is free for
# what ends the probe early. Codes of 128 and more mean a signal to Slurm.
NO_PYTHON = SERVICE | CLOCK
OLD_PYTHON = NO_PYTHON | 8
OTHER_ACCOUNT = NO_PYTHON | 16
CRASHED = NO_PYTHON | 24

HUB_SIGN = '"version"'
SERVICE_SIGN = "urn:panhub:problem:"
"""What the answers of hub and service hold; whatever else may listen there does not say it."""

_PATIENCE_S = 10
_MOST_BYTES = 65536


def look(asked: dict[str, Any]) -> int:
    """Exit code for what is found."""
    if not is_account(asked):
        return OTHER_ACCOUNT
    found = 0
    if asked["hub"] and fetch(asked["hub"], HUB_SIGN) is None:
        found |= HUB
    if asked["service"]:
        answered = fetch(asked["service"], SERVICE_SIGN)
        if answered is None:
            found |= SERVICE
        elif answered > asked["clock_s"]:
            found |= CLOCK
    programs = [f"{prefix}/bin/jupyterhub-singleuser" for prefix in asked["prefixes"]]
    if not all(os.access(path, os.X_OK) for path in programs) or not all(map(is_readable, asked["files"])):
        found |= ENVIRONMENT
    if not is_readable(f"{asked['session_code']}/node.py"):
        found |= SESSION_CODE
    if not is_writable(asked["home"] or pwd.getpwuid(os.getuid()).pw_dir):
        found |= HOME
    ways = view_commands(asked["apptainer"])
    if not any(works(ways[view]) for view in asked["views"]):
        found |= VIEW
    # Only a run shows whether its images can be mounted here.
    if asked["image"] and not works([asked["apptainer"], "exec", "--containall", asked["image"], "true"]):
        found |= VIEW
    return found


def is_account(asked: dict[str, Any]) -> bool:
    """Whether the node knows this process's uid by the person's name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name == str(asked["user"])
    except KeyError:
        return False


def fetch(url: str, sign: str) -> float | None:
    """Seconds by which the clock of who answers differs from ours; None: no answer, or not of ours."""
    # Sessions go there without a proxy too.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        answer = opener.open(url, timeout=_PATIENCE_S)
    except urllib.error.HTTPError as refused:
        answer = refused  # it is an answer: nothing lies at this address
    except (OSError, ValueError):
        return None
    try:
        with answer:
            now = time.time()
            stated = email.utils.parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
            is_ours = sign in answer.read(_MOST_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError, TypeError):
        return None
    return abs(now - stated) if is_ours else None


def is_readable(path: str) -> bool:
    """Whether this process may read the file."""
    try:
        with Path(path).open("rb"):
            return True
    except OSError:
        return False


def is_writable(folder: str) -> bool:
    """Whether a file can be made in the folder; root_squash and full disks show only then."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"panhub")
            file.flush()
    except OSError:
        return False
    return True


def view_commands(apptainer: str) -> dict[str, list[str]]:
    """Commands that work where a session can have its own view, by the way it gets one."""
    return {
        "links": ["true"],
        "bubblewrap": ["bwrap", "--unshare-user", "--ro-bind", "/", "/", "--dev", "/dev", "--", "true"],
        "apptainer": [apptainer, "version"],
    }


def works(argv: list[str]) -> bool:
    """Whether a command succeeds here, for this account."""
    try:
        done = subprocess.run(
            argv,
            check=False,
            timeout=_PATIENCE_S,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def listening(port: int) -> socket.socket | None:
    """Socket on all addresses of the node; None if the port is not to be had."""
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError:
        return None


def answer_call(server: socket.socket, word: str, wait_s: float) -> None:
    """Say the word to the first who connects, if anybody does."""
    server.settimeout(wait_s)
    try:
        caller, _ = server.accept()
        with caller:
            caller.sendall(word.encode("ascii"))
    except OSError:
        return


def main() -> int:
    """Look at what ``PANHUB_PROBE`` asks for; let who asked call meanwhile, as the proxy will."""
    began = time.monotonic()
    try:
        asked = json.loads(os.environ["PANHUB_PROBE"])
        server = listening(asked["port"]) if asked["port"] else None
        found = look(asked)
        if server is not None:
            with server:
                left_s = asked["call_s"] - (time.monotonic() - began)
                answer_call(server, asked["word"], max(left_s, asked["call_s"] / 2))
    except Exception:
        return CRASHED
    return found


if __name__ == "__main__":
    sys.exit(main())
