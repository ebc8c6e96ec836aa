"""What people set by hand: limits on single EVSEs, territories that are stopped."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import UtcTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "hand_limits",
        sa.Column("evse_id", sa.Text(), nullable=False),
        sa.Column("max_a", sa.Double()),
        sa.Column("until", UtcTime(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("evse_id", name="pk_hand_limits"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "territory_stops",
        sa.Column("territory_id", sa.Text(), nullable=False),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("territory_id", name="pk_territory_stops"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("territory_stops")
    op.drop_table("hand_limits")
