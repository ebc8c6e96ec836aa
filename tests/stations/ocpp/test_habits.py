"""Stations that don't keep to the letter: what they mean is taken, and they charge and obey like the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emw.domain.facts import Fact, StationLearned
from tests.stations.ocpp.house import House, house, until
from tests.stations.ocpp.plain import Plain, boot, plain, polite, start, stop


def drawn_kw(h: House) -> float | None:
    return h.headend.telemetry.drawn_kw("CP1:1")


def no_zone(it: Plain) -> str:
    """Now, as a clock without a zone says it, and with blanks around."""
    return f" {it.stamp().removesuffix('Z')} "


async def test_small_letters_numbers_as_text_and_times_without_zone(tmp_path: Path) -> None:
    async with house(tmp_path, accept_any_token=False, tokens=["Tag 1"]) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            body: dict[str, Any] = {
                "connectorId": "1",
                "idTag": "TAG 1 ",
                "meterStart": "1000.5",
                "timestamp": no_zone(it),
            }
            told = await it.call("StartTransaction", body)
            assert told["idTagInfo"]["status"] == "Accepted"
            await until(lambda: h.session("CP1:1"))
            sample = {
                "value": "7.4",
                "measurand": "power.active.import",
                "unit": "KW",
                "phase": "",
                "context": "",
            }
            values = [{"timestamp": no_zone(it), "sampledValue": [sample]}]
            body = {"connectorId": "1", "transactionId": str(told["transactionId"]), "meterValue": values}
            assert await it.call("MeterValues", body) == {}
            assert drawn_kw(h) == 7.4
            status = {"connectorId": "1", "status": "charging ", "errorCode": None, "timestamp": None}
            assert await it.call("StatusNotification", status) == {}
            assert h.hub.console.seen("CP1").statuses == {"CP1:1": "Charging"}
            body = {
                "transactionId": str(told["transactionId"]),
                "meterStop": "2000.0",
                "timestamp": no_zone(it),
            }
            assert await it.call("StopTransaction", body) == {}
            assert h.session("CP1:1") is None


async def test_2_0_1_the_same(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, "ocpp2.0.1") as it:
            await boot(it)

            async def event(kind: str, **more: Any) -> Any:
                info = {"transactionId": "tx1"}
                body = {"eventType": kind, "timestamp": no_zone(it), "transactionInfo": info, **more}
                return await it.call("TransactionEvent", body)

            assert await event("started", evse={"id": "1"}) == {}
            await until(lambda: h.session("CP1:1"))
            sample = {"value": "7.4", "measurand": "power.active.import", "unitOfMeasure": {"unit": "kw"}}
            values = [{"timestamp": no_zone(it), "sampledValue": [sample]}]
            assert await event("updated", meterValue=values) == {}
            assert drawn_kw(h) == 7.4
            assert await event("ENDED") == {}
            assert h.session("CP1:1") is None


async def test_the_subprotocol_in_capitals_and_what_strings_leave_around_a_frame(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with await h.socket("CP1", secret, "OCPP1.6") as socket:
            assert socket.subprotocol == "OCPP1.6"
            for around in ("%s\0", "%s\r\n", " \ufeff%s "):
                await socket.send(around % '[2,"1","Heartbeat",{}]')
                kind, named, body = json.loads(await socket.recv())
                assert (kind, named) == (3, "1")
                assert "currentTime" in body


async def test_each_message_under_the_same_id_is_answered_and_taken(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            number = await start(it)
            await until(lambda: h.session("CP1:1"))
            second = it.stamp()  # both of one second, as clocks without fractions date them
            for kw in (7.0, 3.0):
                sample = {"value": str(kw), "measurand": "Power.Active.Import", "unit": "kW"}
                values = [{"timestamp": second, "sampledValue": [sample]}]
                body = {"connectorId": 1, "transactionId": number, "meterValue": values}
                assert await it.call("MeterValues", body, named="1") == {}
                assert drawn_kw(h) == kw


async def test_an_end_without_its_number_or_before_its_begin_is_answered(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            assert await stop(it, 4711) == {}
            number = await start(it)
            await until(lambda: h.session("CP1:1"))
            assert await it.call("StopTransaction", {"meterStop": 5}) == {}
            assert await it.call("StopTransaction", {"transactionId": -1, "timestamp": it.stamp()}) == {}
            assert h.session("CP1:1"), "which one is over is not said: the connector's state will say it"
            await it.call(
                "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
            )
            assert h.session("CP1:1") is None
            assert await stop(it, number) == {}


async def test_power_without_a_transaction_is_a_stay(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            sample = {"value": "7000", "measurand": "Power.Active.Import"}
            values = [{"timestamp": it.stamp(), "sampledValue": [sample]}]
            assert await it.call("MeterValues", {"connectorId": 1, "meterValue": values}) == {}
            assert h.session("CP1:1")
            assert drawn_kw(h) == 7.0


async def test_a_storm_of_states_changes_nothing_and_costs_the_station_nothing(tmp_path: Path) -> None:
    seen: list[Fact] = []
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            h.headend.ledger.listen(lambda _, facts: seen.extend(facts))
            body = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
            for number in range(100):
                await it.raw(json.dumps([2, f"s{number}", "StatusNotification", body]))
            assert (await it.call("Heartbeat", {}))["currentTime"]
            assert not it.listening.done()
            assert {type(fact) for fact in seen} <= {StationLearned}, "what it was asked meanwhile"
            refused = [f for f in h.hub.console.frames("CP1") if f.outgoing and f.text.startswith("[4")]
            assert refused == []


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
async def test_what_a_station_keeps_to_only_after_a_reboot_is_named_until_then(
    version: str, tmp_path: Path
) -> None:
    word = ["RebootRequired"]

    def answer(action: str, payload: dict[str, Any]) -> Any:
        if action == "ChangeConfiguration" and payload["key"] == "MeterValuesSampledData":
            return {"status": word[0]}
        if action == "SetVariables" and payload["setVariableData"][0]["variable"] == {
            "name": "TxUpdatedMeasurands"
        }:
            return {"setVariableResult": [{"attributeStatus": word[0], **payload["setVariableData"][0]}]}
        return polite(action, payload)

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, version, answer) as it:
            await boot(it)
            name = (
                "MeterValuesSampledData" if version == "ocpp1.6" else "SampledDataCtrlr.TxUpdatedMeasurands"
            )
            await until(lambda: h.hub.console.seen("CP1").traits.get("reboot_for") == [name])
            word[0] = "Accepted"
            await boot(it)
            await until(lambda: not h.hub.console.seen("CP1").traits.get("reboot_for"))
