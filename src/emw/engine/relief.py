"""Whom to relieve of a hold: the dearest where too much is shed, and those whom others can stand in for at less. Pure.

Who hands on is one rule for both loops, that of `emw allocate` (`loop`) and that of the service (`share`). Giving back
is not: here the last one is let go of to the nearest step, and who is too large for what is left ends the search; the
service passes him over and never lets go of more than is too much (decision 0013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emw.engine.columns import LEAST_KW, NEAR_A, Floats, Ints

NEXT_FEW = 40
"""So many drivers next in price are as good as one another, where one of them fits as a whole."""
TRIED = 10
"""So many of them are looked at to be let go of in part."""
NEAR_STEP_A = 1.0
"""A part is let go of where the steps come this near to what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Held EVSEs as columns, A per phase."""

    kw_per_a: Floats
    now_a: Floats
    """Draw under the limit in force."""
    would_a: Floats
    """Draw once let go."""
    gap_a: Floats
    """What it takes less than it is offered."""
    floor_a: Floats
    step_a: Floats
    max_a: Floats

    @property
    def rise_kw(self) -> Floats:
        """The load that comes back when each is let go."""
        rise: Floats = self.kw_per_a * np.maximum(self.would_a - self.now_a, 0.0)
        return rise


def give_back(held: Held, price: Floats, over_kw: float, near_kw: float) -> tuple[Ints, Floats]:
    """Let go of the dearest until the load has risen by `over_kw`, give or take `near_kw`.

    Returns places in `held` and their limits (A; `max_a`: free). The last one is let go of part of the way, unless one
    of the next few fits as a whole: whoever is let go of in parts is told twice.
    """
    rise_kw = held.rise_kw
    order = np.argsort(-price, kind="stable")
    order = order[rise_kw[order] > LEAST_KW]
    reached_kw = np.cumsum(rise_kw[order])
    count = int(np.searchsorted(reached_kw, over_kw + near_kw, side="right"))
    missing_kw = over_kw - (float(reached_kw[count - 1]) if count else 0.0)
    places, limit_a = order[:count], held.max_a[order[:count]]
    if missing_kw > near_kw:
        last = _last(held, rise_kw, order[count : count + NEXT_FEW], missing_kw, near_kw)
        if last is not None:
            places, limit_a = np.append(places, last[0]), np.append(limit_a, last[1])
    return places, limit_a


def _last(
    held: Held, rise_kw: Floats, few: Ints, missing_kw: float, near_kw: float
) -> tuple[int, float] | None:
    """Who of the next few in price closes the gap, and its limit; None: nobody does."""
    if not len(few):
        return None
    miss_kw = np.abs(rise_kw[few] - missing_kw)
    best = int(np.argmin(miss_kw))
    if miss_kw[best] <= near_kw:
        return int(few[best]), float(held.max_a[few[best]])
    for i in few[:TRIED].tolist():
        floor_a, step_a, gap_a = float(held.floor_a[i]), float(held.step_a[i]), float(held.gap_a[i])
        draws_a = float(held.now_a[i]) + missing_kw / float(held.kw_per_a[i])
        to_a = floor_a + round((draws_a + gap_a - floor_a) / step_a) * step_a
        if to_a >= floor_a - NEAR_A and abs(to_a - gap_a - draws_a) < NEAR_STEP_A:
            # A limit at the draw sheds nothing: it is let go.
            free = to_a - gap_a > float(held.would_a[i]) - NEAR_A
            return i, float(held.max_a[i]) if free else min(to_a, float(held.max_a[i]))
    return None


def hand_on(
    rise_kw: Floats, held_price: Floats, gain_kw: Floats, free_price: Floats, most_kw: float, margin: float
) -> Ints:
    """Which held EVSEs to let go of because others can do the same at a price lower by `margin`; places in `rise_kw`.

    `gain_kw`: what each free EVSE would give at its floor. At most `most_kw` is handed on, the dearest first.
    """
    held = np.argsort(-held_price, kind="stable")
    held = held[rise_kw[held] > LEAST_KW]
    free = np.argsort(free_price, kind="stable")
    if not len(held) or not len(free):
        return held[:0]
    supply_kw = np.cumsum(gain_kw[free])
    wanted_kw = np.cumsum(rise_kw[held])
    place = np.searchsorted(supply_kw, wanted_kw)
    instead = np.where(place < len(free), free_price[free[np.minimum(place, len(free) - 1)]], np.inf)
    good = (held_price[held] - instead > margin) & (wanted_kw <= most_kw)
    count = int(np.argmin(good)) if not good.all() else len(good)
    return held[:count]
