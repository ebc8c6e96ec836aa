"""Cheapest first: adds up, hits the target to a step, takes the cheap before the dear, whatever the order of input."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.engine.cheapest import NEXT_FEW, cheapest
from emw.engine.ladder import Flexible, Price
from tests.engine.test_evenly import available_kw, fleets, sheds, step_kw

W = 1e-3
prices = st.one_of(
    st.none(),
    st.tuples(st.floats(0, 2), st.floats(0, 2)).map(lambda p: Price(floor=p[0], pause=p[1], hold=p[0])),
)


@st.composite
def priced(draw: st.DrawFn) -> list[Flexible]:
    return [e._replace(price=draw(prices)) for e in draw(fleets())]


@given(priced(), sheds)
def test_it_adds_up_and_reaches_what_can_be_reached(fleet: list[Flexible], shed_kw: float) -> None:
    result = cheapest(fleet, shed_kw)
    given_kw = sum(s.curtail_kw for s in result.shares)
    assert given_kw + result.short_kw == pytest.approx(shed_kw + result.excess_kw, abs=W)
    assert result.short_kw == pytest.approx(max(shed_kw - available_kw(fleet), 0.0), abs=W)
    assert result.excess_kw <= step_kw(fleet) + W


@given(priced(), sheds)
def test_no_limit_is_one_that_a_station_can_not_take(fleet: list[Flexible], shed_kw: float) -> None:
    by_id = {e.evse_id: e for e in fleet}
    for share in cheapest(fleet, shed_kw).shares:
        e = by_id[share.evse_id]
        if share.limit_a == 0:
            assert e.may_pause
        elif share.limit_a is not None:
            assert e.floor_a - 1e-9 <= share.limit_a <= e.max_a
            steps = (share.limit_a - e.floor_a) / e.step_a
            assert steps == pytest.approx(round(steps), abs=1e-6)


@given(priced(), sheds, st.randoms(use_true_random=False))
def test_the_order_of_input_is_nothing(fleet: list[Flexible], shed_kw: float, chance: Random) -> None:
    shuffled = list(fleet)
    chance.shuffle(shuffled)
    assert cheapest(shuffled, shed_kw) == cheapest(fleet, shed_kw)


@given(priced(), sheds)
def test_one_more_that_can_give_never_makes_the_short_larger(fleet: list[Flexible], shed_kw: float) -> None:
    more = [*fleet, Flexible(evse_id="Z", kw_per_a=0.23, draw_a=16.0, max_a=32.0)]
    assert cheapest(more, shed_kw).short_kw <= cheapest(fleet, shed_kw).short_kw + W


def _fleet(count: int, price: Callable[[int], float]) -> list[Flexible]:
    return [
        Flexible(
            evse_id=f"E{i:02}",
            kw_per_a=0.23,
            draw_a=16.0,
            max_a=32.0,
            price=Price(floor=price(i), pause=inf, hold=price(i)),
        )
        for i in range(count)
    ]


def test_the_cheap_give_and_the_dear_do_not() -> None:
    """Each of 40 can give 10 A of 0.23 kW; ten of them are asked for: the ten cheapest go to their floor."""
    result = cheapest(_fleet(40, lambda i: 1 - i / 40), 23.0)
    asked = {s.evse_id: s.limit_a for s in result.shares if s.limit_a is not None}
    assert asked == {f"E{i:02}": 6.0 for i in range(30, 40)}


def test_only_the_last_move_is_trimmed_and_it_is_one_of_the_next_few() -> None:
    result = cheapest(_fleet(40, lambda i: i / 40), 24.0)
    asked = {s.evse_id: s.limit_a for s in result.shares if s.limit_a is not None}
    trimmed = {e: a for e, a in asked.items() if a != 6.0}
    assert len(asked) == 11
    assert list(trimmed.values()) == [11.0]  # 1.0 kW are 4.3 A: five steps below the 16 A it draws
    assert next(iter(trimmed)) < f"E{10 + NEXT_FEW:02}"


@given(priced(), sheds, st.floats(1, 10))
def test_who_counts_more_never_gives_more(fleet: list[Flexible], shed_kw: float, times: float) -> None:
    """A heavier weight moves it back in the order; the last move may then be any of the next few."""
    if not fleet:
        return
    one = fleet[0].evse_id

    def gives_kw(fleet: list[Flexible]) -> float:
        return next(s.curtail_kw for s in cheapest(fleet, shed_kw).shares if s.evse_id == one)

    heavier = [e._replace(weight=e.weight * times) if e.evse_id == one else e for e in fleet]
    assert gives_kw(heavier) <= gives_kw(fleet) + step_kw(fleet) + W


def test_a_kwh_missed_counts_as_often_as_its_driver() -> None:
    cheap, dear = Price(floor=0.1, pause=0.1, hold=0.1), Price(floor=0.25, pause=0.25, hold=0.25)
    fleet = [
        Flexible(evse_id="A", kw_per_a=0.23, draw_a=16, max_a=16, price=cheap, weight=3.0),
        Flexible(evse_id="B", kw_per_a=0.23, draw_a=16, max_a=16, price=dear),
    ]
    assert [s.limit_a for s in cheapest(fleet, 2.3).shares] == [None, 6.0]
    assert [s.limit_a for s in cheapest([fleet[0]._replace(weight=2.0), fleet[1]], 2.3).shares] == [6.0, None]
    assert [s.limit_a for s in cheapest(fleet, 4.6).shares] == [6.0, 6.0]  # nobody is exempt
