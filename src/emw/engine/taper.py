"""How much of a vehicle's draw is gone before it has finished: most take less towards the end, and fleets differ."""

from __future__ import annotations

import numpy as np

from emw.engine.columns import Floats

TRUST = 25.0
"""Finishes after which what the fleet shows weighs as much as that nobody tapers."""


class Taper:
    """What vehicles that charge freely show of it: draws that fell, for each finish that was due meanwhile.

    A finish that is due is the clock of it, not time: who is far from the end does not taper.
    """

    def __init__(self, shown: Floats | None = None) -> None:
        self.shown = np.zeros(2) if shown is None else shown
        """By how much draws fell, summed as parts of what each vehicle took at its best; finishes due meanwhile."""

    def learn(self, fell: float, due: float) -> None:
        """What one round adds to `shown`."""
        self.shown = self.shown + np.array([fell, due])

    def forget(self, keeps: float) -> None:
        """What was shown before weighs `keeps` of what it did."""
        self.shown = keeps * self.shown

    def left(self, due: Floats) -> Floats:
        """What is left of a draw after so many finishes were due (the hazard, summed up)."""
        found: Floats = np.exp(-self.per_finish * due)
        return found

    @property
    def per_finish(self) -> float:
        """Parts of a draw that are gone for each finish that is due."""
        fell, due = self.shown.tolist()
        return float(max(fell, 0.0) / (due + TRUST))
