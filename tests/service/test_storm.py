"""Fault F18: a whole fleet comes back at once. On virtual time: what counts is who waits for whom."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from emw.domain.model import Evse, Limit, Outcome, Station
from emw.service.errors import Unavailable
from emw.service.headend import HeadEnd
from emw.service.intake import PlugIn, PowerOn
from emw.service.ports import Answer, HeartBeat
from emw.service.requests import Decrease
from emw.service.settings import ServiceSettings
from emw.simulation.loop import SimLoop, run_to_end, simulated
from emw.simulation.node import SimClock, SimIds
from tests.doors.house import MemoryStore, house

COMMIT_S = 0.02
DEADLINE_S = 3.0


class Stations:
    """Half of the fleet does not answer a greeting; commands take 50 ms."""

    def __init__(self) -> None:
        self.told: list[tuple[float, str]] = []
        self.greeted = 0

    async def send(self, station: Station, evse: Evse, limit: Limit, now: Any) -> Answer:
        await asyncio.sleep(0.05)
        self.told.append((asyncio.get_running_loop().time(), evse.evse_id))
        return Answer(Outcome.APPLIED, limit.max_a if limit.max_a is not None else evse.max_a)

    async def greet(self, station: Station) -> None:
        self.greeted += 1
        await asyncio.sleep(DEADLINE_S if self.greeted % 2 else 0.05)


class NoReports:
    async def deliver(self, *_: Any) -> bool:
        return True


def in_virtual_time(story: Callable[[HeadEnd, Stations, SimLoop], Coroutine[Any, Any, None]]) -> None:
    with simulated(Random(1)) as loop:

        async def main() -> None:
            stations, store = Stations(), MemoryStore(slow_s=COMMIT_S)
            headend = HeadEnd(
                store=store,
                loaded=await store.load(),
                clock=SimClock(loop),
                ids=SimIds(Random(2)),
                chance=Random(3),
                stations=stations,
                reports=NoReports(),
                settings=ServiceSettings(),
                version="test",
            )
            running = asyncio.create_task(headend.run())
            await headend.ready.wait()
            await headend.admin.define_territory("t", "East")
            await story(headend, stations, loop)
            running.cancel()
            await asyncio.wait([running])

        run_to_end(loop, main).result()


def introduction(name: str, **over: Any) -> PowerOn:
    said = {
        "evse_id": name,
        "model": "m",
        "customer_id": None,
        "line_voltage_v": 230.0,
        "phases": 1,
        "status": "available",
        "territory_id": "East",
        "site": None,
        "latitude": None,
        "longitude": None,
        "access_url": "http://192.0.2.1:8080",
        "max_a": 32.0,
    }
    return PowerOn(**{**said, **over})


async def plugged(headend: HeadEnd, name: str) -> None:
    await headend.admin.add_station("t", name)
    await headend.intake.power_on(headend.state.stations[name], introduction(name))
    station = headend.state.stations[name]
    await headend.intake.plugged_in(station, name, PlugIn(line_voltage_v=230, evse_max_a=32, car_max_a=32))
    said = HeartBeat(headend.clock.now(), 230.0, 32.0, 32.0, 32.0, None, None)
    await headend.intake.heartbeat(station, name, said)


def test_F18_ten_thousand_boots_delay_no_command_of_an_event() -> None:
    async def story(headend: HeadEnd, stations: Stations, loop: SimLoop) -> None:
        await asyncio.gather(*(plugged(headend, f"held-{n}") for n in range(20)))
        names = [f"s-{n}" for n in range(10_000)]
        await asyncio.gather(*(headend.admin.add_station("t", name) for name in names))
        await asyncio.sleep(DEADLINE_S * 2)
        book, intake = headend.state.stations, headend.intake
        began_s = loop.time()
        storm = asyncio.gather(*(intake.power_on(book[name], introduction(name)) for name in names))
        await asyncio.sleep(0)
        asked = Decrease(request_id="r1", territory_id="East", kw=60.0, minutes=30)
        await headend.requests.decrease("operator", asked, actor="operator:t")
        await asyncio.sleep(5.0)
        late = [at_s for at_s, name in stations.told if name.startswith("held-") and at_s - began_s > 1.0]
        told = {name for _, name in stations.told if name.startswith("held-")}
        assert len(told) >= 10, "60 kW of 147 are asked: each car at 6 A gives six of them"
        assert not late
        beats = Counter(welcome.heartbeat_s for welcome in await storm)
        assert set(beats) == set(range(54, 61))
        assert max(beats.values()) < 2_500, "they do not come again in one second"

    in_virtual_time(story)


async def test_F18_who_is_refused_together_is_asked_to_come_again_apart() -> None:
    async with house() as h:
        await h.power_on("A")
        h.store.fails = Unavailable("the disk is full", retry_after_s=10)
        waits = set()
        for _ in range(30):
            told = await h.post("/evse/powerOn", h.power_on_body("A"), h.secrets["A"])
            assert told.status == 503
            waits.add(int(told.headers["retry-after"]))
        assert min(waits) >= 10
        assert max(waits) <= 20
        assert len(waits) >= 5
        h.store.fails = None
