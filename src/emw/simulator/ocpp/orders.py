"""A SetChargingProfile as it stands on the wire, made into a profile in amperes, and judged by the promises. Pure."""

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, Literal

import msgspec

from emw.simulator.hardware import FLOOR_A
from emw.simulator.ocpp.profiles import Period, Profile, Purpose
from emw.simulator.orders import GRACE, Fault

MAX_STACK: Final = 8
MOST_PERIODS: Final = 24
WATTS_ROOM: Final = 0.03
"""Watts are worked out with a voltage that somebody metered: a limit in W may miss an edge in A by this share."""

_DAY: Final = timedelta(days=1)
_EXTERNAL: Final = "ChargingStationExternalConstraints"
_OLD_STATION: Final = "ChargePointMaxProfile"


class PeriodIn(msgspec.Struct):
    """A step of a schedule: `limit` in the schedule's unit."""

    startPeriod: int
    limit: float
    numberPhases: int | None = None


class ScheduleIn(msgspec.Struct):
    """A schedule of 1.6 or of 2.0.1."""

    chargingRateUnit: Literal["A", "W"]
    chargingSchedulePeriod: list[PeriodIn]
    duration: int | None = None
    startSchedule: datetime | None = None


class ProfileIn(msgspec.Struct):
    """What the profiles of both versions have in common."""

    stackLevel: int
    chargingProfilePurpose: Literal[
        "ChargePointMaxProfile",
        "ChargingStationMaxProfile",
        "TxDefaultProfile",
        "TxProfile",
        "ChargingStationExternalConstraints",
    ]
    chargingProfileKind: Literal["Absolute", "Recurring", "Relative"]
    recurrencyKind: Literal["Daily", "Weekly"] | None = None
    validFrom: datetime | None = None
    validTo: datetime | None = None


class Profile16(ProfileIn, kw_only=True):
    """A profile of 1.6."""

    chargingProfileId: int
    chargingSchedule: ScheduleIn
    transactionId: int | None = None


class Profile201(ProfileIn, kw_only=True):
    """A profile of 2.0.1."""

    id: int
    chargingSchedule: list[ScheduleIn]
    transactionId: str | None = None


class Unusable(Exception):
    """This station can't take such a profile; the message says why."""


class Supply(msgspec.Struct, frozen=True):
    """What turns watts into amperes: the voltage of one phase, V, and how many there are."""

    voltage_v: float
    phases: int

    def amps(self, limit: float, unit: str, number_phases: int | None) -> float:
        """A limit in A per phase. A little under the floor is the floor: that is the meter's voltage, not a pause."""
        if unit == "A":
            return limit
        phases = min(number_phases or self.phases, self.phases)
        limit_a = limit / (self.voltage_v * phases)
        return FLOOR_A if FLOOR_A * (1 - WATTS_ROOM) <= limit_a < FLOOR_A else limit_a

    def limit(self, limit_a: float, unit: str) -> float:
        """A limit in the unit asked for, with one decimal, rounded down."""
        value = limit_a if unit == "A" else limit_a * self.voltage_v * self.phases
        return math.floor(value * 10 + 1e-6) / 10


