"""Who has still to come: nobody where nothing was seen, and never surer than chance."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.engine.arrivals import DAY_H, SPREAD, Arrivals, Seen, Visits
from emw.engine.forecast import Ahead, Forecast

HOURS = (0.25, 1.0, 2.5, 8.0)
COUNTS = st.lists(st.integers(0, 30), min_size=DAY_H, max_size=DAY_H)


def left(arrivals: Arrivals, site: str, came_h: float, kwh: float, kw: float, n: int = 1) -> None:
    """`n` vehicles that stayed half a day; a fifth of their draw cannot be shed."""
    columns = [np.full(n, x) for x in (came_h, 12.0, kwh, kw, 0.8 * kw)]
    names = ("came_h", "stayed_h", "got_kwh", "draws_kw", "gives_kw")
    place = np.full(n, arrivals.place(site), dtype=np.int64)
    arrivals.left(Visits(site=place, **dict(zip(names, columns, strict=True))))


def watched(days: list[list[int]], site: str = "East", first: int = 0) -> Arrivals:
    """Days hour by hour, and of each that came 12 kWh at 6 kW."""
    arrivals = Arrivals()
    for day, counts in enumerate(days, first):
        for hour, n in enumerate(counts):
            at = day * DAY_H + hour
            arrivals.watch(at, at + 1, {site: n})
            if n:
                left(arrivals, site, at, 12.0, 6.0, n)
    return arrivals


def gives(arrivals: Arrivals, now_h: float, hours: float, *sites: str) -> Ahead:
    return arrivals.to_come(now_h, [hours], sites or ("East",))[0][0]


def test_nobody_is_expected_where_nothing_was_seen() -> None:
    for arrivals in (Arrivals(), watched([[9] * DAY_H])):
        told = arrivals.to_come(7.0, HOURS, ["West"])
        assert all((one.kw, one.doubt_kw, one.high_kw) == (0, 0, 0) for each in told for one in each)
    weekend = watched([[9] * DAY_H] * 5)
    assert gives(weekend, 5 * DAY_H + 9.0, 4.0).kw == 0, "no weekend was seen yet"


def test_a_steady_site_by_hand() -> None:
    """Four an hour, two hours of 6 kW each: eight of them charge at once, and give four fifths of it."""
    arrivals = watched([[4] * DAY_H] * 5)
    monday = 7 * DAY_H
    for hour in range(9):
        arrivals.watch(monday + hour, monday + hour + 1, {"East": 4})
    give, draw = (each[0] for each in arrivals.to_come(monday + 9, [6.0], ["East"]))
    assert draw.kw == pytest.approx(48.0)
    assert give.kw == pytest.approx(0.8 * 48.0)
    assert gives(arrivals, monday + 9, 1.0).kw == pytest.approx(0.8 * 24.0), "half of them after an hour"
    assert give.doubt_kw > (0.8 * 6.0 * give.kw) ** 0.5, "noisier than Poisson"


@given(COUNTS, st.floats(0, 23.9), st.sampled_from(HOURS))
def test_the_band_is_never_narrower_than_chance_and_the_mean_lies_within_what_was_seen(
    counts: list[int], now_h: float, hours: float
) -> None:
    arrivals = watched([counts] * 3)
    one = gives(arrivals, 3 * DAY_H + now_h, hours)
    assert 0 <= one.low_kw <= one.kw <= one.high_kw
    assert one.doubt_kw >= (0.8 * 6.0 * one.kw * 0.999) ** 0.5
    share = 1 + SPREAD * max(counts) * DAY_H  # nobody came today, so none is larger than before
    assert one.kw <= max(counts) * min(hours, 2.0) * 4.8 * share + 1e-6


@given(COUNTS, st.integers(0, 60), st.integers(1, 60))
def test_the_more_came_today_the_more_are_expected(counts: list[int], few: int, more: int) -> None:
    arrivals = watched([counts] * 4)
    now_h = 4 * DAY_H + 10.0
    told = []
    for n in (few, few + more):
        today = deepcopy(arrivals)
        today.watch(now_h - 1, now_h, {"East": n})
        told.append(gives(today, now_h, 3.0).kw)
    assert told[0] <= told[1] + 1e-9


@given(COUNTS, COUNTS)
def test_sites_add_up_and_their_doubts_do_at_most(east: list[int], west: list[int]) -> None:
    both = Arrivals()
    for day in range(3):
        for hour in range(DAY_H):
            at = day * DAY_H + hour
            both.watch(at, at + 1, {"East": east[hour], "West": west[hour]})
            for site, n in (("East", east[hour]), ("West", west[hour])):
                if n:
                    left(both, site, at, 12.0, 6.0, n)
    now_h = 3 * DAY_H + 6.5
    whole, *each = (gives(both, now_h, 2.0, *ask) for ask in (("East", "West"), ("East",), ("West",)))
    assert whole.kw == pytest.approx(sum(one.kw for one in each))
    assert whole.doubt_kw <= sum(one.doubt_kw for one in each) + 1e-9


@given(st.lists(COUNTS, min_size=2, max_size=4), st.integers(1, 23))
def test_what_an_earlier_process_saw_is_added_as_if_it_were_one(days: list[list[int]], cut: int) -> None:
    """Two that watched one after the other, the second from an hour of the last day on."""
    whole, before, after = watched(days), Arrivals(), Arrivals()
    for day, counts in enumerate(days):
        for hour, n in enumerate(counts):
            at = day * DAY_H + hour
            who = after if at >= (len(days) - 1) * DAY_H + cut else before
            who.watch(at, at + 1, {"East": n})
            if n:
                left(who, "East", at, 12.0, 6.0, n)
    after.add(before)
    for f in fields(Seen):
        if f.name != "today":  # what was due today, the second alone could not know
            np.testing.assert_allclose(getattr(after.seen, f.name), getattr(whole.seen, f.name))


def test_a_day_that_is_empty_makes_the_next_ones_less_sure() -> None:
    """A holiday: it is believed by and by while it lasts, and the band is wider from then on."""
    usual = [0] * 7 + [8, 8, 8, 4, 4, 4] + [0] * 11
    steady, holiday = watched([usual] * 4), watched([usual] * 3 + [[0] * DAY_H])
    friday = 4 * DAY_H + 7.0
    for arrivals in (steady, holiday):
        arrivals.watch(friday - 7, friday - 6.5, {"East": 0})
    calm, wary = gives(steady, friday, 2.0), gives(holiday, friday, 2.0)
    assert wary.doubt_kw / wary.kw > 1.5 * calm.doubt_kw / calm.kw
    today = deepcopy(steady)
    for hour in range(7, 10):
        today.watch(4 * DAY_H + hour, 4 * DAY_H + hour + 1, {"East": 0})
    then = 4 * DAY_H + 10.0
    assert gives(today, then, 2.0).kw < 0.75 * gives(steady, then, 2.0).kw


def test_days_of_chance_keep_their_band() -> None:
    """Gamma-Poisson days: of many outcomes about a tenth lies below the P10, and the mean is right."""
    chance = np.random.default_rng(7)
    rates = np.array([0.2] * 6 + [3, 9, 12, 6, 3, 2, 2, 2, 1, 1] + [0.3] * 8)

    def a_day() -> list[int]:
        return chance.poisson(rates * chance.gamma(20.0, 1 / 20.0)).tolist()  # type: ignore[no-any-return]

    arrivals = Arrivals()
    below, gap, total, asked = 0, 0.0, 0.0, 0
    for day in range(150):
        counts = a_day()
        for hour, n in enumerate(counts):
            at = day * DAY_H + hour
            if day >= 20 and day % 7 < 5 and hour in {6, 7, 8}:
                one = arrivals.to_come(at, [2.0], ["East"])[1][0]
                # Who came in two hours still charges, and by how much of it is chance as well.
                true = 6.0 * (n + counts[hour + 1])
                below += true < one.low_kw
                gap, total, asked = gap + one.kw - true, total + true, asked + 1
            arrivals.watch(at, at + 1, {"East": n})
            if n:
                left(arrivals, "East", at, 18.0, 6.0, n)
    assert 0.05 <= below / asked <= 0.15
    assert abs(gap / total) < 0.05


@given(st.floats(0, 50), st.floats(0, 20), st.floats(0, 100), st.floats(0, 40), st.floats(0, 200))
def test_who_comes_takes_nothing_from_what_is_here(
    kw: float, doubt_kw: float, more_kw: float, more_doubt_kw: float, asked_kw: float
) -> None:
    here = Ahead(hours=1.0, kw=kw, doubt_kw=doubt_kw, most_kw=kw + 10)
    nobody = Ahead(hours=1.0, kw=0.0, doubt_kw=0.0, most_kw=0.0)
    some = Ahead(hours=1.0, kw=more_kw, doubt_kw=more_doubt_kw, most_kw=float("inf"))
    alone, both = Forecast(here=here, to_come=nobody), Forecast(here=here, to_come=some)
    assert (alone.both.kw, alone.both.low_kw, alone.both.high_kw) == pytest.approx(
        (here.kw, here.low_kw, here.high_kw)
    )
    assert alone.chance_of(asked_kw) == pytest.approx(here.chance_of(asked_kw))
    assert both.both.low_kw >= here.low_kw
    assert both.chance_of(asked_kw) >= here.chance_of(asked_kw)
