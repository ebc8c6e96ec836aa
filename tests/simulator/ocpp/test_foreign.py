"""A fleet of OCPP stations against a foreign central system, over real sockets, on a fast clock."""

import asyncio
from datetime import timedelta

import pytest

from emw.simulator.hardware import Car
from emw.simulator.ocpp.habits import Version, habits_of
from emw.simulator.sessions import Session
from tests.simulator.ocpp.bench import (
    SECRETS,
    T0,
    VERSIONS,
    Limits,
    charging,
    fleet,
    metered,
    now_of,
    specs,
    until,
)
from tests.simulator.ocpp.central import central_system

pytestmark = pytest.mark.parametrize("version", VERSIONS)


async def test_a_day_of_a_small_fleet(version: Version) -> None:
    sessions = [
        Session(
            session_id=f"s{n}", site="East", evse_id=f"e{n}", energy_kwh=50.0, max_a=16.0,
            plug=T0 + timedelta(minutes=n - 20), unplug=T0 + timedelta(minutes=25 + n),
        )
        for n in range(4)
    ]  # fmt: skip
    async with (
        central_system(version, SECRETS) as central,
        fleet(central, specs(version, 4), sessions) as running,
    ):
        stop = "StopTransaction" if version is Version.V16 else "TransactionEvent"
        for name in SECRETS:
            await central.until("BootNotification", station=name)
        await metered(central, 20)
        stats = running.stats()
        assert (stats.powered, stats.plugged, stats.charging) == (4, 4, 4)
        assert stats.load_kw == pytest.approx(4 * 16 * 0.208)
        await until(lambda: running.stats().plugged == 0)
        await asyncio.sleep(0.2)
        said = central.said(stop, "e3")[-1]
        assert central.faults == []
        assert running.violations == []
    assert len(central.transactions) == 4
    assert len(central.said("Authorize", "e3")) == 1
    if version is Version.V16:
        expected_wh = 28 / 60 * 16 * 208  # since the transaction began
        used_wh = said["meterStop"] - central.said("StartTransaction", "e3")[0]["meterStart"]
        assert said["reason"] == "EVDisconnected"
        states = [
            one["status"] for one in central.said("StatusNotification", "e3") if one["connectorId"] == 1
        ]
        assert states[-2:] == ["Charging", "Available"]
    else:
        events = central.said("TransactionEvent", "e3")
        assert [one["seqNo"] for one in events] == list(range(len(events)))
        assert (events[0]["eventType"], said["eventType"]) == ("Started", "Ended")
        expected_wh = 45 / 60 * 16 * 208  # since the car came
        used_wh = said["meterValue"][0]["sampledValue"][0]["value"]
    assert used_wh == pytest.approx(expected_wh, rel=0.35)


async def test_a_limit_holds_and_ends_by_itself(version: Version) -> None:
    async with central_system(version, SECRETS) as central, fleet(central, specs(version)) as running:
        limits = Limits(central, running)
        await charging(central, running)
        assert running.hardware("e0").draw_a == 32.0
        assert await limits.set(8.0, minutes=20) == "Accepted"
        running.stats()
        assert running.hardware("e0").draw_a == 8.0
        current = [s for s in await metered(central, 8) if s["measurand"] == "Current.Import"]
        assert float(current[-1]["value"]) == pytest.approx(8.0, rel=0.03)
        assert running.stats().limited == 1
        central.muted = True
        await until(lambda: running.stats().limited == 0)
        running.cut(["e0"])
        assert running.hardware("e0").draw_a == 32.0
        assert central.faults == []
        assert running.violations == []