def profile_of(
    told: Profile16 | Profile201, supply: Supply, *, units: frozenset[str], heeds: tuple[bool, bool]
) -> Profile:
    """The profile as this station understands it. `heeds`: whether it minds `duration`, and `validTo`.

    Raises `Unusable`.
    """
    schedule = _schedule(told)
    if told.chargingProfilePurpose == _EXTERNAL:
        raise Unusable("external constraints are not a central system's to set")
    if not 0 <= told.stackLevel <= MAX_STACK:
        raise Unusable(f"stackLevel {told.stackLevel} is not between 0 and {MAX_STACK}")
    if schedule.chargingRateUnit not in units:
        raise Unusable(f"no limits in {schedule.chargingRateUnit} here")
    _check_periods(schedule.chargingSchedulePeriod)
    begins = _utc(schedule.startSchedule)
    if told.chargingProfileKind == "Relative":
        begins = None
    elif begins is None:
        raise Unusable(f"a profile of kind {told.chargingProfileKind} needs startSchedule")
    recurring = told.chargingProfileKind == "Recurring"
    if recurring and told.recurrencyKind is None:
        raise Unusable("a recurring profile needs recurrencyKind")
    heeds_duration, heeds_valid_to = heeds
    duration = schedule.duration if heeds_duration else None
    transaction = told.transactionId
    return Profile(
        id=told.chargingProfileId if isinstance(told, Profile16) else told.id,
        purpose=_purpose(told.chargingProfilePurpose),
        stack=told.stackLevel,
        periods=tuple(
            Period(
                timedelta(seconds=step.startPeriod),
                supply.amps(step.limit, schedule.chargingRateUnit, step.numberPhases),
            )
            for step in schedule.chargingSchedulePeriod
        ),
        begins=begins,
        repeats=(_DAY if told.recurrencyKind == "Daily" else 7 * _DAY) if recurring else None,
        duration=None if duration is None else timedelta(seconds=duration),
        valid_from=_utc(told.validFrom),
        valid_to=_utc(told.validTo) if heeds_valid_to else None,
        transaction=None if transaction is None else str(transaction),
    )


def faults_in(
    told: Profile16 | Profile201, supply: Supply, knob_a: float, now: datetime, began: datetime | None
) -> list[Fault]:
    """Which promises a profile breaks, for a station with this knob at this time. Nothing, if emw keeps its word."""
    schedule = _schedule(told)
    found = []
    for step in schedule.chargingSchedulePeriod:
        limit_a = supply.amps(step.limit, schedule.chargingRateUnit, step.numberPhases)
        highest_a = knob_a * (1 + WATTS_ROOM if schedule.chargingRateUnit == "W" else 1)
        if not math.isfinite(limit_a) or limit_a < 0.0:
            found.append(Fault("below 0", "limit", f"{limit_a} A"))
        elif 0.0 < limit_a < FLOOR_A:
            found.append(Fault("between 0 and the floor", "limit", f"{limit_a} A, floor {FLOOR_A} A"))
        elif limit_a > highest_a:
            found.append(Fault("above the knob", "limit", f"{limit_a} A, knob {knob_a} A", fatal=False))
    ends = _end_of(told, schedule, began)
    if ends is None:
        found.append(Fault("no end", "duration", "neither a duration nor validTo"))
    elif ends < now - GRACE:
        found.append(Fault("ended before it began", "duration", f"{ends.isoformat()}, now {now.isoformat()}"))
    return found


def _end_of(told: Profile16 | Profile201, schedule: ScheduleIn, began: datetime | None) -> datetime | None:
    """When it is over by what the wire says, for a station that heeds both ends."""
    begins = began if told.chargingProfileKind == "Relative" else _utc(schedule.startSchedule)
    ends = [] if told.validTo is None else [_utc(told.validTo)]
    if begins is not None and schedule.duration is not None and told.chargingProfileKind != "Recurring":
        ends.append(begins + timedelta(seconds=schedule.duration))
    return min((end for end in ends if end is not None), default=None)


def _schedule(told: Profile16 | Profile201) -> ScheduleIn:
    if isinstance(told, Profile16):
        return told.chargingSchedule
    if len(told.chargingSchedule) != 1:
        raise Unusable("exactly one schedule, please: there is no ISO 15118 here")
    return told.chargingSchedule[0]


def _check_periods(steps: list[PeriodIn]) -> None:
    if not 1 <= len(steps) <= MOST_PERIODS:
        raise Unusable(f"between 1 and {MOST_PERIODS} periods, please")
    if steps[0].startPeriod != 0 or any(a.startPeriod >= b.startPeriod for a, b in pairwise(steps)):
        raise Unusable("the first period starts at 0, each later one after the one before")


def _purpose(word: str) -> Purpose:
    return Purpose.STATION if word == _OLD_STATION else Purpose(word)


def _utc(at: datetime | None) -> datetime | None:
    """A time without offset is UTC."""
    if at is None:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
