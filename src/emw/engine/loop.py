"""The closed loop of one fleet (`emw allocate`): learn, shed, correct, let go. One `round` a minute, state in between.

    readings ─► estimate: what would be drawn ─► error = asked - (what would be drawn - load)
        idle      look ahead, so that prices are there when a request comes
        shed      hand on, then ask the cheapest more or give back to the dearest; within the dead band neither
        restore   let go step by step, the neediest first
    ─► commands: only changes, and again what was not confirmed

The load is measured in every round (predicted where a command is younger than that), so the control is an integral by
itself: what was missed a round ago is in the error of this one. The dead band grows with the doubt about the
counterfactual: nobody is moved for what cannot be known. The service's loop is `share`, which knows trees.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from emw.engine.answers import agrees
from emw.engine.ask_more import LEAST_A, Moves, ask_more
from emw.engine.columns import SMALL_A, Bools, Columns, Floats, Ints, Request
from emw.engine.estimate import Estimator
from emw.engine.past import Past
from emw.engine.peaks import WayBack
from emw.engine.price import LEAST_H, Outlook, Prices, Taste, prices
from emw.engine.relief import Held, give_back, hand_on
from emw.engine.restore import Ramp, release

NOBODY = Moves(rows=np.zeros(0, dtype=np.int64), limit_a=np.zeros(0))

HAND_ON_EVERY_MIN = 5
"""Minutes between looks at who could hand on to whom."""
HAND_ON_AFTER_MIN = 20.0
"""A hold this old may be handed on."""
HAND_ON_A = 0.5
"""... where it holds back more than this."""
INTERVAL_MIN = 5
"""A shed is settled by the mean of such an interval, counted from the start of the request."""
SHOWS_MIN = 2.0
"""This long after a command a whole minute's mean has shown whether it is obeyed."""
COUNTED_ON = 0.75
"""A command that is not confirmed counts where the chance that it will yet come true is higher."""
RETURN_H = 0.5
"""Whom waiting costs most is weighed over such a wait."""
DEAF_MIN = 10.0
"""Minutes between two releases to a station that does not answer."""


def _joined(one: Moves, other: Moves) -> Moves:
    """Both moves; their rows differ."""
    return Moves(
        rows=np.concatenate((one.rows, other.rows)), limit_a=np.concatenate((one.limit_a, other.limit_a))
    )


