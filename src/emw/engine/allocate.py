"""Share a shed over EVSEs evenly: one common level, whole steps, exact sums. Pure and deterministic.

Every EVSE is a ladder of steps down from what it draws unlimited: to the first limit below that, then a step at a
time to its floor, and last (where allowed) from the floor to a pause. The steps of the whole fleet are taken from
the top: whoever draws most gives first, until the shed is reached.

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
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEAR_KW = 1e-6
"""A milliwatt: sums of floats closer than this are equal."""
NEAR_A = 1e-6
"""Amperes closer than this are equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What holding an EVSE is expected to cost its driver, kWh missed at departure per kWh shed."""

    floor: float
    """Of bringing it to its floor."""
    pause: float
    """Of going on from there to 0 A; never less than `floor`."""
    hold: float
    """Of what it gives now."""

    def dearer(self, by: float) -> Price:
        """The same, `by` more for each."""
        if not by:
            return self
        return Price(floor=self.floor + by, pause=self.pause + by, hold=self.hold + by)


class Flexible(NamedTuple):
    """One EVSE that may be asked: what it draws unlimited, and what it may be brought to. A tuple: rounds make many.

    Its limits are `floor_a`, `floor_a + step_a`, … up to `max_a`, and 0 where it may pause.
    """

    evse_id: str
    kw_per_a: float
    """kW per ampere of limit: volts times phases / 1000."""
    draw_a: float
    """What it would draw unlimited, now, A per phase."""
    max_a: float
    """The knob: the station's own maximum, A."""
    floor_a: float = 6.0
    """Least limit that is not a pause, A (IEC 61851-1: 6 A; some hardware more)."""
    step_a: float = 1.0
    may_pause: bool = False
    """Whether 0 A is allowed: some vehicles do not wake from it."""
    gap_a: float = 0.0
    """What the vehicle takes less than it is allowed, A."""
    laxity_h: float = inf
    """Hours to spare at departure: between equals, the larger is cut first."""
    weight: float = 1.0
    """Priority. Shared evenly, twice the weight keeps twice the amps; by price, it makes what is missed count twice."""
    current_a: float | None = None
    """The limit in force, A: between equals, who is already there stays there."""
    price: Price | None = None
    """What its driver would miss; None: nothing is known (`cheapest`)."""


