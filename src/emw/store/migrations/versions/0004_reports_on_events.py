"""Reports on grid events: what is owed and was told, what territories drew, and what an event's sender asks for."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import UtcTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("grid_signals", sa.Column("asks", sa.Text(), nullable=True))
    op.create_table(
        "grid_reports",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("program_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("queued_at", UtcTime(), nullable=False),
        sa.Column("report_id", sa.Text(), nullable=True),
        sa.Column("delivered_at", UtcTime(), nullable=True),
        sa.Column("dropped_at", UtcTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("closed_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("source_id", "event_id", "name", name="pk_grid_reports"),
    )
    op.create_index(
        "ix_grid_reports_open",
        "grid_reports",
        ["event_id"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "load_intervals",
        sa.Column("territory_id", sa.Text(), nullable=False),
        sa.Column("start_at", UtcTime(), nullable=False),
        sa.Column("end_at", UtcTime(), nullable=False),
        sa.Column("load_kw", sa.Double(), nullable=False),
        sa.Column("baseline_kw", sa.Double(), nullable=False),
        sa.Column("peak_kw", sa.Double(), nullable=False),
        sa.Column("metered_share", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("territory_id", "start_at", name="pk_load_intervals"),
    )


def downgrade() -> None:
    op.drop_table("load_intervals")
    op.drop_table("grid_reports")
    op.drop_column("grid_signals", "asks")
