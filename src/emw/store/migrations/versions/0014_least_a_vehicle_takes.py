"""The current below which a vehicle does not charge."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("car_min_a", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("sessions", "car_min_a")
