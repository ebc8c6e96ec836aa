"""When the intervals of an event are: one pure function (event, first seen, zone) -> slots.

Rules (Definition and User Guide 3.1.0, "Time"): an interval begins at its own start, else the first at the event's
and the others where the one before ended. It lasts its own duration, else the event's. "Now" is when the event was
first seen; for a later interval it means "right after the one before". `event.duration` longer than the sum loops
the intervals, shorter cuts them off. One draw per event moves whatever asks for a random start.

    intervals      |--0--|--1--|--2--|
    duration       |--------------------------|      the sum is shorter: they loop
    slots          |--0--|--1--|--2--|--0--|-1|
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count
from typing import Final

from emw.grid.openadr3.times import EMPTY, BadTime, instant_of, span_of
from emw.grid.openadr3.wire import Event, Interval, Payload, Period

MOST_SLOTS: Final = 2_000
"""More slots than this are a mistake or an attack; the rest is left out and said."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One interval in time, [start, end) in UTC; `end` None: open. `number`: which of the event's, from 0."""

    start: datetime
    end: datetime | None
    number: int
    interval_id: int
    payloads: tuple[Payload, ...] = ()
    turn: int = 0
    """How often the event's intervals had been gone through before, where they loop."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The slots of an event that touch a window, in time, and what had to be assumed or left out."""

    slots: tuple[Slot, ...] = ()
    notes: tuple[str, ...] = ()
    cancelled: bool = False
    """It lasts no time at all: a cancel by PT0S."""
    failed: bool = False
    """Its times can't be understood; the notes say why."""


@dataclass(frozen=True, slots=True)
class _Window:
    since: datetime
    until: datetime

    def touches(self, start: datetime, end: datetime | None) -> bool:
        return start < self.until and (end is None or end > self.since)


def schedule_of(
    event: Event,
    *,
    first_seen: datetime,
    since: datetime,
    until: datetime,
    draw: float = 0.0,
    zone: tzinfo = UTC,
    default: Period | None = None,
) -> Schedule:
    """The slots of `event` that touch [since, until).

    `draw`: this event's lot for random starts, -1..1. `default`: the program's intervalPeriod. Never raises: what
    can't be understood leaves no slot and a note.
    """
    notes: list[str] = []
    period = event.intervalPeriod or default or Period()
    intervals = event.intervals or []
    try:
        slots, sum_end = _once(intervals, period, first_seen, draw, zone, notes)
        whole = None if event.duration is None else span_of(event.duration)
        if not slots:
            return Schedule((), tuple(notes))
        began = min(s.start for s in slots)
        if whole is not None and not whole.empty:
            end = whole.after(began, zone)
            if sum_end is not None and (end is None or end > sum_end):
                slots = _looped(slots, sum_end, end, _Window(since, until), zone)
            elif end is not None:
                slots = _cut(slots, end)
    except BadTime as error:
        return Schedule((), (*notes, str(error)), failed=True)
    if all(s.end == s.start for s in slots):
        return Schedule((), tuple(notes), cancelled=True)
    window = _Window(since, until)
    kept = [s for s in slots if s.end != s.start and window.touches(s.start, s.end)]
    if len(kept) > MOST_SLOTS:
        notes.append(f"it has more than {MOST_SLOTS} intervals; the later ones are left out")
    return Schedule(tuple(sorted(kept, key=_by_start)[:MOST_SLOTS]), tuple(dict.fromkeys(notes)))


def _by_start(slot: Slot) -> tuple[datetime, int]:
    return slot.start, slot.number


