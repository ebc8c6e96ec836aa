"""What goes wrong weekly, over the neutral interface: requests that change, meters that lie, odd lengths of time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean
from typing import Any

import pytest

from emw.engine.neutral import Allocator
from tests.engine.neutral_fleet import Evse, Fleet, fleet

LOAD_KW = 60 * 16 * 0.208
START = 610.0


def lie(e: Evse, n: int, says: Callable[[float, int], float]) -> dict[str, Any]:
    line = Evse.line(e)
    return line | {"draw_a": says(line["draw_a"], n)}


@dataclass(slots=True)
class Liar(Evse):
    """Its meter does not show what it draws."""

    says: Callable[[float, int], float] = lambda amps, n: amps
    told: int = 0

    def line(self) -> dict[str, Any]:
        self.told += 1
        return lie(self, self.told, self.says)


METERS: dict[str, Callable[[float, int], float]] = {
    "silent": lambda amps, n: 0.0,
    "frozen": lambda amps, n: 16.0,
    "jumping": lambda amps, n: amps if n % 3 else 90.0,
    "W for kW": lambda amps, n: amps * 1000,
}


@pytest.mark.parametrize("fault", METERS)
def test_one_meter_in_thirty_that_lies_does_not_carry_the_shed_away(fault: str) -> None:
    evses: list[Evse] = [
        Liar(evse_id=f"{i:03}", says=METERS[fault]) if i % 30 == 0 else Evse(evse_id=f"{i:03}")
        for i in range(60)
    ]
    f = Fleet(evses)
    f.event(0.4 * LOAD_KW)
    assert f.sheds[20:40] == pytest.approx([0.4 * LOAD_KW] * 20, rel=0.2)
    assert all(e.limit_a == e.max_a for e in f.evses if not isinstance(e, Liar))


def test_a_request_of_one_minute() -> None:
    f = fleet()
    f.event(0.5 * LOAD_KW, minutes=1)
    assert f.sheds[10] == pytest.approx(0.5 * LOAD_KW, rel=0.05)
    assert all(e.limit_a == e.max_a for e in f.evses)


def test_a_request_of_two_days_holds_to_its_end() -> None:
    f = Fleet([Evse(evse_id=f"{i:03}", need_kwh=1e4, leave_min=1e5) for i in range(20)])
    f.run(10, "idle")
    f.allocator.round(  # a look two days later: nobody has reported in between
        {
            "v": 1,
            "now_min": START,
            "request": {"phase": "shed", "kw": 20.0, "start": START, "end": START + 2880},
        }
        | {"evses": [e.line() for e in f.evses]}
    )
    f.now = START + 2870
    f.run(5, "shed", 20.0, start=START, end=START + 2880)
    assert all(0 <= e.limit_a <= e.max_a for e in f.evses)
    f.run(100, "restore", 20.0, start=START, end=START + 2880)
    assert all(e.limit_a == e.max_a for e in f.evses)


@pytest.mark.parametrize(("start", "end"), [(700.0, 600.0), (0.0, 1.0), (610.0, 610.0)])
def test_a_request_that_is_over_or_ends_before_it_starts_leaves_no_limit(start: float, end: float) -> None:
    f = fleet(20)
    f.run(10, "idle")
    f.run(3, "shed", 20.0, start=start, end=end)
    f.run(100, "restore", 20.0, start=start, end=end)
    assert all(e.limit_a == e.max_a for e in f.evses)


def test_more_and_less_is_asked_while_it_runs() -> None:
    f = fleet()
    f.run(10, "idle")
    for share in (0.3, 0.6, 0.2):
        f.run(10, "shed", share * LOAD_KW, start=START, end=START + 60)
        assert f.sheds[-1] == pytest.approx(share * LOAD_KW, rel=0.06)


def test_it_is_made_longer_at_its_end() -> None:
    f = fleet()
    f.run(10, "idle")
    f.run(15, "shed", 0.4 * LOAD_KW, start=START, end=START + 15)
    f.run(15, "shed", 0.4 * LOAD_KW, start=START, end=START + 30)
    assert f.sheds[-15:] == pytest.approx([0.4 * LOAD_KW] * 15, rel=0.04)


@pytest.mark.parametrize("minutes", [0, 1, 5])
def test_cancelled_before_it_starts_or_while_commands_are_out(minutes: int) -> None:
    f = fleet()
    f.run(10, "idle")
    f.run(minutes, "shed", 0.5 * LOAD_KW, start=START, end=START + 60)
    f.run(100, "restore", 0.5 * LOAD_KW, start=START, end=START + minutes)
    assert all(e.limit_a == e.max_a for e in f.evses)
    assert max(f.loads) <= LOAD_KW * 1.0001


def test_another_one_comes_during_the_return() -> None:
    f = fleet()
    f.run(10, "idle")
    f.run(10, "shed", 0.5 * LOAD_KW, start=START, end=START + 10)
    f.run(5, "restore", 0.5 * LOAD_KW, start=START, end=START + 10)
    f.run(10, "shed", 0.6 * LOAD_KW, start=START + 15, end=START + 25)
    assert f.sheds[-5:] == pytest.approx([0.6 * LOAD_KW] * 5, rel=0.05)


def test_back_to_idle_in_mid_event_sends_nothing_by_itself() -> None:
    """Cancelled without a return: limits are the caller's to end; the next round takes them as they are."""
    f = fleet(20)
    f.run(10, "idle")
    f.run(5, "shed", 20.0, start=START, end=START + 60)
    f.run(3, "idle")
    assert [a["set"] for a in f.answers[-3:]] == [[]] * 3


