"""How much a car will still take: survival of energy.

What drivers tell is evidence, not truth: a median car takes 0.6 of what was told. So finishing is a hazard, a chance
per kWh, that depends on what was told and when, on what has been taken, on what the vehicle draws, and on what the
fleet shows while the engine runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emw.engine import priors
from emw.engine.columns import Floats, Ints
from emw.engine.tables import bins, look, place

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
_DUE = np.stack([_stretch(priors.DUE_EDGES, row, 0.5, -8.5, 4.5) for row in priors.FINISH_BY_KIND_DUE])
_DUES = _DUE.shape[1]
_DUE = _DUE.ravel()
_SINCE = _stretch(priors.SINCE_EDGES, priors.FINISH_BY_SINCE, 0.25, 0.0, 8.25)
_SHARE = bins(priors.SHARE_EDGES, 0.01, 1.5)
_GROUP = bins(PARTS_FROM[1:], 0.01, 1.5)
_GROUP_UNTOLD = len(PARTS_FROM) + bins(UNTOLD_FROM_KWH[1:], 0.5, 45.0)
# What hangs on two things at once is summed into one table, so that a hazard is five look-ups.
_PART_SIZE = _PART + np.asarray(priors.FINISH_BY_SHARE_SIZE).T[:, _SHARE]
_SPELL = bins(priors.SPELL_EDGES, 0.25, 8.25)
_KIND_PART_SINCE = (
    _SINCE
    + np.asarray(priors.FINISH_BY_SHARE_SPELL)[np.ix_(_SHARE, _SPELL)]
    + np.asarray(priors.FINISH_BY_KIND_SHARE)[:, _SHARE, None]
    + np.asarray(priors.FINISH_BY_KIND_SPELL)[:, None, _SPELL]
)
_HOUR = bins(priors.HOUR_EDGES, 0.5, 24.0)
_HOURS = len(_HOUR)
_KIND_PART_HOUR = (
    np.asarray(priors.FINISH_BY_SHARE_HOUR)[np.ix_(_SHARE, _HOUR)]
    + np.asarray(priors.FINISH_BY_KIND_HOUR)[:, None, _HOUR]
).ravel()
_DAY = bins(priors.DAY_EDGES, 0.5, 24.0)
_LEVEL = np.asarray(priors.FINISH_LEVEL)[:, _DAY].ravel()
_SLOPE = np.asarray(priors.FINISH_SLOPE)[:, _DAY].ravel()
_CAMES = len(priors.CAME_EDGES) + 1
_CAME_GOT = _GOT + np.asarray(priors.FINISH_BY_KIND_CAME_TOOK)[:, bins(priors.TOOK_EDGES, 0.5, 45.0)]
_PARTS, _SINCES, _GOTS = len(_PART), len(_SINCE), len(_GOT)
_PART_SIZE, _CAME_GOT = _PART_SIZE.ravel(), _CAME_GOT.ravel()
_KIND_PART_SINCE = _KIND_PART_SINCE.ravel()


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
    kind: Ints
    """0: slow, 1: fast."""
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
            kind=self.kind[rows],
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
            kind=self.kind[:, None],
            plug_h=self.plug_h[:, None],
            depart_h=self.depart_h[:, None],
        )


def told(req_kwh: Floats, plug_h: Floats, depart_h: Floats, full_kw: Floats) -> Told:
    """Prepare the energies told (kWh, NaN or ≤ 0: nothing told), plug-in and departure (h), and what they draw."""
    known = np.isfinite(req_kwh) & (req_kwh > 0)
    kwh = np.where(known, req_kwh, 1.0)
    stay_h = np.maximum(depart_h - plug_h, priors.LEAST_STAY_H)
    kind = np.digitize(full_kw, priors.KIND_EDGES)
    by_told = np.asarray(priors.FINISH_BY_KIND_TOLD)[kind, np.digitize(kwh, priors.TOLD_EDGES)]
    tight = np.digitize(kwh / stay_h / np.maximum(full_kw, 0.1), priors.TIGHT_EDGES)
    by_tight = np.asarray(priors.FINISH_BY_KIND_TIGHT)[kind, tight]
    by_tight = np.where(np.isfinite(stay_h), by_tight, 0.0)
    return Told(
        req_kwh=np.where(known, req_kwh, np.nan),
        scale=np.where(known, by_told + by_tight - np.log(kwh), 0.0),
        size=np.digitize(kwh, priors.SIZE_EDGES),
        kind=kind,
        came=np.digitize(plug_h % 24, priors.CAME_EDGES),
        plug_h=plug_h,
        depart_h=depart_h,
    )


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
        plain, group = self.plain(who, got_kwh, at_h)
        return plain * self.factor[group]

    def plain(self, who: Told, got_kwh: Floats, at_h: Floats | float) -> tuple[Floats, Ints]:
        """The same before correction, and which correction holds.

        That goes by part of the told energy, of cars that told nothing by what they have taken. Where nobody is asked
        nobody tells, and silence is anybody's; the more drivers tell, the more it is a sign of a small need.
        """
        known = np.isfinite(who.req_kwh)
        part = place(len(_PART), got_kwh / np.where(known, who.req_kwh, 1.0), 0.01)
        since = place(len(_SINCE), at_h - who.plug_h, 0.25)
        past_h = np.where(np.isfinite(who.depart_h), at_h - who.depart_h, -3.0)
        got = place(len(_GOT), got_kwh, 0.5)
        logs = look(_PART_SIZE, who.size * _PARTS + part)
        logs += look(_KIND_PART_SINCE, (who.kind * _PARTS + part) * _SINCES + since)
        logs += look(_CAME_GOT, (who.kind * _CAMES + who.came) * _GOTS + got)
        logs += look(_DUE, who.kind * _DUES + place(_DUES, past_h, 0.5, -8.5))
        hour = place(_HOURS, np.atleast_1d(at_h) % 24, 0.5)
        logs += look(_KIND_PART_HOUR, (who.kind * _PARTS + part) * _HOURS + hour)
        logs += who.scale - priors.USUAL
        of_day = who.kind * _HOURS + hour
        logs *= look(_SLOPE, of_day)
        logs += look(_LEVEL, of_day)
        group = _GROUP.take(part, mode="clip")
        if not known.all():
            silent = _GOT_UNTOLD + self.tell * (_GOT_SILENT - _GOT_UNTOLD)
            logs = np.where(known, logs, look(silent, got))
            group = np.where(known, group, _GROUP_UNTOLD.take(got, mode="clip"))
        return np.exp(logs, out=logs), group

    def chances(self, who: Told, kwh: Floats, got_kwh: Floats, at_h: float) -> Floats:
        """How many finishes the tables expect of cars that took `kwh` in the last round up to `got_kwh`, by group."""
        plain, group = self.plain(who, got_kwh - kwh / 2, at_h)
        found: Floats = np.bincount(group, plain * kwh, GROUPS).astype(np.float64)
        return found

    def learn(self, expected: Floats, who: Told, got_kwh: Floats) -> None:
        """What was expected of a round, and the cars that finished in it, at `got_kwh`."""
        _, group = self.plain(who, got_kwh, 0.0)
        self.recall(self.seen + np.bincount(group, minlength=GROUPS), self.expected + expected)

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
