"""Stations that tell more of themselves: the operator's word on their EVSEs, their traits, their transactions."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import UtcTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("stations", sa.Column("territory_id", sa.Text(), nullable=True))
    op.add_column("stations", sa.Column("max_a", sa.Double(), nullable=True))
    op.add_column("stations", sa.Column("line_voltage_v", sa.Double(), nullable=True))
    op.add_column("stations", sa.Column("phases", sa.BigInteger(), nullable=True))
    op.add_column("evses", sa.Column("can_limit", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.create_table(
        "station_traits",
        sa.Column("station_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("booted_at", UtcTime(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("firmware", sa.Text(), nullable=True),
        sa.Column("traits", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("station_id", name="pk_station_traits"),
    )
    op.create_table(
        "transactions",
        sa.Column("station_id", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("evse_id", sa.Text(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=True),
        sa.Column("meter_start_wh", sa.Double(), nullable=True),
        sa.Column("id_token", sa.Text(), nullable=True),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("meter_stop_wh", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("station_id", "transaction_id", name="pk_transactions"),
    )
    op.create_index("ix_transactions_started_at", "transactions", ["station_id", "started_at"], unique=False)
    op.create_index(
        "ix_transactions_open",
        "transactions",
        ["station_id"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("transactions")
    op.drop_table("station_traits")
    op.drop_column("evses", "can_limit")
    for name in ("phases", "line_voltage_v", "max_a", "territory_id"):
        op.drop_column("stations", name)
