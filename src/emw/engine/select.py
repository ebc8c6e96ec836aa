"""Whom to cut: moves of single EVSEs (free to floor, floor to pause), in order of what they are expected to cost.

The cost of a move is the energy its driver is expected to miss at departure per kWh shed by it, over what is known of
departure and need, plus a price on cars likely to finish by themselves: their shed does not last, and nobody can see
when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emw.engine.columns import NEAR_A, Bools, Columns, Floats, Ints
from emw.engine.estimate import Estimator
from emw.engine.need import (
    NEED_QUANTILES,
    NEED_WEIGHTS,
    TAU_H,
    needs_at,
)
from emw.engine.stay import STAY_QUANTILES, STAY_WEIGHTS, departures

COARSE_NEED = np.array([0.3, 0.4, 0.3])
COARSE_STAY = np.array([0.4, 0.6])
STALE_MIN = 5.0
OBEYED = 0.97
"""Share of commands that come true at once: some are lost, some stations are deaf."""
BLOCK = 2048
"""Rows that are worked on at a time, so that what lies between two steps stays near the core."""
AT_ONCE = 4000
"""Outlooks renewed in one round at most."""
MANY = 5000
"""Above this many rows a coarser grid of needs and departures is enough."""
FEW = 2048
"""So many of the cheapest are looked at first."""
SPARE = 40
"""So many more are looked at for the last step, which is to fit."""
LEAST_KW = 1e-3
"""A move that gains less is none."""
UNKNOWN_COST = 0.2
"""Of a car whose outlook has not been looked at yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """Prices, in kWh unserved per kWh shed."""

    finish: float = 1.0
    """Of a car certain to finish before the event ends."""
    no_resume: float = 0.01
    """Share of paused cars that do not wake."""
    wait_h: float = 0.15
    """Mean wait for the release after the event, h."""
    look_h: float = 1.0
    """How far ahead a hold is weighed: it can be handed on to another driver later."""
    swap_margin: float = 0.07
    """A hold is handed on when it costs this much more than another driver's would."""
    swap_part: float = 0.04
    """Of the request that may be handed on in one round."""
    again: float = 0.1
    """Price of asking a driver a second time."""
    trust: bool = False
    """What drivers tell is the truth (a depot's schedule)."""


