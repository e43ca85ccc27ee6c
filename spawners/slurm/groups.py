"""Names of a person's POSIX groups, for partitions and reservations that are for groups."""

from __future__ import annotations

import grp
import os
import time

from spawners.plan import Account

_KEEP_S = 60.0
_MOST = 1000
_KNOWN: dict[tuple[str, int, tuple[int, ...]], tuple[float, frozenset[str]]] = {}


def group_names(account: Account) -> frozenset[str] | None:
    """Names by this machine's name service; None where it knows none. Blocks: call it in a thread."""
    key = (account.name, account.gid, account.groups)
    known = _KNOWN.get(key)
    if known is None or known[0] < time.monotonic():
        if len(_KNOWN) >= _MOST:
            _KNOWN.clear()
        known = _KNOWN[key] = (time.monotonic() + _KEEP_S, _look_up(account))
    return known[1] or None


def _look_up(account: Account) -> frozenset[str]:
    numbers = {*os.getgrouplist(account.name, account.gid), *account.groups}
    found = []
    for number in numbers:
        try:
            found.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return frozenset(found)
