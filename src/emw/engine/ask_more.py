"""Whom `loop` asks for more: moves of single EVSEs (free to floor, floor to pause), cheapest first. Pure.

Its counterpart in the service is `cheapest`, which never sheds less than it was asked. Here the load is corrected every
minute, so the last move is the one that comes nearest, above or below, and commands that get lost are reckoned with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emw.engine.columns import LEAST_KW, Bools, Columns, Floats, Ints
from emw.engine.price import Prices

OBEYED = 0.97
"""Share of commands that come true at once: some are lost, some stations are deaf."""
FEW = 2048
"""So many of the cheapest are looked at first."""
SPARE = 40
"""So many more are looked at for the last step, which is to fit."""
LEAST_A = 0.25
"""A move to a limit so little below the draw is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """New limits: rows of `Columns` and amperes."""

    rows: Ints
    limit_a: Floats


def by_price(price: Floats, gain: Floats, enough_kw: float) -> Ints:
    """Places that gain something, by price and then by place, as far as `enough_kw` needs and SPARE more, or all.

    Most rounds need few of many: those are found by their price, and only they are sorted.
    """
    gains = np.flatnonzero(gain > LEAST_KW)
    some = FEW
    while some < len(gains):
        cheap = gains[price[gains] <= np.partition(price[gains], some)[some]]
        kw = gain[cheap]
        if kw.sum() - (SPARE + 1) * kw.max(initial=0.0) > enough_kw:
            gains = cheap
            break
        some *= 4
    return gains[np.argsort(price[gains], kind="stable")]


def ask_more(
    seen: Columns,
    now_a: Floats,
    gap_a: Floats,
    able: Bools,
    price: Prices,
    rows: Ints,
    need_kw: float,
    near_kw: float,
) -> Moves:
    """The cheapest moves that bring the load down by `need_kw`, the last one trimmed where its steps allow.

    `now_a`: draw under the limits in force, by row of `Columns`; `price` belongs to `rows`.
    """
    n, draw_a, floor_a = len(rows), now_a[rows], seen.floor_a[rows]
    low_a = np.minimum(np.maximum(floor_a - gap_a[rows], 0.0), draw_a)
    fit = able[rows] & (draw_a > LEAST_A)
    # A move is a place below n (that row to its floor), or n and more (the row n below it, on from there to a pause).
    gain_a = np.concatenate(
        (np.where(fit & (draw_a - low_a > LEAST_A), draw_a - low_a, 0.0), np.where(fit, low_a, 0.0))
    )
    gain_kw = np.tile(seen.kw_per_a[rows], 2) * gain_a
    need_kw /= OBEYED
    # Where prices are the same: floors before pauses, then by row, which is how they lie.
    order = by_price(np.concatenate((price.floor, price.pause)), gain_kw, need_kw)
    reached_kw = np.cumsum(gain_kw[order])
    last = int(np.searchsorted(reached_kw, need_kw - near_kw))
    limit_a = np.full(n, np.nan)
    _take(order[:last], floor_a, limit_a)
    missing_kw = need_kw - (float(reached_kw[last - 1]) if last else 0.0)
    if last < len(order) and missing_kw > near_kw:
        # The next few in price are as good as one another: the first that fits, else the one that can be trimmed.
        few = order[last : last + min(max(n // 50, 4), SPARE)]
        # A pause is a move by itself only from the floor.
        there = (draw_a - low_a <= LEAST_A) | ~np.isnan(limit_a)
        few = few[(few < n) | there[few % n]]
        miss_kw = np.abs(gain_kw[few] - missing_kw)
        trims = few[(few < n) & (gain_kw[few] >= missing_kw)]
        trims = trims[np.isnan(limit_a[trims])]
        step = None if (miss_kw <= near_kw).any() else _trimmed(seen, rows[trims], now_a, gap_a, missing_kw)
        if step is not None:
            limit_a[trims[step[0]]] = step[1]
        elif len(few):
            fits = np.flatnonzero(miss_kw <= near_kw)
            place = fits[0] if len(fits) else np.argmin(miss_kw)
            if miss_kw[place] < missing_kw:
                _take(few[place : place + 1], floor_a, limit_a)
    found = np.flatnonzero(~np.isnan(limit_a))
    return Moves(rows=rows[found], limit_a=limit_a[found])


def _take(moves: Ints, floor_a: Floats, limit_a: Floats) -> None:
    """Write down the limits of whole moves."""
    n = len(limit_a)
    floors = moves[moves < n]
    limit_a[floors] = floor_a[floors]
    limit_a[moves[moves >= n] - n] = 0.0


def _trimmed(
    seen: Columns, rows: Ints, now_a: Floats, gap_a: Floats, missing_kw: float
) -> tuple[int, float] | None:
    """Which one of `rows` comes nearest to `missing_kw` by steps above its floor, and its limit; None: none does."""
    if not len(rows):
        return None
    k, draw_a, gap_a, floor_a = seen.kw_per_a[rows], now_a[rows], gap_a[rows], seen.floor_a[rows]
    aim_a = draw_a - missing_kw / k + gap_a
    steps = np.maximum(np.round((aim_a - floor_a) / seen.step_a[rows]), 0.0)
    to_a = floor_a + steps * seen.step_a[rows]
    miss_kw = np.abs(k * (draw_a - np.clip(to_a - gap_a, 0.0, draw_a)) - missing_kw)
    best = int(np.argmin(miss_kw))
    if miss_kw[best] >= missing_kw:
        return None
    return best, min(float(to_a[best]), float(seen.max_a[rows[best]]))
