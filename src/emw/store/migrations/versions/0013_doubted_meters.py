"""Since when an EVSE's meter contradicts itself."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import UtcTime

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("evses", sa.Column("doubted_at", UtcTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("evses", "doubted_at")
