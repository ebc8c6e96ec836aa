"""What the operator says of stations that can't: direct current, and whether a shed may pause them."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("stations", sa.Column("dc", sa.Boolean(), nullable=True))
    op.add_column("stations", sa.Column("may_pause", sa.Boolean(), nullable=True))
    op.add_column("evses", sa.Column("dc", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("evses", "dc")
    op.drop_column("stations", "may_pause")
    op.drop_column("stations", "dc")
