"""The counterfactual: what each EVSE would draw now if nobody had asked anything of it.

While a car is free this is what it draws. While it is held, a virtual twin goes on charging at full draw. The twin
is ahead of the car by a deficit (kWh); the chance that it has finished meanwhile is

    1 - exp(-fade),   fade = hazard summed over the twin's way - hazard summed over the car's own way,

because the car, still charging, proves that its need lies beyond what it has got. A car that finishes while held
settles the question: its twin had finished before.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from emw.engine.answers import Answers
from emw.engine.columns import SMALL_A, Bools, Columns, Floats, Ints
from emw.engine.need import GROUPS, Finish
from emw.engine.past import Past
from emw.engine.prior_stays import FIRST_H
from emw.engine.stay import Leave, later
from emw.engine.taper import Taper
from emw.engine.told import told
from emw.engine.vehicles import Vehicles

LIVE_A = 0.5
"""A car that draws less is not charging."""
WHOLE_MIN = 2.0
"""This long after plug-in the last minute's mean is that of a whole minute of charging."""
STAYS_MIN = 5.0
"""A car that stays this long after its last draw has finished by itself."""
DIP = 0.9
"""A free car that draws less than this part of what it drew may have finished within the minute."""
MORE = 1.05
"""A vehicle that draws more than so many times what it drew before is looked at anew."""
AMPLE_A = 2.5
"""A limit this much above the draw does not bind."""
ASLEEP = 3
"""So many rounds without drawing after a pause, and a car does not wake from it."""
JUMP_A, JUMP_PART = 0.2, 0.03
"""A free car that draws otherwise by more than this, and this part of its draw, draws so from now on..."""
SMOOTH = 0.2
"""... and where it is less, a reading weighs so much against what was believed."""
HELD_MORE = 1.03
"""A held car that draws more than so many times what was believed wants at least that."""
BINDS_A = 0.5
"""A limit binds a car that draws this much less than it would: what it takes less than its limit is its gap..."""
MOST_GAP_A = 4.0
"""... up to this; one that takes still less wants no more."""
GAP_NEWS = 0.3
"""Weight of a reading against the gap believed."""
MANY_GAPS = 10
"""So many EVSEs must have shown their gap before others are taken to be like them."""


class _Signs(NamedTuple):
    """What a round's readings show of each session at first sight."""

    fresh: Bools
    """It was not seen before."""
    changed: Bools
    """Its limit was confirmed within this round: the reading belongs to neither side of that."""
    held: Bools
    """A limit binds it, or might."""
    live: Bools
    """It charges."""
    allowed: Bools
    """It may."""


def _signs(seen: Columns, s: Vehicles) -> _Signs:
    fresh = seen.was < 0
    return _Signs(
        fresh=fresh,
        changed=(np.abs(seen.limit_a - s.limit_a) > SMALL_A) & ~fresh,
        held=seen.limit_a < np.minimum(seen.max_a - SMALL_A, s.would_a + AMPLE_A),
        live=seen.draw_a > LIVE_A,
        allowed=seen.limit_a >= seen.floor_a - SMALL_A,
    )


def _ended(s: Vehicles, signs: _Signs) -> Bools:
    """Who stopped charging by itself in this round; notes besides who does not wake from a pause."""
    s.awake = np.where(signs.allowed, s.awake | signs.live, False)
    s.still = np.where(signs.allowed & ~signs.live & ~signs.changed, s.still + 1, 0)
    ended: Bools = (s.still >= np.where(signs.held, 2, 1)) & ~s.done & s.awake & (s.would_a > 0)
    s.stuck = np.where(signs.live, False, s.stuck | ((s.still >= ASLEEP) & ~s.awake))
    return ended