def _without(chosen: Bools, handed: Ints) -> Ints:
    """The chosen rows but those handed on."""
    chosen[handed] = False
    return np.flatnonzero(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Numbers of the loop; see docs/explanation/dispatch.md."""

    band_part: float = 0.003
    """Dead band as part of the request."""
    band_doubt: float = 0.2
    """Dead band as part of the counterfactual's standard deviation."""
    carry_part: float = 0.02
    """What the rest of an interval makes up for, of what its first minutes missed: at most this part of the request."""
    gap_min: float = 1.0
    """Least time between two commands to one EVSE, min."""
    hand_on_margin: float = 0.07
    """A hold is handed on when it costs this much more than another driver's would, kWh missed per kWh shed."""
    calm_margin: float = 0.10
    """The same while the shed is within its dead band: whoever is moved then is moved for the driver's sake alone."""
    hand_on_part: float = 0.4
    """At most this part of the request is handed on at a time."""
    taste: Taste = field(default_factory=Taste)
    way_back: WayBack = field(default_factory=WayBack)


class Controller:
    """Rounds of one fleet. Reads columns, returns rows and limits (A); never looks at a clock."""

    def __init__(self, tuning: Tuning | None = None) -> None:
        self.tuning = tuning or Tuning()
        self.est = Estimator()
        self.outlook = Outlook()
        self.ramp = Ramp(self.tuning.way_back)
        self.est_kw = 0.0
        """What is shed now, as believed."""
        self.doubt_kw = 0.0
        """Standard deviation of `est_kw`."""
        self.sheddable_kw = 0.0
        """What could be shed at most: `est_kw`, and what those draw who may be asked for more now."""
        self._asked_kw = 0.0
        """What was asked last: a way back whose request says no kW is the way back from that."""
        self._missed_kw_min = 0.0
        """By which this interval's minutes so far fell short."""

    def round(self, seen: Columns, request: Request, past: Past | None = None) -> tuple[Ints, Floats]:
        """One round: rows of `seen` and their new limits in A. `past`: what was known before of those who are new."""
        self.est.update(seen)
        if past is not None:
            self.est.recall(seen, past)
        self.outlook.align(seen)
        s = self.est.state
        would = self.est.would_kw(seen)
        now_a = self._draws(seen)
        load_kw = float((seen.kw_per_a * now_a).sum())
        self.est_kw = float(would.sum()) - load_kw
        self.doubt_kw = self.est.doubt_kw(seen)
        movable = self._movable(seen)
        able = movable & s.learned
        self.sheddable_kw = self.est_kw + float((seen.kw_per_a * now_a)[able].sum())
        self.ramp.watch(
            seen.now_min, request.phase, float((seen.kw_per_a * seen.draw_a).sum()), float(would.sum())
        )
        self._watch_arrivals(seen)
        if request.phase == "shed":
            self._asked_kw = request.kw
            moves = self._shed(seen, request, now_a, movable, able)
        elif request.phase == "restore":
            moves = self._restore(seen, request, now_a, load_kw)
        else:
            # Look ahead in turns, so that the first round of an event finds everything ready.
            self.outlook.renew(seen, self.est, np.flatnonzero(~s.done))
            moves = NOBODY
        return self._commands(seen, moves, s.asked_a, request)

    def _watch_arrivals(self, seen: Columns) -> None:
        """Who came within the last minute was metered over a part of it, and will draw over the whole of the next."""
        new = (seen.was < 0) & (seen.now_min - seen.plug_min < 1.0)
        kw = (seen.kw_per_a * seen.draw_a)[new]
        part = np.clip((seen.now_min - seen.plug_min)[new], 0.1, 1.0)
        self.ramp.arrivals(
            float(kw.sum()), float(np.minimum(kw / part, (seen.kw_per_a * seen.max_a)[new]).sum())
        )

    def _draws(self, seen: Columns) -> Floats:
        """Draw of each EVSE under the limits it was told, A: measured, or predicted while a command is young."""
        s = self.est.state
        young = (seen.now_min - s.asked_min <= 1.0) & ~s.deaf & agrees(seen.limit_a, s.asked_a)
        out = (
            (s.fails > 0)
            & ~s.deaf
            & seen.online
            & ~seen.opted_out
            & (self.est.answers.to_come(s) > COUNTED_ON)
        )
        told = np.where(s.asked_a >= seen.floor_a - SMALL_A, np.maximum(s.asked_a - self.est.gap(), 0.0), 0.0)
        free = seen.frees(s.asked_a)
        predicted = np.where(s.done | s.stuck, 0.0, np.where(free, s.would_a, np.minimum(told, s.would_a)))
        return np.where(young | out, predicted, seen.draw_a)

    def _movable(self, seen: Columns) -> Bools:
        s = self.est.state
        waits = seen.now_min - s.asked_min < self.tuning.gap_min
        # Whether it obeys shows a minute after a change; no step is trimmed on who has not shown it.
        shows: Bools = (s.lies == 0) & (seen.now_min - s.asked_min >= SHOWS_MIN) & (s.dips == 0)
        return seen.online & ~seen.opted_out & ~s.deaf & shows & ~s.stuck & ~s.done & ~waits

    def _shed(self, seen: Columns, request: Request, now_a: Floats, movable: Bools, able: Bools) -> Moves:
        """Close the gap between asked and shed; within the dead band only who is handed on moves, and who stands in.

        `movable`: who may be told something now; `able`: who of them may be asked for more.
        """
        # What the next round will bring counts: twins go on finishing while nobody looks.
        error = request.kw - self.est_kw - self.est.trend_kw + self._carried_kw(seen, request)
        band = max(self.tuning.band_part * request.kw, self.tuning.band_doubt * self.doubt_kw)
        calm = abs(error) <= band
        margin = self.tuning.calm_margin if calm else self.tuning.hand_on_margin
        handed = self._hand_on(seen, request, now_a, able, margin)
        if calm and not len(handed):
            return NOBODY
        s = self.est.state
        rise_kw = float((seen.kw_per_a * np.maximum(s.would_a - now_a, 0.0))[handed].sum())
        back = Moves(rows=handed, limit_a=seen.max_a[handed])
        error += rise_kw
        if error > band:
            rows = _without(able & (now_a > LEAST_A), handed)
            price = self._prices(seen, rows, now_a, request)
            more = ask_more(seen, now_a, self.est.gap(), able, price, rows, error + band / 2, band / 2)
            return _joined(back, more)
        if error < -band:
            # One that was held before it was ever seen free may be let go: then it is seen.
            rows = _without(movable & ~seen.free, handed)
            price = self._prices(seen, rows, now_a, request)
            places, limit_a = give_back(
                self._held(seen, rows, now_a), price.hold, -error - band / 2, band / 2
            )
            return _joined(back, Moves(rows=rows[places], limit_a=limit_a))
        return back

    def _held(self, seen: Columns, rows: Ints, now_a: Floats) -> Held:
        return Held(
            kw_per_a=seen.kw_per_a[rows],
            now_a=now_a[rows],
            would_a=self.est.state.would_a[rows],
            gap_a=self.est.gap()[rows],
            floor_a=seen.floor_a[rows],
            step_a=seen.step_a[rows],
            max_a=seen.max_a[rows],
        )

    def _carried_kw(self, seen: Columns, request: Request) -> float:
        """What each minute that is left of an interval sheds more, to make up for what those before it missed."""
        passed = (seen.now_min - request.start_min) % INTERVAL_MIN
        if passed < 1.0:
            self._missed_kw_min = 0.0
            return 0.0
        shed_kw = float((self.est.would_kw(seen) - seen.kw_per_a * seen.draw_a).sum())
        self._missed_kw_min += request.kw - shed_kw
        most_kw = self.tuning.carry_part * request.kw
        return float(np.clip(self._missed_kw_min / (INTERVAL_MIN - passed), -most_kw, most_kw))

    def _prices(self, seen: Columns, rows: Ints, now_a: Floats, request: Request) -> Prices:
        taste = self.tuning.taste
        horizon_h = min(max((request.end_min - seen.now_min) / 60, LEAST_H), taste.look_h)
        found = prices(seen, self.est, self.outlook, rows, now_a, horizon_h, taste)
        again = np.where(np.isnan(self.est.state.asked_a[rows]), 0.0, taste.again)
        free = seen.free[rows]
        return replace(found, floor=found.floor + again * free, pause=found.pause + again * free)

    def _hand_on(self, seen: Columns, request: Request, now_a: Floats, able: Bools, margin: float) -> Ints:
        """Every few minutes: held EVSEs to be freed because others can do the same at a price lower by `margin`."""
        s, tuning = self.est.state, self.tuning
        passed_min, left_min = seen.now_min - request.start_min, request.end_min - seen.now_min
        if passed_min % HAND_ON_EVERY_MIN < HAND_ON_EVERY_MIN - 1 or left_min < HAND_ON_EVERY_MIN:
            return NOBODY.rows
        long = able & ~seen.free & (seen.now_min - s.asked_min >= HAND_ON_AFTER_MIN)
        held = np.flatnonzero(long & (s.would_a - now_a > HAND_ON_A))
        free = np.flatnonzero(able & seen.free & (now_a > seen.floor_a))
        if not len(held) or not len(free):
            return NOBODY.rows
        rise = (seen.kw_per_a * (s.would_a - now_a))[held]
        gain = (seen.kw_per_a * np.maximum(now_a - seen.floor_a + self.est.gap(), 0.0))[free]
        dear, cheap = self._prices(seen, held, now_a, request), self._prices(seen, free, now_a, request)
        most_kw = tuning.hand_on_part * request.kw
        return held[hand_on(rise, dear.hold, gain, cheap.floor, most_kw, margin)]

    def _restore(self, seen: Columns, request: Request, now_a: Floats, load_kw: float) -> Moves:
        s = self.est.state
        held = np.flatnonzero(~seen.free & seen.online)
        room_kw = self.ramp.room_kw(seen.now_min, load_kw)
        price = prices(seen, self.est, self.outlook, held, now_a, RETURN_H, self.tuning.taste)
        rise = np.where(s.done | s.stuck | s.deaf, 0.0, np.maximum(s.would_a - now_a, 0.0)) * seen.kw_per_a
        # What was let go and did not hear it is told again, and counts first.
        again = held[(seen.frees(s.asked_a) & (seen.now_min - s.asked_min >= 1.0))[held]]
        asked_kw = request.kw or self._asked_kw or max(self.est_kw, 0.0)
        step_kw = self.ramp.step_kw(seen.now_min, asked_kw) - float(rise[again].sum())
        whole_kw = self.tuning.way_back.step_part * asked_kw
        rows = held[release(rise[held], price.hold, room_kw, step_kw, whole_kw)]
        if rise[rows].any():
            self.ramp.let_go(seen.now_min)
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
        differs = ~np.isnan(wanted) & ~agrees(seen.limit_a, wanted)
        waited = seen.now_min - s.asked_min
        # A station that does nothing is not asked again, but it is told when it is free.
        hears = ~s.deaf | (seen.frees(wanted) & (waited >= DEAF_MIN))
        send = differs & seen.online & ~seen.opted_out & hears & (waited >= self.tuning.gap_min)
        rows = np.flatnonzero(send)
        s.asked_a[rows] = wanted[rows]
        s.asked_min[rows] = seen.now_min
        s.waits[rows] = True
        return rows, wanted[rows]
