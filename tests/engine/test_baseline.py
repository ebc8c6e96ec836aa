"""Baselines: a worked example to the watt, the rules that choose days, clocks, and the bounds of the correction."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.engine.baseline import (
    CAP,
    DAYS,
    WHOLE,
    DayBaseline,
    Loads,
    like_days,
    on_day,
    same_clock,
    ten_of_ten,
)

EVENT = date(2026, 9, 16)  # a Wednesday
LONG_AGO = date(2000, 1, 1)
LOADS = [500.0, 520.0, 480.0, 510.0, 490.0, 530.0, 470.0, 500.0, 505.0, 495.0]
NONE: frozenset[date] = frozenset()
ZONE = ZoneInfo("Europe/Berlin")
KW = st.floats(0.0, 1e4)


def metered(*kw: float, share: float = 1.0) -> Loads:
    return Loads(kw, share)


def example(window_kw: float = 500.0) -> dict[date, Loads]:
    days = like_days(EVENT, LONG_AGO, NONE, NONE)
    return {d: metered(window_kw, kw) for d, kw in zip(days, LOADS, strict=False)}


def test_the_mean_of_ten_like_days_is_scaled_by_the_morning() -> None:
    found = ten_of_ten(example(), metered(575.0))
    assert found.kw == pytest.approx((575.0,), abs=1e-3)
    assert found.why == "10 of 10 like days; adjusted by 1.150"


def test_the_scaling_is_capped_and_says_so() -> None:
    found = ten_of_ten(example(), metered(650.0))
    assert found.kw == pytest.approx((600.0,), abs=1e-3)
    assert found.why == "10 of 10 like days; adjusted by 1.200, capped from 1.300"


@pytest.mark.parametrize(
    ("like", "today", "why"),
    [
        ({d: metered(kw) for d, kw in zip(example(), LOADS, strict=True)}, None, "no quiet hours"),
        (example(), metered(575.0, share=WHOLE - 0.01), "too few readings"),
        (example(window_kw=0.0), metered(575.0), "no load before notice"),
    ],
)
def test_where_the_morning_says_nothing_the_mean_stands(
    like: dict[date, Loads], today: Loads | None, why: str
) -> None:
    found = ten_of_ten(like, today)
    assert found.kw == pytest.approx((500.0,), abs=1e-3)
    assert why in found.why


def test_three_days_are_no_baseline() -> None:
    three = dict(list(example().items())[:3])
    assert ten_of_ten(three, None) == DayBaseline(
        (), "no figure: 3 like days without an event were metered, 4 are needed"
    )


def test_event_days_weekends_holidays_and_old_days_are_left_out() -> None:
    events = frozenset({EVENT - timedelta(days=1)})
    holidays = frozenset({EVENT - timedelta(days=2)})
    days = like_days(EVENT, LONG_AGO, events, holidays)
    assert all(d.weekday() < 5 for d in days)
    assert not {EVENT, *events, *holidays} & set(days)
    assert EVENT - timedelta(days=45) <= min(days) <= max(days) < EVENT
    assert days == sorted(days, reverse=True)
    assert like_days(EVENT, days[1], events, holidays) == days[:1]


def test_a_holiday_is_like_holidays_only() -> None:
    holidays = frozenset({EVENT, EVENT - timedelta(days=9)})
    assert like_days(EVENT, LONG_AGO, NONE, holidays) == [EVENT - timedelta(days=9)]


def test_local_clocks_match_over_a_change_and_what_they_leap_over_is_not_there() -> None:
    before = datetime(2026, 10, 23, 17, 0, tzinfo=ZONE)
    assert same_clock(before, date(2026, 10, 26), ZONE) == datetime(2026, 10, 26, 16, 0, tzinfo=UTC)
    assert on_day([datetime(2026, 3, 27, 2, 30, tzinfo=ZONE)], date(2026, 3, 29), ZONE) is None


def baseline(day_kw: float, window_kw: float, today_kw: float) -> tuple[float, ...]:
    like = dict.fromkeys(list(example())[:DAYS], metered(window_kw, window_kw, day_kw, day_kw + 1))
    return ten_of_ten(like, metered(today_kw, today_kw)).kw


@given(KW, st.floats(0.1, 1e4), KW)
def test_the_correction_is_bounded_by_its_cap(day_kw: float, window_kw: float, today_kw: float) -> None:
    for kw, plain in zip(baseline(day_kw, window_kw, today_kw), (day_kw, day_kw + 1), strict=True):
        assert (1 - CAP) * plain - 1e-6 <= kw <= (1 + CAP) * plain + 1e-6


@given(KW, st.floats(0, 100))
def test_a_shift_of_all_like_days_shifts_the_baseline(day_kw: float, shift: float) -> None:
    plain, shifted = baseline(day_kw, 50.0, 50.0), baseline(day_kw + shift, 50.0, 50.0)
    assert [b - a for a, b in zip(plain, shifted, strict=True)] == pytest.approx([shift] * 2, abs=1e-6)