@pytest.mark.parametrize("kw_per_a", [0.0, 0.4 * 3, 1e-9])
def test_a_voltage_of_nothing_or_of_400_volts(kw_per_a: float) -> None:
    f = Fleet([Evse(evse_id=f"{i:03}", kw_per_a=kw_per_a if i == 0 else 0.208) for i in range(30)])
    f.event(30.0)
    assert f.sheds[15:40] == pytest.approx([30.0] * 25, rel=0.12)


class WallClock(Allocator):
    """Is told times of day: each begins again at midnight."""

    def round(self, line: Mapping[str, Any]) -> dict[str, Any]:
        said = _of_day(line, "now_min") | {"request": _of_day(line["request"], "start", "end")}
        return super().round(said | {"evses": [_of_day(e, "plug_min", "depart_min") for e in line["evses"]]})


def _of_day(told: Mapping[str, Any], *times: str) -> dict[str, Any]:
    return dict(told) | {name: told[name] % 1440 for name in times}


def test_times_of_day_that_begin_again_at_midnight_change_nothing() -> None:
    """Cars that came at 20:00 and leave at 07:00; a request from 23:50 to 00:30."""
    answers = []
    for allocator in (Allocator(), WallClock()):
        evses = [
            Evse(evse_id=f"{i:03}", plug_min=1200.0, leave_min=3000.0, told_leave_min=1860.0)
            for i in range(40)
        ]
        f = Fleet(evses, allocator=allocator, now=1420.0)
        f.event(60.0, minutes=40)
        assert f.sheds[12:50] == pytest.approx([60.0] * 38, rel=0.06)
        answers.append(f.answers)
    assert answers[0] == answers[1]


def test_a_clock_that_is_set_back_loses_no_minute() -> None:
    f = fleet(leave_min=5000.0)
    f.run(10, "idle")
    f.run(10, "shed", 0.4 * LOAD_KW, start=START, end=START + 120)
    f.now -= 60.0
    f.run(10, "shed", 0.6 * LOAD_KW, start=START, end=START + 120)
    assert f.sheds[-8:] == pytest.approx([0.6 * LOAD_KW] * 8, rel=0.06)


@pytest.mark.parametrize("leap", [-60.0, 60.0, 1440.0])
def test_the_clock_is_changed_in_mid_event(leap: float) -> None:
    f = fleet(leave_min=5000.0)
    f.run(10, "idle")
    f.run(10, "shed", 0.4 * LOAD_KW, start=START, end=START + 120)
    f.now += leap
    f.run(10, "shed", 0.4 * LOAD_KW, start=START, end=START + 120)
    assert all(0 <= e.limit_a <= e.max_a for e in f.evses)
    f.run(200, "restore", 0.4 * LOAD_KW, start=START, end=START + 120)
    assert all(e.limit_a == e.max_a for e in f.evses)


@pytest.mark.parametrize(
    ("knob_a", "step_a", "top_a"), [(30.0, 8.0, 24.0), (15.5, 1.0, 15.0), (31.9, 1.0, 31.0)]
)
def test_a_knob_between_two_steps_is_come_back_to_as_near_as_steps_go(
    knob_a: float, step_a: float, top_a: float
) -> None:
    f = fleet(40, max_a=knob_a, step_a=step_a, limit_a=knob_a, works_at_a=knob_a, draw_a=13.0)
    f.event(30.0)
    assert f.sheds[12:40] == pytest.approx([30.0] * 28, rel=0.06)
    assert all(e.limit_a in {knob_a, top_a} for e in f.evses)
    assert max(len(e.commands) for e in f.evses) <= 6


def test_P4_a_knob_turned_below_the_floor_and_up_again_leaves_no_limit_in_between() -> None:
    """What it was told before was said again as the knob of a minute ago: 5 A."""
    f = fleet(40)
    f.run(10, "idle")
    f.run(3, "shed", 60.0, start=610, end=630)
    held = [e for e in f.evses if e.limit_a < e.max_a]
    for e in held:
        e.max_a = 5.0
    f.run(2, "shed", 60.0, start=610, end=630)
    for e in held:
        e.max_a = 16.0
    f.run(15, "shed", 60.0, start=610, end=630)
    f.run(100, "restore", 60.0, start=610, end=630)
    assert held
    assert all(e.limit_a == e.max_a for e in f.evses)


