"""The staged way back of the loop: never more than its step in a minute, never above the highest load known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.engine.columns import Request
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
    assert all(cost[i] >= cost[j] for i in loaded for j in waits)


@given(st.lists(st.floats(0, 1000), min_size=36, max_size=60), st.floats(1, 500))
def test_until_patience_ends_there_is_room_for_no_new_peak(loads: list[float], kw: float) -> None:
    rules = WayBack()
    ramp = Ramp(rules)
    for minute, load in enumerate(loads):
        ramp.watch(float(minute), "idle", load, load)
    means = [sum(loads[i - 4 : i + 1]) / 5 for i in range(4, len(loads))]
    request = Request(phase="restore", kw=kw, start_min=0.0, end_min=float(len(loads)))
    for after in range(0, int(rules.last_min), 7):
        now = float(len(loads) + after)
        ramp.watch(now, "restore", 0.0, 0.0)
        assert ramp.room_kw(now, request, 10.0) + 10.0 <= max(means) * 1.0002 + 1e-6


@given(st.floats(0, 1000), st.floats(1, 500), st.integers(0, 300))
def test_the_load_comes_back_along_its_ramp_and_in_the_end_whatever_the_peak(
    peak_kw: float, kw: float, minute: int
) -> None:
    rules = WayBack(ramp_min=20.0, last_min=180.0)
    ramp = Ramp(rules)
    for before in range(10):
        ramp.watch(float(before), "idle", peak_kw, peak_kw)
    request = Request(phase="restore", kw=kw, start_min=0.0, end_min=10.0)
    ramp.watch(10.0, "restore", 100.0, 100.0)
    first_kw = ramp.room_kw(10.0, request, 100.0)
    assert first_kw <= kw / 20 + 1e-9, "a twentieth in its first minute"
    room_kw = ramp.room_kw(10.0 + minute, request, 100.0)
    assert room_kw <= kw * (minute + 1) / 20 + 1e-9
    if minute > 180:
        assert room_kw >= kw


def test_arrivals_take_from_what_a_minute_may_let_go() -> None:
    rules = WayBack()
    ramp = Ramp(rules)
    ramp.watch(600, "shed", 500.0, 600.0)
    assert ramp.step_kw(601, 100.0) == rules.step_part * 100
    ramp.arrivals(now_kw=2.0, full_kw=5.0)  # 3 kW of them is sure to come on top, and as many will come again
    assert ramp.step_kw(601, 100.0) == pytest.approx(
        min(rules.steepest_part * 100 - 5, rules.step_part * 100)
    )
    ramp.arrivals(now_kw=20.0, full_kw=40.0)
    assert ramp.step_kw(601, 100.0) == 0
    assert ramp.step_kw(600 + rules.still_min, 100.0) == rules.step_part * 100, "the way back does not stop"


def test_a_car_larger_than_what_is_left_of_a_minute_waits_for_another() -> None:
    rise, cost = np.array([5.0, 5.0]), np.zeros(2)
    assert len(release(rise, cost, 50.0, 2.0, 8.0)) == 0
    assert len(release(rise, cost, 50.0, 3.0, 8.0)) == 1
    assert len(release(rise, cost, 50.0, 1.0, 1.0)) == 1, "a whole minute lets one go, whatever its size"
