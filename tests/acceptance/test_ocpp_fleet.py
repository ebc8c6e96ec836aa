"""OCPP stations against the whole of emw, over real sockets: a car plugs in, charges, is shed, and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from emw.app.config import Config
from emw.app.serving import Serving
from emw.app.serving import serve as serve_planes
from emw.service.admin import EvseDefaults
from emw.simulator.fleet import Fleet
from emw.simulator.iso import IsoClient
from emw.simulator.mix import Protocol, ways_of
from emw.simulator.sessions import Session
from emw.simulator.specs import StationSpec, specs_for
from tests.loop import keep_step

START = datetime(2026, 5, 5, 16, 0, tzinfo=UTC)
SPEED = 120.0
EAST = "East"


@dataclass
class World:
    """emw, a fleet of OCPP stations, and a grid operator."""

    serving: Serving
    fleet: Fleet
    iso: IsoClient

    @property
    def now(self) -> datetime:
        return self.serving.parts.clock.now()

    async def until(self, what: Any, minutes: float) -> bool:
        """Whether it comes true within so many virtual minutes."""
        end = self.now + timedelta(minutes=minutes)
        while not what():
            if self.now > end:
                return False
            await asyncio.sleep(0.02)
        return True

    async def minutes(self, count: float) -> None:
        await self.serving.parts.clock.sleep(count * 60)


def sessions(count: int) -> list[Session]:
    """A car at each, from before the start until long after."""
    return [
        Session(
            session_id=f"s{n}", site=EAST, evse_id=f"cp-{n:02}", energy_kwh=60.0, max_a=32.0, voltage_v=230.0,
            plug=START + timedelta(minutes=1), unplug=START + timedelta(hours=8),
        )
        for n in range(count)
    ]  # fmt: skip


@asynccontextmanager
async def world(
    folder: Path, protocol: Protocol, count: int, habits: dict[str, float] | None = None
) -> AsyncIterator[World]:
    config = Config(data_dir=str(folder), speed=SPEED, start=START.isoformat())
    config.stations.listen = config.operator.listen = "127.0.0.1:0"
    config.outgoing.networks = ["127.0.0.0/8"]
    ready: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve_planes(config, on_ready=ready.set_result))
    try:
        serving = await asyncio.wait_for(ready, 60)
        keep_step(serving.parts.clock)
        admin = serving.parts.headend.admin
        await admin.define_territory("test", EAST, kind="zone", time_zone="America/Los_Angeles")
        token = await admin.add_iso("test", "grid", (EAST,))
        planned = sessions(count)
        ids = sorted({one.evse_id for one in planned})
        ways = ways_of(ids, protocol, habits=habits)
        specs: list[StationSpec] = []
        for spec in specs_for(planned, dict.fromkeys(ids, ""), territory=EAST, ways=ways):
            told = EvseDefaults(territory_id=EAST, max_a=32.0, line_voltage_v=230.0, phases=1)
            secret = await admin.add_station("test", spec.identity.evse_id, evses=told)
            specs.append(spec.enrolled(secret))
        clock = serving.parts.clock
        async with (
            Fleet(serving.stations_url, specs, planned, clock=clock, speed=SPEED) as fleet,
            IsoClient(serving.stations_url, token) as iso,
        ):
            yield World(serving, fleet, iso)
    finally:
        if not server.done():
            os.kill(os.getpid(), signal.SIGTERM)  # as it is stopped in the field; it listens in this process
        await asyncio.wait_for(server, 60)


@pytest.mark.parametrize(
    ("protocol", "habits"),
    [
        (Protocol.OCPP16, {}),
        (Protocol.OCPP201, {}),
        (Protocol.OCPP16, {"w-only": 0.3, "duration-only": 0.3, "phase-power": 0.3}),
        (Protocol.OCPP201, {"w-only": 0.3, "valid-to-only": 0.3, "no-boot": 0.5}),
    ],
    ids=["1.6", "2.0.1", "1.6 as in the field", "2.0.1 as in the field"],
)
async def test_a_shed_of_ocpp_stations_and_their_return(
    tmp_path: Path, protocol: Protocol, habits: dict[str, float]
) -> None:
    async with world(tmp_path, protocol, 12, habits) as it:
        assert await it.until(lambda: it.fleet.stats().charging == 12, 10)
        await it.minutes(6)
        before = it.fleet.stats()
        assert before.powered == 12
        kw = round(before.load_kw * 0.3, 1)
        asked = await it.iso.decrease("r1", EAST, kw, duration_minutes=60)
        assert asked["requestedKW"] == kw
        assert asked["confirmedKW"] + asked["pendingKW"] + asked["refusedKW"] + asked[
            "shortKW"
        ] == pytest.approx(kw)
        await it.minutes(8)
        held, truth = await it.iso.get("r1"), it.fleet.stats()
        assert held["measuredKW"] == pytest.approx(kw, rel=0.15)
        assert before.load_kw - truth.load_kw > 0.85 * kw, "the cars really draw that much less"
        assert truth.limited > 0
        assert truth.commands > 0
        await it.iso.return_to_normal("r1")
        for _ in range(45):
            await it.minutes(1)
            if (await it.iso.get("r1"))["state"] == "closed":
                break
        assert it.fleet.stats().limited == 0, "the last few as well"
        assert it.fleet.stats().load_kw > 0.9 * before.load_kw
        assert it.fleet.violations == []


async def test_p3_when_emw_is_out_of_reach_every_limit_ends_by_itself(tmp_path: Path) -> None:
    async with world(tmp_path, Protocol.MIXED, 12, {"duration-only": 0.5}) as it:
        assert await it.until(lambda: it.fleet.stats().charging == 12, 10)
        await it.minutes(6)
        before = it.fleet.stats().load_kw
        await it.iso.decrease("r1", EAST, round(before * 0.3, 1), duration_minutes=20)
        assert await it.until(lambda: it.fleet.stats().limited > 3, 5)
        it.fleet.cut(f"cp-{n:02}" for n in range(12))
        assert it.fleet.stats().limited > 3, "they keep them while emw is away"
        assert await it.until(lambda: it.fleet.stats().limited == 0, 40)
        assert it.fleet.stats().load_kw == pytest.approx(before, rel=0.05)


async def test_stations_that_say_yes_and_do_nothing_are_not_counted(tmp_path: Path) -> None:
    async with world(tmp_path, Protocol.OCPP16, 8, {"ignores": 1.0}) as it:
        assert await it.until(lambda: it.fleet.stats().charging == 8, 10)
        await it.minutes(6)
        before = it.fleet.stats().load_kw
        await it.iso.decrease("r1", EAST, round(before * 0.3, 1), duration_minutes=60)
        await it.minutes(10)
        held = await it.iso.get("r1")
        assert it.fleet.stats().load_kw == pytest.approx(before, rel=0.05)
        assert (held["measuredKW"] or 0.0) < 0.1 * held["requestedKW"]
        assert it.fleet.violations == []
