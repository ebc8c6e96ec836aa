"""API keys that open parts of the API and end; needs told by drivers."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import TextTuple, UtcTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("scopes", TextTuple(), nullable=False, server_default="[]"))
    op.add_column("api_keys", sa.Column("expires_at", UtcTime(), nullable=True))
    op.add_column(
        "sessions", sa.Column("told_by_driver", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("sessions", "told_by_driver")
    op.drop_column("api_keys", "expires_at")
    op.drop_column("api_keys", "scopes")
