"""Tables as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from hub.pages.export import sessions_csv, usage_csv
from tests.support.page_samples import RECENT, USAGE


def _read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_sessions_are_exported_with_plain_numbers():
    rows = _read(sessions_csv(RECENT))
    assert [row["launch_id"] for row in rows] == [row.launch_id for row in RECENT]
    assert rows[0]["ran_seconds"] == "4200"
    assert rows[0]["cpu_seconds"] == "8280"
    assert rows[0]["end"] == "Ended by you"
    assert rows[3]["end"] == "Refused"


def test_use_by_day_is_exported():
    rows = _read(usage_csv(USAGE.days))
    assert len(rows) == len(USAGE.days)
    assert rows[0]["resource"] == "cpu_seconds"


@pytest.mark.parametrize("title", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_cell_is_never_a_formula(title):
    assert _read(sessions_csv([replace(RECENT[0], title=title)]))[0]["title"] == f"'{title}"


def test_a_title_with_commas_and_quotes_comes_back():
    title = 'A, "quoted" title\nof two lines'
    assert _read(sessions_csv([replace(RECENT[0], title=title)]))[0]["title"] == title
