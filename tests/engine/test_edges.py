"""What goes wrong weekly, over the neutral interface: requests that change, meters that lie, odd lengths of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from emw.engine.neutral import Allocator
from tests.engine.fleet import Evse, Fleet, fleet

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


def test_nobody_at_all_then_somebody() -> None:
    allocator = Allocator()
    for now in range(600, 620):
        line = {"v": 1, "now_min": now, "request": {"phase": "shed", "kw": 10.0, "start": 600, "end": 660}}
        assert allocator.round(line | {"evses": []})["set"] == []
    f = Fleet([Evse(evse_id=f"{i:03}", plug_min=620) for i in range(20)], allocator=allocator, now=620.0)
    f.run(10, "shed", 10.0, start=600, end=660)
    assert f.sheds[-1] == pytest.approx(10.0, abs=1.0)
