"""Do these addresses answer? What ``helm test`` runs: ``python -m hub.chart.health URL…``."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

_TIMEOUT_S = 5.0
_PATIENCE_S = 60.0
"""The hub tells the proxy its routes shortly after it is up."""


def answers(url: str, patience_s: float = _PATIENCE_S) -> str:
    """Nothing once ``url`` answers with 200, else what it said last. Blocking."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as reply:  # noqa: S310  # the chart's own
                if reply.status == 200:
                    return ""
                said = str(reply.status)
        except urllib.error.HTTPError as error:
            said = str(error.code)
        except OSError as error:
            said = str(error)
        if time.monotonic() > deadline:
            return said
        time.sleep(1)


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
