from __future__ import annotations

import pytest
from alembic import command
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from hub.database import make_engine
from hub.migrate import alembic_config, check, current, newest, upgrade


def test_revisions_make_the_tables_of_the_code(url):
    assert current(url) is None
    assert check(url) == [f"the database is at revision none, {newest()} is needed"]
    assert upgrade(url) == newest() == current(url)
    assert check(url) == []
    assert upgrade(url) == newest()


def test_revisions_can_be_taken_back(url):
    upgrade(url)
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            command.downgrade(alembic_config(connection), "base")
        with engine.begin() as connection:
            assert inspect(connection).get_table_names() == ["alembic_version"]
    finally:
        engine.dispose()
    assert upgrade(url) == newest()


@pytest.mark.parametrize("statement", ["UPDATE quota_entries SET held = 0", "DELETE FROM quota_entries"])
def test_a_migrated_database_keeps_the_ledger_append_only(database, statement):
    def unit(session):
        session.execute(
            text(
                "INSERT INTO quota_accounts (kind, key, resource, used, held, enforcement, "
                "\"window\", window_start) VALUES ('person', 'ada', 'sessions', 0, 0, 'observed', "
                "'none', '1970-01-01 00:00:00')"
            )
        )
        session.execute(
            text(
                "INSERT INTO quota_entries (account_id, kind, given, held, used, actor, reason, "
                "at, key) VALUES (1, 'hold', 0, 1, 0, 'ada', '', '1970-01-01 00:00:00', 'k')"
            )
        )
        session.execute(text(statement))

    with pytest.raises(DBAPIError, match="append-only"):
        database.run_now(unit)
