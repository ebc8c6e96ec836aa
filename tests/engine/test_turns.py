"""Caps, rests and fairness over a season: by hand, and what must hold whatever was given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.engine.ladder import Price
from emw.engine.turns import Season, Turns

NOW = datetime(2026, 7, 1, 17, tzinfo=UTC)
DAY = timedelta(days=1)


def test_who_has_done_its_part_is_spared_until_the_season_has_moved_on() -> None:
    turns = Turns(Season(days=30, events_most=2))
    turns.ended("E1", "r1", NOW - 20 * DAY, 3.0)
    assert turns.why_not("E1", (), NOW) is None
    turns.ended("E1", "r2", NOW - 10 * DAY, 3.0)
    assert turns.why_not("E1", (), NOW) == "has done its part"
    assert turns.why_not("E2", (), NOW) is None
    assert turns.why_not("E1", (), NOW + 11 * DAY) is None


def test_two_drivers_of_one_request_are_one_part() -> None:
    turns = Turns(Season(events_most=2))
    for _ in range(5):
        turns.ended("E1", "r1", NOW, 1.0)
    assert turns.why_not("E1", (), NOW) is None


def test_a_part_in_a_running_request_is_the_same_part() -> None:
    turns = Turns(Season(events_most=1, cool_down_s=3600))
    turns.ended("E1", "r1", NOW, 1.0)
    assert turns.why_not("E1", {"r1"}, NOW) is None
    assert turns.why_not("E1", {"r2"}, NOW) == "has done its part"


def test_rest_after_a_part() -> None:
    turns = Turns(Season(cool_down_s=3600))
    turns.ended("E1", "r1", NOW, 1.0)
    assert turns.why_not("E1", (), NOW + timedelta(minutes=59)) == "resting"
    assert turns.why_not("E1", (), NOW + timedelta(minutes=61)) is None


@given(st.lists(st.floats(-5, 1e6), max_size=20), st.floats(0, 100))
def test_who_gave_more_goes_later_and_the_price_of_it_is_bounded(given_kwh: list[float], more: float) -> None:
    season = Season(fairness=0.05)
    one, other = Turns(season), Turns(season)
    for i, kwh in enumerate(given_kwh):
        for turns in (one, other):
            turns.ended("E1", f"r{i}", NOW, kwh)
    other.ended("E1", "one more", NOW, more)
    assert 0 <= one.price("E1", NOW) <= other.price("E1", NOW) <= season.fairness


def test_a_price_that_is_dearer_is_so_for_every_move() -> None:
    price = Price(floor=0.1, pause=0.2, hold=0.15)
    assert price.dearer(0) is price
    dear = price.dearer(0.05)
    assert (dear.floor, dear.pause, dear.hold) == pytest.approx((0.15, 0.25, 0.2))
