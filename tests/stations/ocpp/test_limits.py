"""Commands as charging profiles: what is sent, what each answer means, and what is remembered of it."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from emw.domain.model import Limit, Outcome
from emw.service.admin import EvseDefaults
from tests.stations.ocpp.foreign import stamp
from tests.stations.ocpp.house import EAST, House, house, until
from tests.stations.ocpp.plain import SILENT, Plain, Refuse, boot, meter, plain, polite, start

BOTH = pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])


async def charging(it: Plain, named: str = "tx1") -> str:
    """A transaction runs on EVSE 1; its id, which in 2.x is its own (`named`)."""
    if it.judge.version == "ocpp1.6":
        return str(await start(it))
    await it.call(
        "TransactionEvent",
        {
            "eventType": "Started",
            "timestamp": it.stamp(),
            "triggerReason": "CablePluggedIn",
            "seqNo": 0,
            "transactionInfo": {"transactionId": named},
            "evse": {"id": 1, "connectorId": 1},
        },
    )
    return named


async def decrease(h: House, kw: float = 4.0, name: str = "r1") -> dict[str, Any]:
    body = {"requestID": name, "territory": EAST, "kW": kw, "durationMinutes": 30}
    return await h.iso("POST", "/iso/decrease", body)


def limit(h: House, evse_id: str = "CP1:1") -> Limit | None:
    return h.headend.state.limits.get(evse_id)


def settled(h: House, outcome: Outcome) -> Any:
    return lambda: (found := limit(h)) is not None and found.outcome is outcome


def profile_of(payload: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A profile and its schedule, in either generation."""
    profile = payload.get("csChargingProfiles") or payload["chargingProfile"]
    schedule = profile["chargingSchedule"]
    return profile, schedule[0] if isinstance(schedule, list) else schedule


@BOTH
async def test_a_profile_has_both_ends_and_a_start_in_the_past(version: str, tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, version) as it:
            await boot(it)
            transaction = await charging(it)
            await until(lambda: h.session("CP1:1"))
            now = it.now()
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
            (sent,) = it.names("SetChargingProfile")
            profile, schedule = profile_of(sent)
            (period,) = schedule["chargingSchedulePeriod"]
            assert str(profile["transactionId"]) == transaction
            assert profile["chargingProfilePurpose"] == "TxProfile"
            assert profile["chargingProfileKind"] == "Absolute"
            assert (schedule["chargingRateUnit"], period["startPeriod"], period["numberPhases"]) == (
                "A",
                0,
                3,
            )
            begin = datetime.fromisoformat(schedule["startSchedule"])
            assert 55 <= (now - begin).total_seconds() <= 65
            end = begin + timedelta(seconds=schedule["duration"])
            assert end == datetime.fromisoformat(profile["validTo"])
            command = limit(h)
            assert command is not None
            assert command.max_a is not None
            assert end <= command.until
            assert (command.until - end).total_seconds() < 1
            assert period["limit"] == command.max_a
            assert period["limit"] == 0 or period["limit"] >= 6
            assert it.most_flying == 1


async def test_the_unit_the_station_allows_and_the_highest_stack_level(tmp_path: Path) -> None:
    def answer(action: str, payload: dict[str, Any]) -> Any:
        if action == "GetConfiguration":
            told = {
                "SupportedFeatureProfiles": "Core, SmartCharging",
                "ChargingScheduleAllowedChargingRateUnit": "Power",
                "ChargeProfileMaxStackLevel": "9",
                "NumberOfConnectors": "2",
            }
            return {"configurationKey": [{"key": k, "readonly": True, "value": v} for k, v in told.items()]}
        return polite(action, payload)

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1", EvseDefaults(phases=1, max_a=32.0, line_voltage_v=230.0))
        async with plain(h, "CP1", secret, answer=answer) as it:
            await boot(it)
            await until(lambda: "CP1:2" in h.headend.state.evses)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            await decrease(h, 3.0)
            await until(settled(h, Outcome.APPLIED))
            profile, schedule = profile_of(it.names("SetChargingProfile")[-1])
            command = limit(h)
            assert command is not None
            assert command.max_a is not None
            assert schedule["chargingRateUnit"] == "W"
            assert schedule["chargingSchedulePeriod"][0]["limit"] == int(command.max_a * 230)
            assert profile["stackLevel"] == 9


async def test_words_of_answers_count_in_small_letters_and_with_blanks_too(tmp_path: Path) -> None:
    def answer(action: str, payload: dict[str, Any]) -> Any:
        if action == "GetConfiguration":
            told = {
                "SupportedFeatureProfiles": "core,smartcharging",
                "ChargingScheduleAllowedChargingRateUnit": "power",
            }
            return {"configurationKey": [{"key": k, "readonly": True, "value": v} for k, v in told.items()]}
        return {"status": "accepted "}

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, answer=answer) as it:
            await boot(it)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
            (told,) = it.names("SetChargingProfile")
            assert profile_of(told)[1]["chargingRateUnit"] == "W"


