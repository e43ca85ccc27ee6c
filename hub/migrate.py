"""Brings the service's database to the tables that this version of the code knows.

There is no ini file: all that alembic needs is here. After a change of a table, make the next
revision, read it (alembic sees no triggers and no changed checks) and format it::

    python -m hub.migrate "add a table of desktops"

It is compared with an empty database brought to the newest revision. Modules that define tables
must be named in `TABLE_MODULES`, else their tables look as if they were to be dropped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from hub.database import ALL_METADATA, make_engine, sqlite_url

TABLE_MODULES = ("hub.identity.persons", "hub.launch.schema", "hub.sharing.schema", "quota.schema")
"""Every module that defines tables."""


def newest() -> str:
    """Revision that this version of the code needs."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert head is not None
    return head


def current(url: str) -> str | None:
    """Revision that a database is at; None for an empty one."""
    with _connection(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(url: str) -> str:
    """Bring a database to the newest revision, in one transaction, and return that.

    A second call changes nothing. Run it while the service is stopped, after a backup.
    """
    with _connection(url) as connection:
        command.upgrade(alembic_config(connection), "head")
    return newest()


def check(url: str) -> list[str]:
    """What keeps a database from being used by this version; empty when all is right."""
    wanted = newest()
    with _connection(url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = context.get_current_revision()
        if found != wanted:
            return [f"the database is at revision {found or 'none'}, {wanted} is needed"]
        # Several collections of tables are allowed, as in env.py; the hint names only one.
        tables: Any = list(ALL_METADATA)
        return [str(difference) for difference in compare_metadata(context, tables)]


def revise(message: str) -> Path:
    """Write the next revision: what the tables in the code have that the newest revision has not."""
    with TemporaryDirectory() as folder:
        url = sqlite_url(Path(folder) / "empty.sqlite")
        upgrade(url)
        number = len(list(ScriptDirectory.from_config(alembic_config()).walk_revisions())) + 1
        with _connection(url) as connection:
            script = command.revision(
                alembic_config(connection), message, autogenerate=True, rev_id=f"{number:04d}"
            )
    assert not isinstance(script, list)
    assert script is not None
    return Path(script.path)


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    for name in TABLE_MODULES:
        import_module(name)
    engine: Engine = make_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def alembic_config(connection: Connection | None = None) -> Config:
    """What an ini file would say; ``connection`` is what alembic's commands work on."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


if __name__ == "__main__":
    print(revise(" ".join(sys.argv[1:]) or "change"))
