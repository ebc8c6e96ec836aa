"""Telemetry that a VTN of 2.0b asked for: which series, how often, what is due and what still waits. Pure.

Samples are kept until the VTN has taken them; past a bound the oldest go. Power is in kW and said to be so
(powerReal, W, siScaleCode k).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from emw.grid.openadr2b.messages import Point, Sample
from emw.grid.openadr2b.xml import Node, child, children, text
from emw.grid.openadr3.times import BadTime, instant_of, span_of

SHORTEST: Final = timedelta(seconds=10)
LONGEST: Final = timedelta(hours=1)
MOST_WAITING: Final = 5_000
MOST_REQUESTS: Final = 50
SERIES: Final = (("load", "usage"), ("baseline", "baseline"), ("change", "deltaUsage"))
"""What is told of a territory: its load, what it would be, and the difference (below 0: shed). Never of a driver."""


def points_of(territories: Iterable[str]) -> tuple[Point, ...]:
    """The series of some territories."""
    return tuple(
        Point(r_id=f"{place}:{name}", report_type=kind, resource_id=place)
        for place in territories
        for name, kind in SERIES
    )


@dataclass(slots=True)
class Asked:
    """A report that the VTN asked for. `every` zero: once."""

    request_id: str
    r_ids: tuple[str, ...]
    every: timedelta
    back: timedelta
    sample_at: datetime
    send_at: datetime
    end_at: datetime | None = None
    waiting: deque[Sample] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    ready: bool = False
    """What waits is to be sent."""
    over: bool = False

    @property
    def next_at(self) -> datetime:
        """When something is to be done about it."""
        return min(self.sample_at, self.send_at)


def asked_in(message: Node, known: Sequence[Point], now: datetime) -> tuple[list[Asked], list[str]]:
    """The report requests of a message, and why others can't be served."""
    names = {p.r_id for p in known}
    found: list[Asked] = []
    refused: list[str] = []
    for node in children(message, "oadrReportRequest"):
        request_id, specifier = text(node, "reportRequestID"), child(node, "reportSpecifier")
        if request_id is None or specifier is None:
            refused.append("a report request has no reportRequestID or no reportSpecifier")
            continue
        r_ids = [text(p, "rID") for p in children(specifier, "specifierPayload")]
        wanted = tuple(r for r in r_ids if r in names and r is not None)
        if not wanted:
            refused.append(f"report request {request_id}: emw offers none of {r_ids[:3]}")
            continue
        try:
            found.append(_asked(request_id, specifier, wanted, now))
        except BadTime as error:
            refused.append(f"report request {request_id}: {error}")
    return found[:MOST_REQUESTS], refused


def _asked(request_id: str, specifier: Node, r_ids: tuple[str, ...], now: datetime) -> Asked:
    every = _length(text(specifier, "granularity", "duration"))
    back = _length(text(specifier, "reportBackDuration", "duration"))
    if every and back:
        every = min(max(every, SHORTEST), LONGEST)
    period = child(specifier, "reportInterval", "properties")
    began = text(period, "dtstart", "date-time")
    start = None if began is None else instant_of(began).at
    lasts = _length(text(period, "duration", "duration"))
    first = max(now, start) if start is not None else now
    if not (every and back):
        return Asked(request_id, r_ids, timedelta(0), timedelta(0), first, first)
    end_at = start + lasts if start is not None and lasts else None
    back = max(back, every)
    return Asked(request_id, r_ids, every, back, first + every, first + back, end_at)


def _length(said: str | None) -> timedelta:
    if said is None:
        return timedelta(0)
    span = span_of(said)
    if span.endless or span.months:
        raise BadTime(f"{said!r} is no period of a report")
    return timedelta(days=span.days, seconds=span.seconds)


def step(asked: Asked, now: datetime, values: dict[str, float | None]) -> bool:
    """Take the samples that are due (`values`: kW by rID); whether what waits is to be sent now."""
    if asked.over:
        return True
    if asked.sample_at <= now:
        asked.waiting.extend(Sample(r, asked.sample_at, values.get(r)) for r in asked.r_ids)
        if not asked.every:
            asked.over = True
            return True
        asked.sample_at += asked.every * ((now - asked.sample_at) // asked.every + 1)
        asked.over = asked.end_at is not None and asked.sample_at > asked.end_at
    if asked.send_at > now:
        return asked.over
    asked.send_at += asked.back * ((now - asked.send_at) // asked.back + 1)
    return True


def sent(asked: Asked, how_many: int) -> None:
    """The VTN has taken so many of the samples that wait."""
    for _ in range(how_many):
        asked.waiting.popleft()
