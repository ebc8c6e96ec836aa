"""What a 1.6 station answers to its central system."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal

import msgspec

from emw.simulator.ocpp.bay import EVSE, Request
from emw.simulator.ocpp.calls import Answer, decode, schedule, unknown, words_of
from emw.simulator.ocpp.framing import Call
from emw.simulator.ocpp.habits import Smart, Version
from emw.simulator.ocpp.orders import Profile16
from emw.simulator.ocpp.profiles import Purpose
from emw.simulator.ocpp.settings import Unsettable
from emw.simulator.ocpp.shelf import Criteria
from emw.simulator.ocpp.station import OcppStation

V16: Final = Version.V16

_OLD: Final = {"ChargePointMaxProfile": Purpose.STATION}
_MOST_KEYS: Final = 50


class _SetProfile(msgspec.Struct):
    connectorId: int
    csChargingProfiles: Profile16


class _ClearProfile(msgspec.Struct):
    id: int | None = None
    connectorId: int | None = None
    chargingProfilePurpose: Literal["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"] | None = None
    stackLevel: int | None = None


class _Composite(msgspec.Struct):
    connectorId: int
    duration: int
    chargingRateUnit: Literal["A", "W"] | None = None


class _GetKeys(msgspec.Struct):
    key: list[str] | None = None


class _ChangeKey(msgspec.Struct):
    key: str
    value: str


class _Trigger(msgspec.Struct):
    requestedMessage: str
    connectorId: int | None = None


class _Reset(msgspec.Struct):
    type: Literal["Hard", "Soft"]


class _RemoteStart(msgspec.Struct):
    idTag: str
    connectorId: int | None = None
    chargingProfile: Profile16 | None = None


class _RemoteStop(msgspec.Struct):
    transactionId: int


class _Availability(msgspec.Struct):
    connectorId: int
    type: Literal["Inoperative", "Operative"]


def _set_profile(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    if station.ways.habits.smart is Smart.NONE:
        return {"status": "NotSupported"}
    told = decode(payload, _SetProfile, V16)
    words = words_of(payload)["csChargingProfiles"]
    why = station.bay.set_profile(Request(told.csChargingProfiles, told.connectorId, words), now)
    return {"status": "Rejected" if why else "Accepted"}


def _clear_profile(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    if station.ways.habits.smart is Smart.NONE:
        unknown("ClearChargingProfile", _KNOWN)
    told = decode(payload, _ClearProfile, V16)
    word = told.chargingProfilePurpose
    purpose = None if word is None else _OLD.get(word) or Purpose(word)
    meant = Criteria(id=told.id, purpose=purpose, stack=told.stackLevel, evse=told.connectorId)
    return {"status": "Accepted" if station.bay.clear(meant, now) else "Unknown"}


def _composite(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    if station.ways.habits.smart is Smart.NONE:
        unknown("GetCompositeSchedule", _KNOWN)
    told = decode(payload, _Composite, V16)
    unit = told.chargingRateUnit or ("A" if "A" in station.ways.habits.units else "W")
    if told.connectorId not in {0, EVSE} or unit not in station.ways.habits.units:
        return {"status": "Rejected"}
    start, seconds, steps = schedule(station, told.duration, unit, now)
    return {
        "status": "Accepted",
        "connectorId": told.connectorId,
        "scheduleStart": start,
        "chargingSchedule": {
            "duration": seconds,
            "startSchedule": start,
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": steps,
        },
    }


def _get_keys(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    wanted = decode(payload, _GetKeys, V16).key or []
    known = {one.key: (one, value) for one, value in station.settings.of(version_16=True)}
    found = [known[key] for key in wanted if key in known] if wanted else list(known.values())
    keys = [
        {"key": one.key, "readonly": one.fixed} | ({} if one.kind == "secret" else {"value": value[:500]})
        for one, value in found[:_MOST_KEYS]
    ]
    missing = [key[:50] for key in wanted if key not in known]
    return {"configurationKey": keys} | ({"unknownKey": missing} if missing else {})


def _change_key(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    told = decode(payload, _ChangeKey, V16)
    try:
        station.settings.change(told.key, told.value)
    except Unsettable as error:
        return {"status": "NotSupported" if error.word == "unknown" else error.word}
    station.setting_changed(told.key, told.value, now)
    return {"status": "Accepted"}


def _trigger(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    told = decode(payload, _Trigger, V16)
    if told.connectorId not in {None, 0, EVSE}:
        return {"status": "Rejected"}
    match told.requestedMessage:
        case "BootNotification":
            station.say_boot()
        case "Heartbeat":
            station.say_heartbeat()
        case "MeterValues":
            station.charging.say_meter(now, "Trigger")
        case "StatusNotification":
            station.say_status(now)
        case _:
            return {"status": "NotImplemented"}
    return {"status": "Accepted"}


def _reset(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    station.reset(now, at_once=decode(payload, _Reset, V16).type == "Hard")
    return {"status": "Accepted"}


def _remote_start(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    told = decode(payload, _RemoteStart, V16)
    if told.connectorId not in {None, EVSE} or not station.charging.remote_start(told.idTag, now):
        return {"status": "Rejected"}
    if told.chargingProfile is not None:
        words = words_of(payload)["chargingProfile"]
        station.bay.set_profile(Request(told.chargingProfile, EVSE, words), now)
    return {"status": "Accepted"}


def _remote_stop(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    number = str(decode(payload, _RemoteStop, V16).transactionId)
    return {"status": "Accepted" if station.charging.remote_stop(number, now) else "Rejected"}


def _availability(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    told = decode(payload, _Availability, V16)
    return {"status": "Accepted" if told.type == "Operative" else "Rejected"}


Handler = Callable[[OcppStation, bytes, datetime], Answer]


def _says(**answer: str) -> Handler:
    """Always the same polite answer."""
    return lambda station, payload, now: dict(answer)


_HANDLERS: Final[dict[str, Handler]] = {
    "SetChargingProfile": _set_profile,
    "ClearChargingProfile": _clear_profile,
    "GetCompositeSchedule": _composite,
    "GetConfiguration": _get_keys,
    "ChangeConfiguration": _change_key,
    "TriggerMessage": _trigger,
    "Reset": _reset,
    "RemoteStartTransaction": _remote_start,
    "RemoteStopTransaction": _remote_stop,
    "ChangeAvailability": _availability,
    "ClearCache": _says(status="Rejected"),
    "DataTransfer": _says(status="UnknownVendorId"),
    "UnlockConnector": _says(status="NotSupported"),
}
_KNOWN: Final = frozenset(_HANDLERS) | {
    "CancelReservation", "CertificateSigned", "DeleteCertificate", "ExtendedTriggerMessage", "GetDiagnostics",
    "GetInstalledCertificateIds", "GetLocalListVersion", "GetLog", "InstallCertificate", "ReserveNow",
    "SendLocalList", "SignedUpdateFirmware", "UpdateFirmware",
}  # fmt: skip


def answer(station: OcppStation, call: Call, now: datetime) -> Answer:
    """The payload of the CALLRESULT. Raises `Refuse`."""
    handler = _HANDLERS.get(call.action)
    if handler is None:
        unknown(call.action, _KNOWN)
    return handler(station, call.payload, now)
