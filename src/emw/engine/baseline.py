"""The load that would have been: the mean of ten like days, corrected by the day itself. Pure arithmetic on means.

Loads are mean kW per interval of a whole territory: of a single EVSE a day-matched baseline is noise. Days are local
calendar days and match by local clock times, so that days of 23 and 25 hours match like with like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

DAYS = 10
LEAST_DAYS = 4
"""Fewer like days than this are no baseline."""
LOOKBACK_DAYS = 45
WHOLE = 0.9
"""Hours with readings from a smaller share of their cells are not compared with anything."""
CAP = 0.2
"""The day may correct its baseline by this share, up or down."""
WINDOW = timedelta(hours=3)
BEFORE = timedelta(hours=1)
"""The window of the correction lasts `WINDOW` and ends so long before notice."""


@dataclass(frozen=True, slots=True)
class Loads:
    """What was metered over some intervals: mean kW of each, and the share of cells with readings."""

    kw: tuple[float, ...]
    share: float

    @property
    def whole(self) -> bool:
        """Whether enough was metered to compare it with anything."""
        return self.share >= WHOLE


@dataclass(frozen=True, slots=True)
class DayBaseline:
    """A day-matched baseline and what it was made of. No `kw`: there is none, and `why` says so."""

    kw: tuple[float, ...]
    why: str


class _Kind(Enum):
    WEEKDAY = "weekday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


def _kind(day: date, holidays: frozenset[date]) -> _Kind:
    if day in holidays:
        return _Kind.HOLIDAY
    return _Kind.WEEKEND if day.weekday() >= 5 else _Kind.WEEKDAY


def like_days(day: date, after: date, events: frozenset[date], holidays: frozenset[date]) -> list[date]:
    """The days before `day` and after `after` that are like it and had no event, newest first."""
    back = (day - timedelta(days=i) for i in range(1, LOOKBACK_DAYS + 1))
    kind = _kind(day, holidays)
    return [d for d in back if d > after and d not in events and _kind(d, holidays) is kind]


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


def ten_of_ten(like: Mapping[date, Loads], today: Loads | None) -> DayBaseline:
    """The mean of up to ten like days, scaled by what the day itself drew in a window before notice.

    `today` is that window (None: there is none to go by); each of `like` begins with the same clock times.
    """
    days = len(like)
    if days < LEAST_DAYS:
        why = f"no figure: {days} like days without an event were metered, {LEAST_DAYS} are needed"
        return DayBaseline((), why)
    mean = [sum(kw) / days for kw in zip(*(loads.kw for loads in like.values()), strict=True)]
    length = 0 if today is None else len(today.kw)
    before, base = mean[:length], tuple(mean[length:])
    said = f"{days} of {DAYS} like days"
    if today is None:
        return DayBaseline(base, f"{said}; not adjusted: no quiet hours before notice on this day")
    if not today.whole:
        return DayBaseline(base, f"{said}; not adjusted: too few readings before notice")
    if sum(before) <= 0:
        return DayBaseline(base, f"{said}; not adjusted: like days had no load before notice")
    plain = sum(today.kw) / sum(before)
    ratio = min(max(plain, 1 - CAP), 1 + CAP)
    capped = "" if ratio == plain else f", capped from {plain:.3f}"
    return DayBaseline(tuple(kw * ratio for kw in base), f"{said}; adjusted by {ratio:.3f}{capped}")
