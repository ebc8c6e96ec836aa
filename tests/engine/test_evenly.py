"""The even share: what always holds, and the example that comes out to the watt."""

from __future__ import annotations

from collections import Counter
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emw.engine.evenly import evenly
from emw.engine.ladder import Allocation, Flexible

W = 1e-3


def fleet_of_section_8() -> list[Flexible]:
    """84 EVSEs at 240 V that can help: 74 draw 30 A, 10 draw 16 A."""
    draws = [30.0] * 74 + [16.0] * 10
    return [
        Flexible(evse_id=f"E{i:03}", kw_per_a=0.24, draw_a=draw_a, max_a=32.0)
        for i, draw_a in enumerate(draws)
    ]


@st.composite
def flexibles(draw: st.DrawFn, evse_id: str) -> Flexible:
    max_a = draw(st.sampled_from([12.0, 16.0, 32.0, 48.0, 80.0]))
    step_a, floor_a = draw(st.sampled_from([(1.0, 6.0), (0.1, 6.0), (1.0, 8.0), (8.0, 8.0), (0.5, 6.0)]))
    return Flexible(
        evse_id=evse_id,
        kw_per_a=draw(st.sampled_from([0.12, 0.208, 0.23, 0.24, 0.69])),
        draw_a=draw(st.floats(0, max_a)),
        max_a=max_a,
        floor_a=floor_a,
        step_a=step_a,
        may_pause=draw(st.booleans()),
        gap_a=draw(st.sampled_from([0.0, 0.0, 0.7, 2.0])),
        weight=draw(st.sampled_from([1.0, 1.0, 1.0, 2.0, 0.5])),
        current_a=draw(st.sampled_from([None, 0.0, 6.0, 10.0, 16.0])),
    )


@st.composite
def fleets(draw: st.DrawFn, most: int = 25) -> list[Flexible]:
    ids = draw(st.lists(st.integers(0, 999).map("E{:03}".format), unique=True, max_size=most))
    return [draw(flexibles(i)) for i in ids]


sheds = st.one_of(st.floats(0, 300), st.integers(0, 300).map(float))


def available_kw(fleet: list[Flexible]) -> float:
    """The most that a fleet can shed, by hand: everybody at the floor, or paused where that is allowed."""
    most_kw = 0.0
    for e in fleet:
        draw_a = min(e.draw_a, e.max_a)
        at_floor_a = max(e.floor_a - e.gap_a, 0.0) if e.floor_a <= e.max_a else draw_a
        most_kw += e.kw_per_a * (draw_a - (0.0 if e.may_pause else min(at_floor_a, draw_a)))
    return most_kw


def step_kw(fleet: list[Flexible]) -> float:
    """The largest single step of a fleet: one step of limit, the first part of one, or floor to pause."""
    return max((e.kw_per_a * max(e.step_a + e.gap_a, e.floor_a) for e in fleet), default=0.0)


def limits(result: Allocation) -> dict[str, float]:
    return {s.evse_id: inf if s.limit_a is None else s.limit_a for s in result.shares}


def test_the_example_of_the_domain_page_comes_out_to_the_watt() -> None:
    fleet = fleet_of_section_8()
    assert available_kw(fleet) == pytest.approx(450.24)
    result = evenly(fleet, 300.0)
    assert Counter(s.limit_a for s in result.shares) == {14.0: 38, 13.0: 46}
    assert sum(s.curtail_kw for s in result.shares) == pytest.approx(300.0, abs=1e-9)
    assert result.short_kw == pytest.approx(0.0, abs=1e-9)
    assert result.excess_kw == pytest.approx(0.0, abs=1e-9)


def test_the_second_round_of_the_example_needs_68_more_steps() -> None:
    fleet = fleet_of_section_8()
    first = {s.evse_id: s for s in evenly(fleet, 300.0).shares}
    silent = [e.evse_id for e in fleet if e.draw_a == 30 and first[e.evse_id].limit_a == 13.0][:4]
    rest = [e._replace(current_a=first[e.evse_id].limit_a) for e in fleet if e.evse_id not in silent]
    second = evenly(rest, 300.0)
    steps = sum((first[s.evse_id].limit_a or 0) - (s.limit_a or 0) for s in second.shares)
    assert steps == 68
    assert sum(s.curtail_kw for s in second.shares) == pytest.approx(300.0, abs=1e-9)


@given(fleets(), sheds)
def test_it_adds_up_to_the_watt(fleet: list[Flexible], shed_kw: float) -> None:
    result = evenly(fleet, shed_kw)
    given_kw = sum(s.curtail_kw for s in result.shares)
    assert given_kw + result.short_kw - result.excess_kw == pytest.approx(shed_kw, abs=W)
    assert result.short_kw >= 0
    assert result.excess_kw >= 0
    assert result.asked_kw == shed_kw
    assert min(result.short_kw, result.excess_kw) == 0
    assert {s.evse_id for s in result.shares} == {e.evse_id for e in fleet}


@given(fleets(), sheds)
def test_a_share_is_what_its_limit_brings(fleet: list[Flexible], shed_kw: float) -> None:
    by_id = {e.evse_id: e for e in fleet}
    for s in evenly(fleet, shed_kw).shares:
        e = by_id[s.evse_id]
        drawn_a = e.draw_a if s.limit_a is None else min(e.draw_a, max(s.limit_a - e.gap_a, 0.0))
        assert s.curtail_kw == pytest.approx(e.kw_per_a * (e.draw_a - drawn_a), abs=1e-6)


