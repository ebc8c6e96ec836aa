"""The staged way back: a cap on load that rises along a ramp, needs first, never above the highest load known.

Deferred energy must come back; the ramp decides how steeply, the cap how high. The cap is the highest load seen (or
safely estimated) without control from an hour before the event on, so that letting go makes no new peak.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from emw.engine.columns import Floats, Ints, Phase, Request

CAME_MIN = 10
"""So many minutes' arrivals say how many the next will bring."""
NEAR = 1e-4
"""The last car of a fleet that stands still has room to the watt, less what readings are off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """Rules of the return."""

    ramp_min: float = 20.0
    """The shed comes back over this time."""
    measured_part: float = 0.98
    """Of a load that was measured before the event."""
    estimated_part: float = 0.93
    """Of a load that was estimated during it."""
    lookback_min: float = 60.0
    patience_min: float = 45.0
    """After this the caution above wears off in part, over as long again."""
    last_min: float = 180.0
    """After this whoever still waits is let go, along the ramp and whatever the load is."""
    step_part: float = 0.075
    """Of the shed may come back in one minute: room is left for those who come by themselves."""
    steepest_part: float = 0.10
    """Of the shed may the load rise in one minute, with those who come by themselves."""
    still_min: float = 5.0
    """Where so many come that nobody was let go for so long, somebody is: the way back must not last for ever."""

    def worn(self, part: float) -> float:
        """Factor on the caution's bounds once `part` of it has worn off: what was measured counts in full then."""
        return 1 + (1 / self.measured_part - 1 + NEAR) * part


class Ramp:
    """Remembers the highest five-minute load, and gives room for releases."""

    def __init__(self, rules: WayBack) -> None:
        self.rules = rules
        self._recent: list[tuple[float, float]] = []
        self._peaks: list[tuple[float, float]] = []
        self._began: tuple[float, float] | None = None
        self._came: deque[float] = deque(maxlen=CAME_MIN)
        self._rises_kw = 0.0
        self._let_go_min = float("-inf")

    def arrivals(self, now_kw: float, full_kw: float) -> None:
        """Every round: what those who came within the last minute drew in it, and would draw in a whole one."""
        self._came.append(now_kw)
        self._rises_kw = full_kw - now_kw + sum(self._came) / len(self._came)

    def step_kw(self, now_min: float, asked_kw: float) -> float:
        """How much may be let go in the next minute, so that with those who come by themselves it isn't steep."""
        rules = self.rules
        whole = rules.step_part * asked_kw
        if now_min - self._let_go_min >= rules.still_min:
            return whole
        return min(max(rules.steepest_part * asked_kw - self._rises_kw, 0.0), whole)

    def let_go(self, now_min: float) -> None:
        """Somebody was."""
        self._let_go_min = now_min

    def watch(self, now_min: float, phase: Phase, load_kw: float, would_kw: float) -> None:
        """Every round: the load measured and the load there would have been."""
        if phase != "restore":
            self._began, self._let_go_min = None, now_min
        value = load_kw if phase == "idle" else would_kw
        part = self.rules.measured_part if phase == "idle" else self.rules.estimated_part
        self._recent = [*self._recent[-4:], (now_min, value)]
        if len(self._recent) == 5:
            mean = sum(v for _, v in self._recent) / 5
            self._peaks.append((now_min, mean * part))
        if phase == "idle":
            self._peaks = [p for p in self._peaks if p[0] >= now_min - self.rules.lookback_min]

    def cap_kw(self, load_kw: float) -> float:
        """The highest load that makes no new peak; the present load where nothing is known."""
        return max((kw for _, kw in self._peaks), default=load_kw)

    def room_kw(self, now_min: float, request: Request, load_kw: float) -> float:
        """How much the load may rise now."""
        if self._began is None:
            self._began = (now_min, load_kw)
        began_min, began_kw = self._began
        along = began_kw + request.kw * (now_min - began_min + 1) / self.rules.ramp_min
        waited_min = now_min - began_min
        if waited_min > self.rules.last_min:
            return along - load_kw
        wears = min(max(waited_min / self.rules.patience_min - 1, 0.0), 1.0)
        highest = self.cap_kw(load_kw) * self.rules.worn(wears)
        # Those who come by themselves need some of the room that is left.
        return min(along, highest - max(self._rises_kw, 0.0)) - load_kw


def release(
    rise_kw: Floats, cost: Floats, room_kw: float, step_kw: float = float("inf"), whole_kw: float = 0.0
) -> Ints:
    """Which held EVSEs to free: those that bring no load at once, then the neediest while there is room.

    `step_kw`: the most that may come back now. One EVSE can't be split, so one that has room may be larger: whatever
    its size where `step_kw` is the `whole_kw` of a minute or more, else up to twice what is left of that.
    """
    order = np.lexsort((np.arange(len(cost)), -cost, rise_kw > 1e-3))
    reached = np.cumsum(rise_kw[order])
    fits = reached <= max(min(room_kw, step_kw), 1e-3)
    still = int((rise_kw <= 1e-3).sum())
    if still < len(order):
        first_kw = rise_kw[order[still]]
        fits[still] |= first_kw <= room_kw and (step_kw >= whole_kw or first_kw <= 2 * step_kw)
    found: Ints = order[fits]
    return found
