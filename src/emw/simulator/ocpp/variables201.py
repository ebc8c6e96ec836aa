"""The variables of a 2.0.1 station: got, set and reported."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from emw.simulator.ocpp.calls import Answer, decode
from emw.simulator.ocpp.habits import Version
from emw.simulator.ocpp.meter import stamp
from emw.simulator.ocpp.outbox import Saying
from emw.simulator.ocpp.settings import Setting, Unsettable
from emw.simulator.ocpp.station import OcppStation

V201: Final = Version.V201

_A_FRAME: Final = 20
"""So many variables in one NotifyReport."""

_KINDS: Final = {"whole": "integer", "flag": "boolean", "measurands": "MemberList"}


class _Named(msgspec.Struct):
    name: str


class _Variable(msgspec.Struct):
    component: _Named
    variable: _Named
    attributeType: str = "Actual"

    @property
    def names(self) -> tuple[str, str]:
        return (self.component.name, self.variable.name)


class _SetVariable(_Variable, kw_only=True):
    attributeValue: str


class _GetVariables(msgspec.Struct):
    getVariableData: list[_Variable]


class _SetVariables(msgspec.Struct):
    setVariableData: list[_SetVariable]


class _BaseReport(msgspec.Struct):
    requestId: int
    reportBase: str


def get(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    """GetVariables."""
    asked = decode(payload, _GetVariables, V201).getVariableData
    return {"getVariableResult": [_got(station, one) for one in asked]}


def _got(station: OcppStation, asked: _Variable) -> Answer:
    found = station.settings.find(asked.names)
    if found is None:
        return _named(asked) | {"attributeStatus": _unknown_part(station, asked)}
    if asked.attributeType != "Actual":
        return _named(asked) | {"attributeStatus": "NotSupportedAttributeType"}
    setting, value = found
    if setting.kind == "secret":
        return _named(asked) | {"attributeStatus": "Rejected"}
    return _named(asked) | {"attributeStatus": "Accepted", "attributeValue": value[:2500]}


def change(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    """SetVariables."""
    asked = decode(payload, _SetVariables, V201).setVariableData
    return {"setVariableResult": [_was_set(station, one, now) for one in asked]}


def _was_set(station: OcppStation, asked: _SetVariable, now: datetime) -> Answer:
    if station.settings.find(asked.names) is None:
        return _named(asked) | {"attributeStatus": _unknown_part(station, asked)}
    if asked.attributeType != "Actual":
        return _named(asked) | {"attributeStatus": "NotSupportedAttributeType"}
    try:
        setting = station.settings.change(asked.names, asked.attributeValue)
    except Unsettable as error:
        return _named(asked) | {"attributeStatus": error.word}
    station.setting_changed(setting.key, asked.attributeValue, now)
    return _named(asked) | {"attributeStatus": "Accepted"}


def _named(asked: _Variable) -> Answer:
    return {
        "component": {"name": asked.component.name[:50]},
        "variable": {"name": asked.variable.name[:50]},
    } | ({} if asked.attributeType == "Actual" else {"attributeType": asked.attributeType})


def _unknown_part(station: OcppStation, asked: _Variable) -> str:
    known = {one.variable[0] for one, _ in station.settings.of(version_16=False) if one.variable}
    return "UnknownVariable" if asked.component.name in known else "UnknownComponent"


def report(station: OcppStation, payload: bytes, now: datetime) -> Answer:
    """GetBaseReport: answered at once, told in NotifyReports that follow."""
    told = decode(payload, _BaseReport, V201)
    if told.reportBase not in {"ConfigurationInventory", "FullInventory"}:
        return {"status": "NotSupported"}
    rows = [_row(one, value) for one, value in station.settings.of(version_16=False)]
    at = stamp(station.bay.read(now).at)
    for begin in range(0, len(rows), _A_FRAME):
        part = rows[begin : begin + _A_FRAME]
        station.outbox.say(_notify(told.requestId, at, begin, part, more=begin + _A_FRAME < len(rows)))
    return {"status": "Accepted"}


def _notify(request_id: int, at: str, begin: int, rows: Sequence[Any], *, more: bool) -> Saying:
    said = {
        "requestId": request_id,
        "generatedAt": at,
        "seqNo": begin // _A_FRAME,
        "tbc": more,
        "reportData": rows,
    }
    return Saying("NotifyReport", lambda: said)


def _row(setting: Setting, value: str) -> Answer:
    component, variable = setting.variable or ("", "")
    attribute: dict[str, Any] = {"type": "Actual"}
    if setting.kind == "secret":
        attribute["mutability"] = "WriteOnly"
    else:
        attribute |= {"value": value, "mutability": "ReadOnly" if setting.fixed else "ReadWrite"}
    return {
        "component": {"name": component},
        "variable": {"name": variable},
        "variableAttribute": [attribute],
        "variableCharacteristics": {
            "dataType": _KINDS.get(setting.kind, "string"),
            "supportsMonitoring": False,
        },
    }
