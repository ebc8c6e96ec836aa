"""What is believed of vehicles, and what ceilings leave: rules that hold for any fleet."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emw.domain.model import Cause, Limit, Outcome, Territory
from emw.engine.columns import Columns
from emw.engine.headroom import Headroom
from emw.engine.learn import HALF_H, Belief, Learner
from emw.engine.need import GROUPS
from emw.engine.past import Habits
from emw.engine.view import EvseView, View
from tests.engine.fleet import START

K = 0.23


def columns(now_min: float, draws_a: list[float], limits_a: list[float], was: list[int]) -> Columns:
    """Cars that came at eight, have 3 kWh and tell nothing."""
    n = len(draws_a)
    return Columns(
        now_min=now_min,
        was=np.array(was, dtype=np.int64),
        kw_per_a=np.full(n, K),
        max_a=np.full(n, 32.0),
        floor_a=np.full(n, 6.0),
        step_a=np.ones(n),
        limit_a=np.array(limits_a, dtype=np.float64),
        draw_a=np.array(draws_a, dtype=np.float64),
        got_kwh=np.full(n, 3.0),
        req_kwh=np.full(n, nan),
        plug_min=np.full(n, 480.0),
        depart_min=np.full(n, nan),
        opted_out=np.zeros(n, dtype=np.bool_),
        online=np.ones(n, dtype=np.bool_),
    )


def held(draws_a: list[float], minutes: int) -> list[list[Belief]]:
    """Free for five minutes, then brought to the floor: the beliefs of each minute of the hold."""
    learner, n = Learner(), len(draws_a)
    rows = list(range(n))
    for minute in range(5):
        learner.look(columns(540.0 + minute, draws_a, [32.0] * n, rows if minute else [-1] * n))
    told = []
    for minute in range(minutes):
        now = 545.0 + minute
        learner.look(columns(now, [min(a, 6.0) for a in draws_a], [6.0] * n, rows))
        told.append(list(learner.beliefs(1.0)))
    return told


DRAWS = st.lists(st.floats(7.0, 32.0), min_size=1, max_size=8)


@settings(max_examples=25)
@given(DRAWS)
def test_a_held_vehicle_is_believed_to_want_what_it_drew_and_that_only_fades(draws_a: list[float]) -> None:
    told = held(draws_a, 12)
    for minute, later in pairwise(told):
        for a, before, after in zip(draws_a, minute, later, strict=True):
            assert after.would_a == pytest.approx(a)
            assert 0 < after.alive <= before.alive + 1e-12 <= 1 + 1e-9
    # Who could have taken much more by now is not sure to want it still.
    assert all(b.alive < 1 for a, b in zip(draws_a, told[-1], strict=True) if a > 12)


@settings(max_examples=25)
@given(DRAWS, st.randoms(use_true_random=False))
def test_beliefs_do_not_hang_on_the_order_of_rows(draws_a: list[float], chance: object) -> None:
    order = list(range(len(draws_a)))
    chance.shuffle(order)  # type: ignore[attr-defined]  # Hypothesis' own Random
    plain, mixed = held(draws_a, 3)[-1], held([draws_a[i] for i in order], 3)[-1]
    for i, belief in zip(order, mixed, strict=True):
        assert belief.would_a == plain[i].would_a
        assert belief.alive == pytest.approx(plain[i].alive)


@st.composite
def trees(draw: st.DrawFn) -> View:
    limits = st.one_of(st.none(), st.sampled_from([0.0, 6.0, 10.0, 16.0, 32.0]))
    evses = []
    for i in range(draw(st.integers(1, 8))):
        amps = draw(limits)
        limit = None
        if amps is not None:
            limit = Limit(
                evse_id=f"E{i}",
                command_id=f"c{i}",
                max_a=amps,
                until=START + timedelta(hours=1),
                cause=Cause.CEILING,
                issued_at=START - timedelta(minutes=5),
                outcome=draw(st.sampled_from([Outcome.APPLIED, Outcome.PENDING, Outcome.REJECTED])),
            )
        path = draw(st.sampled_from([("East",), ("Site", "East")]))
        evses.append(
            EvseView(
                evse_id=f"E{i}",
                path=path,
                kw_per_a=K,
                lines=draw(st.sampled_from([(), ("L1",), ("L2",), ("L1", "L2", "L3")])),
                max_a=32.0,
                would_draw_a=20.0,
                potential_a=32.0,
                limit=limit,
            )
        )
    ceilings = {"East": draw(st.none() | st.floats(0, 60)), "Site": draw(st.none() | st.floats(0, 30))}
    parents = {"East": None, "Site": "East"}
    nodes = {
        n: Territory(
            territory_id=n,
            parent_id=parents[n],
            ceiling_kw=kw,
            ceiling_a=draw(st.none() | st.floats(0, 120)),
        )
        for n, kw in ceilings.items()
    }
    return View(root="East", territories=nodes, evses=evses, requests=())


@given(trees(), st.data())
def test_rises_that_are_let_through_keep_every_ceiling(view: View, data: st.DataObject) -> None:
    """Whatever is asked in whatever order: who stood under the ceilings still does; nobody rises where they did not."""
    room = Headroom(view, START)
    stands = {e.evse_id: e.stands_a(START) for e in view.evses}
    before = dict(stands)
    for e in data.draw(st.permutations(view.evses)):
        to_a = data.draw(st.one_of(st.none(), st.sampled_from([0.0, 6.0, 12.0, 32.0])))
        if room.takes(e, to_a):
            # What falls makes no room in this round, so it stands as it stood.
            stands[e.evse_id] = max(stands[e.evse_id], e.drawn_a(to_a, e.potential_a))
    for node_id, node in view.territories.items():
        here = [e for e in view.evses if node_id in e.path]
        for line in (None, "L1", "L2", "L3"):
            most, k = (node.ceiling_kw, K) if line is None else (node.ceiling_a, 1.0)
            on_it = [e for e in here if line is None or line in e.lines]
            was = sum(k * before[e.evse_id] for e in on_it)
            now = sum(k * stands[e.evse_id] for e in on_it)
            assert most is None or now <= max(most, was) + 1e-6


def test_a_rise_that_was_let_through_is_booked() -> None:
    """Two cars at 6 A, and room for one of them to come to 12 A: the second one must wait."""
    cars = [_held(f"E{i}", 6.0) for i in (1, 2)]
    node = Territory(territory_id="East", ceiling_kw=K * 20.0)
    room = Headroom(View(root="East", territories={"East": node}, evses=cars, requests=()), START)
    assert [room.takes(e, 12.0) for e in cars] == [True, False]
    assert room.takes(cars[1], 8.0)


def _held(evse_id: str, amps: float) -> EvseView:
    limit = Limit(
        evse_id=evse_id,
        command_id="c",
        max_a=amps,
        until=START + timedelta(hours=1),
        cause=Cause.CEILING,
        issued_at=START,
        outcome=Outcome.APPLIED,
    )
    return EvseView(
        evse_id=evse_id,
        path=("East",),
        kw_per_a=K,
        max_a=32.0,
        would_draw_a=20.0,
        potential_a=32.0,
        limit=limit,
    )


def test_the_minute_in_which_a_vehicle_finishes_says_nothing_of_what_it_draws() -> None:
    learner = Learner()
    wants = []
    for minute, draw_a in enumerate([16.0, 16.0, 16.0, 7.0, 7.0, 3.0, 0.0]):
        learner.look(columns(540.0 + minute, [draw_a], [32.0], [0 if minute else -1]))
        wants.append(learner.beliefs()[0].would_a)
    assert wants == pytest.approx([16.0, 16.0, 16.0, 16.0, 7.0, 3.0, 0.0])


def test_what_a_fleet_showed_weighs_half_after_a_month() -> None:
    """A season is not the next one, and a server may run for years."""
    learner = Learner()
    learner.look(columns(0.0, [], [], []))
    shown = Habits(
        finished=np.full(GROUPS, 100.0),
        finishes_expected=np.full(GROUPS, 50.0),
        left=np.full((2, 2), 40.0),
        leaves_expected=np.full((2, 2), 80.0),
        tapers=np.array([30.0, 60.0]),
    )
    learner.recall(shown)
    learner.look(columns(HALF_H * 60.0, [], [], []))
    left = learner.habits
    for name in ("finished", "finishes_expected", "left", "leaves_expected", "tapers"):
        assert getattr(left, name) == pytest.approx(getattr(shown, name) / 2), name


def test_who_is_held_from_the_first_and_draws_what_many_draw_is_probably_one_of_them() -> None:
    """At 17 A one draws 15.5 A, as half the fleet does when free; the other takes all of it, and so wants more."""
    learner, n = Learner(), 20
    free = [15.5] * 10 + [30.0] * 10
    for minute in range(5):
        rows = list(range(n)) if minute else [-1] * n
        learner.look(columns(540.0 + minute, free, [32.0] * n, rows))
    assert learner.others_a == pytest.approx(22.75)
    both = columns(545.0, [*free, 15.5, 17.0], [*[32.0] * n, 17.0, 17.0], [*range(n), -1, -1])
    learner.look(both)
    *_, alike, hungry = learner.beliefs()
    assert 15.5 < alike.would_a < (15.5 + 30.0) / 2
    assert hungry.would_a == pytest.approx(30.0)
    # Held lower it shows nothing new, and nothing that was known is lost.
    lower = columns(546.0, [*free, 8.0, 8.0], [*[32.0] * n, 8.0, 8.0], list(range(n + 2)))
    learner.look(lower)
    assert [b.would_a for b in learner.beliefs()[-2:]] == pytest.approx([alike.would_a, hungry.would_a])


@pytest.mark.parametrize("drew_a", [12.5, nan])
def test_who_wants_less_than_its_limit_from_the_first_on_shows_no_gap(drew_a: float) -> None:
    """Under 16 A it takes 12.5 A, since it wants no more. It was taken for one that falls 3.5 A short of any limit:
    told 12 A it was to draw 8.5 A, and under a ceiling it counted with as little.
    """
    learner = Learner()
    learner.look(columns(540.0, [12.5], [16.0], [-1]), np.array([drew_a]))
    first = learner.beliefs()[0]
    assert (first.would_a, first.gap_a, first.learned) == (12.5, 0.0, True)
    for minute in (541.0, 542.0):
        learner.look(columns(minute, [11.6], [12.0], [0]), np.array([drew_a]))
    assert learner.beliefs()[0].gap_a == pytest.approx(0.4), "that is one"


def test_a_halted_tree_has_no_ceilings() -> None:
    node = Territory(territory_id="East", ceiling_kw=1.0)
    view = View(root="East", territories={"East": node}, evses=[_held("E1", 6.0)], requests=())
    assert not Headroom(view, START).takes(view.evses[0], None)
    assert Headroom(replace(view, halted=True), START).takes(view.evses[0], None)
