"""Promise P12 after a crash: a shed ends soon when emw is gone, and the ceiling that leant on it holds on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from emw.domain.model import Cause, Outcome
from emw.engine.view import Rules
from tests.engine.fleet import PATHS, Car, Fleet, alike

QUICK = Rules(ramp_floor_kw_per_min=1e6)
DEAD_FOR = (60.0, 15 * 60.0, 3600.0, 6 * 3600.0, 18 * 3600.0)
"""How long emw may be silent, s: less than the shortest lease of a ceiling (spread over its last fifth)."""


def later_kw(fleet: Fleet, node: str, seconds: float) -> float:
    """What the present cars under a node could come to draw when nobody has said anything for so long."""
    at = fleet.now + timedelta(seconds=seconds)
    total = 0.0
    for car in fleet.under(node):
        limit = fleet.limits.get(car.evse_id)
        holds = limit is not None and limit.in_force(at) and limit.outcome is Outcome.APPLIED
        limit_a = limit.max_a if limit is not None and holds else None
        drawn = car.potential_a if limit_a is None else min(car.potential_a, max(limit_a - car.gap_a, 0.0))
        total += car.kw_per_a * drawn
    return total


def lasting(fleet: Fleet) -> set[str]:
    return {
        e for e, limit in fleet.limits.items() if limit.cause is Cause.CEILING and limit.max_a is not None
    }


def test_P12_a_ceiling_that_a_shed_keeps_outlives_emw_with_no_more_cars_than_it_needs() -> None:
    fleet = Fleet(alike(10), QUICK, ceilings={"East": 60.0})  # they could come to 73.6 kW
    fleet.request("R1", 20.0, minutes=60)
    fleet.round()
    assert fleet.could_kw() <= 60.0
    for seconds in DEAD_FOR:
        assert later_kw(fleet, "East", seconds) <= 60.0 + 1e-9
    # The other cars are free when the lease of their shed ends (promise P3).
    few = lasting(fleet)
    assert 0 < len(few) < 10
    for evse_id, limit in fleet.limits.items():
        most_s = QUICK.ceiling_lease_s if evse_id in few else QUICK.lease_s
        assert limit.until <= fleet.now + timedelta(seconds=most_s)


def test_P12_where_no_ceiling_needs_it_a_shed_ends_as_ever() -> None:
    fleet = Fleet(alike(10), QUICK, ceilings={"East": 80.0})
    fleet.request("R1", 20.0, minutes=60)
    fleet.round()
    assert not lasting(fleet)


def test_P3_P12_a_limit_that_no_ceiling_leans_on_any_more_is_short_again() -> None:
    fleet = Fleet(alike(10), QUICK, ceilings={"East": 60.0})
    fleet.request("R1", 20.0, minutes=60)
    fleet.round()
    fleet.run(60)
    assert lasting(fleet)
    fleet.ceilings.clear()
    before = {e: limit.max_a for e, limit in fleet.limits.items()}
    fleet.round()
    assert not lasting(fleet)
    assert {e: limit.max_a for e, limit in fleet.limits.items()} == before, "the same amps, a nearer end"
    end = fleet.requests["R1"].end_at
    assert end is not None
    assert all(limit.until <= end for limit in fleet.limits.values())


def test_P12_while_the_load_comes_back_the_ceiling_is_never_left_to_limits_that_end() -> None:
    slow = Rules(ramp_floor_kw_per_min=1.0)
    fleet = Fleet(alike(20), slow, ceilings={"East": 120.0})  # they could come to 147 kW
    fleet.request("R1", 60.0, minutes=10)
    fleet.round()
    for _ in range(150):
        fleet.run(30)
        for seconds in DEAD_FOR:
            assert later_kw(fleet, "East", seconds) <= 120.0 + 1e-9
    assert fleet.could_kw() > 110.0, "and in the end it is used"


def test_P3_who_waits_for_his_turn_on_the_way_back_is_not_held_for_a_day() -> None:
    slow = Rules(ramp_floor_kw_per_min=1.0)
    fleet = Fleet(alike(20), slow, ceilings={"East": 120.0})
    fleet.request("R1", 60.0, minutes=10)
    fleet.run(300)
    assert lasting(fleet)
    fleet.ceilings.clear()
    fleet.cancel("R1")
    fleet.round()
    assert not lasting(fleet)
    assert not fleet.free()
    assert all(limit.until <= fleet.now + slow.hold for limit in fleet.limits.values())


@st.composite
def worlds(draw: st.DrawFn) -> Fleet:
    cars = {}
    for n in range(draw(st.integers(1, 10))):
        max_a = float(draw(st.sampled_from([10, 16, 32])))
        would_a = max_a * draw(st.sampled_from([0.0, 0.5, 1.0]))
        cars[f"E{n}"] = Car(
            evse_id=f"E{n}",
            node=draw(st.sampled_from(sorted(PATHS))),
            kw_per_a=draw(st.sampled_from([0.23, 0.69])),
            max_a=max_a,
            would_a=would_a,
            potential_a=draw(st.sampled_from([would_a, max_a])),
            may_pause=draw(st.booleans()),
            gap_a=draw(st.sampled_from([0.0, 1.0])),
        )
    ceilings = draw(
        st.dictionaries(st.sampled_from(sorted(PATHS)), st.sampled_from([8.0, 20.0, 60.0]), max_size=3)
    )
    fleet = Fleet(cars, Rules(gap_s=0.0, ramp_floor_kw_per_min=draw(st.sampled_from([1.0, 1e6]))), ceilings)
    for n in range(draw(st.integers(0, 3))):
        fleet.request(
            f"R{n}",
            draw(st.sampled_from([2.0, 10.0, 500.0])),
            node=draw(st.sampled_from(sorted(PATHS))),
            minutes=draw(st.sampled_from([None, 2, 20])),
            start_s=draw(st.sampled_from([0, 60])),
        )
    return fleet


@given(worlds(), st.lists(st.sampled_from(["wait", "cancel", "leave", "join"]), max_size=6))
@settings(max_examples=60, deadline=None)
def test_P3_P12_whenever_emw_dies_sheds_end_and_ceilings_do_not(fleet: Fleet, history: list[str]) -> None:
    fleet.round()
    for number, what in enumerate(history):
        if what == "cancel":
            fleet.cancel(min(fleet.requests)) if fleet.requests else None
        elif what == "leave" and len(fleet.cars) > 1:
            gone = min(fleet.cars)
            del fleet.cars[gone]
            fleet.limits.pop(gone, None)
        elif what == "join":
            fleet.cars[f"J{number}"] = replace(Car(evse_id=f"J{number}"), node="Site")
        fleet.run(60, step=15.0)
        for node, ceiling_kw in fleet.ceilings.items():
            for seconds in DEAD_FOR:
                over_kw = later_kw(fleet, node, seconds) - ceiling_kw
                assert over_kw <= 1e-6, (node, seconds, history, fleet.limits)
        for limit in fleet.limits.values():
            # Whoever no ceiling can lean on is free within the lease of a shed, or the way back.
            if limit.max_a is not None and not fleet.ceilings:
                assert limit.until <= fleet.now + fleet.rules.hold
