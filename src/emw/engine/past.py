"""What a fleet's learner has seen that no meter will say again: it has to outlive the process. Data, no behaviour.

How far each twin is ahead of its vehicle and how likely it has finished is the sum of all that was held back; what the
fleet showed of finishing and leaving is a sum over days. Everything else is on the next reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from emw.engine.columns import Bools, Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Of sessions, as columns; see `vehicles.Vehicles`."""

    known: Bools
    """Of the others nothing is."""
    would_a: Floats
    deficit_kwh: Floats
    fade: Floats
    due: Floats
    gap_a: Floats
    more_a: Floats
    learned: Bools
    done: Bools

    def pick(self, places: Ints) -> Past:
        """The rows at `places`; -1: one of which nothing is known."""
        if not len(self.known):
            return Past.nothing(len(places))
        columns = {f.name: getattr(self, f.name)[places] for f in fields(self)}
        columns["known"] = columns["known"] & (places >= 0)
        return Past(**columns)

    @classmethod
    def nothing(cls, n: int) -> Past:
        """`n` sessions of which nothing is known."""
        return cls.of({name: np.zeros(n) for name in cls.__slots__})

    @classmethod
    def of(cls, columns: Mapping[str, Floats]) -> Past:
        """From numbers alone, as they are kept."""
        return cls(
            known=columns["known"] > 0,
            would_a=columns["would_a"],
            deficit_kwh=columns["deficit_kwh"],
            fade=columns["fade"],
            due=columns["due"],
            gap_a=columns["gap_a"],
            more_a=columns["more_a"],
            learned=columns["learned"] > 0,
            done=columns["done"] > 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What a fleet showed, counts and expectations: finishes by `need.GROUPS`, departures by state and kind, tapers."""

    finished: Floats
    finishes_expected: Floats
    left: Floats
    leaves_expected: Floats
    tapers: Floats
    """`Taper.shown`."""
