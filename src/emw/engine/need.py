"""How much a car will still take and when it leaves: survival of energy, and what a stay says.

What drivers tell is evidence, not truth: a median car takes 0.6 of what was told, and one in twenty leaves hours early.
So both are hazards (chance of finishing per kWh, of leaving per hour) that depend on what was told, on what has
passed, and on what the fleet shows while the engine runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emw.engine import priors
from emw.engine.columns import Bools, Floats, Ints
from emw.engine.tables import bins, look, place

TAU_H: Floats = np.array([0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0])
"""Hours of charging at full draw at which the survival of energy is tabulated."""
NEED_QUANTILES = np.array([0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
NEED_WEIGHTS = np.array([0.1, 0.2, 0.2, 0.2, 0.2, 0.1])
"""The need of a car is looked at where this much of its distribution lies below."""
LEAST_STAY_H = 0.2
"""A stay told is taken to be at least so long."""
GROUPS = np.array([0.0, 0.3, 0.6, 0.95])
"""Parts of the told energy from which each correction of the finish hazard begins."""
TRUST = 25.0
"""Finishes after which what the fleet shows weighs as much as what was known before."""
CHARGING = 0.3
FINISHED = 1.1
"""Factors on the hazard of leaving of cars that charge and of cars that have finished."""
RUSH_H = 1.5
"""How fast the hurry of those who have just finished wears off."""
NO_PAST_H = -2.3
"""A driver who told no departure is taken for one who has so long to go."""
LEAVE_TRUST = 12.0
"""Expected departures after which what the fleet shows weighs as much."""


def _stretch(
    edges: tuple[float, ...], values: tuple[float, ...], step: float, low: float, high: float
) -> Floats:
    """The binned table on an even grid, so that a look-up is one multiplication."""
    middles = np.arange(low + step / 2, high + step, step)
    table: Floats = np.asarray(values, dtype=np.float64)[np.digitize(middles, edges)]
    return table


def _at(table: Floats, x: Floats, step: float, low: float = 0.0) -> Floats:
    return look(table, place(len(table), x, step, low))


_PART = _stretch(priors.PART_EDGES, priors.FINISH_BY_PART, 0.01, 0.0, 1.5)
_GOT = _stretch(priors.GOT_EDGES, priors.FINISH_BY_GOT, 0.5, 0.0, 45.0)
_GOT_UNTOLD = _stretch(priors.GOT_EDGES, priors.FINISH_UNTOLD_BY_GOT, 0.5, 0.0, 45.0)
_GOT_SILENT = _stretch(priors.GOT_EDGES, priors.FINISH_SILENT_BY_GOT, 0.5, 0.0, 45.0)
_DUE = _stretch(priors.DUE_EDGES, priors.FINISH_BY_DUE, 0.5, -8.5, 4.5)
_SINCE = _stretch(priors.SINCE_EDGES, priors.FINISH_BY_SINCE, 0.25, 0.0, 8.25)
_SHARE = bins(priors.SHARE_EDGES, 0.01, 1.5)
_GROUP = bins(tuple(GROUPS[1:]), 0.01, 1.5)
# What hangs on two things at once is summed into one table, so that a hazard is five look-ups.
_PART_SIZE = _PART + np.asarray(priors.FINISH_BY_SHARE_SIZE).T[:, _SHARE]
_PART_SINCE = (
    _SINCE + np.asarray(priors.FINISH_BY_SHARE_SPELL)[np.ix_(_SHARE, bins(priors.SPELL_EDGES, 0.25, 8.25))]
)
_PART_HOUR = np.asarray(priors.FINISH_BY_SHARE_HOUR)[np.ix_(_SHARE, bins(priors.HOUR_EDGES, 0.5, 24.0))]
_HOURS = _PART_HOUR.shape[1]
_PART_HOUR = _PART_HOUR.ravel()
_CAME_GOT = _GOT + np.asarray(priors.FINISH_BY_CAME_TOOK)[:, bins(priors.TOOK_EDGES, 0.5, 45.0)]
_PARTS, _SINCES, _GOTS = len(_PART), len(_SINCE), len(_GOT)
_PART_SIZE, _PART_SINCE, _CAME_GOT = _PART_SIZE.ravel(), _PART_SINCE.ravel(), _CAME_GOT.ravel()
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
    size: Ints
    """Bin of the energy told."""
    came: Ints
    """Bin of the local time of plug-in."""
    plug_h: Floats
    depart_h: Floats
    """Departure told, h; NaN where nothing was told."""

    def pick(self, rows: Ints) -> Told:
        """The same for some rows."""
        return Told(
            req_kwh=self.req_kwh[rows],
            scale=self.scale[rows],
            size=self.size[rows],
            came=self.came[rows],
            plug_h=self.plug_h[rows],
            depart_h=self.depart_h[rows],
        )

    def wide(self) -> Told:
        """As columns of a table with one row per EVSE."""
        return Told(
            req_kwh=self.req_kwh[:, None],
            scale=self.scale[:, None],
            size=self.size[:, None],
            came=self.came[:, None],
            plug_h=self.plug_h[:, None],
            depart_h=self.depart_h[:, None],
        )


def told(req_kwh: Floats, plug_h: Floats, depart_h: Floats) -> Told:
    """Prepare the energies told (kWh, NaN or ≤ 0: nothing told), plug-in and departure (h)."""
    known = np.isfinite(req_kwh) & (req_kwh > 0)
    kwh = np.where(known, req_kwh, 1.0)
    stay_h = np.maximum(depart_h - plug_h, LEAST_STAY_H)
    by_told = np.asarray(priors.FINISH_BY_TOLD)[np.digitize(kwh, priors.TOLD_EDGES)]
    by_rate = np.asarray(priors.FINISH_BY_RATE)[np.digitize(kwh / stay_h, priors.RATE_EDGES)]
    by_rate = np.where(np.isfinite(stay_h), by_rate, 0.0)
    return Told(
        req_kwh=np.where(known, req_kwh, np.nan),
        scale=np.where(known, by_told + by_rate - np.log(kwh), 0.0),
        size=np.digitize(kwh, priors.SIZE_EDGES),
        came=np.digitize(plug_h % 24, priors.CAME_EDGES),
        plug_h=plug_h,
        depart_h=depart_h,
    )


class Finish:
    """The chance that a car finishes by itself, per kWh; corrected by what the fleet shows."""

    def __init__(self) -> None:
        self.seen = np.zeros(len(GROUPS))
        self.expected = np.zeros(len(GROUPS))
        self.factor = np.ones(len(GROUPS))
        self.tell = 0.0
        """Share of the fleet's drivers who tell their need."""

    def hazard(self, who: Told, got_kwh: Floats, at_h: Floats | float) -> Floats:
        """Chance of finishing per kWh for cars that have taken `got_kwh` and still draw at `at_h` (local, h)."""
        plain, group = self.plain(who, got_kwh, at_h)
        return plain * self.factor[group]

    def plain(self, who: Told, got_kwh: Floats, at_h: Floats | float) -> tuple[Floats, Ints]:
        """The same before correction, and which correction holds.

        That goes by part of the told energy; cars that told nothing share the middle one. Where nobody is asked
        nobody tells, and silence is anybody's; the more drivers tell, the more it is a sign of a small need.
        """
        known = np.isfinite(who.req_kwh)
        part = place(len(_PART), got_kwh / np.where(known, who.req_kwh, 1.0), 0.01)
        since = place(len(_SINCE), at_h - who.plug_h, 0.25)
        due = _at(_DUE, np.where(np.isfinite(who.depart_h), at_h - who.depart_h, -3.0), 0.5, -8.5)
        got = place(len(_GOT), got_kwh, 0.5)
        logs = look(_PART_SIZE, who.size * _PARTS + part)
        logs += look(_PART_SINCE, part * _SINCES + since)
        logs += look(_CAME_GOT, who.came * _GOTS + got)
        logs += due
        logs += look(_PART_HOUR, part * _HOURS + place(_HOURS, np.atleast_1d(at_h) % 24, 0.5))
        group = _GROUP.take(part, mode="clip")
        if not known.all():
            silent = _GOT_UNTOLD + self.tell * (_GOT_SILENT - _GOT_UNTOLD)
            logs = np.where(known, logs, look(silent, got))
            group = np.where(known, group, 1)
        logs += who.scale
        return np.exp(logs, out=logs), group

    def chances(self, who: Told, kwh: Floats, got_kwh: Floats, at_h: float) -> Floats:
        """How many finishes the tables expect of cars that took `kwh` in the last round up to `got_kwh`, by group."""
        plain, group = self.plain(who, got_kwh - kwh / 2, at_h)
        found: Floats = np.bincount(group, plain * kwh, len(GROUPS)).astype(np.float64)
        return found

    def learn(self, expected: Floats, who: Told, got_kwh: Floats) -> None:
        """What was expected of a round, and the cars that finished in it, at `got_kwh`."""
        _, group = self.plain(who, got_kwh, 0.0)
        self.expected += expected
        self.seen += np.bincount(group, minlength=len(GROUPS))
        whole = (self.seen.sum() + TRUST) / (self.expected.sum() + TRUST)
        self.factor = (self.seen + TRUST * whole) / (self.expected + TRUST)

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


