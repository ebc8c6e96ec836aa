"""The staged way back of the loop: never more than its step in a minute, never above the highest load known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.engine.peaks import WayBack
from emw.engine.restore import Ramp, release

CARS = st.lists(st.tuples(st.floats(0, 20), st.floats(-1, 1)), max_size=60)


@given(CARS, st.floats(0, 200), st.floats(0.1, 50))
def test_no_minute_brings_back_more_than_its_step_or_one_car(
    cars: list[tuple[float, float]], room_kw: float, step_kw: float
) -> None:
    rise, cost = np.array([c[0] for c in cars]), np.array([c[1] for c in cars])
    freed = release(rise, cost, room_kw, step_kw)
    back = rise[freed].sum()
    assert len(set(freed.tolist())) == len(freed)
    assert back <= min(room_kw, step_kw) + 1e-2 * len(cars) or (rise[freed] > 1e-3).sum() == 1
    assert back <= room_kw + 1e-2 * len(cars)
    assert set(np.flatnonzero(rise <= 0)) <= set(freed.tolist()) or not len(cars)


@given(CARS, st.floats(0, 200))
def test_the_neediest_of_those_who_bring_load_come_first(
    cars: list[tuple[float, float]], room_kw: float
) -> None:
    rise, cost = np.array([c[0] for c in cars]), np.array([c[1] for c in cars])
    freed = release(rise, cost, room_kw)
    loaded = [i for i in freed.tolist() if rise[i] > 1e-3]
    waits = [i for i in range(len(cars)) if i not in freed.tolist()]
    assert all(cost[i] >= cost[j] or rise[j] > rise[i] for i in loaded for j in waits), "or is too large"


@given(st.lists(st.floats(0, 1000), min_size=36, max_size=60))
def test_until_patience_ends_there_is_room_for_no_new_peak(loads: list[float]) -> None:
    rules = WayBack()
    ramp = Ramp(rules)
    for minute, load in enumerate(loads):
        ramp.watch(float(minute), "idle", load, load)
    means = [sum(loads[i - 4 : i + 1]) / 5 for i in range(4, len(loads))]
    for after in range(0, int(rules.last_min), 7):
        now = float(len(loads) + after)
        ramp.watch(now, "restore", 0.0, 0.0)
        assert ramp.room_kw(now, 10.0) + 10.0 <= max(means) * 1.0002 + 1e-6


def test_in_the_end_everybody_is_let_go_whatever_the_peak() -> None:
    rules = WayBack()
    ramp = Ramp(rules)
    for before in range(10):
        ramp.watch(float(before), "idle", 50.0, 50.0)
    ramp.watch(10.0, "restore", 100.0, 100.0)
    assert ramp.room_kw(10.0 + rules.last_min, 100.0) <= 0
    assert ramp.room_kw(11.0 + rules.last_min, 100.0) == np.inf
    assert ramp.step_kw(11.0, 100.0) == 10.0, "but never more than a step a minute"


def test_arrivals_take_from_what_a_minute_may_let_go() -> None:
    rules = WayBack()
    ramp = Ramp(rules)
    ramp.watch(600, "shed", 500.0, 600.0)
    assert ramp.step_kw(601, 100.0) == rules.step_part * 100
    ramp.arrivals(now_kw=2.0, full_kw=5.0)  # 3 kW of them is sure to come on top, and as many will come again
    assert ramp.step_kw(601, 100.0) == pytest.approx(rules.step_part * 100 - 5)
    ramp.arrivals(now_kw=20.0, full_kw=40.0)
    assert ramp.step_kw(601, 100.0) == 0
    assert ramp.step_kw(600 + rules.still_min, 100.0) == rules.step_part * 100, "the way back does not stop"


def test_a_car_larger_than_what_is_left_of_a_minute_waits_for_another() -> None:
    rise, cost = np.array([5.0, 5.0]), np.zeros(2)
    assert len(release(rise, cost, 50.0, 2.0, 8.0)) == 0
    assert len(release(rise, cost, 50.0, 3.0, 8.0)) == 1
    assert len(release(rise, cost, 50.0, 1.0, 1.0)) == 1, "a whole minute lets one go, whatever its size"


def test_who_is_too_large_for_what_is_left_of_the_room_is_not_waited_for() -> None:
    rise, cost = np.array([4.0, 5.0, 1.0, 2.0, 0.5]), np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    assert release(rise, cost, 50.0, 6.0, 6.0).tolist() == [0, 2, 4], "in order of need, as far as they fit"
    assert release(rise, cost, 6.0).tolist() == [0, 2, 4], "the room to the peak is no other"
