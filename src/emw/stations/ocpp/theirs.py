"""Charging profiles of a station's own CSMS, as far as they went by: what they allow, so that ours never allow more.

Within one purpose the highest stack level *overrides*, and a TxProfile overrides a TxDefaultProfile (1.6 3.13.2;
2.0.1 K01). Ours lie on top: so each is told with the lowest limit of theirs that it would cover. Pure.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from emw.stations.ocpp.traits import Purpose, Their
from emw.stations.ocpp.wire import parse_time

MOST: Final = 64
_WORDS: Final = {"ChargingStationMaxProfile": Purpose.STATION_MAX.value}


class _Period(Struct, gc=False):
    limit: float
    startPeriod: int = 0


class _Schedule(Struct, gc=False):
    chargingRateUnit: str
    chargingSchedulePeriod: list[_Period]


class _Profile(Struct, gc=False):
    chargingProfilePurpose: str
    stackLevel: int
    chargingProfileId: int | None = None
    id: int | None = None
    chargingSchedule: _Schedule | list[Any] | None = None
    validTo: str | None = None
    transactionId: int | str | None = None


class _Set(Struct, gc=False):
    connectorId: int | None = None
    evseId: int | None = None
    csChargingProfiles: _Profile | None = None
    chargingProfile: _Profile | None = None


class _Criteria(Struct, gc=False):
    evseId: int | None = None
    chargingProfilePurpose: str | None = None
    stackLevel: int | None = None


class _Clear(Struct, gc=False):
    id: int | None = None
    chargingProfileId: int | None = None
    connectorId: int | None = None
    chargingProfilePurpose: str | None = None
    stackLevel: int | None = None
    chargingProfileCriteria: _Criteria | None = None


class _Changed(Struct, gc=False):
    limit: float | None = None
    setpoint: float | None = None


class _Update(Struct, gc=False):
    chargingProfileId: int
    scheduleUpdate: _Changed


_update = msgspec.json.Decoder(_Update)
Theirs = tuple[Their, ...]
"""What a station holds of its CSMS's."""

_set = msgspec.json.Decoder(_Set)
_clear = msgspec.json.Decoder(_Clear)


def after_set(known: Theirs, payload: bytes) -> Theirs:
    """What the station holds of theirs after a SetChargingProfile that it accepted."""
    new = _their(payload)
    if new is None:
        return known
    kept = (
        t
        for t in known
        if t.number != new.number
        and (t.place, t.purpose, t.level, t.transaction)
        != (new.place, new.purpose, new.level, new.transaction)
    )
    return (*kept, new)[-MOST:]


def _their(payload: bytes) -> Their | None:
    try:
        said = _set.decode(payload)
        profile = said.csChargingProfiles or said.chargingProfile
        if profile is None or profile.chargingSchedule is None:
            return None
        schedules = (
            msgspec.convert(profile.chargingSchedule, list[_Schedule])
            if isinstance(profile.chargingSchedule, list)
            else [profile.chargingSchedule]
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    limits = {
        unit: min(p.limit for s in schedules if s.chargingRateUnit == unit for p in s.chargingSchedulePeriod)
        for unit in {s.chargingRateUnit for s in schedules if s.chargingSchedulePeriod}
    }
    return Their(
        number=profile.chargingProfileId or profile.id or 0,
        place=said.connectorId or said.evseId or 0,
        purpose=_WORDS.get(profile.chargingProfilePurpose, profile.chargingProfilePurpose),
        level=profile.stackLevel,
        limit_a=limits.get("A"),
        limit_w=limits.get("W"),
        valid_to=profile.validTo,
        transaction=None if profile.transactionId is None else str(profile.transactionId),
    )


def after_update(known: Theirs, payload: bytes) -> Theirs:
    """What the station holds of theirs after an UpdateDynamicSchedule of 2.1 that it accepted."""
    try:
        said = _update.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return known
    limit = (
        said.scheduleUpdate.limit if said.scheduleUpdate.limit is not None else said.scheduleUpdate.setpoint
    )
    if limit is None:
        return known
    return tuple(_updated(t, limit) if t.number == said.chargingProfileId else t for t in known)


def _updated(their: Their, limit: float) -> Their:
    amps = their.limit_a is not None
    return msgspec.structs.replace(their, **{"limit_a" if amps else "limit_w": max(limit, 0.0)})


def after_clear(known: Theirs, payload: bytes) -> tuple[Theirs, bool]:
    """What is left of theirs after an accepted ClearChargingProfile, and whether ours may have gone, too."""
    try:
        said = _clear.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return known, True
    number = said.id if said.id is not None else said.chargingProfileId
    if number is not None:
        return tuple(t for t in known if t.number != number), not any(t.number == number for t in known)
    criteria = said.chargingProfileCriteria
    place = said.connectorId if criteria is None else criteria.evseId
    purpose = said.chargingProfilePurpose if criteria is None else criteria.chargingProfilePurpose
    level = said.stackLevel if criteria is None else criteria.stackLevel
    purpose = purpose and _WORDS.get(purpose, purpose)
    left = (
        t
        for t in known
        if (place is not None and t.place != place)
        or (purpose is not None and t.purpose != purpose)
        or (level is not None and t.level != level)
    )
    return tuple(left), True


def covered(
    known: Theirs, number: int, purpose: Purpose, transaction: str | None, now: datetime
) -> list[Their]:
    """Which of theirs a profile of ours for this EVSE and purpose would override."""
    purposes = {purpose.value}
    if purpose is Purpose.TX:
        purposes.add(Purpose.TX_DEFAULT.value)
    return [
        t
        for t in known
        if t.purpose in purposes
        and t.place in {0, number}
        and (t.transaction is None or t.transaction == transaction)
        and (t.valid_to is None or parse_time(t.valid_to, now) >= now)
    ]


def cap_a(covers: list[Their], limit_a: float, kw_per_a: float) -> float:
    """Our limit, or theirs where that is lower, A per phase.

    Of a schedule with several periods the lowest counts, whenever that is: a shed may be deeper for it, never a CSMS's
    limit higher.
    """
    for t in covers:
        if t.limit_a is not None:
            limit_a = min(limit_a, t.limit_a)
        if t.limit_w is not None and kw_per_a > 0:
            limit_a = min(limit_a, t.limit_w / 1000 / kw_per_a)
    return limit_a


def is_free(covers: list[Their], purpose: Purpose, level: int) -> bool:
    """Whether none of theirs lies where ours would: on the same level (replaced by ours) or above it (hides ours)."""
    return not any(t.purpose == purpose.value and t.level >= level for t in covers)