class Outlook:
    """For each session: likely needs (hours of charging), departures for each, and survival; renewed in turns."""

    def __init__(self) -> None:
        self.need_h = np.zeros((0, len(NEED_QUANTILES)))
        self.leave_h = np.zeros((0, len(NEED_QUANTILES), len(STAY_QUANTILES)))
        self.alive = np.zeros((0, len(TAU_H)))
        self.total = np.zeros((0, len(TAU_H)))
        self.at_min = np.zeros(0)

    def align(self, seen: Columns) -> None:
        """Keep in step with the rows."""
        n = len(seen.was)
        if n != len(self.at_min) or not bool((seen.was == np.arange(n)).all()):
            known = seen.was >= 0
            rows = seen.was[known]
            for name in ("need_h", "leave_h", "alive", "total"):
                old = getattr(self, name)
                new = np.zeros((n, *old.shape[1:]))
                new[known] = old[rows]
                setattr(self, name, new)
            at_min = np.full(n, -np.inf)
            at_min[known] = self.at_min[rows]
            self.at_min = at_min

    def renew(self, seen: Columns, est: Estimator, taste: Taste, rows: Ints) -> None:
        """Look again at those of `rows` whose outlook is old."""
        due = rows[seen.now_min - self.at_min[rows] >= STALE_MIN]
        if len(due) > AT_ONCE:
            due = due[np.argsort(self.at_min[due], kind="stable")[:AT_ONCE]]
        if not len(due):
            return
        self.at_min[due] = seen.now_min
        for first in range(0, len(due), BLOCK):
            self._renew(seen, est, taste, due[first : first + BLOCK])

    def _renew(self, seen: Columns, est: Estimator, taste: Taste, due: Ints) -> None:
        s = est.state
        full_kw = np.maximum(seen.kw_per_a * s.would_a, 0.1)[due]
        now_h = seen.now_min / 60
        ahead_h = s.deficit_kwh[due] / full_kw
        if taste.trust:
            left_h = np.clip(seen.depart_min[due] / 60 - now_h, 0.0, 48.0)
            self.leave_h[due] = np.where(np.isfinite(left_h), left_h, 4.0)[:, None, None]
            need_h = np.maximum(seen.req_kwh[due] - seen.got_kwh[due], 0.0) / full_kw
            need_h = np.where(np.isfinite(need_h), need_h, 2.0)[:, None]
            self.need_h[due] = need_h
            self.total[due] = np.minimum(TAU_H[None, :], need_h)
            self.alive[due] = TAU_H[None, :] < need_h
            return
        self.alive[due], self.total[due] = est.finish.ahead(
            s.told.pick(due), seen.got_kwh[due], full_kw, now_h - ahead_h
        )
        self.need_h[due] = needs_at(self.alive[due])
        got_kwh = seen.got_kwh[due][:, None] + self.need_h[due] * full_kw[:, None]
        self.leave_h[due] = departures(
            now_h, s.told.pick(due), np.maximum(self.need_h[due] - ahead_h[:, None], 0.0), got_kwh
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Cost of both moves of each row; `pause` is never cheaper than `floor`."""

    floor: Floats
    pause: Floats
    hold: Floats
    """Of what a held row gives now."""


def costs(
    seen: Columns,
    est: Estimator,
    outlook: Outlook,
    rows: Ints,
    now_a: Floats,
    horizon_h: float,
    taste: Taste,
) -> Costs:
    """What it is expected to cost to hold these rows for `horizon_h` from now."""
    outlook.renew(seen, est, taste, rows)
    coarse, gap_a = len(rows) > MANY, est.gap()
    found = Costs(floor=np.empty(len(rows)), pause=np.empty(len(rows)), hold=np.empty(len(rows)))
    for first in range(0, len(rows), BLOCK):
        block = slice(first, first + BLOCK)
        part = _costs(seen, est, outlook, rows[block], now_a, gap_a, horizon_h, taste, coarse=coarse)
        found.floor[block], found.pause[block], found.hold[block] = part.floor, part.pause, part.hold
    return found


def _costs(
    seen: Columns,
    est: Estimator,
    outlook: Outlook,
    rows: Ints,
    now_a: Floats,
    gap_a: Floats,
    horizon_h: float,
    taste: Taste,
    *,
    coarse: bool,
) -> Costs:
    would = np.maximum(est.state.would_a[rows], 0.1)
    low = np.clip(seen.floor_a[rows] - gap_a[rows], 0.0, would) / would
    need_h, leave_h = outlook.need_h.take(rows, axis=0), outlook.leave_h.take(rows, axis=0)
    need_weights, stay_weights = NEED_WEIGHTS, STAY_WEIGHTS
    if coarse:
        need_h, leave_h = need_h[:, 1::2], leave_h[:, 1::2, ::2]
        need_weights, stay_weights = COARSE_NEED, COARSE_STAY
    # Rows last: so each step goes along one long column for each pair of a departure and a need.
    need_h, leave_h = np.ascontiguousarray(need_h.T), np.ascontiguousarray(leave_h.T)
    wait_h = horizon_h + taste.wait_h
    after_h = np.maximum(leave_h - wait_h, 0.0)
    during_h = np.minimum(leave_h, wait_h)

    def unserved(served_h: Floats) -> Floats:
        missed = need_h - served_h
        np.maximum(missed, 0.0, out=missed)
        missed *= stay_weights[:, None, None]
        by_need = missed.sum(axis=0)
        by_need *= need_weights[:, None]
        mean: Floats = by_need.sum(axis=0)
        return mean

    free = unserved(leave_h)
    floor = unserved(low * during_h + after_h)
    pause = unserved(after_h)
    part_now = np.clip(now_a[rows] / would, 0.0, 1.0)
    held = unserved(part_now * during_h + after_h)
    j = int(np.clip(np.searchsorted(TAU_H, horizon_h, side="right") - 1, 0, len(TAU_H) - 2))
    part = min((horizon_h - TAU_H[j]) / (TAU_H[j + 1] - TAU_H[j]), 1.0)
    lasts, alive = (
        table[rows, j] + part * (table[rows, j + 1] - table[rows, j])
        for table in (outlook.total, outlook.alive)
    )
    lasts = np.maximum(lasts, 1e-3)
    finish = taste.finish * (1 - alive)
    cost_floor = (floor - free) / (np.maximum(1 - low, 0.05) * lasts) + finish
    cost_pause = (pause - floor) / (np.maximum(low, 0.05) * lasts) + finish
    cost_pause += taste.no_resume * outlook.total[rows, -1] / lasts
    cost_held = (held - free) / (np.maximum(1 - part_now, 0.05) * lasts) + finish
    unknown = np.isneginf(outlook.at_min[rows])
    cost_floor, cost_held = (np.where(unknown, UNKNOWN_COST, c) for c in (cost_floor, cost_held))
    return Costs(floor=cost_floor, pause=np.maximum(cost_pause, cost_floor), hold=cost_held)


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
    cost: Costs,
    rows: Ints,
    need_kw: float,
    near_kw: float,
) -> Moves:
    """The cheapest moves that bring the load down by `need_kw`, the last one trimmed where its steps allow.

    `now_a`: draw under the limits in force, by row of `Columns`; `cost` belongs to `rows`.
    """
    k, draw = seen.kw_per_a[rows], now_a[rows]
    low = np.minimum(np.maximum(seen.floor_a[rows] - gap_a[rows], 0.0), draw)
    fit = able[rows] & (draw > 0.25)
    gain = np.concatenate(
        (np.where(fit & (draw - low > 0.25), k * (draw - low), 0.0), np.where(fit, k * low, 0.0))
    )
    price = np.concatenate((cost.floor, cost.pause))
    of = np.concatenate((np.arange(len(rows)), np.arange(len(rows))))
    pause = np.arange(len(of)) >= len(rows)
    need_kw /= OBEYED
    # Where prices are the same: floors before pauses, then by row, which is how they lie.
    order = by_price(price, gain, need_kw)
    reached = np.cumsum(gain[order])
    last = int(np.searchsorted(reached, need_kw - near_kw))
    chosen = order[:last]
    missing = need_kw - (float(reached[last - 1]) if last else 0.0)
    limit = np.full(len(rows), np.nan)
    limit[of[chosen]] = np.where(pause[chosen], 0.0, seen.floor_a[rows][of[chosen]])
    down = np.zeros(len(rows), dtype=np.bool_)
    down[of[chosen[pause[chosen]]]] = True
    limit[down] = 0.0
    if last < len(order) and missing > near_kw:
        # The next few in price are as good as one another: the first that fits, else the one that can be trimmed.
        next_ones = order[last : last + min(max(len(rows) // 50, 4), SPARE)]
        # A pause is a move by itself only from the floor.
        there = (draw - low <= 0.25) | ~np.isnan(limit)
        next_ones = next_ones[~pause[next_ones] | there[of[next_ones]]]
        miss = np.abs(gain[next_ones] - missing)
        fits = np.flatnonzero(miss <= near_kw)
        if len(fits):
            move = next_ones[fits[0]]
            limit[of[move]] = 0.0 if pause[move] else seen.floor_a[rows][of[move]]
        elif len(next_ones):
            _trim(seen, rows, limit, draw, gap_a, next_ones, of, pause, gain, missing)
    found = np.flatnonzero(~np.isnan(limit))
    return Moves(rows=rows[found], limit_a=limit[found])


def _trim(
    seen: Columns,
    rows: Ints,
    limit: Floats,
    draw: Floats,
    gap_a: Floats,
    next_ones: Ints,
    of: Ints,
    pause: Bools,
    gain: Floats,
    missing: float,
) -> None:
    """Bring one car part of the way to its floor; the one whose steps come nearest."""
    best_miss, best = missing, None
    for move in next_ones:
        i = int(of[move])
        r = rows[i]
        if pause[move] or not np.isnan(limit[i]) or gain[move] < missing:
            continue
        aim = draw[i] - missing / seen.kw_per_a[r] + gap_a[r]
        steps = max(round((aim - seen.floor_a[r]) / seen.step_a[r]), 0)
        to = seen.floor_a[r] + steps * seen.step_a[r]
        got = seen.kw_per_a[r] * (draw[i] - min(max(to - gap_a[r], 0.0), draw[i]))
        if abs(got - missing) < best_miss - 1e-9:
            best_miss, best = abs(got - missing), (i, to)
    if best is None:
        nearest = next_ones[int(np.argmin(np.abs(gain[next_ones] - missing)))]
        if abs(float(gain[nearest]) - missing) < missing:
            i = int(of[nearest])
            limit[i] = 0.0 if pause[nearest] else seen.floor_a[rows[i]]
        return
    limit[best[0]] = min(best[1], float(seen.max_a[rows[best[0]]]))


def give_back(
    seen: Columns,
    now_a: Floats,
    would_a: Floats,
    gap_a: Floats,
    cost: Floats,
    rows: Ints,
    over_kw: float,
    near_kw: float,
) -> Moves:
    """Free the dearest cars until the load has risen by `over_kw`; the last one part of the way."""
    rise = seen.kw_per_a[rows] * np.maximum(would_a[rows] - now_a[rows], 0.0)
    order = np.lexsort((rows, -cost))
    order = order[rise[order] > 1e-3]
    reached = np.cumsum(rise[order])
    last = int(np.searchsorted(reached, over_kw + near_kw, side="right"))
    chosen = order[:last]
    missing = over_kw - (float(reached[last - 1]) if last else 0.0)
    to_rows, to_a = [rows[chosen]], [seen.max_a[rows[chosen]]]
    if last < len(order) and missing > near_kw:
        next_ones = order[last : last + 40]
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
    rise_kw: Floats, held_cost: Floats, gain_kw: Floats, free_cost: Floats, most_kw: float, margin: float
) -> Ints:
    """Which held EVSEs to free because others can do the same at a price lower by `margin`; places in `rise_kw`."""
    held = np.lexsort((np.arange(len(held_cost)), -held_cost))
    held = held[rise_kw[held] > 1e-3]
    free = np.lexsort((np.arange(len(free_cost)), free_cost))
    supply = np.cumsum(gain_kw[free])
    wanted = np.cumsum(rise_kw[held])
    if not len(held) or not len(free):
        return held[:0]
    place = np.searchsorted(supply, wanted)
    price = np.where(place < len(free), free_cost[free[np.minimum(place, len(free) - 1)]], np.inf)
    good = (held_cost[held] - price > margin) & (wanted <= most_kw)
    count = int(np.argmin(good)) if not good.all() else len(good)
    return held[:count]
