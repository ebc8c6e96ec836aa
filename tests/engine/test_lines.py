"""Ceilings in A per phase: what each line of a node may carry, through sheds, plug-ins, the way back and halts (P4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from emw.domain.lines import LINES
from emw.domain.model import Cause
from emw.engine.view import Rules
from tests.engine.fleet import PATHS, Car, Fleet, alike

QUICK = Rules(ramp_floor_kw_per_min=1e6)
L1, L2, L3 = ("L1",), ("L2",), ("L3",)


def on(lines: tuple[str, ...], count: int, name: str, *, phases: int = 1) -> dict[str, Car]:
    """Cars that want 32 A each on these lines of the site."""
    made = alike(count, node="Site", lines=lines, kw_per_a=0.23 * phases, would_a=32.0)
    return {f"{name}{i}": replace(car, evse_id=f"{name}{i}") for i, car in enumerate(made.values())}


def test_P4_a_line_is_limited_by_itself_and_the_others_keep_what_they_have() -> None:
    fleet = Fleet({**on(L1, 2, "a"), **on(L2, 6, "b"), **on(L3, 1, "c")}, QUICK, ceilings_a={"Site": 80.0})
    fleet.round()
    assert [fleet.could_a("Site", line) for line in LINES] == [64.0, 80.0, 32.0]
    assert {(o.cause, o.node_id, o.line) for o in fleet.sent} == {(Cause.CEILING, "Site", "L2")}
    assert {o.evse_id[0] for o in fleet.sent} == {"b"}


def test_P4_who_loads_three_lines_counts_on_each_and_gives_once() -> None:
    fleet = Fleet({**on(LINES, 2, "t", phases=3), **on(L2, 2, "b")}, QUICK, ceilings_a={"Site": 63.0})
    fleet.round()
    loads = [fleet.could_a("Site", line) for line in LINES]
    assert max(loads) <= 63.0
    assert loads[1] >= 63.0 - 4, "to the step for each"
    assert loads[0] == loads[2] == sum(fleet.draws_a(c) for c in fleet.cars.values() if c.evse_id[0] == "t")
    assert {fleet.held_a(c) for c in fleet.cars.values()} <= {15.0, 16.0}, "and nobody gives more than others"


def test_P4_amps_and_kilowatts_and_every_node_above_hold_at_once() -> None:
    cars = {**on(LINES, 4, "t", phases=3), **on(L1, 3, "a"), **on(L3, 5, "c")}
    fleet = Fleet(cars, QUICK, ceilings={"East": 45.0}, ceilings_a={"Site": 100.0, "North": 90.0})
    fleet.round()
    for node in PATHS:
        assert fleet.over(node) <= 1e-9
    assert 45.0 - fleet.could_kw() < 12 * 0.23 * 3, "and none is kept more than it needs"


def test_P12_a_ceiling_in_amps_outlives_the_shed_that_it_leans_on() -> None:
    fleet = Fleet(on(L1, 4, "a"), QUICK, ceilings_a={"Site": 64.0})
    fleet.request("R1", 4 * 0.23 * 26, minutes=60)
    fleet.round()
    lasting = [x for x in fleet.limits.values() if x.cause is Cause.CEILING]
    assert lasting
    assert {x.line for x in lasting} == {"L1"}
    fleet.now += timedelta(hours=2)  # nobody decides any more
    assert fleet.could_a("Site", "L1") <= 64.0


def test_P4_after_the_shed_the_lines_still_hold() -> None:
    fleet = Fleet({**on(L1, 4, "a"), **on(LINES, 2, "t", phases=3)}, Rules(), ceilings_a={"Site": 100.0})
    fleet.request("R1", 30.0, minutes=10)
    for _ in range(60 * 6):
        fleet.run(10)
        assert fleet.over("Site") <= 1e-9
    assert not fleet.free()
    assert fleet.states == {"R1": "closed"}


def test_where_the_floor_is_too_much_for_a_line_its_cars_pause() -> None:
    fleet = Fleet({**on(L1, 4, "a"), **on(L2, 1, "b")}, QUICK, ceilings_a={"Site": 20.0})
    fleet.round()
    assert fleet.could_a("Site", "L1") <= 20.0
    assert {o.limit_a for o in fleet.sent if o.evse_id[0] == "a"} == {0.0, 6.0}
    assert fleet.held_a(fleet.cars["b0"]) == 20.0


NODES = st.sampled_from(["East", "North", "Site"])
WIRED = st.sampled_from([L1, L2, L3, ("L1", "L2"), LINES])
CARS = st.builds(
    Car,
    evse_id=st.just(""),
    node=NODES,
    lines=WIRED,
    would_a=st.sampled_from([6.0, 16.0, 32.0]),
    potential_a=st.just(32.0),
    may_pause=st.booleans(),
    gap_a=st.sampled_from([0.0, 1.5]),
    why_not=st.sampled_from([None, None, None, "opted out"]),
)
EVENTS = st.sampled_from(["wait", "wait", "ask", "cancel", "come", "leave", "halt", "rewire", "opt out"])
HISTORIES = st.lists(st.tuples(EVENTS, st.integers(0, 9), CARS, st.sampled_from([15, 60, 600])), max_size=12)


@st.composite
def streets(draw: st.DrawFn) -> Fleet:
    """A site and its neighbours with cars on one, two or three lines, and ceilings of both kinds on any node."""
    fleet = Fleet(
        {},
        draw(st.sampled_from([QUICK, Rules(), Rules(ramp_floor_kw_per_min=1.0)])),
        ceilings_a=draw(st.dictionaries(NODES, st.sampled_from([6.0, 20.0, 63.0, 100.0]), min_size=1)),
        ceilings=draw(st.dictionaries(NODES, st.sampled_from([5.0, 20.0, 60.0]))),
    )
    for n in range(draw(st.integers(0, 8))):
        fleet.cars[f"E{n}"] = replace(draw(CARS), evse_id=f"E{n}")
    return fleet


@given(streets(), HISTORIES)
@settings(max_examples=120, deadline=None)
def test_P4_no_line_of_any_node_may_come_to_carry_more_after_any_round(
    fleet: Fleet, history: list[tuple[str, int, Car, int]]
) -> None:
    """Sheds come and go, cars too, wiring turns out to be another, all is halted and taken up again."""
    for number, (what, which, car, seconds) in enumerate(history):
        name = f"E{which}"
        if what == "ask":
            fleet.request(f"X{number}", 3.0 + 5 * which, minutes=[None, 1, 10][which % 3])
        elif what == "cancel":
            for key in list(fleet.requests)[:1]:
                fleet.cancel(key)
        elif what == "come":
            fleet.cars[f"J{number}"] = replace(car, evse_id=f"J{number}", plugged_at=fleet.now)
        elif what == "leave":
            fleet.cars.pop(name, None)
            fleet.limits.pop(name, None)
        elif what == "halt":
            fleet.halted = not fleet.halted
        elif name in fleet.cars:
            before = fleet.cars[name]
            changed = {"lines": car.lines} if what == "rewire" else {"why_not": car.why_not}
            fleet.cars[name] = replace(before, **changed) if what != "wait" else before
        for _ in range(max(seconds // 30, 1)):
            fleet.run(min(seconds, 30), step=min(seconds, 30))
            assert fleet.halted or all(fleet.over(node) <= 1e-6 for node in PATHS), (what, name)
