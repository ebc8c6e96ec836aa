"""Requests that wait for a second person, and the certificate an ISO must show. Adds columns only."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("isos", sa.Column("certificate", sa.Text(), nullable=True))
    for name in ("asked_by", "held", "confirmed_by"):
        op.add_column("requests", sa.Column(name, sa.Text(), nullable=True))


def downgrade() -> None:
    for name in ("confirmed_by", "held", "asked_by"):
        op.drop_column("requests", name)
    op.drop_column("isos", "certificate")
