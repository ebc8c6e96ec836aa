"""Five-minute means: which intervals count, which readings should be there, and gaps filled so that they give nothing.

Pure arithmetic for the report of a request. Cells are pairs of EVSE and interval; an interval is named by its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
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


@dataclass(frozen=True, slots=True)
class Presence:
    """How many vehicles were there from the start of an interval to its end: so many readings it should have."""

    first: datetime
    """Start of the first interval that was counted."""
    vehicles: Sequence[int]
    """Of it, and of each that follows."""

    def covers(self, since: datetime, until: datetime) -> bool:
        """Whether every interval wholly in [since, until) was counted."""
        return self.first <= grid_ceil(since) and grid_floor(until) <= self.first + STEP * len(self.vehicles)

    def cells(self, intervals: Iterable[datetime]) -> int:
        """How many cells of these intervals should have a reading. Raises IndexError for one that was not counted."""
        numbers = [(at - self.first) // STEP for at in intervals]
        if numbers and min(numbers) < 0:
            raise IndexError("an interval before the first")
        return sum(self.vehicles[n] for n in numbers)


def presence(stays: Iterable[tuple[datetime, datetime | None]], since: datetime, until: datetime) -> Presence:
    """Count them in the intervals that touch [since, until). `stays`: from when to when, None: still there."""
    first = grid_floor(since)
    count = max(0, (grid_ceil(until) - first) // STEP)
    changes = [0] * (count + 1)
    for start, end in stays:
        come = max(0, -((first - start) // STEP))
        gone = count if end is None else min(count, (end - first) // STEP)
        if come < gone:
            changes[come] += 1
            changes[gone] -= 1
    return Presence(first, list(accumulate(changes[:count])))


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
