"""When drivers leave: what must hold whatever the tables say, and the arithmetic of many."""

from __future__ import annotations

import numpy as np
import pytest

from emw.engine import prior_stays as priors
from emw.engine.stay import AHEAD_H, AHEAD_STEPS, STAY_QUANTILES, TYPICAL_KWH, Leave, departures, later
from emw.engine.told import Told, told

NOW_H = 10.25


def drivers(n: int) -> tuple[Told, np.ndarray, np.ndarray]:
    """Drivers, their cars' finishes (h from now) and what they have got then; some silent, some to the quarter hour."""
    rng = np.random.default_rng(4)
    plug_h = np.where(rng.random(n) < 0.3, np.floor(rng.uniform(-20, 10, n) * 4) / 4, rng.uniform(-20, 10, n))
    depart_h = np.where(rng.random(n) < 0.3, np.floor(rng.uniform(0, 40, n) * 4) / 4, rng.uniform(0, 40, n))
    depart_h[rng.random(n) < 0.2] = np.nan
    told_kwh = np.where(np.isnan(depart_h), np.nan, rng.uniform(4, 60, n))
    finish_h = np.sort(rng.uniform(0, 16, (n, 6)), axis=1)
    who = told(told_kwh, plug_h, depart_h, rng.choice([3.3, 6.6], n))
    return who, finish_h, rng.uniform(0, 60, (n, 6))


def test_nobody_leaves_before_the_finish_that_the_departure_belongs_to() -> None:
    who, finish_h, got_kwh = drivers(200)
    leave_h = departures(NOW_H, who, finish_h, got_kwh)
    assert (leave_h >= finish_h[:, :, None] - 1e-9).all()
    assert (np.diff(leave_h, axis=2) >= -1e-9).all()


def test_who_came_late_for_a_charge_goes_with_it_whatever_he_told() -> None:
    """The same eight hours were told in the morning and in the afternoon, and the same hour is left to charge."""
    stays_h = []
    for now_h in (9.0, 16.0):
        who = told(np.array([20.0]), np.array([now_h - 0.5]), np.array([now_h + 8.0]), np.array([6.6]))
        leave_h = departures(now_h, who, np.array([[1.0]]), np.array([[12.0]]))
        stays_h.append(float(leave_h[0, 0].mean() - 1.0))
    assert stays_h[1] < 0.5 * stays_h[0]


def test_to_be_there_still_says_that_the_car_has_not_finished_most_of_all_right_after_it_would_have() -> None:
    leave = Leave()
    for kw, early in ((3.3, 1.0), (6.6, 3.0)):
        who = told(np.array([20.0]), np.array([8.0]), np.array([17.0]), np.array([kw]))
        calm = later(12.0, who)
        just, long_ago = (
            float(leave.gone(12.0, who, calm, np.array([h]), np.array([12.0]))[0]) for h in (0.1, 6.0)
        )
        assert just > early * long_ago
        assert long_ago > 2 * float(calm[0] * leave.charging[who.kind[0]])


def test_the_fleets_departures_move_the_belief_of_their_own_kind() -> None:
    leave = Leave()
    before = leave.finished.copy()
    n = 40
    leave.learn(
        np.full(n, 0.5), np.ones(n, dtype=np.bool_), np.ones(n, dtype=np.bool_), np.ones(n, dtype=np.int64)
    )
    assert leave.finished[1] > 1.5 * before[1]
    assert leave.finished[0] == before[0]


def test_departures_of_many_are_what_a_search_car_by_car_finds() -> None:
    who, finish_h, got_kwh = drivers(100)
    at_h = NOW_H + (np.arange(AHEAD_STEPS) + 0.5) * AHEAD_H
    found = departures(NOW_H, who, finish_h, got_kwh)
    for car in range(100):
        plug_h, depart_h = who.plug_h[car], who.depart_h[car]
        kind = who.kind[car]
        came, known = int(np.digitize(plug_h % 24, priors.CAME_EDGES)), np.isfinite(depart_h)

        def at(values: object, edges: tuple[float, ...], x: np.ndarray | float) -> np.ndarray:
            return np.asarray(values)[np.digitize(np.asarray(x) + 1e-9, edges)]

        if known:
            logs = at(priors.LATER_BY_CLOCK, priors.CLOCK_EDGES, at_h % 24)
            logs = logs + at(priors.LATER_BY_CAME_PAST[came], priors.PAST_EDGES, at_h - depart_h)
            logs = logs + at(priors.LATER_BY_KIND_PAST[kind], priors.PAST_EDGES, at_h - depart_h)
            logs = logs + at(priors.LATER_BY_STAY, priors.STAY_EDGES, at_h - plug_h)
        else:
            logs = at(priors.LATER_UNTOLD_BY_CLOCK, priors.CLOCK_EDGES, at_h % 24)
            logs = logs + priors.LATER_UNTOLD_BY_CAME[came] + priors.LATER_UNTOLD_BY_KIND[kind]
            logs = logs + at(priors.LATER_UNTOLD_BY_STAY, priors.STAY_EDGES, at_h - plug_h)
        assert later(at_h[0], who.pick(np.array([car])))[0] == pytest.approx(float(np.exp(logs[0])))
        gone = np.concatenate(([0.0], np.cumsum(np.exp(logs) * AHEAD_H)))
        edges = np.arange(AHEAD_STEPS + 1)
        for need, finish in enumerate(finish_h[car]):
            then_h = NOW_H + finish
            if known:
                share = got_kwh[car, need] / (
                    who.req_kwh[car] if np.isfinite(who.req_kwh[car]) else TYPICAL_KWH
                )
                log = at(priors.FIRST_BY_CLOCK, priors.FIRST_CLOCK_EDGES, then_h % 24)
                log = log + at(priors.FIRST_BY_CAME_PAST[came], priors.FIRST_PAST_EDGES, then_h - depart_h)
                log = log + at(priors.FIRST_BY_KIND_PAST[kind], priors.FIRST_PAST_EDGES, then_h - depart_h)
                log = log + at(priors.FIRST_BY_SHARE, priors.SHARE_EDGES, share)
            else:
                log = at(priors.FIRST_UNTOLD_BY_CLOCK, priors.FIRST_CLOCK_EDGES, then_h % 24)
                log = log + priors.FIRST_UNTOLD_BY_CAME[came] + priors.FIRST_UNTOLD_BY_KIND[kind]
            at_once = float(np.exp(log)) * priors.FIRST_H
            begin = np.interp(min(finish / AHEAD_H, AHEAD_STEPS - 1e-6), edges, gone)
            level = begin + np.maximum(-np.log(1 - STAY_QUANTILES) - at_once, 0.0)
            steps = np.interp(level, gone, edges)
            assert found[car, need] == pytest.approx(np.maximum(steps * AHEAD_H, finish), abs=1e-6)
