"""How much a car will still take and how long it will stay: survival of energy and of stay.

What drivers tell is evidence, not truth: a median car takes 0.6 of what was told, and one in twenty leaves hours early.
So both are hazards (chance of finishing per kWh, of leaving per hour) that depend on what was told, on what has
passed, and on what the fleet shows while the engine runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emw.engine import priors
from emw.engine.columns import Bools, Floats, Ints

TAU_H: Floats = np.array([0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0])
"""Hours of charging at full draw at which the survival of energy is tabulated."""
QUANTILES = np.array([0.05, 0.15, 0.3, 0.5, 0.7, 0.9])
"""At these the departure is tabulated."""
QUANTILE_WEIGHTS = np.array([0.1, 0.1, 0.2, 0.2, 0.2, 0.2])
AHEAD_H = 0.25
AHEAD_STEPS = 56
GROUPS = np.array([0.0, 0.3, 0.6, 0.95])
"""Parts of the told energy from which each correction of the finish hazard begins."""
TRUST = 25.0
"""Finishes after which what the fleet shows weighs as much as what was known before."""


def _stretch(
    edges: tuple[float, ...], values: tuple[float, ...], step: float, low: float, high: float
) -> Floats:
    """The binned table on an even grid, so that a look-up is one multiplication."""
    middles = np.arange(low + step / 2, high + step, step)
    return np.asarray(values)[np.digitize(middles, edges)]


def _at(table: Floats, x: Floats, step: float, low: float = 0.0) -> Floats:
    index = np.clip((x - low) * (1 / step) + 1e-9, 0, len(table) - 1).astype(np.int64)
    found: Floats = table[index]
    return found


_PART = _stretch(priors.PART_EDGES, priors.FINISH_BY_PART, 0.01, 0.0, 1.5)
_GOT = _stretch(priors.GOT_EDGES, priors.FINISH_BY_GOT, 0.5, 0.0, 45.0)
_GOT_UNTOLD = _stretch(priors.GOT_EDGES, priors.FINISH_UNTOLD_BY_GOT, 0.5, 0.0, 45.0)
_CLOCK = _stretch(priors.CLOCK_EDGES, priors.LEAVE_BY_CLOCK, 0.5, 0.0, 24.0)
_PAST = _stretch(priors.PAST_EDGES, priors.LEAVE_BY_PAST, 0.25, -8.25, 8.25)
_STAY = _stretch(priors.STAY_EDGES, priors.LEAVE_BY_STAY, 0.25, 0.0, 15.25)
_CLOCK_UNTOLD = _stretch(priors.CLOCK_EDGES, priors.LEAVE_UNTOLD_BY_CLOCK, 0.5, 0.0, 24.0)
_STAY_UNTOLD = _stretch(priors.STAY_EDGES, priors.LEAVE_UNTOLD_BY_STAY, 0.25, 0.0, 15.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What drivers told, as the hazards need it; one row per EVSE."""

    req_kwh: Floats
    """NaN where nothing was told."""
    scale: Floats
    """Log factor of the finish hazard that does not change during a session."""

    def pick(self, rows: Ints) -> Told:
        return Told(req_kwh=self.req_kwh[rows], scale=self.scale[rows])


def told(req_kwh: Floats) -> Told:
    """Prepare the energies told (kWh, NaN or ≤ 0: nothing told)."""
    known = np.isfinite(req_kwh) & (req_kwh > 0)
    kwh = np.where(known, req_kwh, np.nan)
    by_told = np.asarray(priors.FINISH_BY_TOLD)[np.digitize(np.where(known, kwh, 0.0), priors.TOLD_EDGES)]
    scale = np.where(known, by_told - np.log(np.where(known, kwh, 1.0)), 0.0)
    return Told(req_kwh=kwh, scale=scale)


