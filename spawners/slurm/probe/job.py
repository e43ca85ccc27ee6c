"""The probe's job: fixed text of ours, and what to look at in its environment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from spawners.slurm.models import JobSpec
from spawners.slurm.probe import node
from spawners.slurm.settings import ClusterSettings

JOB_NAME = "panhub-check"

_SCRIPT = f"""#!/bin/sh
# Looks at what a session needs on this node; see spawners/slurm/probe. The exit code is the answer.
[ -x "$PANHUB_PYTHON" ] || exit {node.NO_PYTHON}
"$PANHUB_PYTHON" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 9))' || exit {node.OLD_PYTHON}
exec "$PANHUB_PYTHON" -I -S - <<'PANHUB_PROBE_END'
{Path(node.__file__).read_text(encoding="ascii")}
PANHUB_PROBE_END
"""

_TIME_LIMIT = timedelta(minutes=5)
_MEMORY_MIB = 512


@dataclass(frozen=True, slots=True)
class Asked:
    """What the node is to look at.

    ``hub`` and ``service`` are URLs that answer, or empty to leave them out; ``files`` must be
    readable (images, the file that defines ``module``); of ``views`` one must work, and ``apptainer``
    must run ``image`` (empty: there is none). ``home`` empty: the node's own idea of it. ``clock_s`` is
    how far the clocks may differ. The node listens on ``port`` (0: it does not) for about ``call_s``,
    and says ``word`` to the first who calls.
    """

    user: str
    hub: str
    service: str
    prefixes: Sequence[str]
    files: Sequence[str]
    session_code: str
    home: str
    views: Sequence[str]
    clock_s: float = 30.0
    port: int = 0
    word: str = ""
    call_s: float = 6.0
    apptainer: str = "apptainer"
    image: str = ""


def probe_spec(
    asked: Asked, cluster: ClusterSettings, partition: str, *, account: str | None = None
) -> JobSpec:
    """The job that looks at one node of a partition, as the person."""
    return JobSpec(
        user=asked.user,
        script=_SCRIPT,
        environment={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PANHUB_PYTHON": str(cluster.python),
            "PANHUB_PROBE": json.dumps(asdict(asked)),
        },
        name=JOB_NAME,
        comment=JOB_NAME,
        partition=partition,
        cpus=1,
        memory_mib=_MEMORY_MIB,
        time_limit=_TIME_LIMIT,
        # Neither needs a home: whether there is one is a question.
        workdir="/",
        log="/dev/null",
        account=account,
        constraint=cluster.constraint,
    )


def views_of(cluster: ClusterSettings) -> tuple[str, ...]:
    """Ways of a view of which one must work on a node."""
    return ("bubblewrap", "apptainer", "links") if cluster.view == "auto" else (cluster.view,)
