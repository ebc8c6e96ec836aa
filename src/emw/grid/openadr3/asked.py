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
    unasked: bool = False


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


def dues(plan: Plan, first_seen: datetime, piece: timedelta) -> list[Due]:
    """Every report that the plan knows of, past and to come, in time.

    Of those that were due before the event was first seen, only the latest is still sent (User Guide, "do it now").
    """
    found: list[Due] = []
    for ask in plan.asks:
        own = list(_of(ask, plan, first_seen, piece))
        late = [d for d in own if d.at < first_seen]
        found += [d for d in own if d.at >= first_seen] + late[-1:]
    return sorted(found, key=lambda d: (d.at, d.name))


def _of(ask: Ask, plan: Plan, first_seen: datetime, piece: timedelta) -> Iterator[Due]:
    spans, total, turn = plan.spans, plan.total, plan.turn
    if ask.intervals == OPEN_INTERVALS and spans:
        start, end = spans[0].start, max(s.end for s in spans)
        spans = tuple(Span(a, b, i, i) for i, (a, b) in enumerate(_pieces(start, end, piece)))
        total, turn = None if total is None else len(spans), 0
    if not spans:
        return
    by_number: dict[int, list[Span]] = {}
    for span in spans:
        by_number.setdefault(span.number, []).append(span)
    windows = _ad_hoc(by_number) if ask.frequency == 0 else _windows(ask, by_number, total, turn)
    for first, last, told_at in windows:
        told = [s for n in range(first, last + 1) for s in by_number.get(n, ())]
        if not told:
            continue
        if ask.intervals == SUB_INTERVALS:
            told = [Span(a, b, s.number, s.id) for s in told for a, b in _pieces(s.start, s.end, piece)]
        name = ask.name if ask.frequency == 0 else f"{ask.name}-{first}"
        yield from _twice(ask, name, tuple(told), told_at, first_seen)


def _twice(
    ask: Ask, name: str, spans: tuple[Span, ...], told_at: datetime, first_seen: datetime
) -> Iterator[Due]:
    """What is to come is told as soon as it is known, too, and corrected when it begins."""
    if not ask.historical and told_at > first_seen and ask.frequency <= 0:
        yield Due(name, ask, first_seen, spans)
    yield Due(name, ask, told_at, spans)


def _ad_hoc(by_number: dict[int, list[Span]]) -> Iterator[tuple[int, int, datetime]]:
    """At a time of our choosing: one report that grows with each interval that is over."""
    numbers = sorted(by_number)
    for number in numbers:
        yield numbers[0], number, max(s.end for s in by_number[number])


def _windows(
    ask: Ask, by_number: dict[int, list[Span]], total: int | None, turn: int
) -> Iterator[tuple[int, int, datetime]]:
    """First and last interval of each report, and when it is due."""
    lowest, highest = min(by_number), max(by_number)
    size = ask.num_intervals if ask.num_intervals > 0 else None
    step = ask.frequency if ask.frequency > 0 else size
    repeat: int | None = None if ask.repeat < 0 else max(ask.repeat, 1)
    if total is None and turn and repeat == 1 and step is None:
        size, step, repeat = turn, turn, None  # once each time all intervals have passed
    if repeat == 1:
        step = None
    last = None if total is None else total - 1
    for n in count() if repeat is None else range(repeat):
        if n > MOST_DUE + highest:
            return
        first_of, last_of = _window(ask, n, size, step, last, highest)
        if first_of > highest or (step is None and n > 0):
            return
        if last_of < lowest or (turn and max(first_of, 0) < lowest):
            continue  # so long ago that its beginning is no longer looked at
        if last is not None and last_of > last:
            if ask.historical and n > 0 and step is not None and last_of - step >= last:
                return  # all that there was has been told
            last_of = last
        if last_of > highest and last is None and ask.historical:
            return  # its end is further ahead than we look
        first_of, last_of = max(first_of, 0), min(last_of, highest)
        told = [s for i in range(first_of, last_of + 1) for s in by_number.get(i, ())]
        if told:
            at = max(s.end for s in told) if ask.historical else min(s.start for s in told)
            yield first_of, last_of, at


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
