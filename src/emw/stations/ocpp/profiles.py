"""Limits as charging profiles, and back. Pure.

Every limit ends by itself, twice over: `duration` and `validTo`, because each alone is ignored by some stations. It
begins a minute ago, because clocks drift and "now" may lie in the station's future. Its id is one fixed number per EVSE
and purpose, so that sending again replaces.
"""

from __future__ import annotations

import functools
import math
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from emw.domain.units import FLOOR_A, LINE_TO_LINE_FROM_V
from emw.stations.ocpp.traits import Purpose, RateUnit
from emw.stations.ocpp.wire import ANSWERS, as_specified, encode, seconds
from emw.stations.ocppj import Version

BEFORE: Final = timedelta(seconds=60)
FIRST_ID: Final = 4_000
_ORDER: Final = list(Purpose)


def profile_id(evse_number: int, purpose: Purpose) -> int:
    """The one number of this EVSE's profile for this purpose."""
    return FIRST_ID + evse_number * 10 + _ORDER.index(purpose)


def purpose_word(purpose: Purpose, version: Version) -> str:
    """The purpose on the wire."""
    if purpose is Purpose.STATION_MAX and version is not Version.V16:
        return "ChargingStationMaxProfile"
    return purpose.value


def to_neutral_v(line_voltage_v: float, phases: int) -> float:
    """The voltage of one phase against neutral, V."""
    if phases == 3 and line_voltage_v >= LINE_TO_LINE_FROM_V:
        return line_voltage_v / math.sqrt(3)
    return line_voltage_v


def limit_in(unit: RateUnit, limit_a: float, kw_per_a: float) -> float | int:
    """The limit in A per phase (one decimal) or W in all (whole), rounded down; whole numbers are written as such.

    But 6 A is never told as a watt less: a station that keeps to the standard would stop charging.
    """
    if unit is RateUnit.WATTS:
        watts = math.floor(limit_a * kw_per_a * 1000 + 1e-6)
        return watts if limit_a < FLOOR_A else max(watts, math.ceil(FLOOR_A * kw_per_a * 1000 - 1e-6))
    tenths = math.floor(limit_a * 10 + 1e-6)
    return tenths // 10 if tenths % 10 == 0 else tenths / 10


@functools.lru_cache(maxsize=1_024)
def limit_profile(
    version: Version,
    evse_number: int,
    purpose: Purpose,
    unit: RateUnit,
    limit_a: float,
    kw_per_a: float,
    phases: int | None,
    until: datetime,
    now: datetime,
    stack_level: int,
    valid_to: bool,
) -> bytes:
    """The payload of SetChargingProfile: at most `limit_a` (A per phase) until `until`. `phases`: None for DC.

    Kept: of a round with ten thousand commands, said at one moment until another, most are alike.
    """
    until, start = until.replace(microsecond=0), now.replace(microsecond=0) - BEFORE
    limit = limit_in(unit, limit_a, kw_per_a)
    period: dict[str, Any] = {"startPeriod": 0, "limit": limit}
    if unit is RateUnit.AMPS and phases is not None:
        period["numberPhases"] = phases
    schedule: dict[str, Any] = {
        "duration": max(1, int((until - start).total_seconds())),
        "startSchedule": seconds(start),
        "chargingRateUnit": unit.value,
        "chargingSchedulePeriod": [period],
    }
    profile: dict[str, Any] = {
        "stackLevel": stack_level,
        "chargingProfilePurpose": purpose_word(purpose, version),
        "chargingProfileKind": "Absolute",
    }
    if valid_to:
        profile["validTo"] = seconds(until)
    number = profile_id(evse_number, purpose)
    place = 0 if purpose is Purpose.STATION_MAX else evse_number
    if version is Version.V16:
        profile |= {"chargingProfileId": number, "chargingSchedule": schedule}
        return encode({"connectorId": place, "csChargingProfiles": profile})
    profile |= {"id": number, "chargingSchedule": [{"id": number, **schedule}]}
    return encode({"evseId": place, "chargingProfile": profile})


def of_transaction(payload: bytes, version: Version, transaction_id: str) -> bytes:
    """A SetChargingProfile that holds for this transaction alone."""
    named = transaction_id.encode() if version is Version.V16 else encode(transaction_id)
    return b'%b,"transactionId":%b}}' % (payload[:-2], named)


def clear_profile(version: Version, evse_number: int, purpose: Purpose) -> bytes:
    """The payload of ClearChargingProfile for our own profile, and never for anybody else's."""
    number = profile_id(evse_number, purpose)
    return encode({"id" if version is Version.V16 else "chargingProfileId": number})


ASKED_S: Final = 10
"""So far ahead a composite schedule is asked for: only what holds now matters. Stations were seen that never come back
from one in which a profile ends.
"""


def ask_composite(version: Version, evse_number: int, unit: RateUnit) -> bytes:
    """The payload of GetCompositeSchedule."""
    place = "connectorId" if version is Version.V16 else "evseId"
    return encode({place: evse_number, "duration": ASKED_S, "chargingRateUnit": unit.value})


class _Period(msgspec.Struct, gc=False):
    startPeriod: int
    limit: float


class _Schedule(msgspec.Struct, gc=False):
    chargingRateUnit: str = ""
    chargingSchedulePeriod: list[_Period] = []


class _Composite(msgspec.Struct, gc=False):
    status: str = ""
    chargingSchedule: _Schedule | None = None
    schedule: _Schedule | None = None


_composite = msgspec.json.Decoder(_Composite)


def composite_a(payload: bytes, kw_per_a: float) -> float | None:
    """What a GetCompositeSchedule answer says holds now, A per phase; None: it does not say."""
    try:
        told = _composite.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    schedule = told.chargingSchedule or told.schedule
    if (
        as_specified(told.status, ANSWERS) != "Accepted"
        or schedule is None
        or not schedule.chargingSchedulePeriod
    ):
        return None
    limit = min(schedule.chargingSchedulePeriod, key=lambda p: p.startPeriod).limit
    if schedule.chargingRateUnit == RateUnit.WATTS:
        return limit / (kw_per_a * 1000) if kw_per_a > 0 else None
    return limit
