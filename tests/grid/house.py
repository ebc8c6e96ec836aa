"""A head-end on virtual time with cars that obey, a disk that survives a kill, and VENs of VTNs in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, Protocol

from emw.domain import facts as f
from emw.domain.model import Evse, Iso, Limit, Outcome, ReductionRequest, Report, Station
from emw.grid.openadr3.build import ven_of
from emw.grid.openadr3.client import VtnClient
from emw.grid.openadr3.settings import Meaning, VtnSettings
from emw.grid.openadr3.ven import Ven
from emw.service.headend import HeadEnd
from emw.service.ports import Answer, HeartBeat
from emw.service.settings import ServiceSettings
from emw.simulation.disk import Disk, SimStore
from emw.simulation.loop import SimLoop, run_to_end, simulated
from emw.simulation.node import START, SimClock, SimIds
from tests.grid.vtn import ID, SECRET, Vtn

EVSES = 20
KW = 22.08
"""What a car draws that nobody limits: 3 x 230 V x 32 A."""
URL = "http://127.0.0.1:9/openadr3/3.1.0"


def at(minutes: float) -> str:
    """A time of the story as OpenADR writes it."""
    return (START + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


class Cars:
    """Stations that obey at once; what they hold is what they draw."""

    def __init__(self) -> None:
        self.limits: dict[str, Limit] = {}
        self.sent: list[tuple[str, float | None]] = []

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        self.limits[evse.evse_id] = limit
        self.sent.append((evse.evse_id, limit.max_a))
        return Answer(Outcome.APPLIED, limit.max_a if limit.max_a is not None else evse.max_a)

    def holds(self, evse_id: str, now: datetime) -> float | None:
        """The limit in force, A; every limit ends by itself at its time."""
        limit = self.limits.get(evse_id)
        return limit.max_a if limit is not None and limit.in_force(now) else None

    async def greet(self, station: Station) -> None:
        return

    async def deliver(self, iso: Iso, report: Report) -> bool:
        return True


class Runs(Protocol):
    """What runs until it is cancelled."""

    async def run(self) -> None: ...


class House:
    """One life of emw over a disk; `again` is the next life over the same disk."""

    def __init__(self, loop: SimLoop, disk: Disk | None = None, cars: Cars | None = None) -> None:
        self.loop = loop
        self.disk = disk or Disk()
        self.cars = cars or Cars()
        self.clock = SimClock(loop)
        self.chance = Random(7)
        self.headend: HeadEnd
        self.vens: list[Ven] = []
        self._running: list[asyncio.Task[Any]] = []

    async def open(self) -> House:
        store = SimStore(self.disk, self.chance, self.clock.now, lambda: True)
        self.headend = HeadEnd(
            store=store,
            loaded=await store.load(),
            clock=self.clock,
            ids=SimIds(Random(len(self.disk.log))),
            chance=Random(3),
            stations=self.cars,
            reports=self.cars,
            settings=ServiceSettings(),
            version="test",
        )
        self._running.append(asyncio.create_task(self.headend.run()))
        await self.headend.ready.wait()
        if not self.headend.state.territories:
            for place, parent in (("East", None), ("F17", "East"), ("West", None)):
                await self.headend.admin.define_territory("emw", place, parent_id=parent)
            await self._cars_come()
        self._running.append(asyncio.create_task(self._beat()))
        return self

    async def _cars_come(self) -> None:
        state, now = self.headend.state, self.clock.now()
        for i in range(EVSES):
            name, place = f"c{i:02d}", "F17" if i % 4 == 0 else "East"
            await self.headend.admin.add_station("emw", name)
            facts: list[f.Fact] = [
                f.EvseFound(
                    at=now,
                    actor="emw",
                    evse_id=name,
                    station_id=name,
                    territory_id=place,
                    model="x",
                    line_voltage_v=230.0,
                    phases=3,
                    max_a=32.0,
                ),
                f.CameBack(at=now, actor="emw", evse_id=name),
                f.SessionStarted(
                    at=now,
                    actor="emw",
                    session_id=f"s{name}",
                    evse_id=name,
                    line_voltage_v=230.0,
                    evse_max_a=32.0,
                    car_max_a=32.0,
                    energy_requested_kwh=90.0,
                    departure_at=now + timedelta(hours=14),
                ),
            ]
            await self.headend.ledger.record(*facts)
            self.headend.telemetry.plugged_in(name, now)
        assert len(state.sessions) == EVSES

    async def _beat(self) -> None:
        while True:
            for evse in list(self.headend.state.evses.values()):
                held = self.cars.holds(evse.evse_id, self.clock.now())
                amps = min(evse.max_a, held if held is not None else evse.max_a)
                station = self.headend.state.stations[evse.station_id]
                beat = HeartBeat(self.clock.now(), 230.0, amps, evse.max_a, 32.0, held, None)
                await self.headend.intake.heartbeat(station, evse.evse_id, beat)
            await asyncio.sleep(10)

    def ven(self, vtn: Vtn, name: str = "utility", meaning: Meaning | None = None, **more: Any) -> Ven:
        """A VEN of a VTN, running."""
        settings = VtnSettings(
            name=name,
            url=URL,
            client_id=ID,
            client_secret=SECRET,
            meaning=meaning or Meaning(territory_id="East", may_name=("East", "West")),
            **{"version": vtn.version, **more},
        )
        client = VtnClient(settings, vtn, self.clock)
        ven = ven_of(settings, client, self.headend, Random(5))
        self.vens.append(ven)
        self.run(ven)
        return ven

    def run(self, ven: Runs) -> None:
        """A VEN of any version, until this life ends."""
        self._running.append(asyncio.create_task(ven.run()))

    async def close(self) -> None:
        """The process is gone."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def again(self) -> House:
        await self.close()
        return await House(self.loop, self.disk, self.cars).open()

    async def until(self, minutes: float) -> None:
        """Let time pass up to so many minutes of the story."""
        left_s = (START + timedelta(minutes=minutes) - self.clock.now()).total_seconds()
        assert left_s >= 0, "the story is past that"
        await asyncio.sleep(left_s)
        for task in self._running:
            if task.done():
                task.result()

    # --- what is seen

    def requests(self, source: str = "vtn:utility") -> list[ReductionRequest]:
        found = (r for r in self.headend.state.requests.values() if r.iso_id == source)
        return sorted(found, key=lambda r: (r.start_at, r.request_key))

    def brief(self, source: str = "vtn:utility") -> list[tuple[str, str, float, float, float | None]]:
        """Per request: id, state, kW, start and end in minutes of the story."""
        return [
            (
                r.request_id,
                str(r.state),
                round(r.kw, 1),
                round((r.start_at - START).total_seconds() / 60, 2),
                None if r.end_at is None else round((r.end_at - START).total_seconds() / 60, 2),
            )
            for r in self.requests(source)
        ]

    def load_kw(self) -> float:
        """What the cars draw now."""
        held = [self.cars.holds(e, self.clock.now()) for e in self.headend.state.evses]
        return sum(KW if a is None else KW * min(a, 32.0) / 32.0 for a in held)

    def facts(self, *kinds: type[f.Fact]) -> list[f.Fact]:
        return [x for x in self.disk.log if isinstance(x, kinds)]


def story(main: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    """Tell a story on virtual time."""

    async def told(loop: SimLoop) -> None:
        house = await House(loop).open()
        await main(house)
        await house.close()

    with simulated(Random(1)) as loop:
        task = run_to_end(loop, lambda: told(loop))
        task.result()


__all__: Sequence[str] = ("EVSES", "KW", "START", "Cars", "House", "at", "story")
