"""When drivers leave: how long they stay once the vehicle has finished, and what it says that one is still there.

Some are gone within minutes of the last kWh: they did not wait for it, or came for nothing else. The others leave as
the clock and what they told have it, and what they told says little where they came late in the day. Drivers seldom
leave a car that still charges.
"""

from __future__ import annotations

import numpy as np

from emw.engine import prior_stays as priors
from emw.engine.columns import Bools, Floats, Ints
from emw.engine.tables import bins, look, place
from emw.engine.told import Told

STAY_QUANTILES = np.array([0.1, 0.3, 0.55, 0.85])
STAY_WEIGHTS = np.array([0.2, 0.2, 0.3, 0.3])
"""The time of staying is looked at where this much of its distribution lies below."""
AHEAD_H = 0.25
AHEAD_STEPS = 56
"""Leaving is looked at for so many steps of so many hours from now on."""
TYPICAL_KWH = 20.0
"""Taken where a driver told a departure and no energy."""
_WIDE = 64
"""The power of two above AHEAD_STEPS + 1."""


def _stretches(table: Floats) -> Floats:
    """The AHEAD_STEPS values from each place of the last axis on, from AHEAD_STEPS before it: rows to be added."""
    wide = np.pad(table, [(0, 0)] * (table.ndim - 1) + [(AHEAD_STEPS, AHEAD_STEPS)], mode="edge")
    return np.lib.stride_tricks.sliding_window_view(wide, AHEAD_STEPS, axis=-1)


def _begin(size: int, x: Floats, low: float) -> Ints:
    """The place in `_stretches` that begins at `x`, of a table of `size` places."""
    scaled = np.floor((x - low) * (1 / AHEAD_H) + 1e-9) + AHEAD_STEPS
    found: Ints = np.clip(scaled, 0, AHEAD_STEPS + size - 1).astype(np.int64)
    return found


_LOW_H = -8.25
_PAST_BINS = bins(priors.PAST_EDGES, AHEAD_H, 8.25, _LOW_H)
_PAST = (
    np.asarray(priors.LATER_BY_KIND_PAST)[:, None, _PAST_BINS]
    + np.asarray(priors.LATER_BY_CAME_PAST)[:, _PAST_BINS]
)
"""By kind, local time of plug-in, and the time since the departure told."""
_STAY_BINS = bins(priors.STAY_EDGES, AHEAD_H, 15.25)
_STAY = np.asarray(priors.LATER_BY_STAY)[_STAY_BINS]
_STAY_UNTOLD = np.asarray(priors.LATER_UNTOLD_BY_STAY)[_STAY_BINS]
_CLOCK_BINS = bins(priors.CLOCK_EDGES, 0.5, 24.0)
_CLOCK = np.asarray(priors.LATER_BY_CLOCK)[_CLOCK_BINS]
_CLOCK_UNTOLD = np.asarray(priors.LATER_UNTOLD_BY_CLOCK)[_CLOCK_BINS]
_PASTS = _PAST.shape[2]
_STARTS = AHEAD_STEPS + _PASTS
_PAST_NOW = _PAST.ravel()
_PAST_AHEAD = np.ascontiguousarray(_stretches(_PAST)[:, :, :_STARTS].reshape(-1, AHEAD_STEPS))
_KIND_CAME_UNTOLD = np.add.outer(
    np.asarray(priors.LATER_UNTOLD_BY_KIND), np.asarray(priors.LATER_UNTOLD_BY_CAME)
).ravel()
_CAMES = len(priors.CAME_EDGES) + 1
_STAY_STARTS = AHEAD_STEPS + len(_STAY)
_STAY_AHEAD = np.concatenate([_stretches(t)[:_STAY_STARTS] for t in (_STAY, _STAY_UNTOLD)])
_FIRST_CLOCK = np.asarray(priors.FIRST_BY_CLOCK)[bins(priors.FIRST_CLOCK_EDGES, 0.5, 24.0)]
_FIRST_CLOCK_UNTOLD = np.asarray(priors.FIRST_UNTOLD_BY_CLOCK)[bins(priors.FIRST_CLOCK_EDGES, 0.5, 24.0)]
_FIRST_PAST_BINS = bins(priors.FIRST_PAST_EDGES, AHEAD_H, 8.25, _LOW_H)
_FIRST_PAST = (
    np.asarray(priors.FIRST_BY_KIND_PAST)[:, None, _FIRST_PAST_BINS]
    + np.asarray(priors.FIRST_BY_CAME_PAST)[:, _FIRST_PAST_BINS]
)
_FIRST_PASTS = len(_FIRST_PAST_BINS)
_FIRST_PAST = _FIRST_PAST.ravel()
_FIRST_SHARE = np.asarray(priors.FIRST_BY_SHARE)[bins(priors.SHARE_EDGES, 0.01, 1.5)]
_FIRST_UNTOLD = np.add.outer(
    np.asarray(priors.FIRST_UNTOLD_BY_KIND), np.asarray(priors.FIRST_UNTOLD_BY_CAME)
).ravel()

