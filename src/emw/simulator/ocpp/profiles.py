"""Charging profiles stacked: which limit is in force at a time, and when that changes. Pure.

    station maximum   ------------------------------------ 32 A
    TxDefaultProfile  ----------- 16 A ----------------------      counts only where no TxProfile holds
    TxProfile, low              |---- 12 A ----------|
    TxProfile, high                  |- 8 A -|                     the higher stack level overrides
    in force          ----16----|-12-|-- 8 --|-- 12 -|--- 16 --

The lowest of (station maximum; TxProfile if one holds, else TxDefaultProfile) counts. Amperes are per phase, times the
station's own. (OCPP 1.6 3.13 and 5.16, OCPP 2.0.1 part 2 K.)
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

MOST_STEPS: Final = 200
"""Changes looked at in one go: a profile that repeats for ever has no last one."""


class Purpose(StrEnum):
    """What a profile limits. The values are those of 2.0.1; 1.6 has another word for the first."""

    STATION = "ChargingStationMaxProfile"
    DEFAULT = "TxDefaultProfile"
    TRANSACTION = "TxProfile"


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` after the schedule's begin on: at most `limit_a`."""

    start: timedelta
    limit_a: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One charging profile.

    `begins`: None, it counts from the transaction's begin. `repeats`: the schedule begins anew after this.
    `transaction`: the only one it is for; None: any.
    """

    id: int
    purpose: Purpose
    stack: int
    periods: tuple[Period, ...]
    begins: datetime | None = None
    repeats: timedelta | None = None
    duration: timedelta | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction: str | None = None

    def limit_a(self, at: datetime, began: datetime | None) -> float | None:
        """What this profile alone allows at a time; None: it says nothing then.

        `began`: when the transaction did, if there is one.
        """
        begins = began if self.begins is None else self.begins
        if begins is None or at < begins or not self._valid(at):
            return None
        into = at - begins
        if self.repeats is not None:
            into %= self.repeats
        if self.duration is not None and into >= self.duration:
            return None
        started = [period for period in self.periods if period.start <= into]
        return max(started, key=lambda period: period.start).limit_a if started else None

    def changes(self, at: datetime, began: datetime | None) -> Iterator[datetime]:
        """The times at which this profile may begin to say something else, as far as the next cycle."""
        for edge in (self.valid_from, self.valid_to):
            if edge is not None:
                yield edge
        begins = began if self.begins is None else self.begins
        if begins is None:
            return
        if self.repeats is not None and at >= begins:
            begins += (at - begins) // self.repeats * self.repeats
            yield begins + self.repeats
        yield begins
        for period in self.periods:
            yield begins + period.start
        if self.duration is not None:
            yield begins + self.duration

    def over(self, at: datetime, began: datetime | None) -> bool:
        """Whether it will never again say anything."""
        if self.valid_to is not None and at >= self.valid_to:
            return True
        begins = began if self.begins is None else self.begins
        return (
            begins is not None
            and self.repeats is None
            and self.duration is not None
            and at >= begins + self.duration
        )

    def ends(self, began: datetime | None) -> datetime | None:
        """When it is over at the latest; None: it has no end of its own."""
        begins = began if self.begins is None else self.begins
        ends = [] if self.valid_to is None else [self.valid_to]
        if begins is not None and self.duration is not None and self.repeats is None:
            ends.append(begins + self.duration)
        return min(ends, default=None)

    def _valid(self, at: datetime) -> bool:
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_to is None or at < self.valid_to
        )


def in_force(profiles: Iterable[Profile], at: datetime, began: datetime | None) -> float | None:
    """The limit in force, A per phase; None: no limit. Without a transaction only the station's maximum counts."""
    best: dict[Purpose, tuple[tuple[int, int], float]] = {}
    for profile in profiles:
        if began is None and profile.purpose is not Purpose.STATION:
            continue
        limit_a = profile.limit_a(at, began)
        rank = (profile.stack, profile.id)
        if limit_a is not None and (profile.purpose not in best or best[profile.purpose][0] < rank):
            best[profile.purpose] = (rank, limit_a)
    car = best.get(Purpose.TRANSACTION) or best.get(Purpose.DEFAULT)
    station = best.get(Purpose.STATION)
    return min((found[1] for found in (car, station) if found is not None), default=None)


def next_change(profiles: Iterable[Profile], at: datetime, began: datetime | None) -> datetime | None:
    """The first time after `at` at which another limit may be in force; until then the one of `at` holds."""
    edges = (edge for profile in profiles for edge in profile.changes(at, began) if edge > at)
    return min(edges, default=None)


def limited_until(profiles: Sequence[Profile], at: datetime, began: datetime | None) -> datetime | None:
    """When there is no limit any more, however often it changes before; None: not in sight."""
    for _ in range(MOST_STEPS):
        if in_force(profiles, at, began) is None:
            return at
        change = next_change(profiles, at, began)
        if change is None:
            return None
        at = change
    return at


def composite(
    profiles: Sequence[Profile], at: datetime, span: timedelta, began: datetime | None, knob_a: float
) -> list[Period]:
    """What may be drawn from `at` on for `span`, step by step; where nothing limits, the knob does."""
    steps: list[Period] = []
    now = at
    for _ in range(MOST_STEPS):
        limit_a = in_force(profiles, now, began)
        limit_a = knob_a if limit_a is None else min(limit_a, knob_a)
        if not steps or steps[-1].limit_a != limit_a:
            steps.append(Period(now - at, limit_a))
        change = next_change(profiles, now, began)
        if change is None or change >= at + span:
            break
        now = change
    return steps
