"""What a cluster's daemons were asked, in their own words: sdiag(1) and ``sacctmgr show stats``."""

from __future__ import annotations

import re
from collections import Counter

from hub.demo.slurm.cluster import SlurmCluster

_LINE = re.compile(r"^\s*(\S+)\s*\(\s*\d+\)\s*count:(\d+)", re.MULTILINE)
_OWN = {"REQUEST_STATS_INFO", "DBD_GET_STATS"}
"""The questions of this module."""


def controller_queries(cluster: SlurmCluster) -> Counter[str]:
    """Questions to slurmctld since its start, by type; submissions, cancels and nodes' reports are none."""
    said = cluster.checked("sdiag")
    by_type = said.partition("by message type")[2].partition("by user")[0]
    found = Counter({name: int(count) for name, count in _LINE.findall(by_type)})
    return Counter({name: n for name, n in found.items() if _is_question(name)})


def _is_question(name: str) -> bool:
    return name.startswith("REQUEST_") and "INFO" in name and name not in _OWN


def accounting_queries(cluster: SlurmCluster) -> Counter[str]:
    """Questions to slurmdbd since its start, by type."""
    said = cluster.checked("sacctmgr", "show", "stats")
    by_type = said.partition("by message type")[2].partition("by user")[0]
    found = Counter({name: int(count) for name, count in _LINE.findall(by_type)})
    return Counter({name: n for name, n in found.items() if name.startswith("DBD_GET") and name not in _OWN})
