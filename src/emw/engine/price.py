"""What it is expected to cost to hold an EVSE: the energy that its driver will miss at departure, per kWh shed.

That is over all that is known of departure and need. A price on vehicles likely to finish by themselves comes on top:
their shed does not last, and nobody can see when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emw.engine.columns import Columns, Floats, Ints
from emw.engine.estimate import Estimator
from emw.engine.ladder import UNKNOWN
from emw.engine.need import NEED_QUANTILES, NEED_WEIGHTS, TAU_H, needs_at, place_of
from emw.engine.stay import STAY_QUANTILES, STAY_WEIGHTS, departures

COARSE_NEED = np.array([0.3, 0.4, 0.3])
COARSE_STAY = np.array([0.4, 0.6])
"""Weights where only every second of the needs and departures is looked at."""
STALE_MIN = 5.0
"""An outlook is looked at again after this."""
BLOCK = 2048
"""Rows that are worked on at a time, so that what lies between two steps stays near the core."""
LEAST_H = 5 / 60
"""No hold is priced for less time than this."""
AT_ONCE = 4000
"""Outlooks renewed in one round at most."""
MANY = 5000
"""Above this many rows every second need and departure is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """What a hold is weighed by; prices in kWh missed per kWh shed."""

    finish: float = 1.0
    """Of a car certain to finish before the event ends."""
    no_resume: float = 0.01
    """Share of paused cars that do not wake."""
    wait_h: float = 0.15
    """Mean wait for the release after the event, h."""
    look_h: float = 1.0
    """How far ahead a hold is weighed: it can be handed on to another driver later."""
    again: float = 0.1
    """Price of asking a driver a second time."""


