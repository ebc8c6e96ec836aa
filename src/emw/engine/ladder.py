"""EVSEs as ladders of steps down, and what a shed comes to on them: what `evenly` and `cheapest` have in common. Pure.

Every EVSE is a ladder of steps down from what it draws unlimited: to the first limit below that, then a step at a
time to its floor, and last (where allowed) from the floor to a pause. How many steps each one takes is the answer to
a shed; in which order they are taken is where `evenly` and `cheapest` differ.
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
