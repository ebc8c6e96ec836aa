"""Vehicles that take less towards the end: a fleet shows how much, and what would not be drawn is no shed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.engine import taper
from emw.engine.taper import Taper
from tests.engine.neutral_fleet import Evse, Fleet

ROUNDS = st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 5)), max_size=20)


@given(ROUNDS, st.lists(st.floats(0, 50), min_size=2, max_size=9))
def test_what_is_left_of_a_draw_is_a_part_of_it_and_never_grows(
    rounds: list[tuple[float, float]], due: list[float]
) -> None:
    shown = Taper()
    for fell, came_due in rounds:
        shown.learn(fell, came_due)
    left = shown.left(np.sort(due)).tolist()
    assert all(0 <= part <= 1 for part in left)
    assert left == sorted(left, reverse=True)


def test_who_was_shown_nothing_expects_no_taper() -> None:
    shown = Taper()
    shown.learn(0.0, 100.0)
    assert shown.left(np.array([3.0])) == 1.0


@dataclass(slots=True)
class Tapering(Evse):
    """From `from_part` of its need on it takes less and less, down to a fifth."""

    from_part: float = 0.6

    def _wish_a(self, got_kwh: float) -> float:
        left = 1 - got_kwh / self.need_kwh
        return self.draw_a * min(max(left / (1 - self.from_part), 0.2), 1.0) if left > 1e-9 else 0.0

    def minute(self) -> None:
        allowed_a = self.works_at_a if self.works_at_a >= 6 else 0.0
        self.drew_a = min(allowed_a, self._wish_a(self.got_kwh))
        self.got_kwh += self.drew_a * self.kw_per_a / 60
        twin_kwh = self.got_kwh if self.twin_kwh is None else self.twin_kwh
        self.twin_kwh = twin_kwh if self.twin_kwh is None else twin_kwh + self.would_kw / 60

    @property
    def would_kw(self) -> float:
        return self._wish_a(self.got_kwh if self.twin_kwh is None else self.twin_kwh) * self.kw_per_a


def street(count: int = 300) -> Fleet:
    rng = random.Random(4)
    evses: list[Evse] = []
    for i in range(count):
        need_kwh = rng.uniform(8, 40)
        got_kwh = rng.uniform(0, 0.8) * need_kwh
        evses.append(
            Tapering(
                evse_id=f"{i:03}",
                draw_a=rng.uniform(14, 30),
                need_kwh=need_kwh,
                got_kwh=got_kwh,
                told_kwh=need_kwh * rng.uniform(1.0, 2.2),
                plug_min=540 - got_kwh * 15,
            )
        )
    return Fleet(evses)


def short_of(f: Fleet) -> float:
    """What was missing of a shed in its second hour, as a part of what was asked."""
    f.run(60, "idle")
    asked_kw = 0.3 * f.loads[-1]
    f.run(120, "shed", asked_kw, start=660, end=780)
    return 1 - fmean(f.sheds[-60:]) / asked_kw


def test_a_fleet_that_tapers_is_believed_to_taper(monkeypatch: pytest.MonkeyPatch) -> None:
    believed = short_of(street())
    monkeypatch.setattr(taper, "TRUST", 1e9)
    assert believed < short_of(street()) - 0.01


def test_a_fleet_that_draws_alike_to_the_end_is_believed_to() -> None:
    f = street()
    for e in f.evses:
        assert isinstance(e, Tapering)
        e.from_part = 0.999
    f.run(90, "idle")
    assert f.allocator.controller.est.taper.per_finish < 0.05
