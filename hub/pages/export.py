"""What does a table look like in a spreadsheet?

CSV of the rows that a page shows, with plain numbers and RFC 3339 times. Cells that a spreadsheet
would take for a formula are made text by a leading apostrophe.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from hub.pages import format as text
from hub.pages.views import DayUse, RecentRow
from quota.models import Resource

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Cell = str | int | float


def sessions_csv(rows: Iterable[RecentRow]) -> str:
    """Sessions that are over, one a line."""
    head = (
        "launch_id",
        "asked_at",
        "title",
        "proposal",
        "data",
        "end",
        "ran_seconds",
        "cpu_seconds",
        "gpu_seconds",
        "payer",
    )
    return _csv(head, (_session(row) for row in rows))


def usage_csv(days: Iterable[DayUse]) -> str:
    """Use by day and payer, one a line."""
    head = ("day", "payer", "resource", "amount")
    return _csv(head, ((d.on.isoformat(), d.payer, d.amount.resource.value, d.amount.value) for d in days))


def _session(row: RecentRow) -> Sequence[Cell]:
    charged = {amount.resource: amount.value for amount in row.charges}
    return (
        row.launch_id,
        text.iso(row.at),
        row.title,
        row.proposal,
        row.data,
        text.chip(row.state, row.end_reason).word,
        int(row.ran.total_seconds()),
        charged.get(Resource.CPU_SECONDS, 0),
        charged.get(Resource.GPU_SECONDS, 0),
        row.payer,
    )


def _csv(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
