from __future__ import annotations

import sqlite3

import pytest

from hub.database import sqlite_url
from hub.migrate import check, current, newest, upgrade
from quota.schema import APPEND_ONLY


def test_revisions_make_the_tables_of_the_code(tmp_path):
    url = sqlite_url(tmp_path / "panhub.sqlite")
    assert current(url) is None
    assert upgrade(url) == newest() == current(url)
    assert check(url) == []
    assert upgrade(url) == newest()


def test_check_says_what_is_missing(tmp_path):
    path = tmp_path / "panhub.sqlite"
    url = sqlite_url(path)
    assert check(url) == [f"the database is at revision none, {newest()} is needed"]
    upgrade(url)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE quota_use")
    connection.close()
    assert any("quota_use" in difference for difference in check(url))


def test_revisions_make_the_triggers_of_the_code(tmp_path):
    path = tmp_path / "panhub.sqlite"
    upgrade(sqlite_url(path))
    connection = sqlite3.connect(path)
    found = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")}
    connection.close()
    assert {sql for sql in found if " ON quota_" in sql} == set(APPEND_ONLY["sqlite"])


@pytest.mark.parametrize("name", ["launches", "persons", "quota_entries"])
def test_the_tables_of_every_room_are_made(tmp_path, name):
    path = tmp_path / "panhub.sqlite"
    upgrade(sqlite_url(path))
    connection = sqlite3.connect(path)
    tables = {table for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert name in tables
