"""The staged way back: so much a minute, needs first, never above the highest load known.

Deferred energy must come back; the step of a minute decides how steeply, the cap how high. The cap is the highest load
seen (or safely estimated) without control from an hour before the event on, so that letting go makes no new peak.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from emw.engine.columns import LEAST_KW, Floats, Ints, Phase
from emw.engine.peaks import Peaks, WayBack

FLEET = ""
"""The one node of a loop that knows no tree."""

NEXT_FEW = 20
"""So many of the next are looked at for what is left of the room."""
CAME_MIN = 10
"""So many minutes' arrivals say how many the next will bring."""


class Ramp:
    """Gives room for releases of one fleet: a step every minute, below the highest load known."""

    def __init__(self, rules: WayBack) -> None:
        self.rules = rules
        self._peaks = Peaks(rules)
        self._since_min: float | None = None
        self._came: deque[float] = deque(maxlen=CAME_MIN)
        self._rises_kw = 0.0
        self._let_go_min = float("-inf")

    def arrivals(self, now_kw: float, full_kw: float) -> None:
        """Every round: what those who came within the last minute drew in it, and would draw in a whole one."""
        self._came.append(now_kw)
        self._rises_kw = full_kw - now_kw + sum(self._came) / len(self._came)

    def step_kw(self, now_min: float, asked_kw: float) -> float:
        """How much may be let go in the next minute, so that with those who come by themselves it isn't steep."""
        whole_kw = self.rules.step_part * asked_kw
        if now_min - self._let_go_min >= self.rules.still_min:
            return whole_kw
        return max(whole_kw - max(self._rises_kw, 0.0), 0.0)

    def let_go(self, now_min: float) -> None:
        """Somebody was."""
        self._let_go_min = now_min

    def watch(self, now_min: float, phase: Phase, load_kw: float, would_kw: float) -> None:
        """Every round: the load measured and the load there would have been."""
        if phase != "restore":
            self._since_min, self._let_go_min = None, now_min
        elif self._since_min is None:
            self._since_min = now_min
        self._peaks.watch(
            now_min,
            {FLEET: load_kw},
            {FLEET: would_kw},
            quiet=phase == "idle",
            returning=phase == "restore",
        )

    def cap_kw(self, load_kw: float) -> float:
        """The highest load that makes no new peak; the present load where nothing is known."""
        return self._peaks.seen_kw.get(FLEET, load_kw)

    def room_kw(self, now_min: float, load_kw: float) -> float:
        """How much the load may rise before it is a new peak."""
        waited_min = 0.0 if self._since_min is None else now_min - self._since_min
        if waited_min > self.rules.last_min:
            return float("inf")
        highest_kw = self.cap_kw(load_kw) * self.rules.worn(waited_min)
        # Those who come by themselves need some of the room that is left.
        return highest_kw - max(self._rises_kw, 0.0) - load_kw


def release(
    rise_kw: Floats, cost: Floats, room_kw: float, step_kw: float = float("inf"), whole_kw: float = 0.0
) -> Ints:
    """Which held EVSEs to free: those that bring no load at once, then the neediest that there is room for.

    `step_kw`: the most that may come back now. One EVSE can't be split, so one that has room may be larger: whatever
    its size where `step_kw` is the `whole_kw` of a minute or more, else up to twice what is left of that.
    """
    order = np.lexsort((np.arange(len(cost)), -cost, rise_kw > LEAST_KW))
    reached = np.cumsum(rise_kw[order])
    fits = reached <= max(min(room_kw, step_kw), LEAST_KW)
    still = int((rise_kw <= LEAST_KW).sum())
    if still < len(order):
        first_kw = rise_kw[order[still]]
        fits[still] |= first_kw <= room_kw and (step_kw >= whole_kw or first_kw <= 2 * step_kw)
    found: Ints = order[fits]
    # One that is too large for what is left of the room isn't waited for by those after it.
    left_kw = min(room_kw, step_kw) - float(rise_kw[found].sum())
    for i in order[~fits][:NEXT_FEW].tolist():
        if LEAST_KW < rise_kw[i] <= left_kw:
            left_kw -= float(rise_kw[i])
            found = np.append(found, i)
    return found
