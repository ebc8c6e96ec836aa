"""The first tables: records, the activity log, telemetry."""

import sqlalchemy as sa
from alembic import op

from emw.store.columns import TextTuple, UtcTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "activity",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("evse_id", sa.Text(), nullable=True),
        sa.Column("station_id", sa.Text(), nullable=True),
        sa.Column("request_key", sa.Text(), nullable=True),
        sa.Column("iso_id", sa.Text(), nullable=True),
        sa.Column("territory_id", sa.Text(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_activity"),
    )
    op.create_index("ix_activity_at", "activity", ["at"], unique=False)
    op.create_index(
        "ix_activity_evse_id",
        "activity",
        ["evse_id", "seq"],
        unique=False,
        sqlite_where=sa.text("evse_id IS NOT NULL"),
        postgresql_where=sa.text("evse_id IS NOT NULL"),
    )
    op.create_index(
        "ix_activity_request_key",
        "activity",
        ["request_key", "seq"],
        unique=False,
        sqlite_where=sa.text("request_key IS NOT NULL"),
        postgresql_where=sa.text("request_key IS NOT NULL"),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("added_at", UtcTime(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "enrolments",
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("evse_id", sa.Text(), nullable=False),
        sa.Column("joined_at", UtcTime(), nullable=False),
        sa.Column("asked_kw", sa.Double(), nullable=False),
        sa.Column("confirmed_kw", sa.Double(), nullable=False),
        sa.Column("measured_kwh", sa.Double(), nullable=False),
        sa.Column("commands", sa.BigInteger(), nullable=False),
        sa.Column("left_at", UtcTime(), nullable=True),
        sa.Column("why_left", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("request_key", "evse_id", name="pk_enrolments"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_enrolments_open",
        "enrolments",
        ["request_key"],
        unique=False,
        sqlite_where=sa.text("left_at IS NULL"),
        postgresql_where=sa.text("left_at IS NULL"),
    )
    op.create_table(
        "evses",
        sa.Column("evse_id", sa.Text(), nullable=False),
        sa.Column("station_id", sa.Text(), nullable=False),
        sa.Column("territory_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("line_voltage_v", sa.Double(), nullable=False),
        sa.Column("phases", sa.BigInteger(), nullable=False),
        sa.Column("max_a", sa.Double(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("powered", sa.Boolean(), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("powered_at", UtcTime(), nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("floor_a", sa.Double(), nullable=False),
        sa.Column("step_a", sa.Double(), nullable=False),
        sa.Column("may_pause", sa.Boolean(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("opted_out_until", UtcTime(), nullable=True),
        sa.Column("offline_since", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("evse_id", name="pk_evses"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "halt",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("halted", sa.Boolean(), nullable=False),
        sa.Column("at", UtcTime(), nullable=True),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_halt"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "intervals",
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("start_at", UtcTime(), nullable=False),
        sa.Column("end_at", UtcTime(), nullable=False),
        sa.Column("requested_kw", sa.Double(), nullable=False),
        sa.Column("confirmed_kw", sa.Double(), nullable=False),
        sa.Column("measured_kw", sa.Double(), nullable=True),
        sa.Column("baseline_kw", sa.Double(), nullable=True),
        sa.Column("load_kw", sa.Double(), nullable=True),
        sa.Column("method", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("request_key", "start_at", name="pk_intervals"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "isos",
        sa.Column("iso_id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("territories", TextTuple(), nullable=False),
        sa.Column("added_at", UtcTime(), nullable=False),
        sa.Column("access_url", sa.Text(), nullable=True),
        sa.Column("connected_at", UtcTime(), nullable=True),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("iso_id", name="pk_isos"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "limits",
        sa.Column("evse_id", sa.Text(), nullable=False),
        sa.Column("command_id", sa.Text(), nullable=False),
        sa.Column("max_a", sa.Double(), nullable=True),
        sa.Column("until", UtcTime(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("issued_at", UtcTime(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=True),
        sa.Column("node_id", sa.Text(), nullable=True),
        sa.Column("would_draw_a", sa.Double(), nullable=False),
        sa.Column("asked_kw", sa.Double(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("answered_a", sa.Double(), nullable=True),
        sa.Column("answered_at", UtcTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("renewal", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("evse_id", name="pk_limits"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "operators",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("added_at", UtcTime(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_operators"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reports",
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("iso_id", sa.Text(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("queued_at", UtcTime(), nullable=False),
        sa.Column("delivered_at", UtcTime(), nullable=True),
        sa.Column("dropped_at", UtcTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("report_id", name="pk_reports"),
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_reports_owed",
        "reports",
        ["report_id"],
        unique=False,
        sqlite_where=sa.text("delivered_at IS NULL AND dropped_at IS NULL"),
        postgresql_where=sa.text("delivered_at IS NULL AND dropped_at IS NULL"),
    )
    op.create_table(
        "requests",
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("iso_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("territory_id", sa.Text(), nullable=False),
        sa.Column("kw", sa.Double(), nullable=False),
        sa.Column("start_at", UtcTime(), nullable=False),
        sa.Column("end_at", UtcTime(), nullable=True),
        sa.Column("received_at", UtcTime(), nullable=False),
        sa.Column("open_ended", sa.Boolean(), nullable=False),
        sa.Column("emergency", sa.Boolean(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=True),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("closed_at", UtcTime(), nullable=True),
        sa.Column("cancelled_by", sa.Text(), nullable=True),
        sa.Column("available_kw", sa.Double(), nullable=False),
        sa.Column("confirmed_kw", sa.Double(), nullable=False),
        sa.Column("pending_kw", sa.Double(), nullable=False),
        sa.Column("refused_kw", sa.Double(), nullable=False),
        sa.Column("short_kw", sa.Double(), nullable=False),
        sa.Column("measured_kw", sa.Double(), nullable=True),
        sa.Column("affected_evses", sa.BigInteger(), nullable=False),
        sa.Column("commands", sa.BigInteger(), nullable=False),
        sa.Column("why_short", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("request_key", name="pk_requests"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("evse_id", sa.Text(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("evse_max_a", sa.Double(), nullable=False),
        sa.Column("car_max_a", sa.Double(), nullable=False),
        sa.Column("vehicle", sa.Text(), nullable=True),
        sa.Column("energy_requested_kwh", sa.Double(), nullable=True),
        sa.Column("departure_at", UtcTime(), nullable=True),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("energy_kwh", sa.Double(), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("session_id", name="pk_sessions"),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_sessions_evse_id", "sessions", ["evse_id", "started_at"], unique=False)
    op.create_index(
        "ix_sessions_open",
        "sessions",
        ["session_id"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_sessions_started_at", "sessions", ["started_at"], unique=False)
    op.create_table(
        "stations",
        sa.Column("station_id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("added_at", UtcTime(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=True),
        sa.Column("token_at", UtcTime(), nullable=True),
        sa.Column("access_url", sa.Text(), nullable=True),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("station_id", name="pk_stations"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "telemetry",
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("evse_id", sa.Text(), nullable=False),
        sa.Column("received_at", UtcTime(), nullable=False),
        sa.Column("voltage_v", sa.Double(), nullable=False),
        sa.Column("current_a", sa.Double(), nullable=False),
        sa.Column("kw", sa.Double(), nullable=False),
        sa.Column("limit_a", sa.Double(), nullable=True),
        sa.Column("energy_kwh", sa.Double(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("at", "evse_id", name="pk_telemetry"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_telemetry_evse_id", "telemetry", ["evse_id", "at"], unique=False)
    op.create_table(
        "telemetry_intervals",
        sa.Column("interval_start", UtcTime(), nullable=False),
        sa.Column("evse_id", sa.Text(), nullable=False),
        sa.Column("samples", sa.BigInteger(), nullable=False),
        sa.Column("mean_kw", sa.Double(), nullable=True),
        sa.Column("max_kw", sa.Double(), nullable=True),
        sa.Column("energy_kwh", sa.Double(), nullable=True),
        sa.Column("limited_share", sa.Double(), nullable=True),
        sa.Column("stale", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("interval_start", "evse_id", name="pk_telemetry_intervals"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_telemetry_intervals_evse_id", "telemetry_intervals", ["evse_id", "interval_start"], unique=False
    )
    op.create_index(
        "ix_telemetry_intervals_stale",
        "telemetry_intervals",
        ["interval_start"],
        unique=False,
        sqlite_where=sa.text("stale IS 1"),
        postgresql_where=sa.text("stale IS true"),
    )
    op.create_table(
        "territories",
        sa.Column("territory_id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ceiling_kw", sa.Double(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("territory_id", name="pk_territories"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("territories")
    op.drop_table("telemetry_intervals")
    op.drop_table("telemetry")
    op.drop_table("stations")
    op.drop_table("sessions")
    op.drop_table("requests")
    op.drop_table("reports")
    op.drop_table("operators")
    op.drop_table("meta")
    op.drop_table("limits")
    op.drop_table("isos")
    op.drop_table("intervals")
    op.drop_table("halt")
    op.drop_table("evses")
    op.drop_table("enrolments")
    op.drop_table("api_keys")
    op.drop_table("activity")