async def test_set_again_replaces_and_clear_frees(version: Version) -> None:
    async with central_system(version, SECRETS) as central, fleet(central, specs(version)) as running:
        limits = Limits(central, running)
        await charging(central, running)
        for limit, purpose in ((20.0, "TxProfile"), (10.0, "TxProfile")):
            assert await limits.set(limit, purpose=purpose) == "Accepted"
        assert running.hardware("e0").limit_a == 10.0
        assert await limits.set(12.0, purpose="TxDefaultProfile", number=8) == "Accepted"
        assert running.hardware("e0").limit_a == 10.0, "the transaction's own profile counts"
        assert await limits.set(9.0, purpose="Station", number=9) == "Accepted"
        assert running.hardware("e0").limit_a == 9.0
        assert await limits.clear(9) == "Accepted"
        assert await limits.clear(7) == "Accepted"
        assert running.hardware("e0").limit_a == 12.0
        assert await limits.clear(7) == "Unknown"
        assert await limits.clear(8) == "Accepted"
        assert running.hardware("e0").limit_a is None
        assert running.stats().commands == 8
        assert central.faults == []


async def test_what_it_is_asked_it_answers_by_the_schemas(version: Version) -> None:
    async with central_system(version, SECRETS) as central, fleet(central, specs(version)) as running:
        limits = Limits(central, running)
        await charging(central, running)
        assert await limits.set(8.1, minutes=30) == "Accepted"
        place = "connector_id" if version is Version.V16 else "evse_id"
        for unit, knob in (("A", 32.0), ("W", 32 * 208)):
            got = await central.ask(
                "GetCompositeSchedule", **{place: 1}, duration=7200, charging_rate_unit=unit
            )
            told = got.charging_schedule if version is Version.V16 else got.schedule
            steps = told["charging_schedule_period"]
            assert [float(step["limit"]) for step in steps] == pytest.approx(
                [knob * 8.1 / 32, knob], rel=0.02
            )
        if version is Version.V16:
            keys = (await central.ask("GetConfiguration")).configuration_key
            assert {"ChargeProfileMaxStackLevel", "SupportedFeatureProfiles"} <= {one["key"] for one in keys}
            asked = await central.ask(
                "GetConfiguration", key=["HeartbeatInterval", "NoSuchKey", "AuthorizationKey"]
            )
            assert asked.unknown_key == ["NoSuchKey"]
            assert "value" not in asked.configuration_key[1]
            changes = [("MeterValueSampleInterval", "30"), ("HeartbeatInterval", "x"), ("Nothing", "1"),
                       ("NumberOfConnectors", "2"), ("MeterValuesSampledData", "Voltage,Nonsense")]  # fmt: skip
            got = [(await central.ask("ChangeConfiguration", key=k, value=v)).status for k, v in changes]
            assert got == ["Accepted", "Rejected", "NotSupported", "Rejected", "Rejected"]
        else:
            names = [("SmartChargingCtrlr", "RateUnit"), ("SmartChargingCtrlr", "No"), ("No", "No"),
                     ("SecurityCtrlr", "BasicAuthPassword")]  # fmt: skip
            data = [{"component": {"name": c}, "variable": {"name": v}} for c, v in names]
            results = (await central.ask("GetVariables", get_variable_data=data)).get_variable_result
            assert [one["attribute_status"] for one in results] == [
                "Accepted", "UnknownVariable", "UnknownComponent", "Rejected"
            ]  # fmt: skip
            change = {
                "attributeValue": "30",
                "component": {"name": "SampledDataCtrlr"},
                "variable": {"name": "TxUpdatedInterval"},
            }
            results = (await central.ask("SetVariables", set_variable_data=[change])).set_variable_result
            assert results[0]["attribute_status"] == "Accepted"
            assert (
                await central.ask("GetBaseReport", request_id=1, report_base="FullInventory")
            ).status == "Accepted"
            assert (await central.until("NotifyReport", 2))["tbc"] is False
            asked = await central.ask("GetChargingProfiles", request_id=2, charging_profile={"stackLevel": 8})
            assert asked.status == "Accepted"
            assert (await central.until("ReportChargingProfiles"))["chargingProfile"][0]["id"] == 7
            asked = await central.ask("GetTransactionStatus", transaction_id=central.transactions[-1])
            assert asked.ongoing_indicator is True
        for what in ("Heartbeat", "StatusNotification", "MeterValues"):
            before = len(
                central.said(what if what != "MeterValues" or version is Version.V16 else "TransactionEvent")
            )
            assert (await central.ask("TriggerMessage", requested_message=what)).status == "Accepted"
            said = what if what != "MeterValues" or version is Version.V16 else "TransactionEvent"
            await central.until(said, before + 1)
        assert (await central.ask("ClearCache")).status == "Rejected"
        assert (await central.ask("DataTransfer", vendor_id="somebody")).status == "UnknownVendorId"
        assert central.faults == []


