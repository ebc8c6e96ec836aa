"""What OCPP can't say and the operator does: direct current is told in W, and a shed may pause where it is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emw.domain.model import Outcome
from emw.service.admin import EvseDefaults
from tests.stations.ocpp.house import House, house, until
from tests.stations.ocpp.plain import Plain, boot, meter, plain, polite
from tests.stations.ocpp.test_limits import BOTH, charging, decrease, limit, profile_of, settled

DC = EvseDefaults(dc=True, max_a=375.0, line_voltage_v=400.0)


async def drawing(h: House, it: Plain, watts: float) -> None:
    await boot(it)
    number = await charging(it)
    await until(lambda: h.session("CP1:1"))
    if it.judge.version == "ocpp1.6":
        await meter(it, watts, int(number))


@BOTH
async def test_a_dc_station_is_told_watts_and_no_phases(version: str, tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1", DC)
        async with plain(h, "CP1", secret, version) as it:
            await drawing(h, it, 150_000.0)
            told = await decrease(h, 50.0)
            assert told["confirmedKW"] == pytest.approx(50.0, abs=0.4), "whole amps of 400 V"
            await until(settled(h, Outcome.APPLIED))
            _, schedule = profile_of(it.names("SetChargingProfile")[-1])
            (period,) = schedule["chargingSchedulePeriod"]
            assert schedule["chargingRateUnit"] == "W"
            assert 99_600 <= period["limit"] <= 100_000
            assert "numberPhases" not in period


@pytest.mark.parametrize("how", ["said at boot", "rejects W"])
async def test_a_dc_station_that_takes_amps_only_gets_them_without_phases(how: str, tmp_path: Path) -> None:
    def answer(action: str, payload: dict[str, Any]) -> Any:
        if action == "GetConfiguration" and how == "said at boot":
            key = {"key": "ChargingScheduleAllowedChargingRateUnit", "readonly": True, "value": "Current"}
            return {"configurationKey": [key]}
        if action == "SetChargingProfile" and profile_of(payload)[1]["chargingRateUnit"] == "W":
            return {"status": "Rejected"}
        return polite(action, payload)

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1", DC)
        async with plain(h, "CP1", secret, answer=answer) as it:
            await drawing(h, it, 150_000.0)
            await until(lambda: h.hub.peer("CP1").traits.asked)
            await decrease(h, 50.0)
            await until(settled(h, Outcome.APPLIED))
            tried = it.names("SetChargingProfile")
            _, schedule = profile_of(tried[-1])
            assert schedule["chargingRateUnit"] == "A"
            assert "numberPhases" not in schedule["chargingSchedulePeriod"][0]
            assert len(tried) == (1 if how == "said at boot" else 2)


async def test_three_phases_in_a_dc_meter_are_the_grids_and_not_the_cars(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1", DC)
        async with plain(h, "CP1", secret) as it:
            await drawing(h, it, 50_000.0)
            for _ in range(3):
                sampled: list[dict[str, Any]] = [
                    {"value": "50000", "measurand": "Power.Active.Import", "unit": "W"},
                    *({"value": "72", "measurand": "Current.Import", "phase": f"L{n}"} for n in (1, 2, 3)),
                ]
                values = [{"timestamp": it.stamp(), "sampledValue": sampled}]
                await it.call("MeterValues", {"connectorId": 1, "meterValue": values})
            assert h.evse("CP1:1").phases == 1
            reading = h.headend.telemetry.live["CP1:1"].reading
            assert reading is not None
            assert reading.kw == pytest.approx(50.0)


@pytest.mark.parametrize("may_pause", [True, False])
async def test_a_shed_pauses_only_where_the_operator_allows_it(may_pause: bool, tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1", EvseDefaults(may_pause=may_pause, max_a=16.0, phases=3))
        async with plain(h, "CP1", secret) as it:
            await drawing(h, it, 11_040.0)
            await decrease(h, 11.0)
            await until(settled(h, Outcome.APPLIED))
            found = limit(h)
            assert found is not None
            assert found.max_a == (0.0 if may_pause else 6.0)
            _, schedule = profile_of(it.names("SetChargingProfile")[-1])
            assert schedule["chargingSchedulePeriod"][0]["limit"] == found.max_a
