"""What goes over the wire is 0, or a current that a car can charge by: every profile of many requests is looked at."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from emw.domain.units import FLOOR_A
from emw.service.admin import EvseDefaults
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.profiles import limit_in
from emw.stations.ocpp.traits import RateUnit
from emw.stations.ocppj import Version
from tests.stations.ocpp.foreign import stamp
from tests.stations.ocpp.house import EAST, House, house
from tests.stations.ocpp.plain import polite

KINDS: Final[dict[str, tuple[Version, str, EvseDefaults]]] = {
    "A3": (Version.V16, "A", EvseDefaults(max_a=32.0, phases=3)),
    "A1": (Version.V201, "A", EvseDefaults(max_a=16.0, phases=1)),
    "W3": (Version.V16, "W", EvseDefaults(max_a=32.0, phases=3)),
    "W1": (Version.V21, "W", EvseDefaults(max_a=13.0, phases=1)),
    "L3": (Version.V16, "W", EvseDefaults(max_a=20.0, phases=3, line_voltage_v=400.0)),
    "DC": (Version.V201, "W", EvseDefaults(max_a=125.0, line_voltage_v=400.0, dc=True)),
    "P3": (Version.V16, "A", EvseDefaults(max_a=32.0, phases=3, may_pause=True)),
}
ROUNDS: Final = 7


class Street:
    """Stations without sockets, that accept what is asked of them in their unit, and meter as they are told."""

    def __init__(self, h: House, names: list[str]) -> None:
        self.h = h
        self.limits_a: list[tuple[str, float]] = []
        self.wires = {name: Wire(self, name) for name in names}


class Wire:
    """One station."""

    def __init__(self, street: Street, name: str) -> None:
        self.street = street
        self.name = name
        self.version, self.unit, self.kind = KINDS[name[:2]]
        self.limit_a: float | None = None
        self.connection: Connection | None = None
        self.asked = 0

    def send(self, frame: bytes) -> None:
        told = json.loads(frame)
        if told[0] == 2 and self.connection is not None:
            answer = json.dumps([3, told[1], self.answer(told[2], told[3])]).encode()
            self.street.h.hub.loop.call_soon(self.connection.frame, answer)

    def ping(self) -> None:
        """Of no interest here."""

    def close(self, code: int, reason: str) -> None:
        """Likewise."""

    def answer(self, action: str, payload: dict[str, Any]) -> Any:
        if action == "ClearChargingProfile":
            self.limit_a = None
        if action != "SetChargingProfile":
            return polite(action, payload)
        profile = payload.get("csChargingProfiles") or payload["chargingProfile"]
        schedule = profile["chargingSchedule"]
        if isinstance(schedule, list):
            (schedule,) = schedule
        per_a = 1.0 if schedule["chargingRateUnit"] == "A" else 1000 * self.evse().kw_per_a
        for period in schedule["chargingSchedulePeriod"]:
            self.street.limits_a.append((self.name, period["limit"] / per_a))
        if schedule["chargingRateUnit"] != self.unit:
            return {"status": "Rejected"}
        self.limit_a = schedule["chargingSchedulePeriod"][0]["limit"] / per_a
        return {"status": "Accepted"}

    def evse(self) -> Any:
        return self.street.h.evse(f"{self.name}:1")

    def says(self, action: str, payload: dict[str, Any]) -> None:
        assert self.connection is not None
        self.asked += 1
        self.connection.frame(json.dumps([2, f"c{self.asked}", action, payload]).encode())

    def meters(self) -> None:
        """What its vehicle draws: all that it may."""
        evse = self.evse()
        amps = evse.max_a if self.limit_a is None else min(evse.max_a, self.limit_a)
        sample = {"value": round(amps * evse.kw_per_a * 1000, 1), "measurand": "Power.Active.Import"}
        place = {"connectorId": 1} if self.version is Version.V16 else {"evseId": 1}
        at = stamp(self.street.h.parts.clock.now())
        self.says("MeterValues", {**place, "meterValue": [{"timestamp": at, "sampledValue": [sample]}]})


async def arrives(h: House, wire: Wire) -> None:
    """A station of this kind is enrolled and connected, and a vehicle charges at it."""
    await h.enrol(wire.name, wire.kind)
    connection = h.hub.open(wire.name, wire.version, wire, "here", proven=True)
    wire.connection = connection
    peer = connection.peer
    station = h.headend.state.stations[wire.name]
    version = wire.version.number
    await h.headend.book.booted(
        station, version=version, vendor="V", model=wire.name, serial=None, firmware="1"
    )
    peer.traits.smart, peer.traits.composite, peer.traits.sample_s = True, "not offered", 60
    now = h.parts.clock.now()
    number = str(len(h.headend.state.transactions) + 1)
    begun = h.hub.charging.start(peer, 1, number, at=now, meter_start_wh=0.0, id_token="t")
    assert await begun
    await h.hub.charging.arrive(peer, 1)
    wire.meters()


async def test_every_limit_on_the_wire_is_0_or_one_that_a_car_can_charge_by(tmp_path: Path) -> None:
    chance = Random(6)
    async with house(tmp_path, speed=300.0) as h:
        street = Street(h, [f"{kind}-1" for kind in KINDS])
        for wire in street.wires.values():
            await arrives(h, wire)
        for n in range(ROUNDS):
            kw = round(chance.uniform(1.0, 100.0), 1) if n else 500.0  # at first all there is
            body = {"requestID": f"r{n}", "territory": EAST, "durationMinutes": 30, "kW": kw}
            await h.iso("POST", "/iso/decrease", body)
            for wire in street.wires.values():
                wire.meters()
            if n % 3 == 0:
                await h.iso("POST", "/iso/returnToNormal", {"requestID": f"r{n}"})
        assert {name[:2] for name, _ in street.limits_a} == set(KINDS), len(street.limits_a)
        below = [(name, a) for name, a in street.limits_a if not (a == 0.0 or a >= FLOOR_A - 1e-9)]
        assert below == []
        assert all(a > 0.0 or name.startswith("P3") for name, a in street.limits_a)
        most_a = {name: wire.evse().max_a for name, wire in street.wires.items()}
        assert all(a <= most_a[name] + 1e-9 for name, a in street.limits_a)


@pytest.mark.parametrize("kw_per_a", [0.23, 0.69, math.sqrt(3) * 0.4, 0.4, 0.207, 0.1199])
def test_six_amps_are_never_told_as_less(kw_per_a: float) -> None:
    """In W they are seldom a whole number, and a watt less would stop the car."""
    told = limit_in(RateUnit.WATTS, FLOOR_A, kw_per_a)
    assert FLOOR_A <= told / (kw_per_a * 1000) + 1e-9 < FLOOR_A + 0.01
    assert limit_in(RateUnit.WATTS, 0.0, kw_per_a) == 0
    for limit_a in (7.0, 9.9, 31.5):
        assert limit_in(RateUnit.WATTS, limit_a, kw_per_a) <= limit_a * kw_per_a * 1000 + 1e-3
