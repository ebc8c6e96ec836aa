"""Requests that wait for a second person, and the certificate an ISO must show."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("isos", sa.Column("certificate", sa.Text(), nullable=True))
    for name in ("asked_by", "held", "confirmed_by"):
        op.add_column("requests", sa.Column(name, sa.Text(), nullable=True))
    # The log knows who asked, and the tables must be what the log says.
    op.execute(
        "UPDATE requests SET asked_by = (SELECT activity.actor FROM activity "
        "WHERE activity.request_key = requests.request_key AND activity.kind = 'RequestReceived' LIMIT 1)"
    )


def downgrade() -> None:
    for name in ("confirmed_by", "held", "asked_by"):
        op.drop_column("requests", name)
    op.drop_column("isos", "certificate")