async def test_promises_are_held_against_every_profile(version: Version) -> None:
    async with central_system(version, SECRETS) as central, fleet(central, specs(version)) as running:
        limits = Limits(central, running)
        await charging(central, running)
        await limits.set(4.0)
        await limits.set(33.0)
        await limits.set(10.0, ends=())
        await limits.set(10.0, minutes=-30)
        await limits.set(-1.0)
        rules = [one.rule for one in running.violations]
        assert rules == [
            "between 0 and the floor", "above the knob", "no end", "ended before it began", "below 0"
        ]  # fmt: skip
        await limits.set(32.0)
        await limits.set(6.0)
        await limits.set(0.0)
        await limits.set(1240.0, unit="W")
        assert len(running.violations) == 5


@pytest.mark.parametrize("name", ["w-only", "a-only"])
async def test_a_station_that_knows_one_unit(version: Version, name: str) -> None:
    stations = specs(version, habits=habits_of(name), voltage_v=230.0, phases=3)
    async with central_system(version, SECRETS) as central, fleet(central, stations) as running:
        limits = Limits(central, running)
        await charging(central, running)
        verdicts = {unit: await limits.set(limit, unit=unit) for unit, limit in (("A", 10.0), ("W", 6900.0))}
        assert (
            verdicts == {"A": "Rejected", "W": "Accepted"}
            if name == "w-only"
            else {"A": "Accepted", "W": "Rejected"}
        )
        assert running.hardware("e0").limit_a == pytest.approx(10.0, rel=0.02)
        assert central.faults == []


@pytest.mark.parametrize(("name", "heeds"), [("duration-only", "duration"), ("valid-to-only", "validTo")])
async def test_a_station_that_minds_one_end_only(version: Version, name: str, heeds: str) -> None:
    stations = specs(version, habits=habits_of(name))
    async with central_system(version, SECRETS) as central, fleet(central, stations) as running:
        limits = Limits(central, running)
        await charging(central, running)
        other = "validTo" if heeds == "duration" else "duration"
        await limits.set(10.0, minutes=5, ends=(other,))
        later = now_of(running) + timedelta(minutes=15)
        await until(lambda: now_of(running) >= later)
        assert running.stats().limited == 1, "it never comes back: that is the habit"
        await limits.set(10.0, minutes=5, ends=(heeds,))
        await until(lambda: running.stats().limited == 0)


async def test_a_station_that_says_yes_and_forgets(version: Version) -> None:
    stations = specs(version, habits=habits_of("ignores"))
    async with central_system(version, SECRETS) as central, fleet(central, stations) as running:
        limits = Limits(central, running)
        await charging(central, running)
        assert await limits.set(8.0) == "Accepted"
        running.stats()
        assert running.hardware("e0").draw_a == 32.0


async def test_a_station_without_smart_charging(version: Version) -> None:
    stations = specs(version, habits=habits_of("no-smart-charging"))
    async with central_system(version, SECRETS) as central, fleet(central, stations) as running:
        limits = Limits(central, running)
        await charging(central, running)
        assert await limits.set(8.0) == ("NotSupported" if version is Version.V16 else "CALLERROR")
        assert await limits.clear() == "CALLERROR"
        assert central.faults == []


async def test_a_station_that_meters_each_phase_apart(version: Version) -> None:
    stations = specs(version, habits=habits_of("phase-power"), voltage_v=230.0, phases=3)
    async with central_system(version, SECRETS) as central, fleet(central, stations) as running:
        await charging(central, running, Car(max_a=16.0, need_kwh=60.0))
        power = [s for s in await metered(central, 20) if s["measurand"] == "Power.Active.Import"]
        assert {s.get("phase") for s in power} == {"L1", "L2", "L3"}
        assert float(power[0]["value"]) == pytest.approx(16 * 230, rel=0.03)
        assert central.faults == []
