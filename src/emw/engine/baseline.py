"""The load that would have been, by the rules that programmes settle with. Pure arithmetic on interval means.

Loads are mean kW per interval at the resource (a territory), never at a single EVSE: its day-matched baseline is
noise. Days are local calendar days; the caller has cut them into intervals of local clock time, so that days of 23
and 25 hours match like with like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from math import isfinite


class DayKind(Enum):
    """Days that are like one another."""

    WEEKDAY = "weekday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


class Adjust(Enum):
    """How the morning of the day corrects the baseline."""

    NONE = "none"
    RATIO = "ratio"
    DIFFERENCE = "difference"


@dataclass(frozen=True, slots=True, kw_only=True)
class DayMatch:
    """X of Y: the mean of the X highest (or of all) of the last Y similar days without an event."""

    used: int
    """X."""
    looked_at: int
    """Y."""
    lookback_days: int = 45
    least: int = 1
    """Fewer days than this are no baseline."""


TEN_OF_TEN = DayMatch(used=10, looked_at=10)
FIVE_OF_TEN = DayMatch(used=5, looked_at=10)
FOUR_OF_FIVE = DayMatch(used=4, looked_at=5)
FIFTEEN_OF_TWENTY = DayMatch(used=15, looked_at=20)


class NoBaseline(ValueError):
    """There are too few similar days without an event to say what the load would have been."""


def kind_of(day: date, holidays: frozenset[date]) -> DayKind:
    """Weekday, weekend or holiday; a holiday on a weekend is a holiday."""
    if day in holidays:
        return DayKind.HOLIDAY
    return DayKind.WEEKEND if day.weekday() >= 5 else DayKind.WEEKDAY


def similar_days(
    day: date, candidates: Sequence[date], events: frozenset[date], holidays: frozenset[date], rule: DayMatch
) -> tuple[date, ...]:
    """The last Y days like `day` without an event, newest first; never the day itself or a later one."""
    kind = kind_of(day, holidays)
    first = day - timedelta(days=rule.lookback_days)
    good = (
        d for d in set(candidates) if first <= d < day and d not in events and kind_of(d, holidays) is kind
    )
    return tuple(sorted(good, reverse=True)[: rule.looked_at])


def day_matched(
    loads: Mapping[date, Sequence[float]], days: Sequence[date], rule: DayMatch
) -> tuple[float, ...]:
    """Baseline per interval of the event, kW.

    `loads` holds the same intervals of each day, kW. The X days are chosen once, by their mean over all these
    intervals; between equals the newer one. Raises NoBaseline where there are too few.
    """
    known = [d for d in days if d in loads and all(isfinite(x) for x in loads[d])]
    if len(known) < rule.least:
        raise NoBaseline(f"{len(known)} similar days without an event, {rule.least} needed")
    lengths = {len(loads[d]) for d in known}
    if len(lengths) != 1:
        raise ValueError("every day must have the same intervals")
    by_load = sorted(known, key=lambda d: (-sum(loads[d]), -d.toordinal()))
    chosen = by_load[: rule.used]
    return tuple(sum(loads[d][i] for d in chosen) / len(chosen) for i in range(lengths.pop()))


def adjusted(
    baseline_kw: Sequence[float],
    *,
    measured_kw: float,
    same_window_kw: float,
    how: Adjust,
    cap: float = 0.2,
) -> tuple[float, ...]:
    """The baseline corrected by a window before notice: mean load measured, and what the baseline says there.

    RATIO scales by measured over baseline, kept within 1 ± cap; DIFFERENCE shifts by measured less baseline, kept
    within ± cap of the window's baseline. A window whose baseline is zero corrects nothing by ratio.
    """
    if cap < 0 or not (isfinite(measured_kw) and isfinite(same_window_kw)):
        raise ValueError("the window's loads must be finite and the cap not negative")
    if how is Adjust.RATIO and same_window_kw > 0:
        ratio = min(max(measured_kw / same_window_kw, 1 - cap), 1 + cap)
        return tuple(kw * ratio for kw in baseline_kw)
    if how is Adjust.DIFFERENCE:
        most = cap * abs(same_window_kw)
        shift = min(max(measured_kw - same_window_kw, -most), most)
        return tuple(kw + shift for kw in baseline_kw)
    return tuple(baseline_kw)


def before_after(before_kw: float, intervals: int) -> tuple[float, ...]:
    """Reserves: the meter just before the event is the baseline of each of its intervals, kW."""
    return (before_kw,) * intervals


def control_group(like_kw: Sequence[float], *, called: float, like: float) -> tuple[float, ...]:
    """Load of EVSEs like those called but not called, kW per interval, scaled from `like` of them to `called`."""
    if like <= 0:
        raise NoBaseline("the control group is empty")
    return tuple(kw * called / like for kw in like_kw)


def shed_kw(baseline_kw: Sequence[float], load_kw: Sequence[float]) -> tuple[float, ...]:
    """Baseline less load per interval, kW; negative where load rose."""
    return tuple(b - m for b, m in zip(baseline_kw, load_kw, strict=True))


def over_firm_level_kw(firm_kw: float, load_kw: Sequence[float]) -> tuple[float, ...]:
    """Load above the firm level per interval, kW; 0 where it was kept."""
    return tuple(max(kw - firm_kw, 0.0) for kw in load_kw)


def energy_kwh(mean_kw: Sequence[float], minutes: float) -> float:
    """Energy of intervals of equal length, kWh: mean power times length."""
    return sum(mean_kw) * minutes / 60
