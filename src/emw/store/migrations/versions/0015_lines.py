"""Ceilings per line of the grid: A at a node, which lines an EVSE lies on and uses, which line a limit is for."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import UtcTime

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("territories", sa.Column("ceiling_a", sa.Double(), nullable=True))
    op.add_column("evses", sa.Column("uses", sa.Text(), nullable=True))
    op.add_column("limits", sa.Column("line", sa.Text(), nullable=True))
    op.create_table(
        "wirings",
        sa.Column("evse_id", sa.Text(), nullable=False),
        sa.Column("wiring", sa.Text(), nullable=True),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("evse_id", name="pk_wirings"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("wirings")
    op.drop_column("limits", "line")
    op.drop_column("evses", "uses")
    op.drop_column("territories", "ceiling_a")