@BOTH
async def test_what_is_rejected_is_tried_otherwise_and_what_was_taken_is_remembered(
    version: str, tmp_path: Path
) -> None:
    def answer(action: str, payload: dict[str, Any]) -> Any:
        if action == "SetChargingProfile":
            profile, schedule = profile_of(payload)
            good = (schedule["chargingRateUnit"], profile["chargingProfilePurpose"]) == (
                "W",
                "TxDefaultProfile",
            )
            return {"status": "Accepted" if good else "Rejected"}
        return polite(action, payload)

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, version, answer) as it:
            await boot(it)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
            assert len(it.names("SetChargingProfile")) == 4
            await until(lambda: "TxDefaultProfile" in h.headend.state.traits["CP1"].traits)
        # After a restart of the connection (and of emw, by the same record) no A is tried for this purpose.
        traits = h.hub.console.seen("CP1").traits
        assert "TxDefaultProfile/A" in traits["refused"]
        assert traits["used"] == ("TxDefaultProfile",)


@BOTH
async def test_what_one_showed_is_tried_first_on_its_like_after_a_restart_too(
    version: str, tmp_path: Path
) -> None:
    def watts(action: str, payload: dict[str, Any]) -> Any:
        if action == "SetChargingProfile":
            _, schedule = profile_of(payload)
            return {"status": "Accepted" if schedule["chargingRateUnit"] == "W" else "Rejected"}
        return polite(action, payload)

    async def units(h: House, name: str, firmware: str) -> list[str]:
        """In what units it is told its limit."""
        secret = await h.enrol(name)
        async with plain(h, name, secret, version, watts) as it:
            await boot(it, firmware)
            await charging(it)
            await until(lambda: h.session(f"{name}:1"))
            await until(lambda: (x := limit(h, f"{name}:1")) is not None and x.outcome is Outcome.APPLIED)
            await until(lambda: "TxProfile" in h.headend.state.traits[name].traits)
            return [profile_of(p)[1]["chargingRateUnit"] for p in it.names("SetChargingProfile")]

    async with house(tmp_path) as h:
        await decrease(h, 100.0)  # more than all have: whoever comes is asked
        assert await units(h, "CP1", "1") == ["A", "W"]
        assert await units(h, "CP2", "1") == ["W"]
    async with house(tmp_path) as h:
        assert await units(h, "CP3", "1") == ["W"]
        assert await units(h, "CP4", "2") == ["A", "W"], "other firmware may have other ways"


async def test_what_is_on_its_way_to_a_station_that_came_back_is_not_said_twice(tmp_path: Path) -> None:
    at_first = [SILENT]

    def answer(action: str, payload: dict[str, Any]) -> Any:
        quiet = action == "SetChargingProfile" and at_first
        return at_first.pop() if quiet else polite(action, payload)

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, answer=answer) as it:
            await boot(it)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            connection = h.hub.connected("CP1")
            assert connection is not None
            asking = asyncio.create_task(decrease(h))
            await until(lambda: it.names("SetChargingProfile"))
            h.hub.say_again(connection)  # as when the questions after its boot are through
            await it.raw(json.dumps([3, last_id(h), {"status": "Accepted"}]))
            await until(settled(h, Outcome.APPLIED))
            await asking
            h.hub.say_again(connection)
            assert await it.call("Heartbeat", {})
            assert len(it.names("SetChargingProfile")) == 1
            # What a boot makes it forget is said again; its vehicle is there still.
            await it.call("BootNotification", {"chargePointModel": "M", "chargePointVendor": "V"})
            await until(lambda: len(it.names("SetChargingProfile")) == 2)


async def test_rejected_throughout_counts_as_refused(tmp_path: Path) -> None:
    def answer(action: str, payload: dict[str, Any]) -> Any:
        return {"status": "Rejected"} if action == "SetChargingProfile" else polite(action, payload)

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, answer=answer) as it:
            await boot(it)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            told = await decrease(h)
            assert told["confirmedKW"] == 0.0
            await until(settled(h, Outcome.REJECTED))
            ways = {
                (profile_of(p)[0]["chargingProfilePurpose"], profile_of(p)[1]["chargingRateUnit"])
                for p in it.names("SetChargingProfile")
            }
            purposes = {"TxProfile", "TxDefaultProfile", "ChargePointMaxProfile"}
            assert ways == {(p, u) for p in purposes for u in "AW"}


