"""The ledger's tables, and triggers by which the database itself keeps its lines append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER quota_entries_no_update BEFORE UPDATE ON quota_entries "
        "BEGIN SELECT RAISE(ABORT, 'quota_entries is append-only'); END",
        "CREATE TRIGGER quota_entries_no_delete BEFORE DELETE ON quota_entries "
        "BEGIN SELECT RAISE(ABORT, 'quota_entries is append-only'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION quota_entries_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'quota_entries is append-only'; END $$",
        "CREATE TRIGGER quota_entries_no_change BEFORE UPDATE OR DELETE ON quota_entries "
        "FOR EACH ROW EXECUTE FUNCTION quota_entries_append_only()",
    ),
}


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "quota_accounts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("person", "proposal", name="accountkind", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column(
            "resource",
            sa.Enum("cpu_seconds", "gpu_seconds", "sessions", name="resource", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("given", sa.BigInteger(), nullable=True),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column(
            "enforcement",
            sa.Enum("observed", "enforced", name="enforcement", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column(
            "window",
            sa.Enum("none", "day", "week", "month", name="window", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "source",
            sa.Enum("operator", "site", "role", name="source", native_enum=False, length=16),
            nullable=True,
        ),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("given IS NULL OR given >= 0", name=op.f("ck_quota_accounts_given_not_negative")),
        sa.CheckConstraint("used >= 0", name=op.f("ck_quota_accounts_used_not_negative")),
        sa.CheckConstraint("held >= 0", name=op.f("ck_quota_accounts_held_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quota_accounts")),
        sa.UniqueConstraint("kind", "key", "resource", name=op.f("uq_quota_accounts_kind_key_resource")),
    )
    op.create_table(
        "quota_allocations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column(
            "window",
            sa.Enum("none", "day", "week", "month", name="window", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column(
            "enforcement",
            sa.Enum("observed", "enforced", name="enforcement", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "amount IS NULL OR amount >= 0", name=op.f("ck_quota_allocations_amount_not_negative")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["quota_accounts.id"], name=op.f("fk_quota_allocations_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quota_allocations")),
    )
    with op.batch_alter_table("quota_allocations", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_quota_allocations_account_id_id"), ["account_id", "id"], unique=False
        )

    op.create_table(
        "quota_holds",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("launch_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("username", sa.String(length=100), nullable=False),
        sa.Column("proposal", sa.String(length=100), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("charged", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(settled_at IS NULL) = (charged IS NULL)", name=op.f("ck_quota_holds_settled_with_charge")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_quota_holds_amount_positive")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["quota_accounts.id"], name=op.f("fk_quota_holds_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quota_holds")),
        sa.UniqueConstraint("launch_id", "account_id", name=op.f("uq_quota_holds_launch_id_account_id")),
    )
    with op.batch_alter_table("quota_holds", schema=None) as batch_op:
        batch_op.create_index(
            "ix_quota_holds_open",
            ["account_id"],
            unique=False,
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        )

    op.create_table(
        "quota_use",
        sa.Column("launch_id", sa.String(length=32), nullable=False),
        sa.Column(
            "resource",
            sa.Enum("cpu_seconds", "gpu_seconds", "sessions", name="resource", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("username", sa.String(length=100), nullable=False),
        sa.Column("proposal", sa.String(length=100), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["quota_accounts.id"], name=op.f("fk_quota_use_account_id")),
        sa.PrimaryKeyConstraint("launch_id", "resource", "day", name=op.f("pk_quota_use")),
    )
    with op.batch_alter_table("quota_use", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_quota_use_account_id_day"), ["account_id", "day"], unique=False)
        batch_op.create_index(batch_op.f("ix_quota_use_day"), ["day"], unique=False)
        batch_op.create_index(batch_op.f("ix_quota_use_username_day"), ["username", "day"], unique=False)

    op.create_table(
        "quota_entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "allocation",
                "hold",
                "charge",
                "release",
                "adjustment",
                name="entrykind",
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("given", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("launch_id", sa.String(length=32), nullable=True),
        sa.Column("allocation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["quota_accounts.id"], name=op.f("fk_quota_entries_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["allocation_id"], ["quota_allocations.id"], name=op.f("fk_quota_entries_allocation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quota_entries")),
        sa.UniqueConstraint("key", name=op.f("uq_quota_entries_key")),
    )
    with op.batch_alter_table("quota_entries", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_quota_entries_account_id_at"), ["account_id", "at"], unique=False
        )

    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """Change them back."""
    with op.batch_alter_table("quota_entries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_quota_entries_account_id_at"))

    op.drop_table("quota_entries")
    with op.batch_alter_table("quota_use", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_quota_use_username_day"))
        batch_op.drop_index(batch_op.f("ix_quota_use_day"))
        batch_op.drop_index(batch_op.f("ix_quota_use_account_id_day"))

    op.drop_table("quota_use")
    with op.batch_alter_table("quota_holds", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_quota_holds_open",
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        )

    op.drop_table("quota_holds")
    with op.batch_alter_table("quota_allocations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_quota_allocations_account_id_id"))

    op.drop_table("quota_allocations")
    op.drop_table("quota_accounts")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION quota_entries_append_only()")
