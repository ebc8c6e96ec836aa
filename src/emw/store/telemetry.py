"""Readings, their five-minute means, counterfactuals, and how long each is kept.

Two marks keep the means right while readings go on coming. Intervals before `rolled_until` (in `meta`, durable) have
their means; a reading that comes for one of them marks that mean stale in its own transaction, and the next roll-up
works it out again. Everything here may run twice and changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from emw.service.ports import Believed, Memory, Reading
from emw.store import schema
from emw.store.columns import from_driver, time_text, to_driver
from emw.store.database import Database
from emw.store.statements import Insert, driver_text
from emw.store.writer import Writer

INTERVAL: Final = timedelta(minutes=5)
GRACE: Final = timedelta(seconds=30)
"""How long after its end an interval waits for readings that are still buffered."""
STEP: Final = 2_000
"""Rows per transaction of the roll-up: commits slip in between."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Write = Callable[[Callable[[], Any]], Any]


def floor(at: datetime) -> datetime:
    """The start of the interval that `at` lies in."""
    return at - (at - EPOCH) % INTERVAL


class TelemetryTables:
    """The telemetry tables of one database. Writes happen on the writer's side only."""

    def __init__(
        self, writer: Writer, database: Database, *, raw_for: timedelta, means_for: timedelta
    ) -> None:
        self._writer = writer
        self._database = database
        self._raw_for = raw_for
        self._means_for = means_for
        self._sealed = EPOCH
        self._kept_from = EPOCH
        dialect = database.dialect
        self._dialect = dialect
        self._time = to_driver(datetime, dialect) or (lambda at: at)
        self._of_time = from_driver(datetime, dialect) or (lambda at: at)
        self._readings = Insert(schema.telemetry, dialect, conflict="ignore")
        self._means = Insert(
            schema.telemetry_intervals, dialect, conflict="replace", keep=frozenset({"stale"})
        )
        self._marks = Insert(schema.telemetry_intervals, dialect, conflict="replace", keep=_VALUES)
        self._beliefs = Insert(schema.counterfactuals, dialect, conflict="replace")
        self._memories = Insert(schema.memories, dialect, conflict="replace")
        self._meta = Insert(schema.meta, dialect, conflict="replace")

    def open(self) -> None:
        """Learn how far the means go."""
        self._sealed = self._rolled_until()

    # --- readings

    def add(self, readings: Sequence[Reading]) -> None:
        """One group of readings. The same reading again changes nothing."""
        if not readings:
            return
        time = self._time
        values: list[Any] = []
        for r in readings:
            values += (
                time(r.at),
                r.evse_id,
                time(r.received_at),
                r.voltage_v,
                r.current_a,
                r.kw,
                r.limit_a,
                r.energy_kwh,
                r.late,
            )
        # What is older than the raw readings kept can't be worked out again: the mean stays as it is.
        stale = {(floor(r.at), r.evse_id) for r in readings if self._kept_from <= r.at < self._sealed}
        marks = [(time(start), evse_id, 0, None, None, None, None, True) for start, evse_id in sorted(stale)]

        def work(cursor: Any) -> None:
            self._readings.run_flat(cursor, values)
            self._marks.run(cursor, marks)

        self._writer.transact(work)

    def add_beliefs(self, beliefs: Sequence[Believed]) -> None:
        """One group of counterfactuals. What was believed at another time is another row."""
        time = self._time
        rows = [
            (
                time(b.interval_start),
                b.evse_id,
                time(b.believed_at),
                b.method,
                b.seconds,
                b.baseline_kw,
                b.doubt_kw,
                b.load_kw,
            )
            for b in beliefs
        ]
        self._writer.transact(lambda cursor: self._beliefs.run(cursor, rows))

    def keep_memories(self, memories: Sequence[Memory]) -> None:
        """What was learned, in place of what was there of the same trees."""
        rows = [(m.root, self._time(m.at), m.body) for m in memories]
        self._writer.transact(lambda cursor: self._memories.run(cursor, rows))

    # --- means

    def roll_up(self, now: datetime, write: Write) -> None:
        """Means of every whole past interval, means of what came late, and retention."""
        until = floor(now - GRACE)
        if self._raw_for:
            self._kept_from = max(self._kept_from, floor(now - self._raw_for))
        start = write(lambda: self._seal(until))
        while (begin := self._next_interval(start, until)) is not None:
            rows = self._means_of(begin, begin + INTERVAL)
            for chunk in _chunks(rows):
                write(partial(self._write_means, chunk))
            start = begin + INTERVAL
            write(partial(self._mark_rolled, start))
        write(lambda: self._mark_rolled(until))
        while write(self._reroll):
            pass
        self._drop_old(now, write)

    def _write_means(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._writer.transact(lambda cursor: self._means.run(cursor, rows))

    def _seal(self, until: datetime) -> datetime:
        """From here on a reading before `until` marks its mean stale. Returns how far the means go already."""
        rolled = self._rolled_until()
        self._sealed = max(self._sealed, until)
        return rolled

    def _rolled_until(self) -> datetime:
        def work(cursor: Any) -> datetime:
            cursor.execute("SELECT value FROM meta WHERE name = 'rolled_until'")
            found = cursor.fetchall()
            return datetime.fromisoformat(found[0][0]) if found else EPOCH

        return self._writer.transact(work)

    def _mark_rolled(self, until: datetime) -> None:
        def work(cursor: Any) -> None:
            cursor.execute("SELECT value FROM meta WHERE name = 'rolled_until'")
            found = cursor.fetchall()
            if not found or datetime.fromisoformat(found[0][0]) < until:
                self._meta.run(cursor, [("rolled_until", time_text(until))])

        self._writer.transact(work)

    def _next_interval(self, start: datetime, until: datetime) -> datetime | None:
        """The next interval in [start, until) with readings in it."""
        at = schema.telemetry.c.at
        with self._database.engine.connect() as connection:
            found = connection.execute(
                sa.select(at).where(at >= start, at < until).order_by(at).limit(1)
            ).scalar()
        return None if found is None else floor(found)

    def _means_of(self, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        t = schema.telemetry
        with self._database.engine.connect() as connection:
            rows = connection.execute(_means(t.c.at >= start, t.c.at < end))
            at = self._time(start)
            return [(at, *row, False) for row in rows]

    def _reroll(self) -> bool:
        """Work out again some means that late readings made stale; False when none is left."""
        m, t = schema.telemetry_intervals, schema.telemetry

        def work(cursor: Any) -> bool:
            query = (
                sa.select(m.c.interval_start, m.c.evse_id)
                .where(m.c.stale.is_(True))
                .limit(sa.literal_column(str(STEP // 10)))
                .offset(sa.literal_column("0"))
            )
            cursor.execute(driver_text(query, self._dialect))
            found = cursor.fetchall()
            again = driver_text(
                _means(
                    t.c.evse_id == sa.bindparam("evse"),
                    t.c.at >= sa.bindparam("a"),
                    t.c.at < sa.bindparam("b"),
                ),
                self._dialect,
            )
            rows: list[tuple[Any, ...]] = []
            for start, evse_id in found:
                end = self._time(self._of_time(start) + INTERVAL)
                cursor.execute(again, (evse_id, start, end))
                rows += [(start, *row, False) for row in cursor.fetchall()]
            self._means.run(cursor, rows)
            clear = (
                sa.update(m)
                .values(stale=sa.bindparam("no"))
                .where(m.c.interval_start == sa.bindparam("start"), m.c.evse_id == sa.bindparam("evse"))
            )
            text = driver_text(clear, self._dialect)
            for start, evse_id in found:
                cursor.execute(text, (False, start, evse_id))
            return bool(found)

        return self._writer.transact(work)

    # --- retention

    def _drop_old(self, now: datetime, write: Write) -> None:
        if self._raw_for:
            self._drop(schema.telemetry, "at", min(self._kept_from, floor(now)), write)
        if self._means_for:
            for table in (schema.telemetry_intervals, schema.counterfactuals):
                self._drop(table, "interval_start", floor(now - self._means_for), write)

    def _drop(self, table: sa.Table, time: str, before: datetime, write: Write) -> None:
        keys = list(table.primary_key)
        old = (
            sa.select(*keys)
            .where(table.c[time] < sa.bindparam("before"))
            .limit(sa.literal_column(str(STEP)))
            .offset(sa.literal_column("0"))
        )
        text = driver_text(sa.delete(table).where(sa.tuple_(*keys).in_(old)), self._dialect)

        def work(cursor: Any) -> int:
            cursor.execute(text, (self._time(before),))
            return int(cursor.rowcount)

        while write(lambda: self._writer.transact(work)) == STEP:
            pass


_VALUES: Final = frozenset(c.name for c in schema.telemetry_intervals.columns) - {"stale"}


def _means(*where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Per EVSE: samples, mean and highest kW, what the meter's register moved, share of readings under a limit."""
    t = schema.telemetry
    before = sa.func.lag(t.c.energy_kwh).over(partition_by=t.c.evse_id, order_by=t.c.at)
    step = sa.case((t.c.energy_kwh >= before, t.c.energy_kwh - before), else_=sa.literal_column("0.0"))
    # A register that starts again (the next car) counts from there, never backwards.
    part = (
        sa.select(t.c.evse_id, t.c.kw, t.c.limit_a, t.c.energy_kwh, step.label("step"))
        .where(*where)
        .subquery()
    )
    limited = sa.case((part.c.limit_a.is_(None), sa.literal_column("0.0")), else_=sa.literal_column("1.0"))
    moved = sa.case((sa.func.count(part.c.energy_kwh) > sa.literal_column("0"), sa.func.sum(part.c.step)))
    return sa.select(
        part.c.evse_id,
        sa.func.count().label("samples"),
        sa.func.avg(part.c.kw).label("mean_kw"),
        sa.func.max(part.c.kw).label("max_kw"),
        moved.label("energy_kwh"),
        sa.func.avg(limited).label("limited_share"),
    ).group_by(part.c.evse_id)


def _chunks(rows: Sequence[tuple[Any, ...]]) -> Iterable[Sequence[tuple[Any, ...]]]:
    return (rows[i : i + STEP] for i in range(0, len(rows), STEP))
