"""The closed loop of one territory's fleet: learn, shed, correct, let go. One `round` a minute, state in between.

    shed now = expected counterfactual - load (predicted where a command is younger than a round)
    short by more than the dead band: ask the cheapest more; over by more than it: give back to the dearest

The load is measured in every round, so the law is an integral by itself: what was missed a round ago is in the error
of this one. The dead band grows with the doubt about the counterfactual: nobody is moved for what cannot be known.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emw.engine import restore
from emw.engine.columns import Columns, Floats, Ints, Request
from emw.engine.estimate import Estimator
from emw.engine.select import Moves, Outlook, Taste, ask_more, costs, give_back

NOBODY = Moves(rows=np.zeros(0, dtype=np.int64), limit_a=np.zeros(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Numbers of the loop; see docs/explanation/dispatch.md."""

    band_part: float = 0.004
    """Dead band as part of the request."""
    band_doubt: float = 0.15
    """Dead band as part of the counterfactual's standard deviation."""
    gap_min: float = 1.0
    """Least time between two commands to one EVSE, min."""
    taste: Taste = field(default_factory=Taste)
    way_back: restore.WayBack = field(default_factory=restore.WayBack)


class Controller:
    """Rounds of one fleet. Reads columns, returns rows and limits (A); never looks at a clock."""

    def __init__(self, tuning: Tuning | None = None) -> None:
        self.tuning = tuning or Tuning()
        self.est = Estimator()
        self.outlook = Outlook()
        self.ramp = restore.Ramp(self.tuning.way_back)
        self.est_kw = 0.0
        self.sheddable_kw = 0.0

    def round(self, seen: Columns, request: Request) -> tuple[Ints, Floats]:
        """One round: rows of `seen` and their new limits in A."""
        self.est.update(seen)
        self.outlook.align(seen)
        s = self.est.state
        would = self.est.would_kw(seen)
        now_a = self._draws(seen)
        load_kw = float((seen.kw_per_a * now_a).sum())
        self.est_kw = float(would.sum()) - load_kw
        self.ramp.watch(
            seen.now_min, request.phase, float((seen.kw_per_a * seen.draw_a).sum()), float(would.sum())
        )
        if request.phase == "shed":
            moves = self._shed(seen, request, now_a)
        elif request.phase == "restore":
            moves = self._restore(seen, request, now_a, load_kw)
        else:
            moves = NOBODY
        return self._commands(seen, moves, s.asked_a, request)

    def _draws(self, seen: Columns) -> Floats:
        """Draw of each EVSE under the limits it was told, A: measured, or predicted while a command is young."""
        s = self.est.state
        young = (seen.now_min - s.asked_min <= 1.0) & ~s.deaf & (np.abs(seen.limit_a - s.asked_a) < 0.05)
        told = np.where(s.asked_a >= seen.floor_a - 0.05, np.maximum(s.asked_a - self.est.gap(), 0.0), 0.0)
        free = s.asked_a >= seen.max_a - 0.05
        predicted = np.where(s.done | s.stuck, 0.0, np.where(free, s.would_a, np.minimum(told, s.would_a)))
        return np.where(young, predicted, seen.draw_a)

    def _askable(self, seen: Columns) -> np.ndarray:
        s = self.est.state
        waits = seen.now_min - s.asked_min < self.tuning.gap_min
        return seen.online & ~seen.opted_out & ~s.deaf & ~s.stuck & ~s.done & ~waits & s.learned

    def _shed(self, seen: Columns, request: Request, now_a: Floats) -> Moves:
        able = self._askable(seen)
        self.sheddable_kw = self.est_kw + float((seen.kw_per_a * now_a)[able].sum())
        error = request.kw - self.est_kw
        band = max(self.tuning.band_part * request.kw, self.tuning.band_doubt * self.est.doubt_kw(seen))
        if abs(error) <= band:
            return NOBODY
        s = self.est.state
        horizon_h = max(request.end_min - seen.now_min, 5.0) / 60
        if error > 0:
            rows = np.flatnonzero(able & (now_a > 0.25))
            cost = costs(seen, self.est, self.outlook, rows, horizon_h, self.tuning.taste)
            return ask_more(
                seen, now_a, self.est.gap(), able, cost, rows, error + band / 2, min(band / 2, 0.5 * error)
            )
        held = able & (seen.limit_a < seen.max_a - 0.05)
        rows = np.flatnonzero(held)
        cost = costs(seen, self.est, self.outlook, rows, horizon_h, self.tuning.taste)
        return give_back(
            seen, now_a, s.would_a, self.est.gap(), cost.floor, rows, -error - band / 2, band / 2
        )

    def _restore(self, seen: Columns, request: Request, now_a: Floats, load_kw: float) -> Moves:
        s = self.est.state
        held = np.flatnonzero((seen.limit_a < seen.max_a - 0.05) & seen.online)
        room_kw = self.ramp.room_kw(seen.now_min, request, load_kw)
        cost = costs(seen, self.est, self.outlook, held, 0.5, self.tuning.taste)
        rise = np.where(s.done | s.stuck | s.deaf, 0.0, np.maximum(s.would_a - now_a, 0.0)) * seen.kw_per_a
        rows = held[restore.release(rise[held], cost.pause, room_kw)]
        return Moves(rows=rows, limit_a=seen.max_a[rows])

    def _commands(
        self, seen: Columns, moves: Moves, asked_a: Floats, request: Request
    ) -> tuple[Ints, Floats]:
        """Only changes; what was asked and not confirmed is asked again."""
        s = self.est.state
        wanted = asked_a.copy()
        if request.phase == "idle":
            wanted[:] = np.nan
        wanted[moves.rows] = moves.limit_a
        lost = (
            ~np.isnan(asked_a) & (np.abs(seen.limit_a - asked_a) > 0.05) & (seen.now_min - s.asked_min >= 1.0)
        )
        s.fails = np.where(lost, s.fails + 1, s.fails)
        differs = ~np.isnan(wanted) & (np.abs(seen.limit_a - wanted) > 0.05)
        send = (
            differs
            & seen.online
            & ~seen.opted_out
            & ~s.deaf
            & (seen.now_min - s.asked_min >= self.tuning.gap_min)
        )
        rows = np.flatnonzero(send)
        s.asked_a[rows] = wanted[rows]
        s.asked_min[rows] = seen.now_min
        return rows, wanted[rows]
