"""What a station agreed to before its last command, and until when: it holds that where it did not hear the last."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import UtcTime

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("limits", sa.Column("agreed_a", sa.Double(), nullable=True))
    op.add_column("limits", sa.Column("agreed_until", UtcTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("limits", "agreed_until")
    op.drop_column("limits", "agreed_a")
