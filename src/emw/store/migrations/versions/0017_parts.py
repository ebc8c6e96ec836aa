"""An EVSE may take part in a request several times: each of its parts is a row of its own."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import UtcTime

revision = "0017"
down_revision = "0016"

KEY = ("request_key", "evse_id")


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _made_anew(sa.Column("part", sa.BigInteger(), nullable=False, server_default="0"))
        return
    op.add_column("enrolments", sa.Column("part", sa.BigInteger(), nullable=False, server_default="0"))
    op.drop_constraint("pk_enrolments", "enrolments", type_="primary")
    op.create_primary_key("pk_enrolments", "enrolments", [*KEY, "part"])


def downgrade() -> None:
    op.execute(
        "DELETE FROM enrolments WHERE EXISTS (SELECT 1 FROM enrolments AS later"
        " WHERE later.request_key = enrolments.request_key AND later.evse_id = enrolments.evse_id"
        " AND later.part > enrolments.part)"
    )
    if op.get_context().dialect.name == "sqlite":
        _made_anew()
        return
    op.drop_constraint("pk_enrolments", "enrolments", type_="primary")
    op.create_primary_key("pk_enrolments", "enrolments", list(KEY))
    op.drop_column("enrolments", "part")


def _made_anew(part: sa.Column[int] | None = None) -> None:
    """SQLite can't change a key, and its check of a table without row ids wants the key's columns first."""
    op.drop_index("ix_enrolments_open", "enrolments")
    op.rename_table("enrolments", "enrolments_before")
    op.create_table(
        "enrolments",
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("evse_id", sa.Text(), nullable=False),
        *([] if part is None else [part]),
        sa.Column("joined_at", UtcTime(), nullable=False),
        sa.Column("asked_kw", sa.Double(), nullable=False),
        sa.Column("confirmed_kw", sa.Double(), nullable=False),
        sa.Column("measured_kwh", sa.Double(), nullable=False),
        sa.Column("commands", sa.BigInteger(), nullable=False),
        sa.Column("left_at", UtcTime(), nullable=True),
        sa.Column("why_left", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(*KEY, *([] if part is None else ["part"]), name="pk_enrolments"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO enrolments (request_key, evse_id, joined_at, asked_kw, confirmed_kw, measured_kwh, commands,"
        " left_at, why_left) SELECT request_key, evse_id, joined_at, asked_kw, confirmed_kw, measured_kwh,"
        " commands, left_at, why_left FROM enrolments_before"
    )
    op.drop_table("enrolments_before")
    op.create_index(
        "ix_enrolments_open", "enrolments", ["request_key"], sqlite_where=sa.text("left_at IS NULL")
    )