class Estimator:
    """Keeps the twins. `update` once a round, then read `alive`, `would_kw` and `doubt_kw`."""

    def __init__(self) -> None:
        self.state = Vehicles.empty(0)
        self.finish = Finish()
        self.leave = Leave()
        self.taper = Taper()
        self.last_min: float | None = None
        self._expected: deque[tuple[float, Floats]] = deque()
        """When, and how many finishes were expected: as long as it is open who of them stays."""
        self.answers = Answers()
        self.held = np.zeros(0, dtype=np.bool_)
        """Whom a limit binds, or might."""
        self.typical_gap_a = 0.7
        self.typical_draw_a = 16.0
        """Of a car that has not shown its own; what is usual, until the fleet has shown that."""
        self.leaving = np.zeros(0)
        """The hazard of leaving of each that has finished, per hour."""
        self.trend_kw = 0.0
        """Expected change of the held EVSEs' counterfactual over the next round, kW."""

    def update(self, seen: Columns) -> None:
        """Take in one round of readings."""
        hours = 0.0 if self.last_min is None else max(seen.now_min - self.last_min, 0.0) / 60
        self._goodbye(seen, hours)
        s = self.state = self.state.aligned(seen.was)
        self._greet(seen, s, seen.was < 0)
        self.finish.tell = float(np.isfinite(s.req_kwh).sum() / (len(s.req_kwh) + 1))
        signs = _signs(seen, s)
        self.held = signs.held
        self._twins(seen, s, signs.held, hours)
        self._obey(seen, s, signs.changed)
        due = self._finished(seen, s, _ended(s, signs), signs.fresh)
        self._draw(seen, s, signs, due)
        self._gaps(seen, s, signs)
        s.limit_a, s.got_kwh = seen.limit_a.copy(), seen.got_kwh.copy()
        self.last_min = seen.now_min

    def forget(self, keeps: float) -> None:
        """What the fleet showed so far weighs `keeps` of what it did."""
        self.finish.forget(keeps)
        self.leave.forget(keeps)
        self.taper.forget(keeps)

    def recall(self, seen: Columns, past: Past) -> None:
        """After `update`: what was known before of the sessions that it saw for the first time."""
        s = self.state
        rows = np.flatnonzero(past.known & (seen.was < 0))
        if not len(rows):
            return
        for name in ("deficit_kwh", "fade", "due", "gap_a", "more_a"):
            getattr(s, name)[rows] = getattr(past, name)[rows]
        s.done[rows] = past.done[rows] & (seen.draw_a[rows] <= LIVE_A)
        held = rows[self.held[rows]]
        s.would_a[held] = np.maximum(past.would_a[held], seen.draw_a[held])
        s.learned[held] = past.learned[held]
        self._listen(seen, s, held, s.would_a[held])
        s.would_a[s.done] = 0.0

    def past(self) -> tuple[Ints, Past]:
        """The rows of which more is known than the next reading will say, and that."""
        s = self.state
        rows = np.flatnonzero(self.held | (s.deficit_kwh > 0) | s.done)
        known = Past(
            known=np.ones(len(rows), dtype=np.bool_),
            would_a=np.where(s.done, s.drew_a, s.would_a)[rows],
            deficit_kwh=s.deficit_kwh[rows],
            fade=s.fade[rows],
            due=s.due[rows],
            gap_a=s.gap_a[rows],
            more_a=s.more_a[rows],
            learned=s.learned[rows],
            done=s.done[rows],
        )
        return rows, known

    def _goodbye(self, seen: Columns, hours: float) -> None:
        """Learn from who left and who did not."""
        s = self.state
        self.leaving = np.zeros(len(seen.was))
        if not len(s.fade) or hours <= 0:
            return
        now_h = seen.now_min / 60
        leaving = later(now_h, s.told)
        left = np.ones(len(s.fade), dtype=np.bool_)
        left[seen.was[seen.was >= 0]] = False
        # Who has finished just now leaves by a hazard of its own.
        news = s.done & (seen.now_min - s.full_min < 60 * FIRST_H) & np.isnan(s.ended_min)
        plain = (s.deficit_kwh <= 0) & (s.done | (s.would_a > 0)) & ~s.stuck & ~news
        # Who leaves right after its last draw has left while charging: the driver did not wait for a full battery.
        finished = s.done & np.isnan(s.ended_min)
        rows = np.flatnonzero(plain)
        chance = hours * leaving.take(rows)
        self.leave.learn(chance, finished.take(rows), left.take(rows), s.kind.take(rows))
        known = seen.was >= 0
        self.leaving[known] = leaving[seen.was[known]]

    def _greet(self, seen: Columns, s: Vehicles, fresh: Bools) -> None:
        """Sessions not seen before: what they got so far tells of the hazard of finishing."""
        if not fresh.any():
            return
        s.limit_a[fresh] = seen.limit_a[fresh]
        s.plug_min[fresh] = seen.plug_min[fresh]
        s.depart_min[fresh] = seen.depart_min[fresh]
        s.got_kwh[fresh] = seen.got_kwh[fresh]
        free = seen.free
        s.would_a[fresh] = np.where(free, seen.draw_a, np.maximum(seen.draw_a, self.typical_draw_a))[fresh]
        s.done[fresh] = (free & (seen.draw_a <= LIVE_A) & (seen.got_kwh > 0.1))[fresh]
        rows = np.flatnonzero(fresh)
        drew_a = np.where(s.would_a > LIVE_A, s.would_a, self.typical_draw_a)
        self._listen(seen, s, rows, drew_a[rows])
        s.would_a[s.done] = 0.0

    def _listen(self, seen: Columns, s: Vehicles, rows: Ints, drew_a: Floats) -> None:
        """What drivers told, read in the light of what their vehicles draw."""
        who = told(
            seen.req_kwh[rows],
            seen.plug_min[rows] / 60,
            seen.depart_min[rows] / 60,
            seen.kw_per_a[rows] * drew_a,
        )
        s.drew_a[rows] = drew_a
        s.req_kwh[rows], s.scale[rows], s.size[rows] = who.req_kwh, who.scale, who.size
        s.came[rows], s.kind[rows] = who.came, who.kind

    def _twins(self, seen: Columns, s: Vehicles, held: Bools, hours: float) -> None:
        """Move cars and twins on by one round."""
        s.due[~held] = 0.0
        rows = np.flatnonzero((held | (s.deficit_kwh > 0)) & ~s.done & ~s.deaf)
        self.trend_kw = 0.0
        if hours <= 0 or not len(rows):
            return
        who = s.told.pick(rows)
        k = seen.kw_per_a[rows] * hours
        own = np.minimum(seen.draw_a, s.would_a)[rows] * k
        left = self.taper.left(s.due[rows])
        twin = s.would_a[rows] * left * k
        at = seen.got_kwh[rows]
        ahead = s.deficit_kwh[rows]
        now_h = seen.now_min / 60
        behind_h = ahead / np.maximum(seen.kw_per_a[rows] * s.would_a[rows], 0.1)
        step = self.finish.hazard(who, at + ahead + twin / 2, now_h) * twin
        s.fade[rows] += step
        s.due[rows] += np.where(held[rows], step, 0.0)
        going = seen.kw_per_a[rows] * s.would_a[rows] * left * np.exp(-s.fade[rows])
        self.trend_kw = -float((going * step).sum()) * (1 + self.taper.per_finish)
        s.fade[rows] -= np.where(
            s.stuck[rows], 0.0, self.finish.hazard(who, at - own / 2, now_h - behind_h) * own
        )
        # Still plugged in: a sign that the twin still charges, for who has finished leaves sooner.
        leaves = self.leaving[rows]
        stays = hours * (
            self.leave.gone(now_h, who, leaves, behind_h, at + ahead) - leaves * self.leave.charging[who.kind]
        )
        fade = np.maximum(s.fade[rows], 0.0)
        s.fade[rows] = np.maximum(fade - (1 - np.exp(-fade)) * np.maximum(stays, 0.0), 0.0)
        s.deficit_kwh[rows] = np.maximum(ahead + twin - own, 0.0)

    def _finished(self, seen: Columns, s: Vehicles, ended: Bools, fresh: Bools) -> float:
        """Cars that finished by themselves in this round, and what all cars' progress tells.

        Returns how many finishes were due among those who were free all along.
        """
        # Only who was free all along: the others are behind their twins, and their time is not their own.
        moves = ~fresh & ((seen.draw_a > LIVE_A) | ended) & (s.deficit_kwh <= 0)
        rows = np.flatnonzero(moves)
        took = np.maximum(seen.got_kwh - s.got_kwh, 0.0)[rows]
        expected = self.finish.chances(s.told.pick(rows), took, seen.got_kwh[rows], seen.now_min / 60)
        self._expected.append((seen.now_min, expected))
        s.ended_min[moves & ended] = seen.now_min
        s.ended_min[seen.draw_a > LIVE_A] = np.nan
        # Who leaves at once was asked by the clock, not by a full battery: a finish counts once the car has stayed.
        stayed = np.flatnonzero(seen.now_min - s.ended_min >= STAYS_MIN)
        open_no_more = np.zeros(GROUPS)
        while self._expected and seen.now_min - self._expected[0][0] >= STAYS_MIN:
            open_no_more += self._expected.popleft()[1]
        self.finish.learn(open_no_more, s.told.pick(stayed), seen.got_kwh[stayed])
        s.ended_min[stayed] = np.nan
        s.full_min[ended] = seen.now_min
        s.done |= ended
        s.would_a[ended] = 0.0
        s.deficit_kwh[ended] = 0.0
        s.fade[ended] = 0.0
        return float((expected * self.finish.factor).sum())

    def _obey(self, seen: Columns, s: Vehicles, changed: Bools) -> None:
        """Who turns out not to do what it is told is believed to draw what it draws."""
        caught = self.answers.watch(seen, s, changed)
        s.would_a = np.where(s.deaf, seen.draw_a, s.would_a)
        s.deficit_kwh[caught] = 0.0
        s.fade[caught] = 0.0

    def _draw(self, seen: Columns, s: Vehicles, signs: _Signs, due: float) -> None:
        """What each draws when nothing holds it. `due`: finishes that were due among the free (`_finished`)."""
        free = ~signs.held & signs.live & ~signs.changed
        s.done &= ~signs.live
        before_a = s.would_a
        jump = np.abs(seen.draw_a - s.would_a) > JUMP_A + JUMP_PART * s.would_a
        # The mean of the minute in which a car finishes is neither what it drew nor what it will draw.
        s.dips = np.where(free & (seen.draw_a < DIP * s.would_a), s.dips + 1, 0)
        s.would_a = np.where(
            free & (s.dips != 1),
            np.where(jump, seen.draw_a, s.would_a + SMOOTH * (seen.draw_a - s.would_a)),
            s.would_a,
        )
        goes_on = free & s.learned & ~signs.fresh & (s.deficit_kwh <= 0) & (before_a > 0)
        fell = ((before_a - s.would_a)[goes_on] / np.maximum(s.drew_a[goes_on], LIVE_A)).sum()
        self.taper.learn(float(fell), due)
        more = signs.held & signs.live & (seen.draw_a > s.would_a * HELD_MORE)
        s.would_a = np.where(more, seen.draw_a, s.would_a)
        learns = free & ~s.learned & (seen.now_min - s.plug_min >= WHOLE_MIN)
        s.learned |= learns
        news = np.flatnonzero(learns | (s.would_a > MORE * s.drew_a))
        if len(news):
            self._listen(seen, s, news, s.would_a[news])
        if free.any():
            self.typical_draw_a = float(np.median(s.would_a[free]))

    def _gaps(self, seen: Columns, s: Vehicles, signs: _Signs) -> None:
        """What cars take less than they are allowed."""
        shows = signs.held & signs.live & ~signs.changed & signs.allowed & ~s.deaf
        rows = np.flatnonzero(shows & (seen.draw_a < s.would_a - BINDS_A))
        gap = np.maximum(seen.limit_a[rows] - seen.draw_a[rows], 0.0)
        rows, gap = rows[gap < MOST_GAP_A], gap[gap < MOST_GAP_A]
        before = s.gap_a[rows]
        s.gap_a[rows] = np.where(np.isnan(before), gap, (1 - GAP_NEWS) * before + GAP_NEWS * gap)
        known = s.gap_a[~np.isnan(s.gap_a)]
        if len(known) >= MANY_GAPS:
            self.typical_gap_a = float(known.mean())

    @property
    def alive(self) -> Floats:
        """The chance that the twin still charges."""
        fade = self.state.fade
        found = np.ones(len(fade))
        faded = np.flatnonzero(fade)
        found[faded] = np.exp(-fade[faded])
        found[self.state.done] = 0.0
        return found

    @property
    def goes_on(self) -> Floats:
        """The part of its draw that each twin is expected to draw still: some have finished, some taper."""
        return self.alive * self.taper.left(self.state.due)

    def would_kw(self, seen: Columns) -> Floats:
        """Expected counterfactual load of each EVSE now, kW."""
        s = self.state
        plain = (~self.held & (s.deficit_kwh <= 0)) | s.deaf
        return seen.kw_per_a * np.where(plain, seen.draw_a, s.would_a * self.goes_on)

    def doubt_kw(self, seen: Columns) -> float:
        """Standard deviation of the fleet's counterfactual, kW: each twin either charges or does not."""
        alive = self.alive
        one = (seen.kw_per_a * self.state.would_a) ** 2 * alive * (1 - alive)
        return float(np.sqrt(one.sum()))

    def gap(self) -> Floats:
        """Gap between limit and draw, seen or typical, A."""
        return np.where(np.isnan(self.state.gap_a), self.typical_gap_a, self.state.gap_a)
