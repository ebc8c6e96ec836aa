"""A shed that gives more than is asked gives back: it raises or frees, lowers nobody, and falls short of nothing."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from emw.domain.model import Cause, Limit, Outcome
from emw.engine.ladder import Price
from tests.engine.fleet import START, Car, Fleet

KEY = "R1"


@st.composite
def holding(draw: st.DrawFn) -> tuple[Fleet, float]:
    """A fleet that was held unevenly, since before anything here, and what it gives in all, kW.

    Of some of its drivers a price is known, of all, or of none.
    """
    fleet = Fleet(cars={})
    priced = draw(st.sampled_from(["none", "some", "all"]))
    for n in range(draw(st.integers(1, 8))):
        has_price = priced == "all" or (priced == "some" and draw(st.booleans()))
        costs = draw(st.floats(0.0, 1.0)) if has_price else 0.0
        car = Car(
            evse_id=f"E{n}",
            kw_per_a=draw(st.sampled_from([0.23, 0.69])),
            would_a=draw(st.floats(0.0, 32.0)),
            gap_a=draw(st.sampled_from([0.0, 0.7, 1.5])),
            may_pause=draw(st.booleans()),
            price=Price(floor=costs, pause=costs, hold=costs) if has_price else None,
        )
        fleet.cars[car.evse_id] = car
        fleet.limits[car.evse_id] = Limit(
            evse_id=car.evse_id,
            command_id=f"old{n}",
            max_a=draw(st.sampled_from([*([0.0] if car.may_pause else []), 6.0, 7.0, 10.0, 16.0, 25.0])),
            until=START + timedelta(minutes=14),
            cause=Cause.SHED,
            issued_at=START - timedelta(minutes=5),
            request_key=KEY,
            node_id="East",
            outcome=Outcome.APPLIED,
            answered_at=START - timedelta(minutes=5),
        )
    return fleet, fleet.shed_kw()


@given(holding(), st.floats(0.05, 1.0))
def test_who_is_held_is_only_raised_or_freed_and_what_was_asked_is_still_given(
    held: tuple[Fleet, float], part: float
) -> None:
    fleet, gives_kw = held
    kw = part * gives_kw
    fleet.request(KEY, kw)
    before_a = {e: limit.max_a for e, limit in fleet.limits.items()}
    fleet.round()
    for order in fleet.sent:
        was_a = before_a[order.evse_id]
        assert was_a is not None
        assert order.limit_a is None or order.limit_a >= was_a, f"{order} though {was_a} A stood"
    assert fleet.shed_kw() >= kw - spare_kw(fleet)


def spare_kw(fleet: Fleet) -> float:
    """What is not worth a command: the dearest is let go of as a whole where no more than half of that is missing."""
    step_kw = max(car.kw_per_a * car.step_a for car in fleet.cars.values())
    return max(step_kw, fleet.rules.dead_band * fleet.requests[KEY].kw) / 2 + 1e-6