class Finish:
    """The chance that a car finishes by itself, per kWh; corrected by what the fleet shows."""

    def __init__(self) -> None:
        self.seen = np.zeros(len(GROUPS))
        self.expected = np.zeros(len(GROUPS))
        self.factor = np.ones(len(GROUPS))

    def hazard(self, who: Told, got_kwh: Floats) -> Floats:
        """Chance of finishing per kWh for cars that have taken `got_kwh` and still draw."""
        return self.plain(who, got_kwh) * self.factor[self.group(who, got_kwh)]

    def plain(self, who: Told, got_kwh: Floats) -> Floats:
        """The same before correction."""
        known = np.isfinite(who.req_kwh)
        part = _at(_PART, got_kwh / np.where(known, who.req_kwh, 1.0), 0.01)
        logs = np.where(known, part + _at(_GOT, got_kwh, 0.5), _at(_GOT_UNTOLD, got_kwh, 0.5))
        return np.exp(logs + who.scale)

    def group(self, who: Told, got_kwh: Floats) -> Ints:
        """Which correction holds: by part of the told energy; cars that told nothing share the middle one."""
        part = np.where(np.isfinite(who.req_kwh), got_kwh / who.req_kwh, 0.45)
        return np.searchsorted(GROUPS, part, side="right") - 1

    def learn(
        self, who: Told, from_kwh: Floats, to_kwh: Floats, finished: Bools, weight: float = 1.0
    ) -> None:
        """Cars that went from `from_kwh` to `to_kwh`, and whether they finished there."""
        pieces = 1 if len(from_kwh) == 0 else int(min(max(np.ceil((to_kwh - from_kwh).max() / 0.5), 1), 60))
        size = (to_kwh - from_kwh) / pieces
        for i in range(pieces):
            middle = from_kwh + (i + 0.5) * size
            chance = self.plain(who, middle) * size
            self.expected += weight * np.bincount(self.group(who, middle), chance, len(GROUPS))
        self.seen += weight * np.bincount(self.group(who, to_kwh)[finished], minlength=len(GROUPS))
        whole = (self.seen.sum() + TRUST) / (self.expected.sum() + TRUST)
        self.factor = (self.seen + TRUST * whole) / (self.expected + TRUST)

    def ahead(self, who: Told, got_kwh: Floats, full_kw: Floats) -> tuple[Floats, Floats]:
        """Survival after TAU_H hours of charging at `full_kw`, and its integral from 0 (h); rows by len(TAU_H)."""
        n = len(got_kwh)
        steps = np.diff(TAU_H)
        alive = np.ones((n, len(TAU_H)))
        total = np.zeros((n, len(TAU_H)))
        passed = np.zeros(n)
        for j, step in enumerate(steps):
            # Two looks per step: the hazard jumps where the told energy is reached.
            for part in (0.25, 0.75):
                middle = got_kwh + full_kw * (TAU_H[j] + part * step)
                passed = passed + self.hazard(who, middle) * full_kw * step / 2
            alive[:, j + 1] = np.exp(-passed)
            total[:, j + 1] = total[:, j] + (alive[:, j] + alive[:, j + 1]) / 2 * step
        return alive, total


class Leave:
    """The chance that a driver leaves, per hour; corrected by what the fleet shows."""

    def __init__(self) -> None:
        self.seen = 0.0
        self.expected = 0.0

    @property
    def factor(self) -> float:
        return (self.seen + TRUST) / (self.expected + TRUST)

    def plain(self, clock_h: Floats, stay_h: Floats, past_h: Floats) -> Floats:
        """Chance of leaving per hour at local time, time since plug-in and since the departure told (NaN: not told)."""
        known = np.isfinite(past_h)
        by_told = (
            _at(_CLOCK, clock_h % 24, 0.5)
            + _at(_PAST, np.where(known, past_h, 0.0), 0.25, -8.25)
            + _at(_STAY, stay_h, 0.25)
        )
        untold = _at(_CLOCK_UNTOLD, clock_h % 24, 0.5) + _at(_STAY_UNTOLD, stay_h, 0.25)
        return np.exp(np.where(known, by_told, untold))

    def learn(self, expected: float, left: int) -> None:
        self.seen += left
        self.expected += expected

    def ahead(self, now_h: float, plug_h: Floats, depart_h: Floats) -> Floats:
        """Hours from now to departure at QUANTILES; rows by len(QUANTILES)."""
        n = len(plug_h)
        middles = (np.arange(AHEAD_STEPS) + 0.5) * AHEAD_H
        at_h = now_h + middles
        hazard = self.plain(
            np.broadcast_to(at_h, (n, AHEAD_STEPS)), at_h - plug_h[:, None], at_h - depart_h[:, None]
        )
        gone = np.cumsum(hazard, axis=1) * (AHEAD_H * self.factor)
        out = np.empty((n, len(QUANTILES)))
        for j, q in enumerate(QUANTILES):
            need = -np.log(1 - q)
            step = np.minimum((gone < need).sum(axis=1), AHEAD_STEPS - 1)
            before = np.where(step > 0, gone[np.arange(n), np.maximum(step - 1, 0)], 0.0)
            here = hazard[np.arange(n), step] * (AHEAD_H * self.factor)
            out[:, j] = (step + np.clip((need - before) / np.maximum(here, 1e-12), 0, 1)) * AHEAD_H
        return out


def integral_at(total: Floats, hours: Floats) -> Floats:
    """The tabulated integral at `hours` (rows by any), straight between the points of TAU_H."""
    hours = np.clip(hours, 0.0, TAU_H[-1])
    j = np.clip(np.searchsorted(TAU_H, hours, side="right") - 1, 0, len(TAU_H) - 2)
    part = (hours - TAU_H[j]) / (TAU_H[j + 1] - TAU_H[j])
    low = np.take_along_axis(total, j, axis=1)
    high = np.take_along_axis(total, j + 1, axis=1)
    found: Floats = low + part * (high - low)
    return found
