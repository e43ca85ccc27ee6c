"""add sessions and persons.

Revision 0002, made on 2026-11-21 12:26:22.116855.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "persons",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("issuer", sa.String(length=500), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("username", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("display_name", sa.String(length=100), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("posix", sa.JSON(), nullable=False),
        sa.Column("is_blocked", sa.Boolean(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_persons")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_persons_issuer_subject")),
        sa.UniqueConstraint("username", name=op.f("uq_persons_username")),
    )
    op.create_table(
        "launches",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(length=32), nullable=False),
        sa.Column("server_name", sa.String(length=30), nullable=False),
        sa.Column("display_name", sa.String(length=100), nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=True),
        sa.Column("plan", sa.JSON(), nullable=True),
        sa.Column("holds", sa.JSON(), nullable=True),
        sa.Column("proposal", sa.String(length=64), nullable=True),
        sa.Column("place", sa.String(length=64), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "requested",
                "planned",
                "held",
                "submitted",
                "running",
                "ending",
                "ended",
                "refused",
                name="launchstate",
                native_enum=False,
                length=10,
            ),
            nullable=False,
        ),
        sa.Column("target", sa.Enum("run", "stop", name="target", native_enum=False), nullable=False),
        sa.Column("handle", sa.JSON(), nullable=True),
        sa.Column("report_hash", sa.String(length=64), nullable=True),
        sa.Column("url", sa.String(length=200), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("running_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_by", sa.String(length=32), nullable=True),
        sa.Column("end_reason", sa.String(length=24), nullable=True),
        sa.Column("end_message", sa.String(length=2000), nullable=False),
        sa.Column("log_tail", sa.JSON(), nullable=True),
        sa.Column("usage", sa.JSON(), nullable=True),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.Column("is_dismissed", sa.Boolean(), nullable=False),
        sa.Column("hub_cleaned", sa.Boolean(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=80), nullable=True),
        sa.Column("idempotency_hash", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_launches_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_launches")),
        sa.UniqueConstraint(
            "person_id", "idempotency_key", name=op.f("uq_launches_person_id_idempotency_key")
        ),
    )
    with op.batch_alter_table("launches", schema=None) as batch_op:
        batch_op.create_index("ix_launches_created_at", ["created_at"], unique=False)
        batch_op.create_index("ix_launches_person_id_created_at", ["person_id", "created_at"], unique=False)
        batch_op.create_index("ix_launches_state", ["state"], unique=False)
        batch_op.create_index(
            "uq_launches_live",
            ["username", "server_name"],
            unique=True,
            sqlite_where=sa.text(
                "state IN ('ending', 'held', 'planned', 'requested', 'running', 'submitted')"
            ),
            postgresql_where=sa.text(
                "state IN ('ending', 'held', 'planned', 'requested', 'running', 'submitted')"
            ),
        )

    op.create_table(
        "person_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_person_changes_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_changes")),
    )
    with op.batch_alter_table("person_changes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_person_changes_person_id"), ["person_id"], unique=False)

    op.create_table(
        "launch_events",
        sa.Column("launch_id", sa.String(length=16), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["launch_id"], ["launches.id"], name=op.f("fk_launch_events_launch_id")),
        sa.PrimaryKeyConstraint("launch_id", "seq", name=op.f("pk_launch_events")),
    )


def downgrade() -> None:
    """Change them back."""
    op.drop_table("launch_events")
    with op.batch_alter_table("person_changes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_person_changes_person_id"))

    op.drop_table("person_changes")
    with op.batch_alter_table("launches", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_launches_live",
            sqlite_where=sa.text(
                "state IN ('ending', 'held', 'planned', 'requested', 'running', 'submitted')"
            ),
            postgresql_where=sa.text(
                "state IN ('ending', 'held', 'planned', 'requested', 'running', 'submitted')"
            ),
        )
        batch_op.drop_index("ix_launches_state")
        batch_op.drop_index("ix_launches_person_id_created_at")
        batch_op.drop_index("ix_launches_created_at")

    op.drop_table("launches")
    op.drop_table("persons")
