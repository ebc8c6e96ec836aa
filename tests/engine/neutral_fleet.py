"""A small fleet of simulated EVSEs that speaks the neutral interface: every command is checked, every watt known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emw.engine.columns import Columns, Floats
from emw.engine.estimate import Estimator
from emw.engine.neutral import Allocator


class Sure(Estimator):
    """Told each minute what would have been drawn, kW, it has to believe nothing."""

    truth_kw: Floats

    def would_kw(self, seen: Columns) -> Floats:
        return self.truth_kw

    def doubt_kw(self, seen: Columns) -> float:
        return 0.0


@dataclass(slots=True, kw_only=True)
class Evse:
    """One EVSE with a vehicle that takes `draw_a` until it has `need_kwh`."""

    evse_id: str
    draw_a: float = 16.0
    need_kwh: float = 50.0
    got_kwh: float = 5.0
    told_kwh: float | None = 60.0
    plug_min: float = 500.0
    leave_min: float = 2000.0
    told_leave_min: float | None = 1400.0
    step_a: float = 1.0
    min_a: float = 6.0
    max_a: float = 32.0
    gap_a: float = 0.0
    kw_per_a: float = 0.208
    opt_out: bool = False
    online: bool = True
    deaf: bool = False
    """Confirms and does nothing."""
    mute: bool = False
    """Does not even confirm."""
    sleeps: bool = False
    """Does not wake from a pause."""
    limit_a: float = 32.0
    works_at_a: float = 32.0
    drew_a: float = 0.0
    asleep: bool = False
    twin_kwh: float | None = None
    """What it would have got if nobody had asked."""
    commands: list[tuple[float, float]] = field(default_factory=list)

    def take(self, now: float, amps: float) -> None:
        floor = -(-self.min_a // self.step_a) * self.step_a if self.step_a > 1 else self.min_a
        assert amps == 0 or floor <= amps <= self.max_a, (self.evse_id, amps)
        assert abs(amps / self.step_a - round(amps / self.step_a)) < 1e-6
        assert not self.opt_out
        assert self.online
        # A clock that was set back tells nothing of the time between.
        assert not self.commands or not 0 <= now - self.commands[-1][0] < 1
        self.commands.append((now, amps))
        if self.mute:
            return
        self.limit_a = amps
        if self.deaf:
            return
        self.asleep = self.asleep or (self.sleeps and self.works_at_a == 0 and amps > 0)
        self.works_at_a = amps

    def minute(self) -> None:
        left = self.need_kwh - self.got_kwh > 1e-9
        allowed = max(self.works_at_a - self.gap_a, 0.0) if self.works_at_a >= 6 else 0.0
        self.drew_a = min(allowed, self.draw_a) if left and not self.asleep else 0.0
        self.got_kwh += self.drew_a * self.kw_per_a / 60
        if self.twin_kwh is None:
            self.twin_kwh = self.got_kwh
        elif self.would_kw > 0:
            self.twin_kwh += self.draw_a * self.kw_per_a / 60

    @property
    def kw(self) -> float:
        return self.drew_a * self.kw_per_a

    @property
    def would_kw(self) -> float:
        """The counterfactual, kW."""
        at = self.got_kwh if self.twin_kwh is None else self.twin_kwh
        return self.draw_a * self.kw_per_a if self.need_kwh - at > 1e-9 else 0.0

    def line(self) -> dict[str, Any]:
        return {
            "id": self.evse_id,
            "kw_per_a": self.kw_per_a,
            "max_a": self.max_a,
            "min_a": self.min_a,
            "step_a": self.step_a,
            "limit_a": self.limit_a,
            "draw_a": self.drew_a,
            "got_kwh": self.got_kwh,
            "req_kwh": self.told_kwh,
            "plug_min": self.plug_min,
            "depart_min": self.told_leave_min,
            "opt_out": self.opt_out,
            "online": self.online,
        }


@dataclass(slots=True)
class Fleet:
    """Minute after minute; `loads` and `sheds` (kW) are what the meters and the truth say."""

    evses: list[Evse]
    allocator: Allocator = field(default_factory=Allocator)
    now: float = 600.0
    loads: list[float] = field(default_factory=list)
    sheds: list[float] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    tells_truth: bool = False
    """The engine is told what would have been drawn, and has to believe nothing."""

    def __post_init__(self) -> None:
        if self.tells_truth:
            self.allocator.controller.est = Sure()
        for e in self.evses:
            e.minute()

    def run(self, minutes: int, phase: str, kw: float = 0.0, *, start: float = 0.0, end: float = 0.0) -> None:
        for _ in range(minutes):
            here = {e.evse_id: e for e in self.evses if e.plug_min <= self.now < e.leave_min}
            est = self.allocator.controller.est
            if isinstance(est, Sure):
                est.truth_kw = np.array([here[evse_id].would_kw for evse_id in sorted(here)])
            answer = self.allocator.round(
                {
                    "v": 1,
                    "now_min": self.now,
                    "request": {"id": "r", "phase": phase, "kw": kw, "start": start, "end": end},
                    "evses": [e.line() for e in here.values()],
                }
            )
            self.answers.append(answer)
            for item in answer["set"]:
                here[item["id"]].take(self.now, item["amps"])
            for e in here.values():
                e.minute()
            self.now += 1
            self.loads.append(sum(e.kw for e in here.values()))
            self.sheds.append(sum(e.would_kw for e in here.values()) - self.loads[-1])

    def event(self, kw: float, minutes: int = 30) -> None:
        """Ten idle minutes, the event, and 100 minutes of return."""
        start = self.now + 10
        self.run(10, "idle")
        self.run(minutes, "shed", kw, start=start, end=start + minutes)
        self.run(100, "restore", kw, start=start, end=start + minutes)


def fleet(count: int = 60, *, tells_truth: bool = False, **with_: Any) -> Fleet:
    """Like EVSEs, ids 000, 001, …"""
    return Fleet([Evse(evse_id=f"{i:03}", **with_) for i in range(count)], tells_truth=tells_truth)
