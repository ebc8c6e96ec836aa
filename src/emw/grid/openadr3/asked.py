"""Which reports a VTN asks for, when each is due and over which intervals: pure.

Sources: OpenAPI 3.1.0 `reportDescriptor`, User Guide 3.1.0 section 7.5. Where its text and its drawings say different
things, what fits all its examples is taken. With `frequency` F, `numIntervals` N and `startInterval` S:

    the past, S = 1, N = 2, F = 2, R = 3   |-0-|-1-|-2-|-3-|-4-|-5-|
                                           |=======|                 due when 1 is over: S is the last of the first
                                                   |=======|
                                                           |=======|
    the past, S = 1, N = 3                     |===========|         fewer than N lie before S: it is the first
    to come, S = 0, N = 3, F = 1, R = 2    |===========|             due when 0 begins, and as soon as it is known
                                               |===========|
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Final

import msgspec

from emw.grid.openadr3.schedule import Slot

INTERVALS: Final = "INTERVALS"
SUB_INTERVALS: Final = "SUB_INTERVALS"
OPEN_INTERVALS: Final = "OPEN_INTERVALS"
MOST_PIECES: Final = 2_000
MOST_DUE: Final = 2_000
MOST_GROWN: Final = 96
"""A report that grows has so many intervals: a day of quarter hours; then the next one begins."""


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A stretch of a report, [start, end): `number` counts the event's intervals from its first, `id` is its label."""

    start: datetime
    end: datetime
    number: int
    id: int


