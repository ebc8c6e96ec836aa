"""Share a shed over EVSEs evenly: one common level, whole steps, exact sums. Pure and deterministic.

For sheds where no price is known, and for every ceiling. The steps of the whole fleet's ladders are taken from the
top: whoever draws most gives first, until the shed is reached.

      32 A |##
           |##        ##       level L: whoever draws more is brought to it,
    L -----|---------------    whoever draws less is not asked
           |##   ##   ##
       6 A |##   ##   ##       the floor (IEC 61851-1); pauses come only when everybody is there

Taking steps in one fixed order is what makes the result well behaved: a larger shed takes a longer stretch of the
same order, so it never gives anybody more; another EVSE adds steps, so it never makes the shortfall larger. The
price is that the last step may be a coarse one: the excess is always less than the last step taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emw.engine.columns import NEAR_A, Bools, Floats, Ints
from emw.engine.ladder import NEAR_KW, Allocation, Flexible, Ladders, allocation, checked


def evenly(fleet: Sequence[Flexible], shed_kw: float) -> Allocation:
    """Share `shed_kw` so that the least-served driver is served best (max-min fair, to whole steps).

    Never below an EVSE's floor except for a pause where that is allowed, never above its knob. A shed that can be
    reached is reached. Shares come in order of EVSE id, whatever the order of `fleet`.
    Raises ValueError for a shed that is negative or not finite, and for an EVSE that cannot be.
    """
    ordered = checked(fleet, shed_kw)
    ladders = Ladders.of(ordered)
    taken, paused = _take(ladders, shed_kw)
    return allocation(ordered, ladders, shed_kw, taken, paused)


def _take(ladders: Ladders, shed_kw: float) -> tuple[Ints, Bools]:
    """Steps taken and pauses, per EVSE: the shortest stretch of the fixed order that reaches the shed."""
    n = len(ladders.steps)
    none, paused = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
    if shed_kw <= NEAR_KW or not n:
        return none, paused
    down_kw = ladders.given_kw(ladders.steps)
    if down_kw.sum() < shed_kw - NEAR_KW:
        _pause(ladders, shed_kw - float(down_kw.sum()), down_kw, paused)
        return ladders.steps.copy(), paused
    high, low = _bracket(ladders, shed_kw)
    taken = ladders.above(high)
    due = ladders.above(low) - taken
    row = np.repeat(np.arange(len(due)), due)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(due) - due, due)
    count = taken[row] + nth
    part = ladders.pick(row)
    gain_kw = part.given_kw(count + 1) - part.given_kw(count)
    there = part.current_a <= part.limit_a(count + 1) + NEAR_A
    order = np.lexsort((row, ~there, -part.key(count)))
    reached = np.cumsum(gain_kw[order]) + ladders.given_kw(taken).sum()
    last = int(np.searchsorted(reached, shed_kw - NEAR_KW))
    np.add.at(taken, row[order[: last + 1]], 1)
    return taken, paused


def _bracket(ladders: Ladders, shed_kw: float) -> tuple[float, float]:
    """Two levels, the steps above `high` giving less than the shed and those above `low` reaching it.

    Starts at the level that would give the shed exactly if limits were not in steps, and widens from there.
    """
    level = common_level(
        ladders.kw_per_a * ladders.weight,
        ladders.draw_a / ladders.weight,
        np.maximum(ladders.floor_a - ladders.gap_a, 0.0) / ladders.weight,
        shed_kw,
    )
    width = 1e-3
    high = low = level
    while ladders.given_kw(ladders.above(high)).sum() >= shed_kw - NEAR_KW:
        high, width = level + width, width * 4
    width = 1e-3
    while ladders.given_kw(ladders.above(low)).sum() < shed_kw - NEAR_KW:
        low, width = level - width, width * 4
    return high, low


def common_level(kw_per_a: Floats, draw_a: Floats, low_a: Floats, shed_kw: float) -> float:
    """The one level L (A) with Σ kw_per_a · (draw_a - clip(L, low_a, draw_a)) = shed_kw, by sorting breakpoints.

    Columns of one length, one row per EVSE. Where the shed is above what all can give, the lowest breakpoint.
    """
    able = draw_a > low_a
    if not able.any():
        return 0.0
    # Going down, each EVSE begins to give at its draw and stops at its low: the slope changes there.
    at = np.concatenate((draw_a[able], low_a[able]))
    slope = np.concatenate((kw_per_a[able], -kw_per_a[able]))
    order = np.argsort(-at, kind="stable")
    at, slope = at[order], np.cumsum(slope[order])
    given = np.concatenate(([0.0], np.cumsum(slope[:-1] * -np.diff(at))))
    i = int(np.searchsorted(given, shed_kw, side="left"))
    if i == 0:
        return float(at[0])
    if i == len(at):
        return float(at[-1])
    return float(at[i - 1] - (shed_kw - given[i - 1]) / slope[i - 1])


def _pause(ladders: Ladders, missing_kw: float, down_kw: Floats, paused: Bools) -> None:
    """Everybody is at the floor and it is not enough: pause, who is already first, until it is."""
    gain_kw = np.where(ladders.may_pause, ladders.unlimited_kw - down_kw, 0.0)
    able = np.flatnonzero(gain_kw > NEAR_KW)
    there = ladders.current_a[able] <= NEAR_A
    order = able[np.lexsort((able, ~there))]
    last = int(np.searchsorted(np.cumsum(gain_kw[order]), missing_kw - NEAR_KW))
    paused[order[: last + 1]] = True
