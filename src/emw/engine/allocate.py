"""Share a shed over EVSEs evenly: one common level, whole steps, exact sums. Pure and deterministic.

The service's where no price is known, and every ceiling's. (What `emw allocate` runs is `loop`, by way of `neutral`.)

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
from dataclasses import dataclass, fields
from itertools import pairwise
from math import inf, isfinite
from typing import NamedTuple, Self

import numpy as np

from emw.engine.columns import NEAR_A, Bools, Floats, Ints

NEAR_KW = 1e-6
"""A milliwatt: sums of floats closer than this are equal."""


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


UNKNOWN = Price(floor=0.2, pause=0.2, hold=0.2)
"""Of an EVSE of whose driver nothing is known yet."""


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
    weight: float = 1.0
    """Priority. Shared evenly, twice the weight keeps twice the amps; by price, it makes what is missed count twice."""
    current_a: float | None = None
    """The limit in force, A: between equals, who is already there stays there."""
    price: Price | None = None
    """What its driver would miss; None: nothing is known."""


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
    ordered = checked(fleet, shed_kw)
    ladders = Ladders.of(ordered)
    taken, paused = _take(ladders, shed_kw)
    return allocation(ordered, ladders, shed_kw, taken, paused)


def checked(fleet: Sequence[Flexible], shed_kw: float) -> list[Flexible]:
    """The fleet in order of id, or ValueError naming what cannot be."""
    if not isfinite(shed_kw) or shed_kw < 0:
        raise ValueError(f"shed_kw must be finite and not negative, got {shed_kw}")
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
    ordered = sorted(fleet, key=lambda e: e.evse_id)
    for one, other in pairwise(ordered):
        if one.evse_id == other.evse_id:
            raise ValueError(f"EVSE {one.evse_id} is there twice")
    return ordered


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladders:
    """The fleet as columns, one row per EVSE in order of id; a count of steps taken says where each one stands."""

    kw_per_a: Floats
    draw_a: Floats
    floor_a: Floats
    step_a: Floats
    gap_a: Floats
    weight: Floats
    current_a: Floats
    """The limit in force, A; inf: none."""
    may_pause: Bools
    unlimited_kw: Floats
    steps: Ints
    """How many there are, down to the floor."""
    first_a: Floats
    """The limit after the first one."""

    @classmethod
    def of(cls, fleet: Sequence[Flexible]) -> Self:
        """From a fleet that was `checked`."""
        n = len(fleet)

        def column(values: Sequence[float]) -> Floats:
            return np.array(values, dtype=np.float64).reshape(n)

        kw_per_a, max_a = column([e.kw_per_a for e in fleet]), column([e.max_a for e in fleet])
        draw_a = np.minimum(column([e.draw_a for e in fleet]), max_a)
        floor_a, step_a = column([e.floor_a for e in fleet]), column([e.step_a for e in fleet])
        gap_a = column([e.gap_a for e in fleet])
        # The highest limit that bites, and never above the knob: some step of the grid below draw + gap.
        bites_a = np.minimum(draw_a + gap_a - NEAR_A, max_a)
        rungs = np.floor((bites_a - floor_a) / step_a + 1e-9)
        return cls(
            kw_per_a=kw_per_a,
            draw_a=draw_a,
            floor_a=floor_a,
            step_a=step_a,
            gap_a=gap_a,
            weight=column([e.weight for e in fleet]),
            current_a=column([inf if e.current_a is None else e.current_a for e in fleet]),
            may_pause=np.array([e.may_pause for e in fleet], dtype=np.bool_).reshape(n),
            unlimited_kw=kw_per_a * draw_a,
            steps=np.where(draw_a > 0, np.maximum(rungs + 1, 0), 0).astype(np.int64),
            first_a=floor_a + np.maximum(rungs, 0) * step_a,
        )

    def pick(self, rows: Ints) -> Self:
        """The same for some rows, each as often as it is named."""
        return type(self)(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

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


def allocation(
    fleet: Sequence[Flexible], ladders: Ladders, asked_kw: float, taken: Ints, paused: Bools
) -> Allocation:
    """What it comes to when each EVSE of a fleet has taken so many steps of its ladder, or is paused."""
    curtail_kw = np.where(paused, ladders.unlimited_kw, ladders.given_kw(taken))
    columns = (ladders.limit_a(taken).tolist(), taken.tolist(), paused.tolist(), curtail_kw.tolist())
    total_kw = float(curtail_kw.sum())
    return Allocation(
        shares=tuple(
            Share(e.evse_id, 0.0 if pause else limit_a if count else None, kw)
            for e, limit_a, count, pause, kw in zip(fleet, *columns, strict=True)
        ),
        asked_kw=asked_kw,
        short_kw=max(asked_kw - total_kw, 0.0),
        excess_kw=max(total_kw - asked_kw, 0.0),
    )


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