class Ask(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One kind of report that is wanted. Names and defaults are those of the wire's `reportDescriptor`."""

    payload_type: str
    name: str
    reading_type: str | None = None
    units: str | None = None
    aggregate: bool = False
    start_interval: int = -1
    num_intervals: int = -1
    historical: bool = True
    frequency: int = -1
    repeat: int = 1
    intervals: str = INTERVALS


class Plan(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """All that is wanted about one event. `total`: how many intervals it has in all; None: no end is known.

    `turn`: so many intervals until it begins anew, where it loops; 0: it does not.
    """

    places: tuple[str, ...]
    asks: tuple[Ask, ...]
    spans: tuple[Span, ...]
    total: int | None
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """A report that is due `at`: over these spans, of which those not over yet are told as expected."""

    name: str
    ask: Ask
    at: datetime
    spans: tuple[Span, ...]


def spans_of(slots: Sequence[Slot], per_turn: int, until: datetime, piece: timedelta) -> tuple[Span, ...]:
    """Slots as spans. One without an end is cut into pieces up to `until`: each is an interval of its own."""
    found: list[Span] = []
    for slot in slots:
        number = slot.turn * per_turn + slot.number
        if slot.end is not None:
            found.append(Span(slot.start, slot.end, number, slot.interval_id))
            continue
        for i, (start, end) in enumerate(_pieces(slot.start, max(until, slot.start + piece), piece)):
            found.append(Span(start, end, number + i, slot.interval_id))
        break
    return tuple(found)


def _pieces(start: datetime, end: datetime, piece: timedelta) -> Iterator[tuple[datetime, datetime]]:
    for i in range(MOST_PIECES):
        since = start + i * piece
        if since >= end:
            return
        yield since, min(since + piece, end)


def ended(plan: Plan, at: datetime) -> Plan:
    """The plan of an event that was over `at`, before its time."""
    spans = tuple(
        span if span.end <= at else Span(span.start, at, span.number, span.id)
        for span in plan.spans
        if span.start < at
    )
    total = max((s.number for s in spans), default=-1) + 1
    return msgspec.structs.replace(plan, spans=spans, total=total, turn=0)


def dues(
    plan: Plan, first_seen: datetime, piece: timedelta, since: datetime | None, now: datetime
) -> tuple[list[Due], datetime | None]:
    """The reports that became due after `since` (None: ever) and up to `now`, and when the next one will be.

    Of those that were due before the event was first seen, only the latest is still sent (User Guide, "do it now").
    """
    found: list[Due] = []
    times: list[datetime] = []
    for ask in plan.asks:
        own = _Intervals.of(ask, plan, piece)
        if own is None:
            continue
        known = list(_told(ask, own, first_seen))
        times += [w.at for w in known if w.at > now]
        late = [w for w in known if w.at < first_seen]
        sent = [w for w in known if w.at >= first_seen] + late[-1:]
        found += (
            Due(w.name, ask, w.at, own.spans(w.first, w.last, ask, piece))
            for w in {w.name: w for w in sent if w.at <= now and (since is None or w.at > since)}.values()
        )
    latest = {d.name: d for d in sorted(found, key=lambda d: d.at)}
    return sorted(latest.values(), key=lambda d: (d.at, d.name)), min(times, default=None)


@dataclass(frozen=True, slots=True)
class _Told:
    """A report by the numbers of its first and last interval, and when it is due."""

    name: str
    first: int
    last: int
    at: datetime


class _Intervals:
    """The intervals that an ask counts, by number."""

    def __init__(self, spans: Sequence[Span], total: int | None, turn: int) -> None:
        self.total, self.turn = total, turn
        self.by_number: dict[int, list[Span]] = {}
        for span in spans:
            self.by_number.setdefault(span.number, []).append(span)
        self.lowest, self.highest = min(self.by_number), max(self.by_number)

    @classmethod
    def of(cls, ask: Ask, plan: Plan, piece: timedelta) -> _Intervals | None:
        """None: there are none."""
        spans = plan.spans
        if not spans:
            return None
        if ask.intervals != OPEN_INTERVALS:
            return cls(spans, plan.total, plan.turn)
        start, end = spans[0].start, max(s.end for s in spans)
        free = [Span(a, b, i, i) for i, (a, b) in enumerate(_pieces(start, end, piece))]
        return cls(free, None if plan.total is None else len(free), 0)

    def spans(self, first: int, last: int, ask: Ask, piece: timedelta) -> tuple[Span, ...]:
        """The spans of these intervals."""
        told = [s for n in range(first, last + 1) for s in self.by_number.get(n, ())]
        if ask.intervals != SUB_INTERVALS:
            return tuple(told)
        return tuple(Span(a, b, s.number, s.id) for s in told for a, b in _pieces(s.start, s.end, piece))

    def start(self, first: int, last: int) -> datetime | None:
        """When the first of these begins; None: none is known."""
        there = (self.by_number[n] for n in range(first, last + 1) if n in self.by_number)
        return next((min(s.start for s in spans) for spans in there), None)

    def end(self, first: int, last: int) -> datetime | None:
        """When the last of these is over; None: none is known."""
        there = (self.by_number[n] for n in range(last, first - 1, -1) if n in self.by_number)
        return next((max(s.end for s in spans) for spans in there), None)


def _told(ask: Ask, own: _Intervals, first_seen: datetime) -> Iterator[_Told]:
    if ask.frequency == 0 and ask.historical:
        yield from _ad_hoc(ask, own)
        return
    for first, last in _windows(ask, own):
        at = own.end(first, last) if ask.historical else own.start(first, last)
        if at is None:
            continue
        name = f"{ask.name}-{first}"
        if not ask.historical and at > first_seen and ask.frequency <= 0:
            yield _Told(
                name, first, last, first_seen
            )  # told as soon as it is known, and corrected when it begins
        yield _Told(name, first, last, at)


def _ad_hoc(ask: Ask, own: _Intervals) -> Iterator[_Told]:
    """At a time of our choosing: a report that grows with each interval that is over, up to so many."""
    for number in sorted(own.by_number):
        volume = number // MOST_GROWN
        first = volume * MOST_GROWN
        end = own.end(number, number)
        if end is not None and not (own.turn and first < own.lowest):
            yield _Told(f"{ask.name}-{volume}", first, number, end)


def _windows(ask: Ask, own: _Intervals) -> Iterator[tuple[int, int]]:
    """First and last interval of each report."""
    size = ask.num_intervals if ask.num_intervals > 0 else None
    step = ask.frequency if ask.frequency > 0 else size
    repeat: int | None = None if ask.repeat < 0 else max(ask.repeat, 1)
    if ask.frequency == 0:  # a forecast at a time of our choosing
        size, repeat = size or MOST_GROWN, 1
    elif not ask.historical and own.total is None and not own.turn:
        size = size or MOST_GROWN  # no end is known: eight days of it in one report took a real server 26 s
    elif own.total is None and own.turn and repeat == 1 and step is None:
        size, step, repeat = own.turn, own.turn, None  # once each time all intervals have passed
    if repeat == 1:
        step = None
    last = None if own.total is None else own.total - 1
    for n in count() if repeat is None else range(repeat):
        first_of, last_of = _window(ask, n, size, step, last, own.highest)
        if first_of > own.highest or (step is None and n > 0) or n > MOST_DUE + own.highest:
            return
        if last_of < own.lowest or (own.turn and max(first_of, 0) < own.lowest):
            continue  # so long ago that its beginning is no longer looked at
        if last is not None and last_of > last:
            if ask.historical and n > 0 and step is not None and last_of - step >= last:
                return  # all that there was has been told
            last_of = last
        if last_of > own.highest and last is None and ask.historical:
            return  # its end is further ahead than we look
        yield max(first_of, 0), min(last_of, own.highest)


def _window(
    ask: Ask, n: int, size: int | None, step: int | None, last: int | None, highest: int
) -> tuple[int, int]:
    """First and last interval of the report number `n`, counted from 0; the last may lie beyond the event's."""
    end = highest if last is None else last
    start = ask.start_interval
    if not ask.historical:
        first = max(start, 0) + n * (step or 0)
        return first, end if size is None else first + size - 1
    if step is not None:
        size = size or step
        first_last = step - 1 if start < 0 else (start if start - size + 1 >= 0 else start + size - 1)
        last_of = first_last + n * step
        return last_of - size + 1, last_of
    if start < 0:
        return (0 if size is None else end - size + 1), end
    if size is None:
        return start, end
    if start - size + 1 >= 0:
        return start - size + 1, start
    return start, start + size - 1
