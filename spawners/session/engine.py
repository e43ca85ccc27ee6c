"""How does a node talk to the engine? Three questions, by HTTP, proved by the session's secret.

Standard library only: nodes use it. The secret goes into a header and nowhere else.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from spawners.session import exits

_TIMEOUT_S = 10
_PAUSE_S = (0.2, 10.0)
"""First and longest pause between two questions to an engine that does not answer."""

PATIENCE_S = 900.0
"""How long a job waits for the engine at its start: a restart and an upgrade fit; a queue's CPUs are dear."""

_MOST_BYTES = 64 * 1024 * 1024

MOST_LINES = 200
MOST_TAIL_BYTES = 16 * 1024
"""What the engine takes of a log, its JSON included."""

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Engine:
    """The engine as one session sees it."""

    def __init__(self, base: str, launch_id: str, secret: str) -> None:
        self._parts = urlsplit(base)
        self._path = f"{self._parts.path}/internal/launches/{launch_id}"
        self._secret = secret
        self.report_url = f"{base}/internal/reports/{launch_id}"

    @property
    def host(self) -> str:
        """Where it is."""
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        """On which port."""
        return self._parts.port or (443 if self._parts.scheme == "https" else 80)

    def specification(self, is_ending: Callable[[], bool], say: Callable[[str], None]) -> dict[str, Any]:
        """What this session is; waits for an engine that does not answer.

        Raises
        ------
        exits.SessionFailedError
            If the engine does not want the session (any more), or never answers.
        """
        began = time.monotonic()
        pause, longest = _PAUSE_S
        why = ""
        while not is_ending():
            try:
                status, body = self._ask("GET", "specification")
                if status == 200:
                    found = json.loads(body)
                    if isinstance(found, dict):
                        return found
                why = f"HTTP status {status}"
                if 400 <= status < 500 and status != 429:
                    text = f"The service does not want this session (any more): {why}."
                    raise exits.SessionFailedError(exits.NOT_WANTED, text)
            except (OSError, ValueError, http.client.HTTPException) as error:
                why = str(error) or type(error).__name__
            if time.monotonic() - began > PATIENCE_S:
                break
            say(f"The service at {self.host}:{self.port} does not answer yet: {why}")
            sleep_unless(is_ending, pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads the questions
            pause = min(2 * pause, longest)
        if is_ending():
            raise exits.SessionFailedError(143, "The job was ended before the session began.")
        text = f"The service at {self.host}:{self.port} could not be reached from this node: {why}"
        raise exits.SessionFailedError(exits.NO_ENGINE, text)

    def deadline(self) -> tuple[float | None, float]:
        """Until when the session may run [s since the epoch] (None: not known), and when to ask again [s].

        Raises
        ------
        OSError
            If there is no answer.
        """
        found = json.loads(self._get("deadline"))
        text = found["deadline"]
        seconds = datetime.fromisoformat(text).timestamp() if text else None
        return seconds, min(600.0, max(5.0, float(found["poll_s"])))

    def send_log(self, lines: Sequence[str], *, timeout_s: float = _TIMEOUT_S) -> None:
        """Send the last lines of the log.

        Raises
        ------
        OSError
            If they could not be delivered.
        """
        status, _ = self._ask("POST", "log", {"lines": list(lines)}, timeout_s)
        if status >= 300:
            raise OSError(f"HTTP status {status}")

    def _get(self, name: str) -> bytes:
        status, body = self._ask("GET", name)
        if status != 200:
            raise OSError(f"HTTP status {status}")
        return body

    def _ask(
        self, method: str, name: str, body: Any = None, timeout_s: float = _TIMEOUT_S
    ) -> tuple[int, bytes]:
        is_secure = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
        connection = kind(self.host, self._parts.port, timeout=timeout_s)
        headers = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json"}
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"{self._path}/{name}", content, headers)
            reply = connection.getresponse()
            return reply.status, reply.read(_MOST_BYTES)
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP answer: {error!r}") from error
        finally:
            connection.close()


def sleep_unless(is_ending: Callable[[], bool], seconds: float) -> None:
    """Sleep, but not on when it is time to end."""
    until = time.monotonic() + seconds
    while not is_ending() and time.monotonic() < until:
        time.sleep(min(0.1, max(0.0, until - time.monotonic())))


def bounded(lines: Sequence[str]) -> list[str]:
    """Last lines as far as the engine takes them, without control characters."""
    kept: list[str] = []
    left = MOST_TAIL_BYTES - 256  # the rest of the JSON object
    for line in reversed(lines[-MOST_LINES:]):
        clean = _CONTROL.sub("", line.replace("\t", " "))[:1000]
        left -= len(json.dumps(clean)) + 2
        if left < 0:
            break
        kept.append(clean)
    return kept[::-1]