def _once(
    intervals: Sequence[Interval],
    period: Period,
    first_seen: datetime,
    draw: float,
    zone: tzinfo,
    notes: list[str],
) -> tuple[list[Slot], datetime | None]:
    """The intervals one time through, and where the last of them ends (None: never)."""
    if not intervals:  # a report-only event: its period is its one slot
        intervals = [Interval()]
    shift = _shift(period, draw)
    slots: list[Slot] = []
    cursor: datetime | None = None
    last_end: datetime | None = None
    for number, interval in enumerate(intervals[: MOST_SLOTS + 1]):
        own = interval.intervalPeriod or Period()
        start, own_shift = _start(own, period, number, cursor, first_seen, notes)
        if own_shift:
            shift = _shift(own, draw) if own.randomizeStart is not None else _shift(period, draw)
        if start is None:
            notes.append(f"interval {interval.id} follows one without an end: it never begins")
            continue
        text = own.duration if own.duration is not None else period.duration
        if text is None:
            notes.append(f"interval {interval.id} has no duration: it lasts no time")
        span = EMPTY if text is None else span_of(text)
        cursor = span.after(start, zone)
        end = None if cursor is None else cursor + shift
        slots.append(Slot(start + shift, end, number, interval.id, tuple(interval.payloads or ())))
        last_end = end if number == 0 else _later(last_end, end)
    return slots, last_end


def _start(
    own: Period,
    period: Period,
    number: int,
    cursor: datetime | None,
    first_seen: datetime,
    notes: list[str],
) -> tuple[datetime | None, bool]:
    """Where an interval begins before any random shift, and whether it begins a chain of its own."""
    text = own.start if own.start is not None else (period.start if number == 0 else None)
    if text is None:
        if number == 0:
            raise BadTime("it has no start")
        return cursor, False
    told = instant_of(text)
    if told.doubt is not None:
        notes.append(told.doubt)
    if told.at is not None:
        return told.at, True
    if number == 0:
        return first_seen, True
    return cursor, False


def _shift(period: Period, draw: float) -> timedelta:
    if period.randomizeStart is None:
        return timedelta(0)
    span = span_of(period.randomizeStart.replace("-", "", 1))
    seconds = span.days * 86_400.0 + span.seconds
    if span.months or span.endless or seconds > 7 * 86_400:
        raise BadTime(f"randomizeStart {period.randomizeStart!r} is longer than a week")
    return timedelta(seconds=round(seconds * max(-1.0, min(draw, 1.0)), 3))


def _later(a: datetime | None, b: datetime | None) -> datetime | None:
    return None if a is None or b is None else max(a, b)


def _cut(slots: Sequence[Slot], end: datetime) -> list[Slot]:
    return [replace(s, end=end) if s.end is None or s.end > end else s for s in slots if s.start < end]


def _looped(
    slots: Sequence[Slot], sum_end: datetime, end: datetime | None, window: _Window, zone: tzinfo
) -> list[Slot]:
    """The intervals again and again until `end`. Whole days go by the local clock: a daily tariff keeps its hours."""
    began = min(s.start for s in slots)
    lasting = [s for s in slots if s.end != s.start]  # what lasts no time would use up the bound on slots
    found: list[Slot] = []
    for turn in _turns(began, sum_end, window):
        for slot in lasting:
            start = _moved(slot.start, began, turn, sum_end, zone)
            if start is None or (end is not None and start >= end):
                continue
            stop = None if slot.end is None else _moved(slot.end, began, turn, sum_end, zone)
            if end is not None and (stop is None or stop > end):
                stop = end
            found.append(replace(slot, start=start, end=stop, turn=turn))
        first = _moved(began, began, turn + 1, sum_end, zone)
        beyond = first is None or first >= window.until or (end is not None and first >= end)
        if beyond or len(found) > MOST_SLOTS:
            break
    return found


def _turns(began: datetime, sum_end: datetime, window: _Window) -> Iterator[int]:
    """The turns from the first that can touch the window: no walk through years of a tariff."""
    length = sum_end - began
    if length <= timedelta(0):
        return iter((0,))
    passed = window.since - began
    first = max(0, int(passed / length) - 2)
    return count(first)


def _moved(at: datetime, began: datetime, turn: int, sum_end: datetime, zone: tzinfo) -> datetime | None:
    """`at` of the first turn in the turn number `turn`."""
    local_began, local_end = began.astimezone(zone), sum_end.astimezone(zone)
    naive = local_end.replace(tzinfo=None) - local_began.replace(tzinfo=None)
    try:
        if naive % timedelta(days=1) == timedelta(0) and naive > timedelta(0):
            moved = (at.astimezone(zone) + naive * turn).astimezone(UTC)
        else:
            moved = at + (sum_end - began) * turn
    except OverflowError:
        return None
    return moved