TRUST = 12.0
"""Expected departures after which what the fleet shows weighs as much as what was known before."""
CHARGING = np.asarray(priors.CHARGING_BY_KIND)
FINISHED = np.ones_like(CHARGING)
"""Factors of the hazard of leaving, by kind, before the fleet has shown its own."""


class Leave:
    """The chance that a driver leaves, per hour; corrected by what the fleet shows, for each kind of vehicle."""

    def __init__(self) -> None:
        self.seen = np.zeros((2, len(FINISHED)))
        """Departures, of cars that still charge and of cars that have finished, by kind."""
        self.expected = np.zeros((2, len(FINISHED)))

    @property
    def charging(self) -> Floats:
        """Factors of the hazard, by kind, for cars that still charge (or would, had nobody asked them)."""
        return self._factor(0, CHARGING)

    @property
    def finished(self) -> Floats:
        """Factors of the hazard, by kind, for cars that have finished."""
        return self._factor(1, FINISHED)

    def _factor(self, state: int, known: Floats) -> Floats:
        found: Floats = (self.seen[state] + TRUST * known) / (self.expected[state] + TRUST)
        return found

    def forget(self, keeps: float) -> None:
        """What was shown before weighs `keeps` of what it did."""
        self.seen, self.expected = keeps * self.seen, keeps * self.expected

    def learn(self, chance: Floats, finished: Bools, left: Bools, kind: Ints) -> None:
        """Cars whose state was plain to see, their chances of leaving by the tables, and who left."""
        place = np.where(finished, len(FINISHED), 0) + kind
        count = self.seen.size
        self.expected += np.bincount(place, chance, count).reshape(self.seen.shape)
        self.seen += np.bincount(place, left, count).reshape(self.seen.shape)

    def gone(self, now_h: float, who: Told, long_ago: Floats, ahead_h: Floats, got_kwh: Floats) -> Floats:
        """Chance of leaving now, per hour, of held cars whose twins have finished, a row each.

        When, nobody knows: at any time of the last `ahead_h` hours, and within FIRST_H of it another hazard holds.
        `long_ago`: `later` of the same cars; `got_kwh`: what their twins have got.
        """
        first = _first(np.full((len(long_ago), 1), now_h), who, got_kwh[:, None])[:, 0]
        just = np.minimum(priors.FIRST_H / np.maximum(ahead_h, 1e-3), 1.0)
        found: Floats = self.finished[who.kind] * (long_ago + just * (first - long_ago))
        return found


def _heard(who: Told) -> tuple[Bools, Floats, Ints]:
    """Who told a departure, which (h; 0: none), and the bin of kind and time of plug-in."""
    known = np.isfinite(who.depart_h)
    kind_came = who.kind * _CAMES + np.digitize(who.plug_h % 24, priors.CAME_EDGES)
    return known, np.where(known, who.depart_h, 0.0), kind_came


def later(at_h: float, who: Told) -> Floats:
    """Chance of leaving at local time `at_h`, per hour, of cars that finished a while ago."""
    known, told_h, kind_came = _heard(who)
    clock = int(at_h % 24 * 2)
    past = place(_PASTS, at_h - told_h, AHEAD_H, _LOW_H)
    stay = place(len(_STAY), at_h - who.plug_h, AHEAD_H)
    logs = look(_PAST_NOW, kind_came * _PASTS + past) + look(_STAY, stay) + _CLOCK[clock]
    if not known.all():
        untold = look(_KIND_CAME_UNTOLD, kind_came) + look(_STAY_UNTOLD, stay) + _CLOCK_UNTOLD[clock]
        logs = np.where(known, logs, untold)
    found: Floats = np.exp(logs)
    return found