@given(fleets(), sheds)
def test_P4_no_limit_below_the_floor_above_the_knob_or_off_the_steps(
    fleet: list[Flexible], shed_kw: float
) -> None:
    by_id = {e.evse_id: e for e in fleet}
    for s in evenly(fleet, shed_kw).shares:
        e = by_id[s.evse_id]
        if s.limit_a is None:
            continue
        if s.limit_a == 0:
            assert e.may_pause
            continue
        assert e.floor_a <= s.limit_a <= e.max_a
        rungs = (s.limit_a - e.floor_a) / e.step_a
        assert abs(rungs - round(rungs)) < 1e-6


@given(fleets(), sheds)
def test_what_can_be_shed_is_shed_and_no_more_than_a_step_above(
    fleet: list[Flexible], shed_kw: float
) -> None:
    result = evenly(fleet, shed_kw)
    most_kw = available_kw(fleet)
    assert result.short_kw == pytest.approx(max(0.0, shed_kw - most_kw), abs=W)
    assert result.excess_kw <= step_kw(fleet) + W


@given(fleets(), sheds, st.randoms(use_true_random=False))
def test_the_order_of_input_does_not_matter(fleet: list[Flexible], shed_kw: float, random: object) -> None:
    shuffled = list(fleet)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert evenly(shuffled, shed_kw) == evenly(fleet, shed_kw)


@given(fleets(), fleets(8), sheds)
def test_more_flexible_evses_never_make_the_shortfall_larger(
    fleet: list[Flexible], more: list[Flexible], shed_kw: float
) -> None:
    joined = fleet + [e._replace(evse_id="J" + e.evse_id) for e in more]
    assert evenly(joined, shed_kw).short_kw <= evenly(fleet, shed_kw).short_kw + W


@settings(max_examples=300)
@given(fleets(), sheds, sheds)
def test_a_higher_target_never_gives_anybody_more(fleet: list[Flexible], one: float, other: float) -> None:
    low, high = limits(evenly(fleet, min(one, other))), limits(evenly(fleet, max(one, other)))
    assert all(high[i] <= low[i] for i in low)


@given(st.integers(1, 40), st.floats(0, 200), st.sampled_from([1.0, 0.1]))
def test_equals_are_treated_equally(count: int, shed_kw: float, step_a: float) -> None:
    fleet = [
        Flexible(evse_id=str(i), kw_per_a=0.23, draw_a=16.0, max_a=32.0, step_a=step_a) for i in range(count)
    ]
    got = [16.0 if s.limit_a is None else s.limit_a for s in evenly(fleet, shed_kw).shares]
    assert max(got) - min(got) <= step_a + 1e-6


def test_between_equals_the_one_already_there_stays() -> None:
    one = Flexible(evse_id="a", kw_per_a=0.23, draw_a=16.0, max_a=32.0)
    there = one._replace(evse_id="b", current_a=15.0)
    assert limits(evenly([one, there], 0.23)) == {"a": inf, "b": 15.0}


def test_the_weighty_keep_more() -> None:
    plain = Flexible(evse_id="a", kw_per_a=1.0, draw_a=30.0, max_a=32.0)
    weighty = plain._replace(evse_id="b", weight=2.0)
    assert limits(evenly([plain, weighty], 30.0)) == {"a": 10.0, "b": 20.0}


def test_pauses_come_when_all_are_at_the_floor_and_only_where_allowed() -> None:
    one = Flexible(evse_id="a", kw_per_a=1.0, draw_a=16.0, max_a=32.0, may_pause=True)
    fleet = [one, one._replace(evse_id="b", current_a=0.0), one._replace(evse_id="c", may_pause=False)]
    assert limits(evenly(fleet, 30.0)) == {"a": 6.0, "b": 6.0, "c": 6.0}
    assert limits(evenly(fleet, 36.0)) == {"a": 6.0, "b": 0.0, "c": 6.0}
    everything = evenly(fleet, 99.0)
    assert limits(everything) == {"a": 0.0, "b": 0.0, "c": 6.0}
    assert everything.short_kw == pytest.approx(99.0 - 42.0)


def test_the_trap_a_limit_above_the_draw_counts_nothing() -> None:
    fleet = [Flexible(evse_id="a", kw_per_a=0.208, draw_a=5.9, max_a=32.0)]
    result = evenly(fleet, 1.0)
    assert result.shares[0].limit_a is None
    assert result.short_kw == 1.0


def test_nobody_there() -> None:
    assert evenly([], 5.0) == Allocation(shares=(), asked_kw=5.0, short_kw=5.0, excess_kw=0.0)


def test_nothing_asked() -> None:
    result = evenly(fleet_of_section_8(), 0.0)
    assert all(s.limit_a is None and s.curtail_kw == 0 for s in result.shares)
    assert (result.short_kw, result.excess_kw) == (0.0, 0.0)


@pytest.mark.parametrize("shed_kw", [-1.0, nan, inf, -inf])
def test_a_shed_that_is_none_is_refused(shed_kw: float) -> None:
    with pytest.raises(ValueError, match="shed_kw"):
        evenly([], shed_kw)


@pytest.mark.parametrize("field", ["kw_per_a", "draw_a", "max_a", "floor_a", "step_a", "gap_a", "weight"])
def test_P9_an_evse_that_cannot_be_is_refused_by_name(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        evenly([fleet_of_section_8()[0]._replace(**{field: nan})], 1.0)  # type: ignore[arg-type]


def test_an_evse_twice_is_refused() -> None:
    one = fleet_of_section_8()[0]
    with pytest.raises(ValueError, match="twice"):
        evenly([one, one], 1.0)
