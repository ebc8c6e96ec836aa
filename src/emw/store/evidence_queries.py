"""The questions behind `emw report shed` and `emw report month`: over a territory's EVSEs, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from emw.store import schema
from emw.store.columns import UtcTime

Rows = list[dict[str, Any]]
LONGEST_LOOK: Final = timedelta(hours=6)
"""So long before its belief an interval may have begun: usually five minutes, more where a round came late."""


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> Rows:
    found = connection.execute(query)
    names = tuple(found.keys())
    return [dict(zip(names, row, strict=True)) for row in found]  # in half the time of `mappings`


def territories(connection: sa.Connection) -> Rows:
    """The nodes of the tree, by id."""
    t = schema.metadata.tables["territories"]
    return _rows(connection, sa.select(t).order_by(t.c.territory_id))


def places(connection: sa.Connection, limit: int = 10_000_000) -> Rows:
    """Each EVSE with its site, its territory and the customer of its station, by id."""
    e, s = schema.metadata.tables["evses"], schema.metadata.tables["stations"]
    query = (
        sa.select(e.c.evse_id, e.c.site, e.c.territory_id, s.c.customer_id)
        .join_from(e, s, e.c.station_id == s.c.station_id, isouter=True)
        .order_by(e.c.evse_id)
        .limit(limit)
    )
    return _rows(connection, query)


def means_until(connection: sa.Connection) -> Rows:
    """One row: `first`, the first interval with a mean, and `until`, how far all means are made."""
    i, meta = schema.telemetry_intervals, schema.meta
    found = connection.execute(sa.select(meta.c.value).where(meta.c.name == "rolled_until")).scalar()
    first = connection.execute(
        sa.select(i.c.interval_start).where(i.c.samples > 0).order_by(i.c.interval_start).limit(1)
    ).scalar()
    return [{"first": first, "until": None if found is None else datetime.fromisoformat(found)}]


def _cells(
    territory_ids: Sequence[str] | None, since: datetime | None, until: datetime | None, *what: Any
) -> sa.Select[Any]:
    i, e = schema.telemetry_intervals, schema.metadata.tables["evses"]
    query = sa.select(*what).join_from(i, e, i.c.evse_id == e.c.evse_id).where(i.c.samples > 0)
    if territory_ids is not None:
        query = query.where(e.c.territory_id.in_(list(territory_ids)))
    if since is not None:
        query = query.where(i.c.interval_start >= since)
    return query if until is None else query.where(i.c.interval_start < until)


def territory_loads(
    connection: sa.Connection,
    territory_ids: Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Rows:
    """Load of a territory's EVSEs per interval: the sum of their mean kW, and how many reported."""
    i = schema.telemetry_intervals
    what = (i.c.interval_start, sa.func.sum(i.c.mean_kw).label("kw"), sa.func.count().label("evses"))
    query = _cells(territory_ids, since, until, *what)
    return _rows(connection, query.group_by(i.c.interval_start).order_by(i.c.interval_start))


def evse_means(
    connection: sa.Connection,
    territory_ids: Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Rows:
    """Mean kW of each of a territory's EVSEs per interval."""
    i = schema.telemetry_intervals
    query = _cells(territory_ids, since, until, i.c.interval_start, i.c.evse_id, i.c.mean_kw)
    return _rows(connection, query.order_by(i.c.interval_start, i.c.evse_id))


def stays(
    connection: sa.Connection,
    territory_ids: Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Rows:
    """Sessions at a territory's EVSEs that touch [since, until), and what EVSE and vehicle can draw."""
    s, e = schema.metadata.tables["sessions"].c, schema.metadata.tables["evses"].c
    what = (s.evse_id, s.started_at, s.ended_at, s.car_max_a, e.max_a, e.line_voltage_v, e.phases)
    query = _touching(territory_ids, since, until, *what)
    return _rows(connection, query.order_by(s.started_at, s.session_id))


def presence(
    connection: sa.Connection,
    territory_ids: Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Rows:
    """Of the same sessions only from when to when, in any order: weeks of a large fleet are many."""
    s = schema.metadata.tables["sessions"].c
    return _rows(connection, _touching(territory_ids, since, until, s.started_at, s.ended_at))


def _touching(
    territory_ids: Sequence[str] | None, since: datetime | None, until: datetime | None, *what: Any
) -> sa.Select[Any]:
    s, e = schema.metadata.tables["sessions"], schema.metadata.tables["evses"]
    query = sa.select(*what).join_from(s, e, s.c.evse_id == e.c.evse_id)
    if territory_ids is not None:
        query = query.where(e.c.territory_id.in_(list(territory_ids)))
    if until is not None:
        query = query.where(s.c.started_at < until)
    if since is not None:
        query = query.where(s.c.ended_at.is_(None) | (s.c.ended_at > sa.bindparam("s", since, UtcTime())))
    return query


def counterfactuals(
    connection: sa.Connection,
    request_key: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Rows:
    """What the EVSEs that took part in a request were believed to draw without it, while they took part."""
    c, n, e = (schema.metadata.tables[t] for t in ("counterfactuals", "enrolments", "evses"))
    took_part = sa.exists().where(
        n.c.request_key == request_key,
        n.c.evse_id == c.c.evse_id,
        n.c.joined_at < c.c.believed_at,
        n.c.left_at.is_(None) | (n.c.left_at > c.c.interval_start),
    )
    query = sa.select(c, e.c.territory_id).join_from(c, e, c.c.evse_id == e.c.evse_id).where(took_part)
    # Without these bounds every belief there is would be held against each request's parts.
    joined, left, over = sa.func.min(n.c.joined_at), sa.func.max(n.c.left_at), sa.func.count(n.c.left_at)
    first, last, ended, parts = connection.execute(
        sa.select(joined, left, over, sa.func.count()).where(n.c.request_key == request_key)
    ).one()
    if first is None:
        return []
    query = query.where(c.c.interval_start >= max(first - LONGEST_LOOK, since or first - LONGEST_LOOK))
    for end in (until, last if ended == parts else None):
        if end is not None:
            query = query.where(c.c.interval_start < end)
    return _rows(connection, query.order_by(c.c.interval_start, c.c.evse_id, c.c.believed_at))


def counterfactual_sums(connection: sa.Connection, request_key: str) -> Rows:
    """What each EVSE that takes part in a request has given so far, kWh, by what was believed at the time."""
    c, n = (schema.metadata.tables[t].c for t in ("counterfactuals", "enrolments"))
    kwh = sa.func.sum((c.baseline_kw - c.load_kw) * c.seconds) / sa.literal_column("3600.0")
    query = (
        sa.select(c.evse_id, kwh.label("kwh"))
        .where(n.request_key == request_key, n.left_at.is_(None))
        .where(c.evse_id == n.evse_id, c.believed_at > n.joined_at)
        .group_by(c.evse_id)
        .order_by(c.evse_id)
    )
    return _rows(connection, query)


QUESTIONS: Final = (
    territories, places, means_until, territory_loads, evse_means, stays, presence, counterfactuals,
    counterfactual_sums,
)  # fmt: skip