class Share(NamedTuple):
    """One EVSE's part: its limit in A (None: nothing is asked of it) and its curtailment in kW."""

    evse_id: str
    limit_a: float | None
    curtail_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The answer to a shed. Always adds up: Σ curtail_kw + short_kw - excess_kw = asked_kw.

    `short_kw`: nobody is left to ask. `excess_kw`: by rounding to whole steps, less than the last step taken.
    """

    shares: tuple[Share, ...]
    asked_kw: float
    short_kw: float
    excess_kw: float


def allocate(fleet: Sequence[Flexible], shed_kw: float) -> Allocation:
    """Share `shed_kw` so that the least-served driver is served best (max-min fair, to whole steps).

    Never below an EVSE's floor except for a pause where that is allowed, never above its knob. A shed that can be
    reached is reached. Shares come in order of EVSE id, whatever the order of `fleet`.
    Raises ValueError for a shed that is negative or not finite, and for an EVSE that cannot be.
    """
    if not isfinite(shed_kw) or shed_kw < 0:
        raise ValueError(f"shed_kw must be finite and not negative, got {shed_kw}")
    ladders = Ladders(checked(fleet))
    taken, paused = _take(ladders, shed_kw)
    limits_a = ladders.limit_a(taken)
    curtail_kw = np.where(paused, ladders.unlimited_kw, ladders.given_kw(taken))
    total_kw = float(curtail_kw.sum())
    shares = tuple(
        Share(
            evse_id=evse_id,
            limit_a=0.0 if pause else float(limit_a) if count else None,
            curtail_kw=float(kw),
        )
        for evse_id, limit_a, count, pause, kw in zip(
            ladders.ids, limits_a, taken, paused, curtail_kw, strict=True
        )
    )
    return Allocation(
        shares=shares,
        asked_kw=shed_kw,
        short_kw=max(shed_kw - total_kw, 0.0),
        excess_kw=max(total_kw - shed_kw, 0.0),
    )


def available_kw(fleet: Sequence[Flexible]) -> float:
    """The most this fleet can shed now, kW: everybody at the floor, or paused where that is allowed."""
    ladders = Ladders(checked(fleet))
    all_down = np.where(ladders.may_pause, ladders.unlimited_kw, ladders.given_kw(ladders.steps))
    return float(all_down.sum())


def checked(fleet: Sequence[Flexible]) -> list[Flexible]:
    """The fleet in order of id, or ValueError naming the EVSE and the field."""
    for e in fleet:
        for field, value, least in (
            ("kw_per_a", e.kw_per_a, 0.0),
            ("draw_a", e.draw_a, 0.0),
            ("max_a", e.max_a, 0.0),
            ("floor_a", e.floor_a, 0.0),
            ("gap_a", e.gap_a, 0.0),
            ("step_a", e.step_a, NEAR_A),
            ("weight", e.weight, NEAR_A),
        ):
            if not isfinite(value) or value < least:
                raise ValueError(
                    f"EVSE {e.evse_id}: {field} must be finite and at least {least:g}, got {value}"
                )
        if e.laxity_h != e.laxity_h:
            raise ValueError(f"EVSE {e.evse_id}: laxity_h is not a number")
    ordered = sorted(fleet, key=lambda e: e.evse_id)
    for one, other in pairwise(ordered):
        if one.evse_id == other.evse_id:
            raise ValueError(f"EVSE {one.evse_id} is there twice")
    return ordered


class Ladders:
    """The fleet as columns, one row per EVSE in order of id; a count of steps taken says where each one stands."""

    def __init__(self, fleet: Sequence[Flexible]) -> None:
        n = len(fleet)

        def column(values: Sequence[float]) -> Floats:
            return np.array(values, dtype=np.float64).reshape(n)

        self.ids = [e.evse_id for e in fleet]
        self.kw_per_a = column([e.kw_per_a for e in fleet])
        self.draw_a = np.minimum(column([e.draw_a for e in fleet]), column([e.max_a for e in fleet]))
        self.floor_a = column([e.floor_a for e in fleet])
        self.step_a = column([e.step_a for e in fleet])
        self.gap_a = column([e.gap_a for e in fleet])
        self.weight = column([e.weight for e in fleet])
        self.laxity_h = column([e.laxity_h for e in fleet])
        self.current_a = column([inf if e.current_a is None else e.current_a for e in fleet])
        self.may_pause = np.array([e.may_pause for e in fleet], dtype=np.bool_).reshape(n)
        self.unlimited_kw = self.kw_per_a * self.draw_a
        # The highest limit that bites, and never above the knob: some step of the grid below draw + gap.
        max_a = column([e.max_a for e in fleet])
        bites_a = np.minimum(self.draw_a + self.gap_a - NEAR_A, max_a)
        rungs = np.floor((bites_a - self.floor_a) / self.step_a + 1e-9)
        self.steps: Ints = np.where(self.draw_a > 0, np.maximum(rungs + 1, 0), 0).astype(np.int64)
        self.first_a = self.floor_a + np.maximum(rungs, 0) * self.step_a

    def limit_a(self, taken: Ints) -> Floats:
        """The limit after `taken` steps, A; without meaning where none was taken."""
        return np.round(self.first_a - (np.maximum(taken, 1) - 1) * self.step_a, 9)

    def draws_a(self, taken: Ints) -> Floats:
        """The draw after `taken` steps, A."""
        limited = np.minimum(np.maximum(self.limit_a(taken) - self.gap_a, 0.0), self.draw_a)
        return np.where(taken > 0, limited, self.draw_a)

    def given_kw(self, taken: Ints) -> Floats:
        """The curtailment after `taken` steps, kW."""
        return self.kw_per_a * (self.draw_a - self.draws_a(taken))

    def key(self, taken: Ints) -> Floats:
        """The level at which the next step is due: the middle of that step, A per unit of weight; -inf: none left.

        The middle, so that a coarse step is rounded and not always down or always up.
        """
        middle = (self.draws_a(taken) + self.draws_a(taken + 1)) / 2 / self.weight
        return np.where(taken < self.steps, np.round(middle, 9), -inf)

    def above(self, level: float) -> Ints:
        """How many steps of each EVSE are due above a level."""
        first = (self.first_a - self.gap_a + self.step_a / 2) / self.weight
        guess = np.floor((first - level) * self.weight / self.step_a).astype(np.int64)
        count = np.clip(guess, 0, self.steps)
        for _ in range(3):  # the guess is off by a step at the ladder's ends
            count += (self.key(count) > level).astype(np.int64)
            count -= (count > 0) & (self.key(np.maximum(count - 1, 0)) <= level)
        return count


def _take(ladders: Ladders, shed_kw: float) -> tuple[Ints, NDArray[np.bool_]]:
    """Steps taken and pauses, per EVSE: the shortest stretch of the fixed order that reaches the shed."""
    none = np.zeros(len(ladders.ids), dtype=np.int64)
    paused = np.zeros(len(ladders.ids), dtype=np.bool_)
    if shed_kw <= NEAR_KW or not ladders.ids:
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
    part = _Rows(ladders, row)
    gain_kw, key, limit_a = part.gain_kw(count), part.key(count), part.limit_a(count)
    there = ladders.current_a[row] <= limit_a + NEAR_A
    order = np.lexsort((row, ~there, -ladders.laxity_h[row], -key))
    reached = np.cumsum(gain_kw[order]) + ladders.given_kw(taken).sum()
    last = int(np.searchsorted(reached, shed_kw - NEAR_KW))
    np.add.at(taken, row[order[: last + 1]], 1)
    return taken, paused


class _Rows:
    """Single steps of the ladders: the one after `count` of row `row`."""

    def __init__(self, ladders: Ladders, row: Ints) -> None:
        self._part = object.__new__(Ladders)
        for name in ("kw_per_a", "draw_a", "floor_a", "step_a", "gap_a", "weight", "steps", "first_a"):
            setattr(self._part, name, getattr(ladders, name)[row])

    def gain_kw(self, count: Ints) -> Floats:
        return self._part.given_kw(count + 1) - self._part.given_kw(count)

    def key(self, count: Ints) -> Floats:
        return self._part.key(count)

    def limit_a(self, count: Ints) -> Floats:
        return self._part.limit_a(count + 1)


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


def _pause(ladders: Ladders, missing_kw: float, down_kw: Floats, paused: NDArray[np.bool_]) -> None:
    """Everybody is at the floor and it is not enough: pause, most to spare first, until it is."""
    gain_kw = np.where(ladders.may_pause, ladders.unlimited_kw - down_kw, 0.0)
    able = np.flatnonzero(gain_kw > NEAR_KW)
    there = ladders.current_a[able] <= NEAR_A
    order = able[np.lexsort((able, ~there, -ladders.laxity_h[able]))]
    last = int(np.searchsorted(np.cumsum(gain_kw[order]), missing_kw - NEAR_KW))
    paused[order[: last + 1]] = True
