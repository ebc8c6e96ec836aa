"""What was learned of each tree's vehicles, so that a start in the middle of a request does not begin anew."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import UtcTime

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "memories",
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("root", name="pk_memories"),
    )


def downgrade() -> None:
    op.drop_table("memories")
