"""Messages owed to stations' own central systems, and the numbers of transactions there."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import UtcTime

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "relayed_frames",
        sa.Column("station_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("ours", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("station_id", "number", name="pk_relayed_frames"),
    )
    op.create_table(
        "relayed_names",
        sa.Column("station_id", sa.Text(), nullable=False),
        sa.Column("ours", sa.Text(), nullable=False),
        sa.Column("theirs", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("station_id", "ours", name="pk_relayed_names"),
    )


def downgrade() -> None:
    op.drop_table("relayed_names")
    op.drop_table("relayed_frames")
