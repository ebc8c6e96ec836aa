"""The live view out of the tables: what is open, and the latest readings. The log is never scanned."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from emw.domain.model import RequestInterval
from emw.domain.signals import LoadInterval
from emw.domain.state import State
from emw.service.ports import Memory, Reading
from emw.store import schema
from emw.store.columns import from_driver, to_driver
from emw.store.rows import Codec, codecs
from emw.store.statements import driver_text

RECENT: Final = timedelta(minutes=15)
"""Readings older than this before the newest one say nothing about now."""


def read_state(connection: Any, dialect: str) -> State:
    """What is live, through the partial indexes."""
    state = State()
    for kind, codec in codecs(dialect).items():
        if kind in {RequestInterval, LoadInterval}:
            continue  # over as soon as it is written
        query = sa.select(codec.table)
        if codec.table.name in schema.LIVE:
            query = query.where(schema.LIVE[codec.table.name])
        rows = connection.execute(driver_text(query, dialect)).fetchall()
        state.fill(kind, codec.records(rows))
    return state


def read_readings(connection: Any, dialect: str) -> dict[str, Reading]:
    """Each EVSE's latest reading, where it is recent against the newest of all."""
    t = schema.telemetry
    newest = connection.execute(driver_text(sa.select(sa.func.max(t.c.at)), dialect)).fetchall()[0][0]
    if newest is None:
        return {}
    codec = Codec(Reading, dialect, t)
    read, write = from_driver(datetime, dialect), to_driver(datetime, dialect)
    since: Any = (read(newest) if read else newest) - RECENT
    evses = schema.metadata.tables["evses"]
    last = t.alias("last")
    newest_of = (
        sa.select(sa.func.max(last.c.at))
        .where(last.c.evse_id == evses.c.evse_id, last.c.at >= sa.bindparam("since"))
        .scalar_subquery()
    )
    # One look at the index per EVSE, first; left to itself the planner walks through all readings there are.
    latest = sa.select(evses.c.evse_id, newest_of.label("at")).cte("latest").prefix_with("MATERIALIZED")
    query = sa.select(*(t.c[name] for name in codec.names)).where(
        t.c.evse_id == latest.c.evse_id, t.c.at == latest.c.at, t.c.late.is_(False)
    )
    rows = connection.execute(driver_text(query, dialect), (write(since) if write else since,)).fetchall()
    return {reading.evse_id: reading for reading in codec.records(rows)}


def read_memories(connection: Any, dialect: str) -> list[Memory]:
    """What was learned of each tree."""
    read = from_driver(datetime, dialect) or (lambda at: at)
    query = sa.select(*schema.memories.c).order_by(schema.memories.c.root)
    rows = connection.execute(driver_text(query, dialect)).fetchall()
    return [Memory(root, read(at), bytes(body)) for root, at, body in rows]