def departures(now_h: float, who: Told, finish_h: Floats, got_kwh: Floats) -> Floats:
    """Hours from now to departure for cars finishing `finish_h` hours from now (rows by m), at STAY_QUANTILES.

    `got_kwh` (rows by m): what will have been delivered then.
    """
    n = len(finish_h)
    gone = np.full((n, _WIDE), np.inf)
    gone[:, 0] = 0.0
    hazard = _later_ahead(now_h, who)
    hazard *= AHEAD_H
    np.cumsum(hazard, axis=1, out=gone[:, 1 : AHEAD_STEPS + 1])
    at_once = _first(now_h + finish_h, who, got_kwh)
    at_once *= priors.FIRST_H
    flat, first = gone.ravel(), np.arange(n)[:, None] * _WIDE
    start = np.clip(finish_h / AHEAD_H, 0, AHEAD_STEPS - 1e-6)
    j = start.astype(np.int64)
    low = look(flat, first + j)
    begin = low + (start - j) * (look(flat, first + j + 1) - low)
    ahead = np.maximum(-np.log(1 - STAY_QUANTILES) - at_once[:, :, None], 0.0)
    level = begin[:, :, None] + ahead
    # Each row is sorted and as wide as a power of two, so all are searched at once by halving.
    start_of_row = first[:, :, None]
    at = np.broadcast_to(start_of_row, level.shape).copy()
    step = _WIDE // 2
    while step:
        at += step * (look(flat, at + step) < level)
        step //= 2
    step_of = np.minimum(at - start_of_row + 1, AHEAD_STEPS)
    low = look(flat, start_of_row + step_of - 1)
    high = look(flat, start_of_row + step_of)
    part = np.clip((level - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
    found: Floats = np.maximum((step_of - 1 + part) * AHEAD_H, finish_h[:, :, None])
    return found


def _later_ahead(now_h: float, who: Told) -> Floats:
    """`later` in each step from now on: from one step to the next a row moves on by one place in each table, so that
    it needs a stretch of each and no look-up per time.
    """
    known, told_h, kind_came = _heard(who)
    at_h = now_h + (np.arange(AHEAD_STEPS, dtype=np.float64) + 0.5) * AHEAD_H
    clock = place(len(_CLOCK), at_h % 24, 0.5)
    both = np.concatenate((_PAST_AHEAD + _CLOCK[clock], _KIND_CAME_UNTOLD[:, None] + _CLOCK_UNTOLD[clock]))
    past = kind_came * _STARTS + _begin(_PASTS, at_h[0] - told_h, _LOW_H)
    stay = _begin(len(_STAY), at_h[0] - who.plug_h, 0.0)
    logs = look(both, np.where(known, past, len(_PAST_AHEAD) + kind_came))
    logs += look(_STAY_AHEAD, np.where(known, stay, stay + _STAY_STARTS))
    return np.exp(logs, out=logs)


def _first(at_h: Floats, who: Told, got_kwh: Floats) -> Floats:
    """Chance of leaving per hour right after finishing at `at_h` with `got_kwh` (rows by m)."""
    known, told_h, kind_came = _heard(who)
    told_kwh = np.where(np.isfinite(who.req_kwh), who.req_kwh, TYPICAL_KWH)
    clock = place(len(_FIRST_CLOCK), at_h % 24, 0.5)
    past = place(_FIRST_PASTS, at_h - told_h[:, None], AHEAD_H, _LOW_H)
    logs = look(_FIRST_CLOCK, clock)
    logs += look(_FIRST_PAST, kind_came[:, None] * _FIRST_PASTS + past)
    logs += look(_FIRST_SHARE, place(len(_FIRST_SHARE), got_kwh / told_kwh[:, None], 0.01))
    if not known.all():
        untold = look(_FIRST_CLOCK_UNTOLD, clock) + look(_FIRST_UNTOLD, kind_came)[:, None]
        logs = np.where(known[:, None], logs, untold)
    return np.exp(logs, out=logs)
