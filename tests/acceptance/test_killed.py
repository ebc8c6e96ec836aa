"""P1, P2, P3 and F1 with real processes: killed with -9 in the midst of everything, at any moment, time and again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from emw.simulator.clock import WallClock
from emw.simulator.fleet import Fleet
from emw.simulator.hardware import Car
from emw.simulator.identity import Identity
from emw.simulator.iso import IsoClient, IsoUnreachable, ReportReceiver
from emw.simulator.specs import StationSpec
from emw.simulator.station import Station
from tests.acceptance.driver import Server
from tests.acceptance.witness import Json, Witness

COUNT = 12
LIVES = 6
WITHIN_S = 60.0


async def until(what: Callable[[], bool]) -> None:
    """Look until it is true."""
    async with asyncio.timeout(WITHIN_S):
        while not what():  # noqa: ASYNC110 - no event tells what others are at
            await asyncio.sleep(0.05)


async def insist(ask: Callable[[], Awaitable[Json]]) -> Json:
    """Ask again until there is an answer: who heard none can't know whether it was heard."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                return await ask()
            except IsoUnreachable:
                await asyncio.sleep(0.1)


def hungry(rng: random.Random) -> Car:
    return Car(max_a=32.0, need_kwh=50.0, gap_a=round(rng.uniform(0.0, 1.0), 1))


class Field:
    """A server that dies and comes back, and those who don't: stations, and a grid operator."""

    def __init__(self, server: Server, fleet: Fleet, iso: IsoClient, witness: Witness) -> None:
        self.server, self.fleet, self.iso, self.witness = server, fleet, iso, witness

    async def decrease(self, request_id: str, kw: float, minutes: float) -> Json:
        """Ask until it is answered."""
        told = await insist(lambda: self.iso.decrease(request_id, "East", kw, duration_minutes=minutes))
        self.witness.asked.add(request_id)
        return self.witness.request(told)

    async def cancel(self, request_id: str) -> None:
        """Ask until it is answered."""
        self.witness.request(await insist(lambda: self.iso.return_to_normal(request_id)))
        self.witness.cancelled.add(request_id)

    async def over(self, request_id: str) -> None:
        """Follow a request until it is over."""
        told: Json = {}
        try:
            async with asyncio.timeout(WITHIN_S):
                async for told in self.iso.follow(request_id, every_s=0.1):
                    self.witness.request(told)
        except TimeoutError as error:
            raise AssertionError(told) from error

    async def heard(self) -> None:
        """All stations have said all they had to say."""
        agents = [member.line.agent for member in self.fleet._members.values()]
        await until(lambda: all(a.powered and isinstance(a, Station) and not a.unsaid for a in agents))

    async def die(self, rng: random.Random, *, at_an_answer: bool) -> None:
        """Kill -9: at any moment, or in that of an answer, where what is told before it is written shows."""
        if not at_an_answer:
            await asyncio.sleep(rng.uniform(0.0, 0.5))
            await asyncio.to_thread(self.server.kill)
            return
        killed = asyncio.Event()

        def kill() -> None:
            self.server.kill()
            killed.set()

        self.witness.at_answer = rng.randint(1, 9), kill
        async with asyncio.timeout(WITHIN_S):
            await killed.wait()

    def come_and_go(self, rng: random.Random) -> None:
        """Some vehicles leave, some places are taken by the next at once; a station or two restart."""
        for name in rng.sample(sorted(self.witness.controls), 4):
            self.fleet.unplug(name)
            self.fleet.plug(name, hungry(rng))
        self.fleet.reboot(rng.choice(sorted(self.witness.controls)), boots_s=0.2)


@asynccontextmanager
async def field(server: Server, witness: Witness, rng: random.Random) -> AsyncIterator[Field]:
    """Everybody, at their first meeting."""
    await asyncio.to_thread(server.start)
    post = server.control.post
    await asyncio.to_thread(post, "/territories", {"territoryID": "East"})
    token = (await asyncio.to_thread(post, "/isos", {"isoID": "grid", "territories": ["East"]}))["token"]
    specs = []
    for n in range(COUNT):
        name = f"evse-{n}"
        secret = (await asyncio.to_thread(post, "/stations", {"stationID": name}))["secret"]
        specs.append(
            StationSpec(identity=Identity(evse_id=name, secret=secret, territory="East"), voltage_v=230.0)
        )
    async with (
        Fleet(server.url, specs, [], clock=WallClock(), nat_share=0.25, goodbye=False) as fleet,
        ReportReceiver() as reports,
        IsoClient(server.url, token) as iso,
        asyncio.TaskGroup() as tasks,
    ):
        reports.token = (await iso.connected(reports.url))["reportToken"]

        async def read_reports() -> None:
            async for report in reports:
                witness.request(report)

        reading = tasks.create_task(read_reports())
        for spec in specs:
            fleet.plug(spec.identity.evse_id, hungry(rng))
        made = Field(server, fleet, iso, witness)
        try:
            await made.heard()
            yield made
        finally:
            if server.process is not None and server.process.poll() is None:
                await asyncio.to_thread(server.kill)
            reading.cancel()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def test_P1_P2_P3_F1_killed_in_the_midst_of_everything_nothing_told_is_lost(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'd' / 'emw.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_url")
    rng, witness = random.Random(kind), Witness()
    witness.watch(monkeypatch)
    server = Server(
        tmp_path,
        EMW_STORE_URL=url,
        EMW_DISPATCH_GAP_SECONDS="1",
        EMW_DISPATCH_RAMP_FLOOR_KW_PER_MINUTE="100000",
        EMW_DISPATCH_RHYTHM_SECONDS="1",
        EMW_DISPATCH_REPORT_INTERVAL_SECONDS="5",
    )
    async with field(server, witness, rng) as f:
        for life in range(LIVES):
            f.come_and_go(rng)
            async with asyncio.TaskGroup() as asking:
                asking.create_task(f.decrease(f"r{life}", 5.0 + life, 10.0))
                if life > 1:
                    asking.create_task(f.cancel(f"r{life - 2}"))
                await f.die(rng, at_an_answer=life % 2 == 0)
                witness.holds_against(url)
                if rng.random() < 0.5:  # it does not get far the next time, either
                    server.launch()
                    await asyncio.sleep(rng.uniform(0.3, 1.5))
                    await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            await f.heard()
        for life in range(LIVES):
            told = witness.request(await f.iso.get(f"r{life}"))
            assert (told["state"] == "active") is (f"r{life}" not in witness.cancelled), told
        await asyncio.gather(*(f.cancel(f"r{life}") for life in range(LIVES)))
        await asyncio.gather(*(f.over(f"r{life}") for life in range(LIVES)))
        # Who can't be called hears at its next heartbeat that it is free.
        await until(lambda: f.fleet.stats().limited == 0)

        await f.decrease("last", 40.0, 0.3)
        await until(lambda: f.fleet.stats().limited > 0)
        await asyncio.to_thread(server.kill)
        witness.holds_against(url)
        await until(lambda: f.fleet.stats().limited == 0)  # nobody lives who could tell them
        await asyncio.to_thread(server.start)
        await f.over("last")
        await f.heard()
        assert await asyncio.to_thread(server.stop) == 0
        assert len(witness.orders) > LIVES, "or nothing was tried"
        assert witness.sums_seen > LIVES
    witness.holds_against(url)
