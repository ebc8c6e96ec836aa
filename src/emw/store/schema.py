"""The tables: one per record, the activity log, telemetry and its interval means, and a few words about themselves.

A record's table is made from its dataclass, so that the two can't drift; the migrations are written out and a test
holds them against this file.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from emw.domain.model import RECORDS
from emw.store.columns import UtcTime, column_type, kinds_of

REVISION: Final = "0018"
"""The newest migration: a database that says so needs none. Held against migrations/ by a test."""

metadata = sa.MetaData(naming_convention={"pk": "pk_%(table_name)s"})


def _record_table(record: type[Any]) -> sa.Table:
    columns = [
        sa.Column(name, column_type(kind), primary_key=name in record.key_fields, nullable=optional)
        for name, (kind, optional) in kinds_of(record).items()
    ]
    # One tree instead of two, except where rows are long or come in no order of their key.
    long = record.table in {
        "grid_reports",
        "grid_signals",
        "load_intervals",
        "reports",
        "sessions",
        "station_traits",
        "transactions",
        "vtn_objects",
    }
    return sa.Table(record.table, metadata, *columns, sqlite_with_rowid=long)


TABLES: Final[dict[type[Any], sa.Table]] = {record: _record_table(record) for record in RECORDS}

activity = sa.Table(
    "activity",
    metadata,
    sa.Column(
        "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False
    ),
    sa.Column("at", UtcTime(), nullable=False),
    sa.Column("day", sa.Text(), nullable=False),
    sa.Column("kind", sa.Text(), nullable=False),
    sa.Column("actor", sa.Text(), nullable=False),
    sa.Column("evse_id", sa.Text()),
    sa.Column("station_id", sa.Text()),
    sa.Column("request_key", sa.Text()),
    sa.Column("iso_id", sa.Text()),
    sa.Column("territory_id", sa.Text()),
    sa.Column("payload", sa.Text(), nullable=False),
    sa.Column("chain", sa.LargeBinary(), nullable=False),
)

telemetry = sa.Table(
    "telemetry",
    metadata,
    sa.Column("at", UtcTime(), primary_key=True),
    sa.Column("evse_id", sa.Text(), primary_key=True),
    sa.Column("received_at", UtcTime(), nullable=False),
    sa.Column("voltage_v", sa.Double(), nullable=False),
    sa.Column("current_a", sa.Double(), nullable=False),
    sa.Column("kw", sa.Double(), nullable=False),
    sa.Column("limit_a", sa.Double()),
    sa.Column("energy_kwh", sa.Double()),
    sa.Column("late", sa.Boolean(), nullable=False),
    sqlite_with_rowid=False,  # clustered by time: written at the end, dropped at the beginning
)

telemetry_intervals = sa.Table(
    "telemetry_intervals",
    metadata,
    sa.Column("interval_start", UtcTime(), primary_key=True),
    sa.Column("evse_id", sa.Text(), primary_key=True),
    sa.Column("samples", sa.BigInteger(), nullable=False),
    sa.Column("mean_kw", sa.Double()),
    sa.Column("max_kw", sa.Double()),
    sa.Column("energy_kwh", sa.Double()),
    sa.Column("limited_share", sa.Double()),
    sa.Column("stale", sa.Boolean(), nullable=False),
    sqlite_with_rowid=False,
)

counterfactuals = sa.Table(
    "counterfactuals",
    metadata,
    sa.Column("interval_start", UtcTime(), primary_key=True),
    sa.Column("evse_id", sa.Text(), primary_key=True),
    sa.Column("believed_at", UtcTime(), primary_key=True),
    sa.Column("method", sa.Text(), nullable=False),
    sa.Column("seconds", sa.Double(), nullable=False),
    sa.Column("baseline_kw", sa.Double(), nullable=False),
    sa.Column("doubt_kw", sa.Double(), nullable=False),
    sa.Column("load_kw", sa.Double(), nullable=False),
    sqlite_with_rowid=False,
)

memories = sa.Table(
    "memories",
    metadata,
    sa.Column("root", sa.Text(), primary_key=True),
    sa.Column("at", UtcTime(), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
)

relayed_frames = sa.Table(
    "relayed_frames",
    metadata,
    sa.Column("station_id", sa.Text(), primary_key=True),
    sa.Column("number", sa.BigInteger(), primary_key=True),
    sa.Column("action", sa.Text(), nullable=False),
    sa.Column("payload", sa.LargeBinary(), nullable=False),
    sa.Column("ours", sa.Text()),
)

relayed_names = sa.Table(
    "relayed_names",
    metadata,
    sa.Column("station_id", sa.Text(), primary_key=True),
    sa.Column("ours", sa.Text(), primary_key=True),
    sa.Column("theirs", sa.Text(), nullable=False),
    sa.Column("at", UtcTime(), nullable=False),
)

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.Text(), primary_key=True),
    sa.Column("value", sa.Text(), nullable=False),
    sqlite_with_rowid=False,
)


def _partial(name: str, *columns: sa.Column[Any], where: Any) -> None:
    sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)


# Each index costs every write of its table: only what a screen or the start asks for.
_a, _t, _i = activity.c, telemetry.c, telemetry_intervals.c
sa.Index("ix_activity_at", _a.at)
_partial("ix_activity_evse_id", _a.evse_id, _a.seq, where=_a.evse_id.is_not(None))
_partial("ix_activity_request_key", _a.request_key, _a.seq, where=_a.request_key.is_not(None))
sa.Index("ix_telemetry_evse_id", _t.evse_id, _t.at)
sa.Index("ix_telemetry_intervals_evse_id", _i.evse_id, _i.interval_start)
_partial("ix_telemetry_intervals_stale", _i.interval_start, where=_i.stale.is_(True))

_sessions = metadata.tables["sessions"].c
_enrolments = metadata.tables["enrolments"].c
_reports = metadata.tables["reports"].c
_transactions = metadata.tables["transactions"].c
_signals = metadata.tables["grid_signals"].c
_ceilings = metadata.tables["grid_ceilings"].c
_grid_reports = metadata.tables["grid_reports"].c
_vtn_objects = metadata.tables["vtn_objects"].c
sa.Index("ix_sessions_evse_id", _sessions.evse_id, _sessions.started_at)
sa.Index("ix_sessions_started_at", _sessions.started_at)
sa.Index("ix_transactions_started_at", _transactions.station_id, _transactions.started_at)
# The live view at start is read through these: what has ended is not touched, however much of it there is.
LIVE: Final[dict[str, sa.ColumnElement[bool]]] = {
    "sessions": _sessions.ended_at.is_(None),
    "enrolments": _enrolments.left_at.is_(None),
    "reports": _reports.delivered_at.is_(None) & _reports.dropped_at.is_(None),
    "transactions": _transactions.ended_at.is_(None),
    "grid_signals": _signals.ended_at.is_(None),
    "grid_ceilings": _ceilings.kw.is_not(None),
    "grid_reports": _grid_reports.closed_at.is_(None),
    "vtn_objects": _vtn_objects.deleted_at.is_(None),
}
_partial("ix_sessions_open", _sessions.session_id, where=LIVE["sessions"])
_partial("ix_enrolments_open", _enrolments.request_key, where=LIVE["enrolments"])
_partial("ix_reports_owed", _reports.report_id, where=LIVE["reports"])
_partial("ix_transactions_open", _transactions.station_id, where=LIVE["transactions"])
_partial("ix_grid_signals_open", _signals.event_id, where=LIVE["grid_signals"])
_partial("ix_grid_reports_open", _grid_reports.event_id, where=LIVE["grid_reports"])
_partial("ix_vtn_objects_there", _vtn_objects.object_id, where=LIVE["vtn_objects"])
