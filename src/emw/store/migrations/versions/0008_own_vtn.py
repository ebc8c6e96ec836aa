"""emw's own VTN: its clients, their tokens, its objects."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import TextTuple, UtcTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "vtn_clients",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("added_at", UtcTime(), nullable=False),
        sa.Column("secret_at", UtcTime(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_vtn_clients"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "vtn_tokens",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("scopes", TextTuple(), nullable=False),
        sa.Column("issued_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "slot", name="pk_vtn_tokens"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "vtn_objects",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("modified_at", UtcTime(), nullable=False),
        sa.Column("mute", sa.Text(), nullable=True),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("object_id", name="pk_vtn_objects"),
    )
    op.create_index(
        "ix_vtn_objects_there",
        "vtn_objects",
        ["object_id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def downgrade() -> None:
    for table in ("vtn_objects", "vtn_tokens", "vtn_clients"):
        op.drop_table(table)
