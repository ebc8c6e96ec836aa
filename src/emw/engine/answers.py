"""Who does what it is told: commands that are confirmed, that got lost or are late, and stations that never obey."""

from __future__ import annotations

import numpy as np

from emw.engine.columns import SMALL_A, Bools, Columns, Floats
from emw.engine.vehicles import Vehicles

LIES_A = 1.2
"""A car that draws this much more than its limit does not obey it."""
LOST = 0.02
"""Share of commands that are not confirmed by the next round, before the fleet has shown its own."""
SHOWN = 10.0
"""Commands after which what the fleet shows weighs as much as that."""
KEEPS = 0.98
"""How much of what it showed still counts a round of commands later: networks recover."""
DEAF = 0.015
"""Share of stations that never do what they are told."""
GIVEN_UP = 0.005
"""A station counts as deaf once the chance is smaller that what it was told will yet come true."""


def agrees(limit_a: Floats, asked_a: Floats) -> Bools:
    """Whether the limit confirmed is the one commanded (NaN: none is). Some stations convert it to W and back."""
    near: Bools = np.abs(limit_a - asked_a) < SMALL_A + 0.01 * asked_a
    return near


class Answers:
    """What a fleet has shown of how soon its commands come true."""

    def __init__(self) -> None:
        self._asked = 0.0
        """Commands that were looked at a round later, the old ones counting less and less."""
        self._missed = 0.0
        """Those of them that were not confirmed by then."""

    def watch(self, seen: Columns, s: Vehicles, changed: Bools) -> Bools:
        """Look at what was commanded a round ago; returns who turns out to be deaf."""
        # A knob may be turned down after a command: that is not said again as it was, or at all where no step is left.
        none = seen.max_a < seen.floor_a
        s.asked_a = np.where(none, np.nan, np.minimum(s.asked_a, seen.max_a))
        s.waits &= ~none
        s.fails[none] = 0
        over = (seen.draw_a > seen.limit_a + LIES_A) & ~changed & ~seen.free
        s.lies = np.where(over, s.lies + 1, 0)
        came = agrees(seen.limit_a, s.asked_a)
        looks = s.waits & seen.online & (seen.now_min - s.asked_min >= 1.0)
        s.waits &= ~looks
        missed = looks & ~came
        s.fails = np.where(came, 0, s.fails + missed)
        first = looks & (s.fails <= 1)
        if first.any():
            self._asked = KEEPS * self._asked + float(first.sum())
            self._missed = KEEPS * self._missed + float((first & missed).sum())
        caught = ((s.lies >= 2) | ((s.fails > 0) & (self.to_come(s) < GIVEN_UP))) & ~s.deaf
        s.deaf |= caught
        return caught

    def to_come(self, s: Vehicles) -> Floats:
        """The chance that what each was told last will yet come true, though it has not been confirmed.

        It got lost and is said again, or the answer is late, or the station is deaf: the more often the fleet's are
        missing at first, the less one that is missing says of its station.
        """
        late = (max(self._missed - DEAF * self._asked, 0.0) + LOST * SHOWN) / (self._asked + SHOWN)
        found: Floats = late**s.fails / (late**s.fails + DEAF)
        return found
