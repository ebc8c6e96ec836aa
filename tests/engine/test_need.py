"""Survival of energy and of stay: what must hold whatever the tables say."""

from __future__ import annotations

import numpy as np

from emw.engine.columns import Columns
from emw.engine.estimate import Estimator
from emw.engine.need import (
    NEED_QUANTILES,
    Finish,
    needs_at,
)
from emw.engine.told import told


def cars(n: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    told_kwh = np.where(rng.random(n) < 0.2, np.nan, rng.uniform(4, 60, n))
    return told_kwh, rng.uniform(6, 10, n), rng.uniform(12, 19, n), rng.choice([3.3, 6.6], n)


def test_survival_falls_from_one_and_its_integral_rises() -> None:
    who = told(*cars())
    alive, total = Finish().ahead(who, np.full(8, 2.0), np.full(8, 3.3), 11.0)
    assert (alive[:, 0] == 1).all()
    assert (np.diff(alive, axis=1) <= 0).all()
    assert (np.diff(total, axis=1) >= 0).all()
    needs = needs_at(alive)
    assert (np.diff(needs, axis=1) >= 0).all()
    assert needs.shape == (8, len(NEED_QUANTILES))


def test_finishes_seen_move_the_hazard() -> None:
    finish, who = Finish(), told(*cars())
    before = finish.hazard(who, np.full(8, 3.0), 11.0)
    for _ in range(20):
        expected = finish.chances(who, np.full(8, 0.05), np.full(8, 3.0), 11.0)
        finish.learn(expected, who, np.full(8, 3.0))
    assert (finish.hazard(who, np.full(8, 3.0), 11.0) > 1.5 * before).all()


def test_silence_is_a_small_need_only_where_others_tell() -> None:
    finish = Finish()
    silent = told(np.array([np.nan]), np.array([8.0]), np.array([np.nan]), np.array([3.3]))
    nobody_asked, _ = finish.ahead(silent, np.array([0.2]), np.array([3.3]), 9.0)
    finish.tell = 0.5
    half_tell, _ = finish.ahead(silent, np.array([0.2]), np.array([3.3]), 9.0)
    finish.tell = 0.95
    most_tell, _ = finish.ahead(silent, np.array([0.2]), np.array([3.3]), 9.0)
    assert most_tell[0, 5] < 0.5 < nobody_asked[0, 5]  # an hour on
    assert half_tell[0, 5] > nobody_asked[0, 5] - 0.1


def test_a_site_of_silent_drivers_shows_at_what_energy_they_finish() -> None:
    """All take 7 kWh, where the tables would have some finish sooner and some later."""
    finish, n = Finish(), 50
    none = np.full(n, np.nan)
    silent = told(none, np.full(n, 8.0), none, np.full(n, 3.3))

    def hazard(got_kwh: float) -> float:
        return float(finish.hazard(silent, np.full(n, got_kwh), 9.0)[0])

    before = {got_kwh: hazard(got_kwh) for got_kwh in (1.5, 4.5, 7.0)}
    for _ in range(40):
        for got_kwh in np.arange(0.5, 7.0, 0.5):
            at = np.full(n, got_kwh)
            full = silent.pick(np.arange(n if got_kwh > 6.4 else 0))
            finish.learn(finish.chances(silent, np.full(n, 0.5), at, 9.0), full, at[: len(full.req_kwh)])
    after = {got_kwh: hazard(got_kwh) for got_kwh in before}
    assert after[1.5] < 0.7 * before[1.5]
    assert after[4.5] < 0.7 * before[4.5]
    assert after[7.0] > 2.0 * before[7.0]


def test_who_told_nothing_is_read_by_the_clock_and_the_time_here() -> None:
    """Few have finished a quarter of an hour after they came in the morning; in the late afternoon many have."""
    none = np.full(1, np.nan)
    early, late = (told(none, np.array([h]), none, np.array([6.6])) for h in (7.5, 16.5))
    finish = Finish()
    at_once = finish.plain(early, np.array([1.2]), 7.7)[0]
    assert at_once < 0.7 * finish.plain(late, np.array([1.2]), 16.7)[0]
    assert at_once < 0.7 * finish.plain(early, np.array([12.0]), 9.5)[0]


def test_what_is_told_is_not_believed_to_the_letter() -> None:
    finish = Finish()
    one = told(np.array([10.0]), np.array([8.0]), np.array([17.0]), np.array([10.0]))
    alive, _ = finish.ahead(one, np.array([0.0]), np.array([10.0]), 9.0)
    at_half = alive[0, 3]  # after half an hour: 5 of 10 kWh
    assert 0.4 < at_half < 0.95


def seen(now: float, *, limit: float, draw: float, got: float, first: bool = False) -> Columns:
    return Columns(
        now_min=now,
        was=np.array([-1 if first else 0]),
        kw_per_a=np.array([0.23]),
        max_a=np.array([32.0]),
        floor_a=np.array([6.0]),
        step_a=np.array([1.0]),
        limit_a=np.array([limit]),
        draw_a=np.array([draw]),
        got_kwh=np.array([got]),
        req_kwh=np.array([20.0]),
        plug_min=np.array([500.0]),
        depart_min=np.array([1000.0]),
        opted_out=np.array([False]),
        online=np.array([True]),
    )


def test_the_twin_goes_on_and_fades_while_the_car_is_held() -> None:
    est = Estimator()
    for i in range(5):
        est.update(seen(600 + i, limit=32, draw=16, got=8 + 0.06 * i, first=i == 0))
    now = seen(604, limit=32, draw=16, got=8.3)
    free = est.would_kw(now)
    last = float(free[0])
    for i in range(5, 65):
        now = seen(600 + i, limit=6, draw=6, got=8.3 + 0.023 * (i - 4))
        est.update(now)
        would = float(est.would_kw(now)[0])
        assert would <= last + 1e-9 or i == 5
        last = would
    assert 0.2 * 16 * 0.23 < last < 0.99 * 16 * 0.23
    assert est.doubt_kw(now) > 0


def test_a_car_that_finishes_while_held_settles_the_question() -> None:
    est = Estimator()
    for i in range(5):
        est.update(seen(600 + i, limit=32, draw=16, got=8 + 0.06 * i, first=i == 0))
    for i in range(5, 20):
        est.update(seen(600 + i, limit=6, draw=6, got=8.3))
    for i in range(20, 23):
        est.update(seen(600 + i, limit=6, draw=0, got=8.3))
    assert est.would_kw(seen(622, limit=6, draw=0, got=8.3))[0] == 0
    assert est.state.done[0]


def test_a_paused_car_says_nothing() -> None:
    est = Estimator()
    for i in range(5):
        est.update(seen(600 + i, limit=32, draw=16, got=8 + 0.06 * i, first=i == 0))
    for i in range(5, 15):
        est.update(seen(600 + i, limit=0, draw=0, got=8.3))
    assert not est.state.done[0]
    assert est.would_kw(seen(614, limit=0, draw=0, got=8.3))[0] > 2
