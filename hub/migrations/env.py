"""Where alembic meets the database: called by `hub.migrate`, which hands over an open connection."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import TypeDecorator

from hub.database import ALL_METADATA


def render_plain_types(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write decorated types of ours as what the database sees, so that old revisions outlive them."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=list(ALL_METADATA),
    compare_type=True,
    render_item=render_plain_types,
    # SQLite cannot alter most of a table: alembic copies it then.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
