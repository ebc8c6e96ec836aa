"""Ceilings of feeders, sites and phases above one another, and requests that overlap: over any fleet, one round.

What must hold: no ceiling is broken by any of the others, a shed counts once however many asked for it, what is short
is said, and nobody is asked who can't be. Some hundred fleets here, thousands in `make test-all`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emw.engine.decide import decide
from emw.engine.ladder import Price
from emw.engine.view import Rules
from tests.engine.fleet import PARENTS, PATHS, PHASES, Car, Fleet

NODES = sorted(PARENTS)
AT_ONCE = Rules(ramp_floor_kw_per_min=1e6)
KW_PER_A = 0.23


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Cars of one and three phases anywhere in the tree, ceilings on any node, requests of any."""
    found = {}
    for n in range(draw(st.integers(0, 8))):
        node = draw(st.sampled_from(NODES))
        max_a = float(draw(st.sampled_from([6, 10, 16, 32, 63])))
        would_a = max_a * draw(st.sampled_from([0.0, 0.3, 0.5, 1.0]))
        hold = draw(st.sampled_from([None, 0.0, 0.1, 0.7]))
        found[f"E{n}"] = Car(
            evse_id=f"E{n}",
            node=node,
            kw_per_a=KW_PER_A if node in PHASES else KW_PER_A * draw(st.sampled_from([1, 3])),
            max_a=max_a,
            would_a=would_a,
            potential_a=max_a,
            may_pause=draw(st.booleans()),
            gap_a=draw(st.sampled_from([0.0, 0.0, 1.3])),
            why_not=draw(st.sampled_from([None, None, None, "offline", "opted out"])),
            price=None if hold is None else Price(floor=hold, pause=hold + 0.1, hold=hold),
        )
    fleet = Fleet(found, AT_ONCE)
    fleet.ceilings = draw(
        st.dictionaries(st.sampled_from(NODES), st.sampled_from([0.0, 2.0, 5.0, 12.0, 40.0]), max_size=4)
    )
    for n in range(draw(st.integers(0, 4))):
        fleet.request(
            f"R{n}", draw(st.sampled_from([0.4, 3.0, 8.0, 500.0])), node=draw(st.sampled_from(NODES))
        )
    return fleet


def all_ceilings_hold(fleet: Fleet) -> None:
    """Phase, site, feeder: what those who can be told could come to draw is under each of them, or they are paused.

    A ceiling and a shed may pull at one car; which of them set its limit must not matter.
    """
    fleet.round()
    for node, ceiling_kw in fleet.ceilings.items():
        heard = [c for c in fleet.under(node) if fleet.why_not(c) in {None, "opted out"}]
        paused = all(fleet.draws_a(c, c.potential_a) <= 1e-9 for c in heard)
        assert fleet.could_kw(node) <= ceiling_kw + 1e-6 or paused, (node, ceiling_kw, fleet.could_kw(node))


def a_shed_counts_once(fleet: Fleet) -> None:
    """All together shed no more than the largest request of a node, or what its children must, and a move for each."""
    fleet.ceilings.clear()
    fleet.round()
    move_kw = max((c.kw_per_a * max(c.would_a, 1.0) for c in fleet.cars.values()), default=0.0)
    live = [r for r in fleet.requests.values() if str(r.state) == "active"]

    def owed_kw(node: str) -> float:
        own = max((r.kw + move_kw for r in live if r.territory_id == node), default=0.0)
        return max(own, sum(owed_kw(child) for child, parent in PARENTS.items() if parent == node))

    assert fleet.shed_kw() <= owed_kw("East") + 1e-6, (fleet.shed_kw(), owed_kw("East"))


def what_is_short_is_said(fleet: Fleet) -> None:
    """Each request that is served gets its shed, or is told how much of it is missing."""
    plan = fleet.round()
    shorts = {s.request_key: s for s in plan.shortfalls}
    for key, request in fleet.requests.items():
        if str(request.state) == "active":
            short = shorts[key]
            assert short.kw >= 0
            assert bool(short.told(short.kw)) == (short.kw > 1e-6), short
            assert fleet.shed_kw(request.territory_id) + short.kw >= request.kw - 1e-6, (short, request)


def nobody_is_asked_in_vain(fleet: Fleet) -> None:
    """Every order goes to a car that can be told, with a cause and a node on its path; the same view asks the same."""
    view = fleet.view()
    plan = decide(view, fleet.now, fleet.rules)
    assert plan == decide(view, fleet.now, fleet.rules)
    for order in plan.orders:
        car = fleet.cars[order.evse_id]
        fleet.check(order)
        assert car.why_not != "offline"
        assert order.node_id in PATHS[car.node], order
    assert len({o.evse_id for o in plan.orders}) == len(plan.orders), "one order for one EVSE"


PROPERTIES = (all_ceilings_hold, a_shed_counts_once, what_is_short_is_said, nobody_is_asked_in_vain)


def over(count: int, holds: Callable[[Fleet], None]) -> None:
    """Hold a property against so many fleets."""
    tries = settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    tries(given(fleets())(holds))()


@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda p: p.__name__)
def test_over_some_fleets(holds: Callable[[Fleet], None]) -> None:
    over(30, holds)


@pytest.mark.slow
@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda p: p.__name__)
def test_over_thousands_of_fleets(holds: Callable[[Fleet], None]) -> None:
    over(3_000, holds)
