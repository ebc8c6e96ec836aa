"""What can be shed later: sessions in progress, by the chance that each still charges then. Pure.

A vehicle counts at h hours from now with what it can give times the chance that its need is not met by then and its
driver has not left. Vehicles that have still to come stand beside them (`arrivals`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erf, hypot, sqrt

import numpy as np

from emw.engine.columns import Columns, Floats
from emw.engine.estimate import Estimator
from emw.engine.need import place_of
from emw.engine.stay import later

STEP_H = 0.25
"""Leaving is summed up in such steps."""
ENDS = 0.25
"""Share of the hazard of leaving at which charging ends: who leaves has often drawn until shortly before."""
SHARED = 0.23
"""What all vehicles that are expected to stop have in common (the day, the weather), as a share of them."""
BAND = 1.2816
"""Standard deviations either side of the mean that four of five outcomes lie within."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What can be shed `hours` from now, kW: expected, and the band that four of five outcomes lie within."""

    hours: float
    kw: float
    doubt_kw: float
    """Standard deviation."""
    most_kw: float
    """If every vehicle still charged."""
    least_kw: float = 0.0
    """What nine of ten outcomes are above for another reason."""

    @property
    def low_kw(self) -> float:
        """Nine of ten outcomes are above."""
        return max(self.kw - BAND * self.doubt_kw, self.least_kw)

    @property
    def high_kw(self) -> float:
        """Nine of ten outcomes are below."""
        return min(self.kw + BAND * self.doubt_kw, self.most_kw)

    def chance_of(self, kw: float) -> float:
        """The chance that at least `kw` can be shed then."""
        if self.doubt_kw <= 0 or kw > self.most_kw:
            return 1.0 if self.kw >= kw else 0.0
        return 0.5 * (1 + erf((self.kw - kw) / self.doubt_kw / sqrt(2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What can be shed `here.hours` from now, kW: by the vehicles that are here, and by those that are to come."""

    here: Ahead
    to_come: Ahead

    @property
    def both(self) -> Ahead:
        """By all of them: whoever comes takes nothing from what those who are here can give."""
        here, to_come = self.here, self.to_come
        return Ahead(
            hours=here.hours,
            kw=here.kw + to_come.kw,
            doubt_kw=hypot(here.doubt_kw, to_come.doubt_kw),
            most_kw=here.most_kw + to_come.most_kw,
            least_kw=here.low_kw,
        )

    def chance_of(self, kw: float) -> float:
        """The chance that at least `kw` can be shed then."""
        return max(self.here.chance_of(kw), self.both.chance_of(kw))


def still_charging(seen: Columns, est: Estimator, met: Floats, hours: float) -> Floats:
    """The chance that each vehicle still charges `hours` from now. `met`: survival of its need at TAU_H."""
    state = est.state
    j, part = place_of(hours)
    needs = met[:, j] + part * (met[:, j + 1] - met[:, j])
    now_h = seen.now_min / 60
    steps = max(round(hours / STEP_H), 1)
    gone = np.zeros(len(needs))
    for n in range(steps):
        gone += later(now_h + (n + 0.5) * hours / steps, state.told) * (hours / steps)
    stays: Floats = np.exp(-gone * np.maximum(est.leave.charging, ENDS)[state.kind])
    found: Floats = est.goes_on * needs * stays
    return found


def ahead(gives_kw: Floats, charging: Sequence[Floats], hours: Sequence[float]) -> list[Ahead]:
    """Sum up what vehicles can give (kW), by their chances at each of `hours`.

    Each goes on charging or does not by itself, and a part of the doubt is common to all: see SHARED.
    """
    found = []
    most_kw = float(gives_kw.sum())
    for h, p in zip(hours, charging, strict=True):
        alone = float((gives_kw**2 * p * (1 - p)).sum())
        common = SHARED * float((gives_kw * p * (1 - p)).sum())
        kw = float((gives_kw * p).sum())
        found.append(Ahead(hours=h, kw=kw, doubt_kw=sqrt(alone + common**2), most_kw=most_kw))
    return found
