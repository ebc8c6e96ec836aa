"""How long a driver stays once the vehicle has finished: what makes up for a hold, or does not.

Some are gone within minutes of the last kWh: they did not wait for it, or came for nothing else. The others leave as
the clock and what they told have it, and what they told says little where they came late in the day.
"""

from __future__ import annotations

import numpy as np

from emw.engine import prior_stays as priors
from emw.engine.columns import Bools, Floats, Ints
from emw.engine.need import Told
from emw.engine.tables import bins, look, place

STAY_QUANTILES = np.array([0.1, 0.3, 0.55, 0.85])
STAY_WEIGHTS = np.array([0.2, 0.2, 0.3, 0.3])
"""The time of staying is looked at where this much of its distribution lies below."""
AHEAD_H = 0.25
AHEAD_STEPS = 56
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
_PAST = np.asarray(priors.LATER_BY_CAME_PAST)[:, bins(priors.PAST_EDGES, AHEAD_H, 8.25, _LOW_H)]
_STAY_BINS = bins(priors.STAY_EDGES, AHEAD_H, 15.25)
_STAY = np.asarray(priors.LATER_BY_STAY)[_STAY_BINS]
_STAY_UNTOLD = np.asarray(priors.LATER_UNTOLD_BY_STAY)[_STAY_BINS]
_CLOCK_BINS = bins(priors.CLOCK_EDGES, 0.5, 24.0)
_CLOCK = np.asarray(priors.LATER_BY_CLOCK)[_CLOCK_BINS]
_CLOCK_UNTOLD = np.asarray(priors.LATER_UNTOLD_BY_CLOCK)[_CLOCK_BINS]
_PASTS = _PAST.shape[1]
_STARTS = AHEAD_STEPS + _PASTS
_PAST_AHEAD = np.ascontiguousarray(_stretches(_PAST)[:, :_STARTS].reshape(-1, AHEAD_STEPS))
_CAME_UNTOLD = np.asarray(priors.LATER_UNTOLD_BY_CAME)
_STAY_STARTS = AHEAD_STEPS + len(_STAY)
_STAY_AHEAD = np.concatenate([_stretches(t)[:_STAY_STARTS] for t in (_STAY, _STAY_UNTOLD)])
_FIRST_CLOCK = np.asarray(priors.FIRST_BY_CLOCK)[bins(priors.FIRST_CLOCK_EDGES, 0.5, 24.0)]
_FIRST_CLOCK_UNTOLD = np.asarray(priors.FIRST_UNTOLD_BY_CLOCK)[bins(priors.FIRST_CLOCK_EDGES, 0.5, 24.0)]
_FIRST_PAST = np.asarray(priors.FIRST_BY_CAME_PAST)[:, bins(priors.FIRST_PAST_EDGES, AHEAD_H, 8.25, _LOW_H)]
_FIRST_PASTS = _FIRST_PAST.shape[1]
_FIRST_PAST = _FIRST_PAST.ravel()
_FIRST_SHARE = np.asarray(priors.FIRST_BY_SHARE)[bins(priors.SHARE_EDGES, 0.01, 1.5)]
_FIRST_UNTOLD = np.asarray(priors.FIRST_UNTOLD_BY_CAME)


def departures(now_h: float, who: Told, finish_h: Floats, got_kwh: Floats) -> Floats:
    """Hours from now to departure for cars finishing `finish_h` hours from now (rows by m), at STAY_QUANTILES.

    `got_kwh` (rows by m): what will have been delivered then.
    """
    n = len(finish_h)
    known = np.isfinite(who.depart_h)
    told_h = np.where(known, who.depart_h, 0.0)
    told_kwh = np.where(np.isfinite(who.req_kwh), who.req_kwh, TYPICAL_KWH)
    came = np.digitize(who.plug_h % 24, priors.CAME_EDGES)
    gone = np.full((n, _WIDE), np.inf)
    gone[:, 0] = 0.0
    hazard = _later(now_h, who.plug_h, told_h, known, came)
    hazard *= AHEAD_H
    np.cumsum(hazard, axis=1, out=gone[:, 1 : AHEAD_STEPS + 1])
    at_once = _first(now_h + finish_h, told_h, known, came, got_kwh / told_kwh[:, None])
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


def _later(now_h: float, plug_h: Floats, told_h: Floats, known: Bools, came: Ints) -> Floats:
    """Chance of leaving per hour in each step from now on: from one step to the next a row moves on by one place in
    each table, so that it needs a stretch of each and no look-up per time.
    """
    at_h = now_h + (np.arange(AHEAD_STEPS, dtype=np.float64) + 0.5) * AHEAD_H
    clock = place(len(_CLOCK), at_h % 24, 0.5)
    both = np.concatenate((_PAST_AHEAD + _CLOCK[clock], _CAME_UNTOLD[:, None] + _CLOCK_UNTOLD[clock]))
    past = came * _STARTS + _begin(_PASTS, at_h[0] - told_h, _LOW_H)
    stay = _begin(len(_STAY), at_h[0] - plug_h, 0.0)
    logs = look(both, np.where(known, past, len(_PAST_AHEAD) + came))
    logs += look(_STAY_AHEAD, np.where(known, stay, stay + _STAY_STARTS))
    return np.exp(logs, out=logs)


def _first(at_h: Floats, told_h: Floats, known: Bools, came: Ints, share: Floats) -> Floats:
    """Chance of leaving per hour right after finishing at `at_h` (rows by m)."""
    clock = place(len(_FIRST_CLOCK), at_h % 24, 0.5)
    past = place(_FIRST_PASTS, at_h - told_h[:, None], AHEAD_H, _LOW_H)
    logs = look(_FIRST_CLOCK, clock)
    logs += look(_FIRST_PAST, came[:, None] * _FIRST_PASTS + past)
    logs += look(_FIRST_SHARE, place(len(_FIRST_SHARE), share, 0.01))
    if not known.all():
        untold = look(_FIRST_CLOCK_UNTOLD, clock) + _FIRST_UNTOLD[came][:, None]
        logs = np.where(known[:, None], logs, untold)
    return np.exp(logs, out=logs)
