"""The end of the log: what moved load lately, which a start must know again (promise P7)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from emw.service.ports import Recent
from emw.store import schema
from emw.store.columns import from_driver, to_driver
from emw.store.rows import fact_of
from emw.store.statements import driver_text

COMMANDS: Final = timedelta(minutes=30)
"""How long before the log's end: the rhythm's window and a lease before it."""
MOST: Final = 300_000
"""Of so many rows at the log's end: a start must not take long."""


def read_recent(connection: Any, dialect: str) -> list[Recent]:
    """The commands at the end of the log, and the cars that came and left between them, oldest first."""
    a = schema.activity
    # Each by itself, which is one look at an index; asked for both at once, SQLite walks through the whole log.
    ends = sa.select(
        sa.select(sa.func.max(a.c.seq)).scalar_subquery(), sa.select(sa.func.max(a.c.at)).scalar_subquery()
    )
    last, newest = connection.execute(driver_text(ends, dialect)).fetchall()[0]
    if newest is None:
        return []
    read, write = from_driver(datetime, dialect), to_driver(datetime, dialect)
    since: Any = (read(newest) if read else newest) - COMMANDS
    query = (
        sa.select(a.c.kind, a.c.payload)
        .where(
            a.c.seq > sa.bindparam("first"),
            a.c.at >= sa.bindparam("since"),
            sa.or_(
                a.c.kind == sa.literal_column("'CommandIssued'"),
                a.c.kind == sa.literal_column("'SessionStarted'"),
                a.c.kind == sa.literal_column("'SessionEnded'"),
            ),
        )
        .order_by(a.c.seq)
    )
    values = (last - MOST, write(since) if write else since)
    rows = connection.execute(driver_text(query, dialect), values).fetchall()
    facts: list[Any] = [fact_of(kind, payload) for kind, payload in rows]  # the query knows their kinds
    return facts


def newest_at(connection: Any, dialect: str) -> datetime | None:
    """The time of the log's newest row; None: the log is empty."""
    a = schema.activity
    last = sa.select(sa.func.max(a.c.seq)).scalar_subquery()
    query = sa.select(a.c.at).where(a.c.seq == last)
    rows = connection.execute(driver_text(query, dialect)).fetchall()
    if not rows:
        return None
    read = from_driver(datetime, dialect)
    found: datetime = read(rows[0][0]) if read else rows[0][0]
    return found
