"""What a return may come up to, and what can be shed later: bounds that hold whatever was seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.engine.forecast import BAND, SHARED, Ahead, ahead
from emw.engine.peaks import Peaks, WayBack

LOADS = st.lists(st.floats(0, 1000), min_size=5, max_size=80)


def watched(loads: list[float], would: float = 0.0, *, quiet: bool = True) -> Peaks:
    peaks = Peaks()
    for minute, kw in enumerate(loads):
        peaks.watch(minute, {"East": kw}, {"East": would}, quiet=quiet, returning=False)
    return peaks


@given(LOADS)
def test_a_return_stays_under_the_highest_mean_of_the_last_hour(loads: list[float]) -> None:
    """By hand: five-minute means, of the hour that has just been."""
    means = [sum(loads[i - 4 : i + 1]) / 5 for i in range(4, len(loads)) if i >= len(loads) - 1 - 60]
    bound = watched(loads).highest_kw(len(loads) - 1)["East"]
    assert bound == pytest.approx(WayBack().measured_part * max(means))


def test_what_would_be_drawn_now_may_always_be_drawn() -> None:
    assert watched([10.0] * 6, would=50.0).highest_kw(5)["East"] == 50.0


def test_while_something_is_asked_the_counterfactual_counts_and_with_more_caution() -> None:
    peaks = watched([100.0] * 10)
    for minute in range(10, 20):
        peaks.watch(minute, {"East": 20.0}, {"East": 120.0}, quiet=False, returning=False)
    peaks.watch(20, {"East": 20.0}, {"East": 0.0}, quiet=False, returning=False)
    assert peaks.highest_kw(20)["East"] == pytest.approx(0.93 * 120.0)


def test_patience_has_an_end() -> None:
    peaks = watched([100.0] * 10)
    rules = WayBack()
    peaks.watch(10, {"East": 1.0}, {"East": 1.0}, quiet=False, returning=True)
    bounds = [peaks.highest_kw(10 + m).get("East") for m in range(0, 200, 5)]
    known = [kw for kw in bounds if kw is not None]
    assert known == sorted(known)
    assert max(known) <= 100.0 * 1.0002
    assert peaks.highest_kw(10 + rules.last_min) != {}
    assert peaks.highest_kw(10 + rules.last_min + 1) == {}


def test_nothing_is_known_before_the_first_five_minutes() -> None:
    assert watched([100.0] * 4).highest_kw(4) == {}


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 1), st.floats(0, 1)), max_size=30))
def test_a_forecast_falls_with_the_chances_and_its_band_holds_it(
    cars: list[tuple[float, float, float]],
) -> None:
    gives = np.array([c[0] for c in cars])
    soon, late = np.array([c[1] for c in cars]), np.array([c[1] * c[2] for c in cars])
    now, later = ahead(gives, [soon, late], [0.0, 1.0])
    assert now.kw == pytest.approx(sum(c[0] * c[1] for c in cars))
    assert later.kw <= now.kw + 1e-9
    for one in (now, later):
        assert 0 <= one.low_kw <= one.kw <= one.high_kw + 1e-9
        assert one.high_kw == pytest.approx(min(one.kw + BAND * one.doubt_kw, sum(gives)))


def test_the_doubt_by_hand_and_none_where_all_is_certain() -> None:
    """Two of 3 and 4 kW, each at evens: 0.5 * 5 kW, and what they share of 1.75 kW; for sure: none."""
    gives = np.array([3.0, 4.0])
    evens, sure = ahead(gives, [np.array([0.5, 0.5]), np.array([1.0, 1.0])], [1.0, 1.0])
    assert evens.kw == 3.5
    assert evens.doubt_kw == pytest.approx((2.5**2 + (SHARED * 1.75) ** 2) ** 0.5)
    assert (sure.kw, sure.low_kw, sure.high_kw) == (7.0, 7.0, 7.0)


@given(st.floats(0, 100), st.floats(0, 30), st.floats(-50, 150), st.floats(0, 50))
def test_more_is_never_surer(kw: float, doubt_kw: float, asked_kw: float, more_kw: float) -> None:
    one = Ahead(hours=1.0, kw=kw, doubt_kw=doubt_kw, most_kw=kw + 10)
    assert 0 <= one.chance_of(asked_kw + more_kw) <= one.chance_of(asked_kw) <= 1
    assert Ahead(hours=1.0, kw=kw, doubt_kw=1.0, most_kw=kw + 10).chance_of(kw) == pytest.approx(0.5)
    assert one.chance_of(kw + 10.1) == 0
