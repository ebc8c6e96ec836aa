"""Grid signals: events in force, the links they come by, reports owed for them, the ceilings they set."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import TextTuple, UtcTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "grid_signals",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("program_id", sa.Text(), nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("first_seen_at", UtcTime(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.Column("draw", sa.Double(), nullable=False),
        sa.Column("precedence", sa.BigInteger(), nullable=False),
        sa.Column("segments", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("priority", sa.BigInteger(), nullable=True),
        sa.Column("notes", TextTuple(), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("why_ended", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("source_id", "event_id", name="pk_grid_signals"),
    )
    op.create_index(
        "ix_grid_signals_open",
        "grid_signals",
        ["event_id"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "grid_links",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.Column("since_at", UtcTime(), nullable=False),
        sa.Column("heard_at", UtcTime(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("source_id", name="pk_grid_links"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "grid_ceilings",
        sa.Column("territory_id", sa.Text(), nullable=False),
        sa.Column("kw", sa.Double(), nullable=True),
        sa.Column("since_at", UtcTime(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("territory_id", name="pk_grid_ceilings"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("grid_ceilings", "grid_links", "grid_signals"):
        op.drop_table(table)
