"""Amounts and lists in plain words, for refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta


def span(length: timedelta) -> str:
    """``2 days 3 h``, ``1 h 30 min``; whole minutes, rounded down."""
    minutes = int(length.total_seconds()) // 60
    days, minutes = divmod(minutes, 1440)
    hours, minutes = divmod(minutes, 60)
    parts = [
        f"{days} day{'s' if days != 1 else ''}" if days else "",
        f"{hours} h" if hours else "",
        f"{minutes} min" if minutes else "",
    ]
    return " ".join(part for part in parts if part) or "0 min"


def size(memory_mib: int) -> str:
    """``62.5 GiB``, or MiB below one."""
    return (
        f"{memory_mib / 1024:.1f}".removesuffix(".0") + " GiB" if memory_mib >= 1024 else f"{memory_mib} MiB"
    )


def one_of(names: Sequence[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else "".join(names)


def devices(gpus: Mapping[str, int]) -> str:
    """``4 GPUs (a100)``, ``2 GPUs``; several types apart."""
    return ", ".join(
        f"{count} GPU{'s' if count != 1 else ''}" + (f" ({kind})" if kind else "")
        for kind, count in gpus.items()
    )