def test_who_has_no_step_between_floor_and_knob_is_left_alone() -> None:
    f = fleet(20, max_a=5.0, limit_a=5.0, works_at_a=5.0, draw_a=5.0)
    f.event(10.0)
    assert not any(e.commands for e in f.evses)
    assert all(a["sheddable_kw"] == 0 for a in f.answers)


@dataclass(slots=True)
class Late(Evse):
    """Does what it is told a minute after everybody else."""

    heard: list[float] = field(default_factory=list)

    def take(self, now: float, amps: float) -> None:
        self.heard.append(amps)

    def minute(self) -> None:
        Evse.minute(self)
        if self.heard:
            self.limit_a = self.works_at_a = self.heard.pop(0)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_network_that_is_a_minute_late_sheds_a_minute_later(share: float) -> None:
    f = Fleet([Late(evse_id=f"{i:03}") for i in range(60)])
    f.event(share * LOAD_KW)
    assert f.sheds[13:40] == pytest.approx([share * LOAD_KW] * 27, rel=0.08)
    assert all(e.limit_a == e.max_a for e in f.evses)


@dataclass(slots=True)
class Converting(Evse):
    """Keeps its limit in W at another voltage, and confirms what becomes of it."""

    def take(self, now: float, amps: float) -> None:
        Evse.take(self, now, amps)
        self.limit_a *= 0.996


def test_a_limit_that_is_confirmed_almost_is_not_said_again() -> None:
    f = Fleet([Converting(evse_id=f"{i:03}", step_a=0.1) for i in range(60)])
    f.event(0.4 * LOAD_KW)
    assert f.sheds[12:40] == pytest.approx([0.4 * LOAD_KW] * 28, rel=0.06)
    asked = [e for e in f.evses if e.commands]
    assert sum(len(e.commands) for e in asked) <= 2.5 * len(asked)


def wild(i: int, amps: float, n: int) -> float:
    return 30_000.0 if (n * 61 + i) % 200 == 0 else amps


def test_wild_readings_now_and_then_carry_nothing_away() -> None:
    """Every reading in 200 is 7 MW, of one meter or another."""
    evses: list[Evse] = [Liar(evse_id=f"{i:03}", says=partial(wild, i)) for i in range(60)]
    f = Fleet(evses)
    f.event(0.4 * LOAD_KW)
    assert f.sheds[12:40] == pytest.approx([0.4 * LOAD_KW] * 28, rel=0.06)
    assert all(e.limit_a == e.max_a for e in f.evses)


def test_who_is_held_at_first_sight_is_let_go_where_too_much_is_shed() -> None:
    """The program was started anew in mid-event."""
    f = fleet(40, limit_a=6.0, works_at_a=6.0)
    f.run(10, "shed", 20.0, start=500, end=700)
    assert f.sheds[-5:] == pytest.approx([20.0] * 5, rel=0.1)


def test_nobody_at_all_then_somebody() -> None:
    allocator = Allocator()
    for now in range(600, 620):
        line = {"v": 1, "now_min": now, "request": {"phase": "shed", "kw": 10.0, "start": 600, "end": 660}}
        assert allocator.round(line | {"evses": []})["set"] == []
    f = Fleet([Evse(evse_id=f"{i:03}", plug_min=620) for i in range(20)], allocator=allocator, now=620.0)
    f.run(10, "shed", 10.0, start=600, end=660)
    assert f.sheds[-1] == pytest.approx(10.0, abs=1.0)


class Patchy(Allocator):
    """Is not told of one EVSE in a hundred, now this, now that: a station that is offline may be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.chance = random.Random(3)

    def round(self, line: Mapping[str, Any]) -> dict[str, Any]:
        told = [e for e in line["evses"] if self.chance.random() >= 0.01]
        return super().round(dict(line) | {"evses": told})


def test_who_is_not_told_of_for_a_minute_is_not_forgotten() -> None:
    missed = []
    for allocator in (Allocator(), Patchy()):
        evses = [
            Evse(evse_id=f"{i:03}", leave_min=5000.0, draw_a=31.0 if i % 4 == 0 else 12.0) for i in range(80)
        ]
        f = Fleet(evses, allocator=allocator)
        f.event(100.0, minutes=90)
        missed.append(fmean(f.sheds[40:100]) - 100.0)
        assert all(e.limit_a == e.max_a for e in f.evses)
    assert missed[1] == pytest.approx(missed[0], abs=4.0)


def test_a_release_that_was_not_heard_is_said_again_no_higher_than_a_knob_turned_down_since() -> None:
    f = fleet(20)
    f.run(10, "idle")
    f.run(10, "shed", 30.0, start=START, end=START + 10)
    for e in f.evses:
        e.mute = True
    f.run(2, "restore", 30.0, start=START, end=START + 10)
    for e in f.evses:
        e.max_a, e.mute = 16.0, False
    f.run(200, "restore", 30.0, start=START, end=START + 10)
    assert all(e.limit_a in {16.0, 32.0} for e in f.evses)
