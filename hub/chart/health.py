"""Do these addresses answer? ``python -m hub.chart.health URL…``: `helm test`, and who waits for a database.

``http://…`` answers with 200; ``tcp://HOST:PORT`` when it takes a connection.
"""

from __future__ import annotations

import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from urllib.parse import urlsplit

_TIMEOUT_S = 5.0
_PATIENCE_S = 60.0
"""The hub tells the proxy its routes shortly after it is up."""


def answers(url: str, patience_s: float = _PATIENCE_S) -> str:
    """Nothing once ``url`` answers, else what it said last. Blocking."""
    deadline = time.monotonic() + patience_s
    while said := _said(url):
        if time.monotonic() > deadline:
            return said
        time.sleep(1)
    return ""


def _said(url: str) -> str:
    """What is wrong; nothing if it answers."""
    try:
        if url.startswith("tcp://"):
            at = urlsplit(url)
            socket.create_connection((at.hostname or "", at.port or 0), _TIMEOUT_S).close()
            return ""
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as reply:  # noqa: S310  # the chart's own
            return "" if reply.status == 200 else str(reply.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return str(error) or repr(error)


def main(urls: Sequence[str]) -> int:
    """Look at all of them; 0 if all answer."""
    failures = 0
    for url in urls:
        said = answers(url)
        failures += bool(said)
        print(f"{url}: {said or 'answers'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
