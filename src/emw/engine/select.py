"""Whom to cut: moves of single EVSEs (free to floor, floor to pause), cheapest first; and whom to give back to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emw.engine.columns import NEAR_A, Bools, Columns, Floats, Ints
from emw.engine.price import Prices

OBEYED = 0.97
"""Share of commands that come true at once: some are lost, some stations are deaf."""
FEW = 2048
"""So many of the cheapest are looked at first."""
SPARE = 40
"""So many more are looked at for the last step, which is to fit."""
LEAST_KW = 1e-3
"""A move that gains less is none."""
LEAST_A = 0.25
"""Nor is one to a limit so little below the draw."""


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


def give_back(
    seen: Columns,
    now_a: Floats,
    would_a: Floats,
    gap_a: Floats,
    price: Floats,
    rows: Ints,
    over_kw: float,
    near_kw: float,
) -> Moves:
    """Free the dearest cars until the load has risen by `over_kw`; the last one part of the way."""
    rise = seen.kw_per_a[rows] * np.maximum(would_a[rows] - now_a[rows], 0.0)
    order = np.lexsort((rows, -price))
    order = order[rise[order] > LEAST_KW]
    reached = np.cumsum(rise[order])
    last = int(np.searchsorted(reached, over_kw + near_kw, side="right"))
    chosen = order[:last]
    missing = over_kw - (float(reached[last - 1]) if last else 0.0)
    to_rows, to_a = [rows[chosen]], [seen.max_a[rows[chosen]]]
    if last < len(order) and missing > near_kw:
        next_ones = order[last : last + SPARE]
        miss = np.abs(rise[next_ones] - missing)
        best = int(np.argmin(miss))
        if miss[best] <= near_kw:
            one = rows[next_ones[best]]
            to_rows.append(np.array([one]))
            to_a.append(np.array([seen.max_a[one]]))
        else:
            for i in next_ones[:10]:
                r = rows[i]
                aim = now_a[r] + missing / seen.kw_per_a[r] + gap_a[r]
                to = seen.floor_a[r] + round((aim - seen.floor_a[r]) / seen.step_a[r]) * seen.step_a[r]
                if (
                    to >= seen.floor_a[r] - NEAR_A
                    and abs(to - gap_a[r] - now_a[r] - missing / seen.kw_per_a[r]) < 1.0
                ):
                    # A limit at the draw sheds nothing: it is let go.
                    free = to - gap_a[r] > would_a[r] - NEAR_A
                    to_rows.append(np.array([r]))
                    to_a.append(np.array([seen.max_a[r] if free else min(to, seen.max_a[r])]))
                    break
    return Moves(rows=np.concatenate(to_rows), limit_a=np.concatenate(to_a))


def hand_on(
    rise_kw: Floats, held_price: Floats, gain_kw: Floats, free_price: Floats, most_kw: float, margin: float
) -> Ints:
    """Which held EVSEs to free because others can do the same at a price lower by `margin`; places in `rise_kw`."""
    held = np.lexsort((np.arange(len(held_price)), -held_price))
    held = held[rise_kw[held] > LEAST_KW]
    free = np.lexsort((np.arange(len(free_price)), free_price))
    supply = np.cumsum(gain_kw[free])
    wanted = np.cumsum(rise_kw[held])
    if not len(held) or not len(free):
        return held[:0]
    place = np.searchsorted(supply, wanted)
    instead = np.where(place < len(free), free_price[free[np.minimum(place, len(free) - 1)]], np.inf)
    good = (held_price[held] - instead > margin) & (wanted <= most_kw)
    count = int(np.argmin(good)) if not good.all() else len(good)
    return held[:count]
