"""The controllers that the yardstick compares: the engine's loop, with and without gifts, and simple rivals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.engine_world import KW_PER_A, Floats, World
from emw.engine.columns import Columns, Request
from emw.engine.estimate import Estimator
from emw.engine.loop import Controller
from emw.engine.need import TAU_H
from emw.engine.past import Past
from emw.engine.price import Outlook


class Equal:
    """An equal part of the target for every EVSE, in amperes off its limit, once."""

    def __init__(self, *, at_maximum: bool) -> None:
        self.at_maximum = at_maximum
        self.phase = "idle"

    def round(self, seen: Columns, request: Request) -> tuple[NDArray[np.int64], Floats]:
        before, self.phase = self.phase, request.phase
        if request.phase in {before, "idle"}:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        if request.phase == "restore":
            rows = np.flatnonzero(seen.limit_a < seen.max_a)
            return rows, seen.max_a[rows]
        rows = np.flatnonzero(seen.draw_a > seen.max_a - 3 if self.at_maximum else seen.online)
        off = request.kw / max(len(rows), 1) / seen.kw_per_a[rows]
        limit = np.maximum(
            np.floor((seen.max_a[rows] - off) / seen.step_a[rows]) * seen.step_a[rows], seen.floor_a[rows]
        )
        return rows, limit


class Sure(Estimator):
    """Told the true counterfactual each round, it has to believe nothing."""

    truth_kw: Floats

    def would_kw(self, seen: Columns) -> Floats:
        return self.truth_kw

    def doubt_kw(self, seen: Columns) -> float:
        return 0.0


class Schedule(Outlook):
    """What drivers told is the truth."""

    def look(self, seen: Columns, est: Estimator, due: NDArray[np.int64]) -> None:
        full_kw = np.maximum(seen.kw_per_a * est.state.would_a, 0.1)[due]
        self.leave_h[due] = np.maximum((seen.depart_min[due] - seen.now_min) / 60, 0.0)[:, None, None]
        need_h = (np.maximum(seen.req_kwh[due] - seen.got_kwh[due], 0.0) / full_kw)[:, None]
        self.need_h[due] = need_h
        self.total[due] = np.minimum(TAU_H[None, :], need_h)
        self.alive[due] = TAU_H[None, :] < need_h


class Gifted(Controller):
    """The loop with the true counterfactual given."""

    def __init__(self) -> None:
        super().__init__()
        self.est = self.sure = Sure()

    def told(self, world: World, here: NDArray[np.int64], before: Floats, after: Floats) -> None:
        self.sure.truth_kw = (after - before)[here] * 60


class Knowing(Gifted):
    """The loop with the true counterfactual, departures and needs given."""

    def __init__(self) -> None:
        super().__init__()
        self.outlook = Schedule()

    def told(self, world: World, here: NDArray[np.int64], before: Floats, after: Floats) -> None:
        super().told(world, here, before, after)
        self.truth = (world.s.leave_min[here], world.need_kwh[here])

    def round(
        self, seen: Columns, request: Request, past: Past | None = None
    ) -> tuple[NDArray[np.int64], Floats]:
        true = replace(seen, depart_min=self.truth[0], req_kwh=self.truth[1])
        return super().round(true, request, past)


CONTROLLERS: dict[str, Callable[[World], object]] = {
    "loop": lambda _: Controller(),
    "loop+cf": lambda _: Gifted(),
    "loop+all": lambda _: Knowing(),
    "equal": lambda _: Equal(at_maximum=False),
    "equal-at-max": lambda _: Equal(at_maximum=True),
}
assert KW_PER_A
