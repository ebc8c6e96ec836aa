"""Every message that a station may send gets an answer that its schema allows, or is refused by the right name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from emw.stations.ocpp.rates import REFUSED as REFUSED_RATE
from emw.stations.ocpp.rates import Rates
from tests.stations.ocpp.house import house
from tests.stations.ocpp.plain import plain
from tests.stations.ocpp.schemas import FOLDERS, ROOT

VERSIONS = tuple(FOLDERS)
FROM_CSMS: Final = frozenset(
    """AFRRSignal AdjustPeriodicEventStream CancelReservation CertificateSigned ChangeAvailability
    ChangeConfiguration ChangeTransactionTariff ClearCache ClearChargingProfile ClearDERControl ClearDisplayMessage
    ClearTariffs ClearVariableMonitoring CostUpdated CustomerInformation DeleteCertificate ExtendedTriggerMessage
    GetBaseReport GetChargingProfiles GetCompositeSchedule GetConfiguration GetDERControl GetDiagnostics
    GetDisplayMessages GetInstalledCertificateIds GetLocalListVersion GetLog GetMonitoringReport
    GetPeriodicEventStream GetReport GetTariffs GetTransactionStatus GetVariables InstallCertificate
    NotifyAllowedEnergyTransfer NotifyWebPaymentStarted PublishFirmware RemoteStartTransaction RemoteStopTransaction
    RequestBatterySwap RequestStartTransaction RequestStopTransaction ReserveNow Reset SendLocalList
    SetChargingProfile SetDERControl SetDefaultTariff SetDisplayMessage SetMonitoringBase SetMonitoringLevel
    SetNetworkProfile SetVariableMonitoring SetVariables SignedUpdateFirmware TriggerMessage UnlockConnector
    UnpublishFirmware UpdateDynamicSchedule UpdateFirmware UsePriorityCharging""".split()  # noqa: SIM905 - in rows
)
"""What only a CSMS asks."""
REFUSED: Final = frozenset({"BatterySwap", "GetCertificateChainStatus", "VatNumberValidation"})
"""What emw is no party to, and could only answer by making something up."""


def schema(version: str, action: str) -> dict[str, Any]:
    name = action if version == "ocpp1.6" else f"{action}Request"
    text = (ROOT / FOLDERS[version] / "schemas" / f"{name}.json").read_text(encoding="utf-8-sig")
    found: dict[str, Any] = json.loads(text)
    return found


def actions(version: str) -> list[str]:
    ends = ("" if version == "ocpp1.6" else "Request") + ".json"
    found = {p.name for p in (ROOT / FOLDERS[version] / "schemas").iterdir() if p.name.endswith(ends)}
    found = {n for n in found if not n.endswith("Response.json")}
    return sorted({n.removesuffix(ends) for n in found} - FROM_CSMS)


def least(part: dict[str, Any], whole: dict[str, Any]) -> Any:
    """The least that a schema allows."""
    if "$ref" in part:
        return least(whole["definitions"][part["$ref"].rpartition("/")[2]], whole)
    if "enum" in part:
        return part["enum"][0]
    match part["type"]:
        case "object":
            return {n: least(part["properties"][n], whole) for n in part.get("required", ())}
        case "array":
            return [least(part["items"], whole)] * part.get("minItems", 1)
        case "string":
            return "2026-05-04T12:00:00Z" if part.get("format") == "date-time" else "1"
        case "boolean":
            return True
    return part.get("minimum", 1)


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_message_of_a_station_has_its_answer(version: str, tmp_path: Path) -> None:
    said = actions(version)
    assert len(said) == {"ocpp1.6": 14, "ocpp2.0.1": 25, "ocpp2.1": 36}[version]
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, version) as it:
            refused = {}
            for action in ["BootNotification", *said]:
                whole = schema(version, action)
                told = await it.call(action, least(whole, whole))  # the judge holds it against its schema
                if isinstance(told, tuple):
                    refused[action] = told[0]
            assert refused == dict.fromkeys(REFUSED & set(said), "NotImplemented")
            assert it.judge.checked > len(said) - len(refused)


def test_refusing_what_is_not_known_here_does_not_cost_a_station_its_connection() -> None:
    """Said once a minute for days, of whatever its maker has thought up; a flood is no such thing."""
    rates = Rates()
    assert all(rates.admits(REFUSED_RATE, 60.0 * minute) for minute in range(10_000))
    assert sum(rates.admits(REFUSED_RATE, 1e6) for _ in range(1_000)) == 200