class Outlook:
    """What lies ahead of each session, a row each, as it was last looked at; looked at again in turns."""

    def __init__(self) -> None:
        self.need_h = np.zeros((0, len(NEED_QUANTILES)))
        """Likely needs, h of charging at full draw."""
        self.leave_h = np.zeros((0, len(NEED_QUANTILES), len(STAY_QUANTILES)))
        """Likely departures for each need, h from then."""
        self.alive = np.zeros((0, len(TAU_H)))
        """The chance to charge still after TAU_H of charging."""
        self.total = np.zeros((0, len(TAU_H)))
        """Its integral: hours of charging expected by then."""
        self.at_min = np.zeros(0)
        """When it was looked at; -inf: not yet."""

    def align(self, seen: Columns) -> None:
        """Keep in step with the rows."""
        n = len(seen.was)
        if n != len(self.at_min) or not bool((seen.was == np.arange(n)).all()):
            known = seen.was >= 0
            rows = seen.was[known]
            for name in ("need_h", "leave_h", "alive", "total"):
                old = getattr(self, name)
                new = np.zeros((n, *old.shape[1:]))
                new[known] = old[rows]
                setattr(self, name, new)
            at_min = np.full(n, -np.inf)
            at_min[known] = self.at_min[rows]
            self.at_min = at_min

    def renew(self, seen: Columns, est: Estimator, rows: Ints) -> None:
        """Look again at those of `rows` whose outlook is old."""
        due = rows[seen.now_min - self.at_min[rows] >= STALE_MIN]
        if len(due) > AT_ONCE:
            due = due[np.argsort(self.at_min[due], kind="stable")[:AT_ONCE]]
        if not len(due):
            return
        self.at_min[due] = seen.now_min
        for first in range(0, len(due), BLOCK):
            self.look(seen, est, due[first : first + BLOCK])

    def look(self, seen: Columns, est: Estimator, due: Ints) -> None:
        """Look at what lies ahead of the rows `due`."""
        s = est.state
        full_kw = np.maximum(seen.kw_per_a * s.would_a, 0.1)[due]
        now_h = seen.now_min / 60
        ahead_h = s.deficit_kwh[due] / full_kw
        self.alive[due], self.total[due] = est.finish.ahead(
            s.told.pick(due), seen.got_kwh[due], full_kw, now_h - ahead_h
        )
        self.need_h[due] = needs_at(self.alive[due])
        got_kwh = seen.got_kwh[due][:, None] + self.need_h[due] * full_kw[:, None]
        self.leave_h[due] = departures(
            now_h, s.told.pick(due), np.maximum(self.need_h[due] - ahead_h[:, None], 0.0), got_kwh
        )

    def within(self, rows: Ints, horizon_h: float) -> tuple[Floats, Floats]:
        """The chance to be still charging after `horizon_h` hours, and how many of them are expected to be charged."""
        j, part = place_of(horizon_h)
        alive, total = (
            table[rows, j] + part * (table[rows, j + 1] - table[rows, j])
            for table in (self.alive, self.total)
        )
        return alive, total


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Of both moves of each row, kWh missed per kWh shed; `pause` is never lower than `floor`."""

    floor: Floats
    pause: Floats
    hold: Floats
    """Of what a held row gives now."""


def prices(
    seen: Columns,
    est: Estimator,
    outlook: Outlook,
    rows: Ints,
    now_a: Floats,
    horizon_h: float,
    taste: Taste,
) -> Prices:
    """Of holding these rows for `horizon_h` from now; `now_a`: their draw now, by row of `Columns`."""
    outlook.renew(seen, est, rows)
    gap_a, draw_a = est.gap(), np.maximum(est.state.would_a, 0.1)
    found = Prices(floor=np.empty(len(rows)), pause=np.empty(len(rows)), hold=np.empty(len(rows)))
    for first in range(0, len(rows), BLOCK):
        block = slice(first, first + BLOCK)
        r = rows[block]
        low = np.clip(seen.floor_a[r] - gap_a[r], 0.0, draw_a[r]) / draw_a[r]
        part_now = np.clip(now_a[r] / draw_a[r], 0.0, 1.0)
        found.floor[block], found.pause[block], found.hold[block] = _of_parts(
            outlook, r, low, part_now, horizon_h, taste, coarse=len(rows) > MANY
        )
    return found


def _of_parts(
    outlook: Outlook,
    rows: Ints,
    low: Floats,
    part_now: Floats,
    horizon_h: float,
    taste: Taste,
    *,
    coarse: bool,
) -> tuple[Floats, Floats, Floats]:
    """Prices of floor, pause and hold, a row each.

    `low` and `part_now`: what is left at the floor, and now, of the free draw (parts of it, a row each).
    """
    need_h, leave_h = outlook.need_h.take(rows, axis=0), outlook.leave_h.take(rows, axis=0)
    need_weights, stay_weights = NEED_WEIGHTS, STAY_WEIGHTS
    if coarse:
        need_h, leave_h = need_h[:, 1::2], leave_h[:, 1::2, ::2]
        need_weights, stay_weights = COARSE_NEED, COARSE_STAY
    # Departures by needs by rows: so each step goes along one long column for each pair of a departure and a need.
    need_h, leave_h = np.ascontiguousarray(need_h.T), np.ascontiguousarray(leave_h.T)
    wait_h = horizon_h + taste.wait_h
    after_h = np.maximum(leave_h - wait_h, 0.0)
    during_h = np.minimum(leave_h, wait_h)

    def unserved(served_h: Floats) -> Floats:
        """The mean of what is missed, h of charging, by row; `served_h` like `leave_h`."""
        missed = need_h - served_h
        np.maximum(missed, 0.0, out=missed)
        missed *= stay_weights[:, None, None]
        by_need = missed.sum(axis=0)
        by_need *= need_weights[:, None]
        mean: Floats = by_need.sum(axis=0)
        return mean

    free = unserved(leave_h)
    at_floor = unserved(low * during_h + after_h)
    paused = unserved(after_h)
    held = unserved(part_now * during_h + after_h)
    alive, lasts = outlook.within(rows, horizon_h)
    lasts = np.maximum(lasts, 1e-3)
    finish = taste.finish * (1 - alive)
    floor = (at_floor - free) / (np.maximum(1 - low, 0.05) * lasts) + finish
    pause = (paused - at_floor) / (np.maximum(low, 0.05) * lasts) + finish
    pause += taste.no_resume * outlook.total[rows, -1] / lasts
    hold = (held - free) / (np.maximum(1 - part_now, 0.05) * lasts) + finish
    unknown = np.isneginf(outlook.at_min[rows])
    floor = np.where(unknown, UNKNOWN.floor, floor)
    return floor, np.maximum(pause, floor), np.where(unknown, UNKNOWN.hold, hold)
