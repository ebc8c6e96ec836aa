"""What a 2.0.1 station answers to its central system."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal

import msgspec

from emw.simulator.ocpp import variables201
from emw.simulator.ocpp.bay import EVSE, Request
from emw.simulator.ocpp.calls import Answer, decode, schedule, unknown, words_of
from emw.simulator.ocpp.framing import Call, Refuse
from emw.simulator.ocpp.habits import Smart, Version
from emw.simulator.ocpp.orders import Profile201
from emw.simulator.ocpp.outbox import Saying
from emw.simulator.ocpp.profiles import Purpose
from emw.simulator.ocpp.shelf import Criteria, Shelved
from emw.simulator.ocpp.station import OcppStation

V201: Final = Version.V201


class _SetProfile(msgspec.Struct):
    evseId: int
    chargingProfile: Profile201


class _Meant(msgspec.Struct):
    evseId: int | None = None
    chargingProfilePurpose: str | None = None
    stackLevel: int | None = None
    chargingProfileId: list[int] | None = None
    chargingLimitSource: list[str] | None = None


class _ClearProfile(msgspec.Struct):
    chargingProfileId: int | None = None
    chargingProfileCriteria: _Meant | None = None


class _GetProfiles(msgspec.Struct):
    requestId: int
    chargingProfile: _Meant
    evseId: int | None = None


class _Composite(msgspec.Struct):
    evseId: int
    duration: int
    chargingRateUnit: Literal["A", "W"] | None = None


class _Evse(msgspec.Struct):
    id: int


class _Trigger(msgspec.Struct):
    requestedMessage: str
    evse: _Evse | None = None


class _Reset(msgspec.Struct):
    type: Literal["Immediate", "OnIdle"]
    evseId: int | None = None


class _Token(msgspec.Struct):
    idToken: str
    type: str


class _Start(msgspec.Struct):
    idToken: _Token
    remoteStartId: int
    evseId: int | None = None
    chargingProfile: Profile201 | None = None


class _Stop(msgspec.Struct):
    transactionId: str


class _Status(msgspec.Struct):
    transactionId: str | None = None


class _Availability(msgspec.Struct):
    operationalStatus: Literal["Inoperative", "Operative"]


def _why(reason: str, detail: str) -> Answer:
    """A refusal with its reason, as 2.0.1 has room for."""
    return {"status": "Rejected", "statusInfo": {"reasonCode": reason, "additionalInfo": detail[:512]}}


# --- charging profiles


def _set_profile(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    _smart(station, "SetChargingProfile")
    told = decode(payload, _SetProfile, V201)
    words = words_of(payload)["chargingProfile"]
    running = told.chargingProfile.chargingProfilePurpose == "TxProfile"
    if running and told.chargingProfile.transactionId is None:
        return _why("MissingParam", "a TxProfile names its transaction")  # K01.FR.03
    why = station.bay.set_profile(Request(told.chargingProfile, told.evseId, words), now)
    return _why("InvalidProfile", why) if why else {"status": "Accepted"}


def _clear_profile(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    _smart(station, "ClearChargingProfile")
    told = decode(payload, _ClearProfile, V201)
    meant = told.chargingProfileCriteria or _Meant()
    if told.chargingProfileId is not None:
        criteria = Criteria(id=told.chargingProfileId)
    else:
        criteria = _criteria(meant, meant.evseId)
    return {"status": "Accepted" if station.bay.clear(criteria, now) else "Unknown"}


def _get_profiles(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    _smart(station, "GetChargingProfiles")
    told = decode(payload, _GetProfiles, V201)
    meant = told.chargingProfile
    if meant.chargingLimitSource is not None and "CSO" not in meant.chargingLimitSource:
        return {"status": "NoProfiles"}
    held = station.bay.shelf.find(_criteria(meant, told.evseId))
    if meant.chargingProfileId is not None:
        held = [one for one in station.bay.shelf.held if one.profile.id in meant.chargingProfileId]
    if not held:
        return {"status": "NoProfiles"}
    for place, one in enumerate(held):
        station.outbox.say(_report(told.requestId, one, more=place + 1 < len(held)))
    return {"status": "Accepted"}


def _report(request_id: int, held: Shelved, *, more: bool) -> Saying:
    said = {
        "requestId": request_id,
        "chargingLimitSource": "CSO",
        "evseId": held.evse,
        "chargingProfile": [held.told],
        "tbc": more,
    }
    return Saying("ReportChargingProfiles", lambda: said)


def _composite(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    _smart(station, "GetCompositeSchedule")
    told = decode(payload, _Composite, V201)
    unit = told.chargingRateUnit or ("A" if "A" in station.ways.habits.units else "W")
    if told.evseId not in {0, EVSE}:
        return _why("UnknownEvse", f"there is no EVSE {told.evseId} here")
    if unit not in station.ways.habits.units:
        return _why("UnsupportedRateUnit", f"no limits in {unit} here")
    start, seconds, steps = schedule(station, told.duration, unit, now)
    composite = {
        "evseId": told.evseId,
        "duration": seconds,
        "scheduleStart": start,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": steps,
    }
    return {"status": "Accepted", "schedule": composite}


def _smart(station: OcppStation, action: str) -> None:
    if station.ways.habits.smart is Smart.NONE:
        raise Refuse("NotImplemented", f"{action}: there is no smart charging here")


def _criteria(meant: _Meant, evse: int | None) -> Criteria:
    word = meant.chargingProfilePurpose
    if word is not None and word not in {purpose.value for purpose in Purpose}:
        return Criteria(id=-1)  # Nothing here has such a purpose.
    purpose = None if word is None else Purpose(word)
    return Criteria(purpose=purpose, stack=meant.stackLevel, evse=evse)


# --- the rest


def _trigger(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    told = decode(payload, _Trigger, V201)
    if told.evse is not None and told.evse.id not in {0, EVSE}:
        return _why("UnknownEvse", f"there is no EVSE {told.evse.id} here")
    match told.requestedMessage:
        case "BootNotification":
            station.say_boot()
        case "Heartbeat":
            station.say_heartbeat()
        case "MeterValues":
            station.charging.say_meter(now, "Trigger")
        case "TransactionEvent":
            if station.charging.transaction is None:
                return _why("NoTransaction", "no transaction is running")
            station.charging.say_meter(now, "Trigger")
        case "StatusNotification":
            station.say_status(now)
        case _:
            return {"status": "NotImplemented"}
    return {"status": "Accepted"}


def _reset(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    told = decode(payload, _Reset, V201)
    if told.evseId is not None:
        return _why("UnsupportedParam", "only the whole station can be reset")
    later = station.reset(now, at_once=True, when_idle=told.type == "OnIdle")
    return {"status": "Scheduled" if later else "Accepted"}


def _start(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    told = decode(payload, _Start, V201)
    tag = told.idToken.idToken
    if told.evseId not in {None, EVSE} or not station.charging.remote_start(tag, now, told.remoteStartId):
        return _why("NoVehicle", "no car waits for a transaction")
    if told.chargingProfile is not None:
        words = words_of(payload)["chargingProfile"]
        station.bay.set_profile(Request(told.chargingProfile, EVSE, words), now)
    running = station.charging.transaction
    return {"status": "Accepted"} | ({} if running is None else {"transactionId": running.id})


def _stop(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    named = decode(payload, _Stop, V201).transactionId
    if not station.charging.remote_stop(named, now):
        return _why("TxNotFound", "no such transaction is running")
    return {"status": "Accepted"}


def _status(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    named = decode(payload, _Status, V201).transactionId
    waiting = {"messagesInQueue": station.outbox.kept > 0}
    if named is None:
        return waiting
    running = station.charging.transaction
    return waiting | {"ongoingIndicator": running is not None and running.id == named}


def _availability(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    told = decode(payload, _Availability, V201)
    return {"status": "Accepted" if told.operationalStatus == "Operative" else "Rejected"}


Handler = Callable[[OcppStation, bytes, datetime], Answer]


def _says(**answer: str) -> Handler:
    """Always the same polite answer."""
    return lambda station, payload, now: dict(answer)


_HANDLERS: Final[dict[str, Handler]] = {
    "SetChargingProfile": _set_profile,
    "ClearChargingProfile": _clear_profile,
    "GetChargingProfiles": _get_profiles,
    "GetCompositeSchedule": _composite,
    "GetVariables": variables201.get,
    "SetVariables": variables201.change,
    "GetBaseReport": variables201.report,
    "TriggerMessage": _trigger,
    "Reset": _reset,
    "RequestStartTransaction": _start,
    "RequestStopTransaction": _stop,
    "GetTransactionStatus": _status,
    "ChangeAvailability": _availability,
    "ClearCache": _says(status="Rejected"),
    "DataTransfer": _says(status="UnknownVendorId"),
    "UnlockConnector": _says(status="UnknownConnector"),
    "GetReport": _says(status="NotSupported"),
}
_KNOWN: Final = frozenset(_HANDLERS) | {
    "CancelReservation", "CertificateSigned", "ClearDisplayMessage", "ClearVariableMonitoring", "CostUpdated",
    "CustomerInformation", "DeleteCertificate", "GetDisplayMessages", "GetInstalledCertificateIds",
    "GetLocalListVersion", "GetLog", "GetMonitoringReport", "InstallCertificate", "PublishFirmware", "ReserveNow",
    "SendLocalList", "SetDisplayMessage", "SetMonitoringBase", "SetMonitoringLevel", "SetNetworkProfile",
    "SetVariableMonitoring", "UnpublishFirmware", "UpdateFirmware",
}  # fmt: skip


def answer(station: OcppStation, call: Call, now: datetime) -> Answer:
    """The payload of the CALLRESULT. Raises `Refuse`."""
    handler = _HANDLERS.get(call.action)
    if handler is None:
        unknown(call.action, _KNOWN)
    return handler(station, call.payload, now)
