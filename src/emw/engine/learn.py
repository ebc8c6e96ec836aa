"""What is believed of a fleet, minute by minute: what each EVSE would draw, and what holding it costs its driver.

Readings in, beliefs out. The counterfactual is `estimate`'s (a virtual twin that fades), the prices are `price`'s
(energy expected to be missed at departure per kWh shed). State is kept between looks; there is no clock here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emw.engine.columns import Bools, Columns, Floats, Ints
from emw.engine.estimate import BINDS_A, MANY_GAPS, Estimator
from emw.engine.forecast import Ahead, ahead, still_charging
from emw.engine.ladder import Price
from emw.engine.need import TAU_H
from emw.engine.past import Habits, Past
from emw.engine.price import Outlook, Taste, prices

OBEYS_A = 1.0
"""A draw this near its limit, and this far below what it is without one, shows that the limit is kept."""
UNSEEN_H = 2.0
"""Mean need of a vehicle that has not been looked at yet, h of charging."""
TAKES_LESS_A = 2.0
"""A vehicle takes up to so much less than it is offered, any part of it as likely as another."""
CONTENT_A = 3.0
"""One that takes still less, with a margin, wants no more."""
FEW = 5
"""The mean of fewer vehicles says nothing of another."""
HALF_H = 30 * 24.0
"""After so long what a fleet showed weighs half: a season is not the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """What is believed of one vehicle now.

    Had nobody asked anything of it, it would be expected to draw `alive` times `would_a`.
    """

    would_a: float
    """Draw when free and still charging, A per phase."""
    alive: float = 1.0
    """Fades while it is held: its need would have been met by and by, and most take less towards the end."""
    gap_a: float = 0.0
    """What it takes less than it is offered, A."""
    learned: bool = True
    """Its draw was seen while nothing held it."""
    price: Price | None = None

    @property
    def baseline_a(self) -> float:
        """Expected draw had nobody asked anything of it, A per phase."""
        return self.would_a * self.alive


