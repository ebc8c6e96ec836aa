"""How much a car will still take: survival of energy.

What drivers tell is evidence, not truth: a median car takes 0.6 of what was told. So finishing is a hazard, a chance
per kWh, that depends on what was told and when, on what has been taken, on what the vehicle draws, and on what the
fleet shows while the engine runs.
"""

from __future__ import annotations

import numpy as np

from emw.engine import finishing
from emw.engine.columns import Floats, Ints
from emw.engine.tables import bins, place
from emw.engine.told import Told

TAU_H: Floats = np.array([0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0])
"""Hours of charging at full draw at which the survival of energy is tabulated."""
NEED_QUANTILES = np.array([0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
NEED_WEIGHTS = np.array([0.1, 0.2, 0.2, 0.2, 0.2, 0.1])
"""The need of a car is looked at where this much of its distribution lies below."""
PARTS_FROM = (0.0, 0.3, 0.6, 0.95)
"""Parts of the told energy from which each correction of the finish hazard begins."""
UNTOLD_FROM_KWH = (0.0, 3.0, 6.0, 10.0, 16.0)
"""... and the energy taken, of drivers who told nothing: what is usual differs from site to site."""
GROUPS = len(PARTS_FROM) + len(UNTOLD_FROM_KWH)
MIDDLE = 1
TRUST = 25.0
"""Finishes after which what the fleet shows weighs as much as what was known before."""
TRUST_UNTOLD = 50.0
"""The same of silent drivers, by what they have taken: it takes a site of them to differ from others."""

_BY_PART = bins(PARTS_FROM[1:], finishing.PART_STEP, finishing.PART_HIGH)
_BY_KWH = len(PARTS_FROM) + bins(UNTOLD_FROM_KWH[1:], finishing.GOT_STEP_KWH, finishing.GOT_HIGH_KWH)


def group_of(who: Told, got_kwh: Floats) -> Ints:
    """Which correction holds: by part of the told energy, of cars that told nothing by what they have taken."""
    known = np.isfinite(who.req_kwh)
    part = got_kwh / np.where(known, who.req_kwh, 1.0)
    by_part = _BY_PART.take(place(len(_BY_PART), part, finishing.PART_STEP))
    by_kwh = _BY_KWH.take(place(len(_BY_KWH), got_kwh, finishing.GOT_STEP_KWH))
    found: Ints = np.where(known, by_part, by_kwh)
    return found


class Finish:
    """The chance that a car finishes by itself, per kWh; corrected by what the fleet shows."""

    def __init__(self) -> None:
        self.seen = np.zeros(GROUPS)
        self.expected = np.zeros(GROUPS)
        self.factor = np.ones(GROUPS)
        self.tell = 0.0
        """Share of the fleet's drivers who tell their need."""

    def hazard(self, who: Told, got_kwh: Floats, at_h: Floats | float) -> Floats:
        """Chance of finishing per kWh for cars that have taken `got_kwh` and still draw at `at_h` (local, h)."""
        return self.plain(who, got_kwh, at_h) * self.factor[group_of(who, got_kwh)]

    def plain(self, who: Told, got_kwh: Floats, at_h: Floats | float) -> Floats:
        """The same before correction."""
        logs = finishing.of_told(who, got_kwh, at_h)
        rows = np.flatnonzero(np.isnan(who.req_kwh))
        if len(rows):
            when = at_h[rows] if isinstance(at_h, np.ndarray) else at_h
            logs[rows] = finishing.of_untold(who.pick(rows), got_kwh[rows], when, self.tell)
        return np.exp(logs, out=logs)

    def chances(self, who: Told, kwh: Floats, got_kwh: Floats, at_h: float) -> Floats:
        """How many finishes the tables expect of cars that took `kwh` in the last round up to `got_kwh`, by group."""
        middle_kwh = got_kwh - kwh / 2
        expected = self.plain(who, middle_kwh, at_h) * kwh
        found: Floats = np.bincount(group_of(who, middle_kwh), expected, GROUPS).astype(np.float64)
        return found

    def learn(self, expected: Floats, who: Told, got_kwh: Floats) -> None:
        """What was expected of a round, and the cars that finished in it, at `got_kwh`."""
        seen = np.bincount(group_of(who, got_kwh), minlength=GROUPS)
        self.recall(self.seen + seen, self.expected + expected)

    def forget(self, keeps: float) -> None:
        """What was shown before weighs `keeps` of what it did."""
        self.seen, self.expected = keeps * self.seen, keeps * self.expected

    def recall(self, seen: Floats, expected: Floats) -> None:
        """All finishes that were seen and expected so far, by group."""
        self.seen, self.expected = seen, expected
        whole = (seen.sum() + TRUST) / (expected.sum() + TRUST)
        # Who told nothing is taken for one of the middle of those who did, until silent drivers have shown their own.
        untold = np.arange(len(PARTS_FROM), GROUPS)
        like = (seen[MIDDLE] + seen[untold].sum() + TRUST * whole) / (
            expected[MIDDLE] + expected[untold].sum() + TRUST
        )
        self.factor = (seen + TRUST * whole) / (expected + TRUST)
        self.factor[MIDDLE] = like
        self.factor[untold] = (seen[untold] + TRUST_UNTOLD * like) / (expected[untold] + TRUST_UNTOLD)

    def ahead(
        self, who: Told, got_kwh: Floats, full_kw: Floats, at_h: Floats | float
    ) -> tuple[Floats, Floats]:
        """Survival after TAU_H hours of charging at `full_kw`, and its integral from 0 (h); rows by len(TAU_H).

        `at_h`: when the car was (or its twin, that is the same) at `got_kwh`.
        """
        n = len(got_kwh)
        steps = np.diff(TAU_H)
        # Two looks per step: the hazard jumps where the told energy is reached.
        at = (TAU_H[:-1, None] + steps[:, None] * (0.25, 0.75)).ravel()
        when = np.broadcast_to(np.asarray(at_h, dtype=np.float64), (n,))[:, None] + at
        full = np.asarray(full_kw)[:, None]
        hazard = self.hazard(who.wide(), got_kwh[:, None] + full * at, when) * full
        alive = np.ones((n, len(TAU_H)))
        np.exp(-np.cumsum(hazard.reshape(n, -1, 2).sum(axis=2) * (steps / 2), axis=1), out=alive[:, 1:])
        total = np.zeros((n, len(TAU_H)))
        np.cumsum((alive[:, :-1] + alive[:, 1:]) / 2 * steps, axis=1, out=total[:, 1:])
        return alive, total


def place_of(hours: float) -> tuple[int, float]:
    """Where so many hours lie in TAU_H: the place before, and the part of the way to the next; beyond it, its end."""
    j = int(np.clip(np.searchsorted(TAU_H, hours, side="right") - 1, 0, len(TAU_H) - 2))
    return j, min((hours - TAU_H[j]) / (TAU_H[j + 1] - TAU_H[j]), 1.0)


def needs_at(alive: Floats) -> Floats:
    """Hours of charging at NEED_QUANTILES of the survival tabulated at TAU_H; rows by len(NEED_QUANTILES)."""
    out = np.empty((len(alive), len(NEED_QUANTILES)))
    every = np.arange(len(alive))
    for q, quantile in enumerate(NEED_QUANTILES):
        j = np.clip((alive > 1 - quantile).sum(axis=1), 1, len(TAU_H) - 1)
        high, low = np.log(alive[every, j - 1]), np.log(np.maximum(alive[every, j], 1e-30))
        part = np.clip((high - np.log(1 - quantile)) / np.maximum(high - low, 1e-12), 0.0, 1.0)
        out[:, q] = TAU_H[j - 1] + part * (TAU_H[j] - TAU_H[j - 1])
    return out
