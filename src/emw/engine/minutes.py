"""Minutes that never go back. Local clocks do, at midnight and when summer time ends; a memory must not. Pure."""

from __future__ import annotations

from math import ceil

import numpy as np

from emw.engine.columns import Floats

DAY_MIN = 1440.0
CLOCK_CHANGE_MIN = 180.0
"""A clock that goes back by less was set; one that goes back by more has begun another day."""
EARLY_MIN = 60.0
"""A vehicle that comes so much after now came on the day before."""


class Minutes:
    """Turns minutes of a local clock into minutes of one running count with the same time of day."""

    def __init__(self) -> None:
        self._shift_min = 0.0
        self._last_min = float("-inf")

    def shift(self, now_min: float) -> float:
        """What is added to each time told at `now_min`; nothing is remembered of it before `passed`."""
        back_min = self._last_min - (now_min + self._shift_min)
        if not 0 < back_min < float("inf"):
            return self._shift_min
        if back_min < CLOCK_CHANGE_MIN:
            return self._shift_min + back_min + 1.0
        return self._shift_min + DAY_MIN * ceil(back_min / DAY_MIN)

    def passed(self, now_min: float) -> None:
        """A round was made at this time."""
        self._shift_min = self.shift(now_min)
        self._last_min = now_min + self._shift_min


def came_before(plug_min: Floats, now_min: float) -> Floats:
    """Times of plug-in, none of them in the future."""
    late_min = plug_min - now_min
    return np.where(late_min > EARLY_MIN, plug_min - DAY_MIN * np.ceil(late_min / DAY_MIN), plug_min)


def leaves_after(depart_min: Floats, plug_min: Floats) -> Floats:
    """Departures told, none of them hours before the vehicle came; NaN stays."""
    early_min = plug_min - depart_min
    return np.where(
        early_min > CLOCK_CHANGE_MIN, depart_min + DAY_MIN * np.ceil(early_min / DAY_MIN), depart_min
    )
