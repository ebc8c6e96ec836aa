"""Share a shed so that drivers miss least: the cheapest moves first, the last one trimmed to the step. Pure.

A move brings an EVSE to its floor, or on from there to a pause, at a price (kWh its driver is expected to miss per
kWh shed). Taken in order of price until the shed is reached: the greedy answer to a knapsack whose items may be
cut, so it is off the best one by less than one move. The target comes before the price: the last move is the one
among the next few that overshoots least.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emw.engine.columns import Bools, Floats, Ints
from emw.engine.ladder import NEAR_KW, UNKNOWN, Allocation, Flexible, Ladders, allocation, checked

NEXT_FEW = 20
"""So many moves next in price are as good as one another, where one of them overshoots least."""


def cheapest(fleet: Sequence[Flexible], shed_kw: float) -> Allocation:
    """Share `shed_kw` (kW, finite, not negative), cheapest moves first. Shares come in order of EVSE id.

    A shed that can be reached is reached. Raises ValueError as `evenly` does.
    """
    ordered = checked(fleet, shed_kw)
    ladders = Ladders.of(ordered)
    n = len(ordered)
    taken, paused = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
    if n and shed_kw > NEAR_KW:
        _take(ladders, _prices(ordered), shed_kw, taken, paused)
    return allocation(ordered, ladders, shed_kw, taken, paused)


def _prices(fleet: Sequence[Flexible]) -> Floats:
    """Prices of all moves to the floor, then of all pauses, each as much as its driver counts."""
    prices = [(e.weight, e.price or UNKNOWN) for e in fleet]
    floor = [weight * price.floor for weight, price in prices]
    pause = [weight * max(price.pause, price.floor) for weight, price in prices]
    return np.array(floor + pause, dtype=np.float64)


def _take(ladders: Ladders, price: Floats, shed_kw: float, taken: Ints, paused: Bools) -> None:
    """Mark the moves: `taken` steps per EVSE, and pauses."""
    n = len(taken)
    down_kw = ladders.given_kw(ladders.steps)
    gain_kw = np.concatenate((down_kw, np.where(ladders.may_pause, ladders.unlimited_kw - down_kw, 0.0)))
    row = np.concatenate((np.arange(n), np.arange(n)))
    order = np.lexsort((row, np.arange(2 * n) >= n, price))
    order = order[gain_kw[order] > NEAR_KW]
    reached = np.cumsum(gain_kw[order])
    whole = int(np.searchsorted(reached, shed_kw - NEAR_KW))
    for move in order[:whole].tolist():
        _move(ladders, move, n, taken, paused)
    missing_kw = shed_kw - (float(reached[whole - 1]) if whole else 0.0)
    if whole == len(order) or missing_kw <= NEAR_KW:
        return
    best, steps, least_over_kw = int(order[whole]), None, float(gain_kw[order[whole]]) - missing_kw
    for move in order[whole : whole + NEXT_FEW].tolist():
        if move >= n or gain_kw[move] < missing_kw - NEAR_KW:
            continue
        count, over_kw = _steps_for(ladders, move, missing_kw)
        if steps is None or over_kw < least_over_kw - NEAR_KW:
            best, steps, least_over_kw = move, count, over_kw
    if steps is None:
        _move(ladders, best, n, taken, paused)
    else:
        taken[best] = steps


def _move(ladders: Ladders, move: int, n: int, taken: Ints, paused: Bools) -> None:
    if move >= n:
        paused[move - n] = True
    taken[move % n] = ladders.steps[move % n]


def _steps_for(ladders: Ladders, row: int, kw: float) -> tuple[int, float]:
    """The fewest steps of one EVSE that give `kw`, and what they give beyond it."""
    k, step_a = float(ladders.kw_per_a[row]), float(ladders.step_a[row])
    draw_a, gap_a = float(ladders.draw_a[row]), float(ladders.gap_a[row])
    first_a, most = float(ladders.first_a[row]), int(ladders.steps[row])

    def gives_kw(count: int) -> float:
        return k * (draw_a - min(max(first_a - (count - 1) * step_a - gap_a, 0.0), draw_a))

    count = max(1, min(most, int((kw / k - draw_a + first_a - gap_a) / step_a)))
    while count < most and gives_kw(count) < kw - NEAR_KW:
        count += 1
    return count, gives_kw(count) - kw