class Learner:
    """One fleet's memory. `look` once a minute; `beliefs` answers in the order of the columns looked at."""

    def __init__(self, taste: Taste | None = None) -> None:
        self.est = Estimator()
        self._outlook = Outlook()
        self._taste = taste or Taste()
        self._seen: Columns | None = None
        self._beliefs: list[Belief] = []
        self._horizon_h = -1.0
        self.others_a: float | None = None
        """What vehicles draw here that were seen to draw freely, a mean in A; None: too few were."""

    def look(self, seen: Columns, known_a: Floats | None = None, past: Past | None = None) -> None:
        """Take in one minute's readings.

        `known_a`: what an EVSE was seen to draw when nothing held it, A; NaN: it never was. It counts for sessions
        that are limited at first sight (after a restart), and for stations that did not obey and do so now.
        `past`: what an earlier learner knew of the sessions that this one sees for the first time.
        """
        if self._seen is not None:
            self.est.forget(0.5 ** (max(seen.now_min - self._seen.now_min, 0.0) / 60 / HALF_H))
        self.est.update(seen)
        if past is not None:
            self.est.recall(seen, past)
        if known_a is not None:
            state, known = self.est.state, np.isfinite(known_a)
            obeys = (seen.limit_a < known_a - OBEYS_A) & (seen.draw_a < seen.limit_a + OBEYS_A)
            forgiven = state.deaf & known & obeys
            state.deaf &= ~forgiven
            news = (seen.was < 0) if past is None else (seen.was < 0) & ~past.known
            told = forgiven | (news & known & ~state.done)
            state.would_a = np.where(told, known_a, state.would_a)
            state.learned |= told
            self._unbound(seen, told)
        self._guess(seen)
        self._outlook.align(seen)
        self._seen, self._beliefs, self._horizon_h = seen, [], -1.0

    @property
    def habits(self) -> Habits:
        """What the fleet has shown so far."""
        finish, leave = self.est.finish, self.est.leave
        return Habits(
            finished=finish.seen,
            finishes_expected=finish.expected,
            left=leave.seen,
            leaves_expected=leave.expected,
            tapers=self.est.taper.shown,
        )

    def recall(self, habits: Habits) -> None:
        """Before the first look: what the fleet showed to an earlier learner."""
        finish, leave = self.est.finish, self.est.leave
        finish.recall(habits.finished, habits.finishes_expected)
        leave.seen, leave.expected = habits.left, habits.leaves_expected
        self.est.taper.shown = habits.tapers

    def past(self) -> tuple[Ints, Past]:
        """The rows of the last look of which more is known than the next will show, and that."""
        return self.est.past() if self._seen is not None else (np.zeros(0, dtype=np.int64), Past.nothing(0))

    def drew(self, rows: Ints) -> tuple[Floats, Floats]:
        """Of these rows of the last look: the most each was seen to draw, A, and what it has got, kWh."""
        state = self.est.state
        return state.drew_a[rows], state.got_kwh[rows]

    def _guess(self, seen: Columns) -> None:
        """Vehicles held since they came: who takes far less than offered has shown what it wants.

        Of one that takes nearly all it is open whether it wants more, or just this: the odds are how many of those seen
        free draw more than the limit against how many draw just this. The highest limit that it had says most.
        """
        state = self.est.state
        held = ~state.learned & (seen.limit_a < seen.max_a - OBEYS_A) & (seen.draw_a > OBEYS_A)
        content = held & (seen.limit_a - seen.draw_a > CONTENT_A)
        state.would_a = np.where(content, seen.draw_a, state.would_a)
        state.learned |= content
        self._unbound(seen, content)
        seen_free = np.sort(state.would_a[state.learned & ~state.done & ~state.deaf])
        self.others_a = float(seen_free.mean()) if len(seen_free) >= FEW else None
        if not len(seen_free):
            return
        above = np.concatenate((np.cumsum(seen_free[::-1])[::-1], [0.0]))
        rows = np.flatnonzero(held & ~content & (seen.limit_a >= state.more_a))
        state.more_a[rows] = seen.limit_a[rows]
        place = np.searchsorted(seen_free, state.more_a[rows])
        count = len(seen_free) - place
        known = count >= FEW
        rows, place, count = rows[known], place[known], count[known]
        draw_a = seen.draw_a[rows]
        near = np.searchsorted(seen_free, draw_a + 0.5) - np.searchsorted(seen_free, draw_a - 0.5)
        more = count / (count + TAKES_LESS_A * near)
        state.would_a[rows] = np.maximum(more * above[place] / count + (1 - more) * draw_a, draw_a)

    def _unbound(self, seen: Columns, rows: Bools) -> None:
        """What these want has turned out: where their limit leaves them that, what more it leaves is no gap.

        Until then they were taken for vehicles that want more. A gap as any vehicle may have it is kept all the same.
        """
        state = self.est.state
        draws_it = rows & (seen.draw_a >= state.would_a - BINDS_A)
        state.gap_a[draws_it & (state.gap_a > TAKES_LESS_A)] = np.nan

    @property
    def doubt_kw(self) -> float:
        """Standard deviation of what the fleet is believed to draw without requests, kW."""
        return 0.0 if self._seen is None else self.est.doubt_kw(self._seen)

    def beliefs(self, horizon_h: float | None = None) -> Sequence[Belief]:
        """One per row of the last look; with prices of holding for `horizon_h` hours where that is given."""
        wanted_h = 0.0 if horizon_h is None else round(min(horizon_h, self._taste.look_h), 2)
        if self._seen is not None and wanted_h != self._horizon_h:
            self._beliefs = self._believe(self._seen, wanted_h)
            self._horizon_h = wanted_h
        return self._beliefs

    def forecast(self, gives_kw: Floats, unseen_kw: Floats, hours: Sequence[float]) -> list[Ahead]:
        """What can be shed in so many hours by the vehicles that are here.

        `gives_kw`: what each row can give while it charges, 0: it can't be asked. `unseen_kw`: the same of vehicles
        that have not been looked at yet.
        """
        unseen = [np.full(len(unseen_kw), np.exp(-h / UNSEEN_H)) for h in hours]
        seen = self._seen
        if seen is None or not len(gives_kw):
            return ahead(unseen_kw, unseen, hours)
        self._outlook.renew(seen, self.est, np.flatnonzero(~self.est.state.done))
        old = np.isneginf(self._outlook.at_min)[:, None]
        met = np.where(old, np.exp(-TAU_H / UNSEEN_H), self._outlook.alive)
        charging = [still_charging(seen, self.est, met, h) for h in hours]
        both = [np.concatenate(pair) for pair in zip(charging, unseen, strict=True)]
        return ahead(np.concatenate((gives_kw, unseen_kw)), both, hours)

    def _believe(self, seen: Columns, horizon_h: float) -> list[Belief]:
        state = self.est.state
        each: list[Price | None] = [None] * len(seen.was)
        if horizon_h > 0 and len(each):
            rows = np.arange(len(each))
            found = prices(seen, self.est, self._outlook, rows, seen.draw_a, horizon_h, self._taste)
            parts = zip(found.floor.tolist(), found.pause.tolist(), found.hold.tolist(), strict=True)
            each = [Price(floor=floor, pause=pause, hold=hold) for floor, pause, hold in parts]
        columns = (
            np.where(state.done, 0.0, state.would_a).tolist(),
            np.where(state.deaf, 1.0, self.est.goes_on).tolist(),
            self._gaps().tolist(),
            state.learned.tolist(),
        )
        return [
            Belief(would_a=would_a, alive=alive, gap_a=gap_a, learned=learned, price=price)
            for would_a, alive, gap_a, learned, price in zip(*columns, each, strict=True)
        ]

    def _gaps(self) -> Floats:
        """Who has not shown a gap is given the fleet's only where enough others have shown theirs."""
        gap_a = self.est.state.gap_a
        known = ~np.isnan(gap_a)
        return np.where(known, gap_a, self.est.typical_gap_a if known.sum() >= MANY_GAPS else 0.0)
