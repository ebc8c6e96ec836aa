"""OCPP 2.1: a limit as a Dynamic profile, which is changed in place and not written anew (K28). Pure.

Such a profile ends when it was not updated for its `duration` (K28.FR.13): the lease of a limit, in the station's own
hands, and each update renews it. Behind that stands `validTo`, as with every limit of ours. So an update is only said
where the end that it makes is the command's own; else the profile is written anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from emw.stations.ocpp.profiles import profile_id, purpose_word
from emw.stations.ocpp.traits import Purpose, RateUnit
from emw.stations.ocpp.wire import encode, seconds
from emw.stations.ocppj import Version

LIFE: Final = timedelta(hours=1)
"""So long a profile is updated; then it is written anew."""
SPARE_S: Final = 2
"""A lease in the station ends so much before the command: messages take their time."""
EARLY_S: Final = 30
"""An update may end so much before its command at most: it is renewed long before."""


class Lease(NamedTuple):
    """A limit as a Dynamic profile of ours. `phases`: how many its limit is told for; None: direct current."""

    number: int
    unit: RateUnit
    phases: int | None
    duration_s: int
    valid_to: datetime
    transaction_id: str | None

    def carries(self, other: Lease, until: datetime, now: datetime) -> bool:
        """Whether an update makes of this profile what `other` would be: as good, until the same time."""
        left_s = (until - now).total_seconds()
        same = (self.number, self.unit, self.phases, self.transaction_id) == (
            other.number,
            other.unit,
            other.phases,
            other.transaction_id,
        )
        ends = now + timedelta(seconds=self.duration_s)
        return same and 0 <= left_s - self.duration_s <= EARLY_S and ends <= self.valid_to


def lease_until(
    evse_number: int,
    purpose: Purpose,
    unit: RateUnit,
    phases: int | None,
    transaction_id: str | None,
    until: datetime,
    now: datetime,
) -> Lease:
    """The profile that holds a limit until then."""
    duration_s = max(1, int((until - now).total_seconds()) - SPARE_S)
    number = profile_id(evse_number, purpose)
    transaction_id = transaction_id if purpose is Purpose.TX else None
    return Lease(number, unit, phases, duration_s, max(until, now + LIFE), transaction_id)


def new_profile(
    lease: Lease, evse_number: int, purpose: Purpose, limit: float, stack_level: int, now: datetime
) -> bytes:
    """The payload of SetChargingProfile. `limit` in the profile's unit: A per phase, or W in all."""
    period: dict[str, Any] = {"startPeriod": 0, "limit": limit}
    if lease.unit is RateUnit.AMPS and lease.phases is not None:
        period["numberPhases"] = lease.phases
    schedule = {
        "id": lease.number,
        "duration": lease.duration_s,
        "chargingRateUnit": lease.unit.value,
        "chargingSchedulePeriod": [period],
    }
    profile: dict[str, Any] = {
        "id": lease.number,
        "stackLevel": stack_level,
        "chargingProfilePurpose": purpose_word(purpose, Version.V21),
        "chargingProfileKind": "Dynamic",
        "validTo": seconds(lease.valid_to),
        "dynUpdateTime": seconds(now),
        "chargingSchedule": [schedule],
    }
    if lease.transaction_id is not None:
        profile["transactionId"] = lease.transaction_id
    place = 0 if purpose is Purpose.STATION_MAX else evse_number
    return encode({"evseId": place, "chargingProfile": profile})


def update(lease: Lease, limit: float) -> dict[str, float]:
    """The ChargingScheduleUpdateType for a limit.

    In an update `limit` is of all phases, unless L2 and L3 are told beside it: then it is of L1. In A each is told, so
    that it can't be read in two ways.
    """
    told = {"limit": limit}
    if lease.unit is RateUnit.AMPS and lease.phases is not None:
        told |= {f"limit_L{phase}": limit for phase in range(2, lease.phases + 1)}
    return told


def ask_update(lease: Lease, limit: float) -> bytes:
    """The payload of UpdateDynamicSchedule."""
    return encode({"chargingProfileId": lease.number, "scheduleUpdate": update(lease, limit)})