class Leave:
    """The chance that a driver leaves, per hour; corrected by what the fleet shows.

    Drivers seldom leave a car that still charges: apart from the clock and from what was told, what matters is
    whether the car has finished.
    """

    def __init__(self) -> None:
        self.seen = np.zeros(2)
        self.expected = np.zeros(2)

    @property
    def charging(self) -> float:
        """Factor of the hazard for cars that still charge (or would, had nobody asked them)."""
        return float((self.seen[0] + LEAVE_TRUST * CHARGING) / (self.expected[0] + LEAVE_TRUST))

    @property
    def finished(self) -> float:
        """Factor of the hazard for cars that have finished."""
        return float((self.seen[1] + LEAVE_TRUST * FINISHED) / (self.expected[1] + LEAVE_TRUST))

    def gone(self, ahead_h: Floats, past_h: Floats) -> Floats:
        """Factor for cars of which only the twin has finished, at some time in the last `ahead_h` hours (its mean).

        `past_h`: since the departure told. Who is full long before it leaves for that; later it is the clock that
        calls, whether the car is full or not.
        """
        past_h = np.where(np.isfinite(past_h), past_h, NO_PAST_H)
        wear = np.maximum(ahead_h, 0.01) / RUSH_H
        rush = np.clip(1.2 - 0.35 * past_h, 0.0, 2.6) * (1 - np.exp(-wear)) / wear
        found: Floats = self.finished * (0.85 + 0.15 * np.clip(-3.0 - past_h, 0.0, 5.0) + rush)
        return found

    def plain(self, clock_h: Floats, stay_h: Floats, past_h: Floats) -> Floats:
        """Chance of leaving per hour at local time, time since plug-in and since the departure told (NaN: none)."""
        known = np.isfinite(past_h)
        by_told = (
            _at(_CLOCK, clock_h % 24, 0.5)
            + _at(_PAST, np.where(known, past_h, 0.0), 0.25, -8.25)
            + _at(_STAY, stay_h, 0.25)
        )
        untold = _at(_CLOCK_UNTOLD, clock_h % 24, 0.5) + _at(_STAY_UNTOLD, stay_h, 0.25)
        return np.exp(np.where(known, by_told, untold))

    def plain_now(self, clock_h: float, stay_h: Floats, past_h: Floats) -> Floats:
        """The same for all at one time of day: what is left is one look-up in a table made for it."""
        clock = int(place(len(_CLOCK), np.array([clock_h % 24]), 0.5)[0])
        by_told = np.add.outer(_CLOCK[clock] + _PAST, _STAY)
        untold = (_CLOCK_UNTOLD[clock] + _STAY_UNTOLD)[None, :]
        table = np.exp(np.concatenate((by_told, untold)).ravel())
        known = np.isfinite(past_h)
        row = place(len(_PAST), np.where(known, past_h, 0.0), 0.25, -8.25)
        row[~known] = len(_PAST)
        row *= len(_STAY)
        row += place(len(_STAY), stay_h, 0.25)
        return look(table, row)

    def learn(self, chance: Floats, finished: Bools, left: Bools) -> None:
        """Cars whose state was plain to see, their chances of leaving by the tables, and who left."""
        for i, rows in enumerate((~finished, finished)):
            self.expected[i] += float(chance[rows].sum())
            self.seen[i] += int(left[rows].sum())


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


def integral_at(total: Floats, hours: Floats) -> Floats:
    """The tabulated integral at `hours` (rows by any), straight between the points of TAU_H."""
    hours = np.clip(hours, 0.0, TAU_H[-1])
    j = np.clip(np.searchsorted(TAU_H, hours, side="right") - 1, 0, len(TAU_H) - 2)
    part = (hours - TAU_H[j]) / (TAU_H[j + 1] - TAU_H[j])
    low = np.take_along_axis(total, j, axis=1)
    high = np.take_along_axis(total, j + 1, axis=1)
    found: Floats = low + part * (high - low)
    return found