@pytest.mark.parametrize("how", ["NotSupported", "NotImplemented"])
async def test_without_smart_charging_it_is_never_asked_again(how: str, tmp_path: Path) -> None:
    def answer(action: str, payload: dict[str, Any]) -> Any:
        if action == "SetChargingProfile":
            if how == "NotSupported":
                return {"status": "NotSupported"}
            raise Refuse(how)
        return polite(action, payload)

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, answer=answer) as it:
            await boot(it)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            await decrease(h)
            await until(lambda: not h.evse("CP1:1").can_limit)
            sent = len(it.names("SetChargingProfile"))
            told = await decrease(h, name="r2")
            assert told["affectedEVSEs"] == 0
            assert len(it.names("SetChargingProfile")) == sent


async def test_one_that_says_so_at_boot_is_never_asked_at_all(tmp_path: Path) -> None:
    def answer(action: str, payload: dict[str, Any]) -> Any:
        if action == "GetConfiguration":
            key = {"key": "SupportedFeatureProfiles", "readonly": True, "value": "Core"}
            return {"configurationKey": [key]}
        return polite(action, payload)

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, answer=answer) as it:
            await boot(it)
            await until(lambda: "CP1:1" in h.headend.state.evses and not h.evse("CP1:1").can_limit)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            assert (await decrease(h))["affectedEVSEs"] == 0
            assert it.names("SetChargingProfile") == []


def last_id(h: House) -> str:
    frames = [f.text for f in h.hub.console.frames("CP1") if f.outgoing and "SetChargingProfile" in f.text]
    return frames[0].split('"')[1]


async def test_a_station_that_is_gone_is_offline_and_told_when_it_is_back(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
        async with plain(h, "CP1", secret) as it:
            await until(lambda: it.names("SetChargingProfile"))


async def test_who_says_yes_and_draws_on_is_found_by_the_meter(tmp_path: Path) -> None:
    async with house(tmp_path, sample_seconds=10) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            number = int(await charging(it))
            await until(lambda: h.session("CP1:1"))
            await meter(it, 11_000.0, number)
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
            clock = h.parts.clock
            for _ in range(3):
                clock._start_s += 25
                await meter(it, 11_000.0, number)
            await until(settled(h, Outcome.REJECTED))
            found = limit(h)
            assert found is not None
            assert "the meter shows" in (found.reason or "")


async def test_a_one_phase_car_is_seen_by_its_meter(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            number = int(await charging(it))
            await until(lambda: h.session("CP1:1"))
            amps = [(16.0, "L1"), (0.0, "L2"), (0.0, "L3")]
            for second in range(3):
                sampled = [
                    {"value": str(a), "measurand": "Current.Import", "phase": p, "unit": "A"} for a, p in amps
                ]
                at = stamp(it.now() + timedelta(seconds=second))  # of one millisecond it is said twice
                values = [{"timestamp": at, "sampledValue": sampled}]
                body = {"connectorId": 1, "transactionId": number, "meterValue": values}
                assert await it.call("MeterValues", body) == {}
            assert h.evse("CP1:1").phases == 1
            reading = h.headend.telemetry.live["CP1:1"].reading
            assert reading is not None
            assert reading.kw == pytest.approx(3.68)
            assert reading.current_a == pytest.approx(16.0)


async def test_metering_is_set_up_at_boot_and_asked_once(tmp_path: Path) -> None:
    def answer(action: str, payload: dict[str, Any]) -> Any:
        if action == "ChangeConfiguration" and payload["value"].count(",") > 1:
            return {"status": "Rejected"}
        return polite(action, payload)

    async with house(tmp_path, sample_seconds=30) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, answer=answer) as it:
            await boot(it)
            await until(lambda: it.names("TriggerMessage"))
            changed = [(p["key"], p["value"]) for p in it.names("ChangeConfiguration")]
            assert ("MeterValueSampleInterval", "30") in changed
            lists = [v for k, v in changed if k == "MeterValuesSampledData"]
            assert lists[-1] == "Power.Active.Import,Energy.Active.Import.Register"
            assert len(lists) == 2
        async with plain(h, "CP1", secret, answer=answer) as it:
            await until(lambda: it.names("TriggerMessage"))
            assert it.names("GetConfiguration") == []


async def test_an_operator_sends_a_message_and_sees_the_frames(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            told = await h.hub.console.call("CP1", "Reset", {"type": "Soft"})
            assert (told.outcome, told.answer) == ("answered", {"status": "Accepted"})
            assert it.names("Reset") == [{"type": "Soft"}]
            texts = [f.text for f in h.hub.console.frames("CP1")]
            assert any("Reset" in t for t in texts)
            seen = h.hub.console.seen("CP1")
            assert (seen.connected, seen.protocol, seen.vendor) == (True, "ocpp1.6", "V")
        await until(lambda: not h.hub.console.seen("CP1").connected)
