"""What each held EVSE was believed to draw had nobody asked anything of it, per five minutes."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import UtcTime

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "counterfactuals",
        sa.Column("interval_start", UtcTime(), nullable=False),
        sa.Column("evse_id", sa.Text(), nullable=False),
        sa.Column("believed_at", UtcTime(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("baseline_kw", sa.Double(), nullable=False),
        sa.Column("doubt_kw", sa.Double(), nullable=False),
        sa.Column("load_kw", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("interval_start", "evse_id", "believed_at", name="pk_counterfactuals"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("counterfactuals")
