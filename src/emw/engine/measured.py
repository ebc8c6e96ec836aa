"""What was shed, from five-minute means: gaps filled so that they give nothing, like days matched on the local clock.

Pure arithmetic for the report of a request. Cells are pairs of EVSE and interval; an interval is named by its start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import floor, nan
from zoneinfo import ZoneInfo

from emw.engine.baseline import TEN_OF_TEN, Adjust, DayMatch, adjusted, day_matched, similar_days

STEP = timedelta(minutes=5)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LEAST_DAYS = 4
"""Fewer like days than this are no baseline."""
WHOLE = 0.9
"""A window with readings from a smaller share of its cells is not compared with anything."""
CAP = 0.2
"""The day may correct its baseline by this share, up or down."""
WINDOW = timedelta(hours=3)
BEFORE = timedelta(hours=1)
"""The window of the correction lasts `WINDOW` and ends so long before notice."""
_ALL = DayMatch(used=TEN_OF_TEN.used, looked_at=TEN_OF_TEN.lookback_days)
"""Every like day in reach: some are passed over for lack of readings."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A vehicle's time at an EVSE, and the most that both could draw together, kW."""

    evse_id: str
    start_at: datetime
    end_at: datetime | None
    most_kw: float


@dataclass(frozen=True, slots=True)
class Span:
    """What was metered over a window: mean kW of each interval (nan: unknown), and the share of cells with readings."""

    kw: tuple[float, ...]
    share: float


@dataclass(frozen=True, slots=True)
class DayBaseline:
    """A day-matched baseline with what it was made from. No `kw`: there is none, and `why` says so."""

    kw: tuple[float, ...] = ()
    days: tuple[date, ...] = ()
    why: str = ""


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


def same_clock(at: datetime, day: date, zone: ZoneInfo) -> datetime | None:
    """The instant on `day` when local clocks show what they show at `at`; None: clocks leap over it that day."""
    local = at.astimezone(zone)
    there = datetime.combine(day, local.time().replace(fold=local.fold), tzinfo=zone).astimezone(UTC)
    back = there.astimezone(zone)
    return there if (back.date(), back.time()) == (day, local.time()) else None


def on_day(intervals: Sequence[datetime], day: date, zone: ZoneInfo) -> list[datetime] | None:
    """The same local clock times on another day; None where that day lacks one of them."""
    found = [same_clock(at, day, zone) for at in intervals]
    known = [at for at in found if at is not None]
    return known if len(known) == len(found) else None


def ten_of_ten(
    day: date,
    intervals: Sequence[datetime],
    window: Sequence[datetime],
    *,
    zone: ZoneInfo,
    candidates: Sequence[date],
    events: frozenset[date],
    holidays: frozenset[date],
    read: Callable[[Sequence[datetime]], Span],
) -> DayBaseline:
    """Mean of the last ten like days, corrected by the day's own hours before notice.

    `intervals` of `day` are asked for; `window` are the intervals before notice (none: no correction). A like day of
    which too little was metered is passed over for the next older one. `read` gives what was metered at such times.
    """
    loads: dict[date, tuple[float, ...]] = {}
    like = similar_days(day, candidates, events, holidays, _ALL)
    for d in like:
        there, there_before = on_day(intervals, d, zone), on_day(window, d, zone)
        if there is None or there_before is None:
            continue
        span = read([*there_before, *there])
        if span.share >= WHOLE and all(kw == kw for kw in span.kw):  # noqa: PLR0124 - nan differs from itself
            loads[d] = span.kw
        if len(loads) == TEN_OF_TEN.looked_at:
            break
    days = tuple(loads)
    if len(days) < LEAST_DAYS:
        why = f"no figure: {len(days)} like days without an event were metered, {LEAST_DAYS} are needed"
        return DayBaseline(days=days, why=why)
    mean = day_matched(loads, days, TEN_OF_TEN)
    base, before = mean[len(window) :], mean[: len(window)]
    said = f"{len(days)} of {TEN_OF_TEN.looked_at} like days"
    if not window:
        return DayBaseline(base, days, f"{said}; not adjusted: no quiet hours before notice on this day")
    today = read(window)
    if today.share < WHOLE or not all(kw == kw for kw in today.kw):  # noqa: PLR0124
        return DayBaseline(base, days, f"{said}; not adjusted: too few readings before notice")
    measured, same = sum(today.kw) / len(window), sum(before) / len(window)
    if same <= 0:
        return DayBaseline(base, days, f"{said}; not adjusted: like days had no load before notice")
    corrected = adjusted(base, measured_kw=measured, same_window_kw=same, how=Adjust.RATIO, cap=CAP)
    ratio = min(max(measured / same, 1 - CAP), 1 + CAP)
    capped = "" if ratio == measured / same else f", capped from {measured / same:.3f}"
    return DayBaseline(corrected, days, f"{said}; adjusted by {ratio:.3f}{capped}")


def down(value: float) -> float:
    """To the watt (or watt-hour), never up: a shed is not rounded up in a report."""
    return floor(value * 1000 + 1e-6) / 1000 if value == value else nan  # noqa: PLR0124
