"""Sharing: members, requests, invitations, tickets, connections, and an append-only record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER desktop_audit_no_update BEFORE UPDATE ON desktop_audit "
        "BEGIN SELECT RAISE(ABORT, 'desktop_audit is append-only'); END",
        "CREATE TRIGGER desktop_audit_no_delete BEFORE DELETE ON desktop_audit "
        "BEGIN SELECT RAISE(ABORT, 'desktop_audit is append-only'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION desktop_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'desktop_audit is append-only'; END $$",
        "CREATE TRIGGER desktop_audit_no_change BEFORE UPDATE OR DELETE ON desktop_audit "
        "FOR EACH ROW EXECUTE FUNCTION desktop_audit_append_only()",
    ),
}


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "desktop_audit",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=32), nullable=False),
        sa.Column("desktop", sa.String(length=48), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("about", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desktop_audit")),
    )
    with op.batch_alter_table("desktop_audit", schema=None) as batch_op:
        batch_op.create_index("ix_desktop_audit_desktop_id", ["desktop", "id"], unique=False)

    op.create_table(
        "desktop_connections",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("desktop", sa.String(length=48), nullable=False),
        sa.Column("username", sa.String(length=32), nullable=False),
        sa.Column("screen", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("tunnel", sa.String(length=16), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_input", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desktop_connections")),
    )
    with op.batch_alter_table("desktop_connections", schema=None) as batch_op:
        batch_op.create_index("ix_desktop_connections_desktop", ["desktop"], unique=False)
        batch_op.create_index("ix_desktop_connections_ended_at", ["ended_at"], unique=False)

    op.create_table(
        "desktop_invitations",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("desktop", sa.String(length=48), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("made_by", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_by", sa.String(length=32), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desktop_invitations")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_desktop_invitations_token_hash")),
    )
    with op.batch_alter_table("desktop_invitations", schema=None) as batch_op:
        batch_op.create_index("ix_desktop_invitations_desktop", ["desktop"], unique=False)

    op.create_table(
        "desktop_lab_shares",
        sa.Column("desktop", sa.String(length=48), nullable=False),
        sa.Column("username", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("server_name", sa.String(length=30), nullable=False),
        sa.Column("is_wanted", sa.Boolean(), nullable=False),
        sa.Column("is_done", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("desktop", "username", name=op.f("pk_desktop_lab_shares")),
    )
    with op.batch_alter_table("desktop_lab_shares", schema=None) as batch_op:
        batch_op.create_index("ix_desktop_lab_shares_is_done", ["is_done"], unique=False)

    op.create_table(
        "desktop_members",
        sa.Column("desktop", sa.String(length=48), nullable=False),
        sa.Column("username", sa.String(length=32), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("granted_by", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("warning", sa.String(length=64), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("desktop", "username", name=op.f("pk_desktop_members")),
    )
    op.create_table(
        "desktop_requests",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("desktop", sa.String(length=48), nullable=False),
        sa.Column("username", sa.String(length=32), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("warning", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_by", sa.String(length=32), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desktop_requests")),
    )
    with op.batch_alter_table("desktop_requests", schema=None) as batch_op:
        batch_op.create_index(
            "uq_desktop_requests_open",
            ["desktop", "username"],
            unique=True,
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        )

    op.create_table(
        "desktop_tickets",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("desktop", sa.String(length=48), nullable=False),
        sa.Column("username", sa.String(length=32), nullable=False),
        sa.Column("screen", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_desktop_tickets")),
    )
    with op.batch_alter_table("desktop_tickets", schema=None) as batch_op:
        batch_op.create_index("ix_desktop_tickets_expires_at", ["expires_at"], unique=False)

    op.create_table(
        "desktops",
        sa.Column("desktop", sa.String(length=48), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=True),
        sa.Column("when_owner_leaves", sa.String(length=12), nullable=False),
        sa.Column("closed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("thumbnail", sa.LargeBinary(), nullable=True),
        sa.Column("thumbnail_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("desktop", name=op.f("pk_desktops")),
    )

    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """Change them back."""
    op.drop_table("desktops")
    with op.batch_alter_table("desktop_tickets", schema=None) as batch_op:
        batch_op.drop_index("ix_desktop_tickets_expires_at")

    op.drop_table("desktop_tickets")
    with op.batch_alter_table("desktop_requests", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_desktop_requests_open",
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        )

    op.drop_table("desktop_requests")
    op.drop_table("desktop_members")
    with op.batch_alter_table("desktop_lab_shares", schema=None) as batch_op:
        batch_op.drop_index("ix_desktop_lab_shares_is_done")

    op.drop_table("desktop_lab_shares")
    with op.batch_alter_table("desktop_invitations", schema=None) as batch_op:
        batch_op.drop_index("ix_desktop_invitations_desktop")

    op.drop_table("desktop_invitations")
    with op.batch_alter_table("desktop_connections", schema=None) as batch_op:
        batch_op.drop_index("ix_desktop_connections_ended_at")
        batch_op.drop_index("ix_desktop_connections_desktop")

    op.drop_table("desktop_connections")
    with op.batch_alter_table("desktop_audit", schema=None) as batch_op:
        batch_op.drop_index("ix_desktop_audit_desktop_id")

    op.drop_table("desktop_audit")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION desktop_audit_append_only()")
