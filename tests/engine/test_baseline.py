"""Baselines: the worked example to the watt, and the rules that choose days."""

from __future__ import annotations

from datetime import date, timedelta
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.engine.baseline import (
    FIVE_OF_TEN,
    TEN_OF_TEN,
    Adjust,
    DayMatch,
    NoBaseline,
    adjusted,
    before_after,
    control_group,
    day_matched,
    energy_kwh,
    over_firm_level_kw,
    shed_kw,
    similar_days,
)

EVENT = date(2026, 9, 16)  # a Wednesday
LOADS = [500.0, 520.0, 480.0, 510.0, 490.0, 530.0, 470.0, 500.0, 505.0, 495.0]
NONE: frozenset[date] = frozenset()


def last_weekdays(count: int) -> list[date]:
    days = (EVENT - timedelta(days=i) for i in range(1, 90))
    return [d for d in days if d.weekday() < 5][:count]


def example() -> dict[date, list[float]]:
    return {d: [kw] for d, kw in zip(last_weekdays(10), LOADS, strict=True)}


def matched(rule: DayMatch) -> tuple[float, ...]:
    return day_matched(example(), similar_days(EVENT, list(example()), NONE, NONE, rule), rule)


def test_ten_of_ten_and_five_of_ten() -> None:
    assert matched(TEN_OF_TEN) == pytest.approx((500.0,), abs=1e-3)
    assert matched(FIVE_OF_TEN) == pytest.approx((513.0,), abs=1e-3)


def test_the_ratio_of_the_morning_scales_both() -> None:
    window = {"measured_kw": 575.0, "same_window_kw": 500.0}
    assert adjusted(matched(TEN_OF_TEN), how=Adjust.RATIO, **window) == pytest.approx((575.0,), abs=1e-3)
    assert adjusted(matched(FIVE_OF_TEN), how=Adjust.RATIO, **window) == pytest.approx((589.95,), abs=1e-3)


def test_the_ratio_is_capped() -> None:
    capped = adjusted(matched(TEN_OF_TEN), measured_kw=650.0, same_window_kw=500.0, how=Adjust.RATIO)
    assert capped == pytest.approx((600.0,), abs=1e-3)


def test_the_difference_shifts() -> None:
    shifted = adjusted(matched(TEN_OF_TEN), measured_kw=575.0, same_window_kw=500.0, how=Adjust.DIFFERENCE)
    assert shifted == pytest.approx((575.0,), abs=1e-3)


def test_the_quarter_hour_sheds_279_kw() -> None:
    baseline = adjusted(matched(TEN_OF_TEN), measured_kw=575.0, same_window_kw=500.0, how=Adjust.RATIO)
    shed = shed_kw(baseline, [296.0])
    assert shed == pytest.approx((279.0,), abs=1e-3)
    assert energy_kwh(shed, 15) == pytest.approx(69.75, abs=1e-3)


def test_a_rise_is_a_negative_shed() -> None:
    assert shed_kw([100.0], [130.0]) == (-30.0,)


def test_event_days_weekends_holidays_and_old_days_are_left_out() -> None:
    every = [EVENT - timedelta(days=i) for i in range(-3, 80)]
    events = frozenset({EVENT - timedelta(days=1)})
    holidays = frozenset({EVENT - timedelta(days=2)})
    days = similar_days(EVENT, every, events, holidays, DayMatch(used=99, looked_at=99))
    assert all(d.weekday() < 5 for d in days)
    assert not {EVENT, *events, *holidays} & set(days)
    assert max(days) < EVENT
    assert min(days) >= EVENT - timedelta(days=45)
    assert list(days) == sorted(days, reverse=True)


def test_a_holiday_is_like_holidays_only() -> None:
    holidays = frozenset({EVENT, EVENT - timedelta(days=9)})
    every = [EVENT - timedelta(days=i) for i in range(1, 30)]
    assert similar_days(EVENT, every, NONE, holidays, TEN_OF_TEN) == (EVENT - timedelta(days=9),)


def test_too_few_days_are_no_baseline() -> None:
    with pytest.raises(NoBaseline, match="0 similar days"):
        day_matched({}, [], TEN_OF_TEN)


def test_a_day_with_a_gap_is_no_evidence() -> None:
    loads = example() | {last_weekdays(1)[0]: [nan]}
    assert day_matched(loads, list(loads), TEN_OF_TEN) == pytest.approx((500.0,))


def test_the_days_are_chosen_once_for_the_whole_event() -> None:
    loads = {EVENT - timedelta(days=1): [100.0, 0.0], EVENT - timedelta(days=2): [0.0, 90.0]}
    assert day_matched(loads, list(loads), DayMatch(used=1, looked_at=2)) == (100.0, 0.0)


def test_the_simple_ones() -> None:
    assert before_after(420.0, 3) == (420.0, 420.0, 420.0)
    assert over_firm_level_kw(100.0, [90.0, 120.0]) == (0.0, 20.0)
    assert control_group([50.0], called=30, like=10) == (150.0,)
    with pytest.raises(NoBaseline):
        control_group([50.0], called=30, like=0)


@given(
    st.lists(st.floats(0, 1e4), min_size=1, max_size=20),
    st.floats(0, 1e4),
    st.floats(0, 1e4),
    st.floats(0, 1),
)
def test_an_adjustment_stays_within_its_cap(
    baseline: list[float], measured: float, window: float, cap: float
) -> None:
    for how in Adjust:
        found = adjusted(baseline, measured_kw=measured, same_window_kw=window, how=how, cap=cap)
        most = window if how is Adjust.DIFFERENCE else None
        for before, after in zip(baseline, found, strict=True):
            assert abs(after - before) <= cap * (before if most is None else most) + 1e-6
