"""Five-minute means: which intervals count, which readings should be there, and gaps filled so that they give nothing.

Pure arithmetic for the report of a request. Cells are pairs of EVSE and interval; an interval is named by its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import floor, nan

STEP = timedelta(minutes=5)
"""Of an interval."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Intervals are counted from here."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A vehicle's time at an EVSE, and the most that both could draw together, kW."""

    evse_id: str
    start_at: datetime
    end_at: datetime | None
    most_kw: float


def grid_floor(at: datetime) -> datetime:
    """The last start of an interval up to `at`."""
    return at - (at - EPOCH) % STEP


def grid_ceil(at: datetime) -> datetime:
    """The first start of an interval from `at` on."""
    return grid_floor(at + STEP - timedelta(microseconds=1))


def whole_intervals(start: datetime, end: datetime) -> list[datetime]:
    """Starts of the intervals that lie wholly in [start, end)."""
    first = grid_ceil(start)
    return [first + STEP * i for i in range(max(0, (end - first) // STEP))]


def cells(stays: Iterable[Stay], intervals: Iterable[datetime]) -> int:
    """How many cells should have a reading: a vehicle was there from an interval's start to its end."""
    wanted = sorted(intervals)
    if not wanted:
        return 0
    from_at, until = wanted[0], wanted[-1] + STEP
    runs = len(wanted) == (until - from_at) // STEP
    found = 0
    for stay in stays:
        start = grid_ceil(max(stay.start_at, from_at))
        end = until if stay.end_at is None else grid_floor(min(stay.end_at, until))
        if end <= start:
            continue
        found += (end - start) // STEP if runs else sum(start <= at and at + STEP <= end for at in wanted)
    return found


def filled(
    metered: Mapping[tuple[datetime, str], float],
    stays: Sequence[Stay],
    intervals: Sequence[datetime],
    before_kw: Mapping[str, float],
) -> dict[datetime, dict[str, float]]:
    """Mean kW per interval and EVSE, gaps filled so that a missing reading counts as no shed (promise P11).

    A vehicle that was there a whole interval and was not metered is taken to draw what it drew before the request
    (`before_kw`), or, where nobody knows that, all it could take.
    """
    loads: dict[datetime, dict[str, float]] = {at: {} for at in intervals}
    for (at, evse_id), kw in metered.items():
        if at in loads:
            loads[at][evse_id] = kw
    for stay in stays:
        for at in whole_intervals_of(stay, intervals):
            if stay.evse_id not in loads[at]:
                loads[at][stay.evse_id] = before_kw.get(stay.evse_id, stay.most_kw)
    return loads


def whole_intervals_of(stay: Stay, intervals: Sequence[datetime]) -> list[datetime]:
    """The intervals that a vehicle stayed through."""
    return [
        at for at in intervals if stay.start_at <= at and (stay.end_at is None or at + STEP <= stay.end_at)
    ]


def down(value: float) -> float:
    """To the watt (or watt-hour), never up: a shed is not rounded up in a report."""
    return floor(value * 1000 + 1e-6) / 1000 if value == value else nan  # noqa: PLR0124
