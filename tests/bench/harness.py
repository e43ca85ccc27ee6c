"""What a benchmark is: a module with ``NAME`` and ``run() -> list[Row]``; here rows become a table.

Peers run in the same process run, interleaved with ours, so that a busy machine is unfair to both.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

RESULTS = Path(__file__).parents[2] / "build" / "bench"


@dataclass(frozen=True, slots=True)
class Row:
    """One measure. ``peer`` names what ``peer_value`` is of; ``ratio`` is ours over the peer's.

    ``goal`` is text such as ``≤ 5``; ``met`` None: it has no goal.
    """

    measure: str
    unit: str
    ours: float
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    goal: str | None = None
    met: bool | None = None


def at_most(
    measure: str,
    unit: str,
    ours: float,
    *,
    goal: float | None = None,
    goal_ratio: float | None = None,
    peer: tuple[str, float] | None = None,
) -> Row:
    """Row of something that should be small: in itself (``goal``) or beside the peer (``goal_ratio``)."""
    name, value = peer if peer is not None else (None, None)
    ratio = ours / value if value else None
    text, met = None, None
    if goal is not None:
        text, met = f"≤ {goal:g}", ours <= goal
    elif goal_ratio is not None:
        text, met = f"≤ {goal_ratio:g} × peer", ratio is not None and ratio <= goal_ratio
    return Row(measure, unit, ours, name, value, ratio, text, met)


class Way(Protocol):
    """One of several ways to the same thing that are measured in turns."""

    def round(self, *, counts: bool) -> None:
        """Go it once; what was measured is kept if it ``counts``."""


def in_turns(ways: Sequence[Way], rounds: int) -> Iterator[int]:
    """Go all ways ``rounds`` times, after one time that does not count; yields the number of each.

    The first round is for imports and caches. Who is first changes, and who comes after whom.
    """
    for number in range(rounds + 1):
        turn = [*ways[number % len(ways) :], *ways[: number % len(ways)]]
        for way in turn if number % 2 else reversed(turn):
            way.round(counts=number > 0)
        yield number


def percentile(values: Sequence[float], percent: int) -> float:
    """Percentile between the two nearest of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def save(name: str, rows: Sequence[Row]) -> Path:
    """Write ``build/bench/<name>.json``."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def table(rows: Sequence[Row]) -> str:
    """Aligned text; numbers to the right."""
    head = ("measure", "unit", "ours", "peer", "peer value", "ratio", "goal", "met")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    is_number = (False, False, True, False, True, True, False, False)
    lines = [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, is_number, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "-" * max(len(line) for line in lines), *lines[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    met = "" if row.met is None else "yes" if row.met else "NO"
    ratio = "" if row.ratio is None else f"{_number(row.ratio)} ×"
    value = "" if row.peer_value is None else _number(row.peer_value)
    return row.measure, row.unit, _number(row.ours), row.peer or "", value, ratio, row.goal or "", met


def _number(value: float) -> str:
    """Three significant digits, without an exponent for what people count."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"
