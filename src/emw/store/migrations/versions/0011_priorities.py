"""How much a kWh missed at one EVSE counts."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import UtcTime

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "priorities",
        sa.Column("evse_id", sa.Text(), nullable=False),
        sa.Column("priority", sa.Double(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("evse_id", name="pk_priorities"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("priorities")
