"""What goes wrong in a world, and when: kills, weather, disk, stations, people. How much of each the seed decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from random import Random
from typing import Any, Protocol

import msgspec

from emw.service.headend import HeadEnd
from emw.simulation.checks import Checks
from emw.simulation.disk import Disk
from emw.simulation.grid import GridOperator
from emw.simulation.loop import SimLoop
from emw.simulation.network import QUICKEST_S, Fate, Message, Network, Weather
from emw.simulation.node import Node
from emw.simulation.sites import Site, draw_car


class Scene(Protocol):
    """Where it happens: what of a world can be hurt, and whom to ask."""

    loop: SimLoop
    disk: Disk
    network: Network
    node: Node
    checks: Checks
    operators: list[GridOperator]
    sites: dict[str, Site]
    seam_odds: dict[str, float]
    faults_on: bool

    def dice(self, name: str) -> Random:
        """Chance of its own for each part."""
        ...

    def say(self, what: str) -> None:
        """Note what happened."""
        ...

    def fail(self, promise: str, detail: str) -> None:
        """A promise is broken."""
        ...

    async def as_operator(self, what: Callable[[HeadEnd], Coroutine[Any, Any, Any]]) -> None:
        """Do something as an operator would."""
        ...


class Misfortune:
    """Draws and does it."""

    def __init__(self, world: Scene) -> None:
        self._world = world
        self._chance = world.dice("misfortune")
        c = self._chance
        self.kills_per_hour = c.choice([0.0, 1.0, 4.0, 12.0])
        self.seam_odds = c.choice([0.0, 0.0005, 0.003, 0.01])
        self.storms_per_hour = c.choice([0.0, 1.0, 4.0])
        self.disk_per_hour = c.choice([0.0, 0.5, 2.0])
        self.bumps_per_hour = c.choice([0.3, 1.0, 3.0])
        self.console_per_hour = c.choice([0.0, 1.0, 4.0])

    def parts(self) -> Iterator[Coroutine[Any, Any, None]]:
        """One task each."""
        world = self._world
        world.seam_odds = {}
        if self.seam_odds:
            yield self._aim()
        if self.kills_per_hour:
            yield self._kills()
        if self.storms_per_hour:
            yield self._weather()
        if self.disk_per_hour:
            yield self._disk()
        if self.console_per_hour:
            yield self._console()
        yield self._grumpy()
        yield self._intruder()
        for site in world.sites.values():
            yield self._site(site)

    def over(self) -> None:
        """Fair weather from now on."""
        world = self._world
        world.network.weather = Weather()
        self._disk_well()
        for site in world.sites.values():
            if site.cut:
                site.set_cut(False)
        for iso in world.operators:
            iso.grumpy = iso.cut = False
            iso.stopped = True

    def away_s(self) -> float:
        """How long a killed node stays away: mostly seconds, sometimes longer than a lease."""
        c = self._chance
        draw = c.random()
        if draw < 0.75:
            return c.uniform(0.5, 5.0)
        return c.uniform(5.0, 120.0) if draw < 0.95 else c.uniform(120.0, 1_500.0)

    async def _aim(self) -> None:
        """Kills at seams: one seam for a while, then another."""
        world, c = self._world, self._chance
        seams = (
            "commit.before",
            "commit.after",
            "answer.before",
            "command.before",
            "command.sent",
            "report.before",
        )
        while world.faults_on:
            odds = self.seam_odds * c.choice([0.0, 1.0, 5.0])
            world.seam_odds = {c.choice(seams): odds, c.choice(seams): odds}
            await asyncio.sleep(c.uniform(60.0, 900.0))

    async def _kills(self) -> None:
        """Kills at any time; some while it starts."""
        world, c = self._world, self._chance
        while True:
            await asyncio.sleep(c.expovariate(self.kills_per_hour / 3600.0))
            if not world.faults_on:
                return
            world.node.kill("at random", self.away_s())
            while c.random() < 0.2:
                await asyncio.sleep(c.uniform(0.5, 8.0))
                if world.faults_on:
                    world.node.kill("soon after", self.away_s())

    async def _weather(self) -> None:
        """Storms: messages are lost, doubled, late."""
        world, c = self._world, self._chance
        while True:
            await asyncio.sleep(c.expovariate(self.storms_per_hour / 3600.0))
            if not world.faults_on:
                return
            heavy = c.choice([0.02, 0.1, 0.3])
            kinds = [Fate.LOST_BEFORE, Fate.LOST_AFTER, Fate.DOUBLED, Fate.LATE, Fate.REFUSED]
            odds = {kind: heavy * c.random() for kind in kinds}
            world.network.weather = Weather(odds, (QUICKEST_S, c.choice([0.15, 1.0, 2.5])))
            world.say(f"storm {heavy}")
            await asyncio.sleep(c.uniform(30.0, 1_200.0))
            world.network.weather = Weather()
            world.say("calm")

    async def _disk(self) -> None:
        """The disk fails for a while, or is slow."""
        world, c = self._world, self._chance
        while True:
            await asyncio.sleep(c.expovariate(self.disk_per_hour / 3600.0))
            if not world.faults_on:
                return
            if c.random() < 0.5:
                world.disk.fails = True
                world.say("disk fails")
            else:
                world.disk.slow_s = c.choice([0.5, 5.0])
                world.say(f"disk slow {world.disk.slow_s:g} s")
            await asyncio.sleep(c.choice([0.05, 2.0, 30.0, 240.0]) * c.uniform(0.5, 1.5))
            self._disk_well()
            world.say("disk well")

    def _disk_well(self) -> None:
        self._world.disk.well()
        self._world.checks.disk_trouble_over()

    async def _grumpy(self) -> None:
        """Grid operators' report URLs fail, or they are cut off."""
        world, c = self._world, self._chance
        while True:
            await asyncio.sleep(c.uniform(300.0, 2_400.0))
            if not world.faults_on:
                return
            iso = c.choice(world.operators)
            iso.grumpy = c.random() < 0.6
            iso.cut = not iso.grumpy
            await asyncio.sleep(c.uniform(10.0, 600.0))
            iso.grumpy = iso.cut = False

    async def _console(self) -> None:
        """People: opt-outs, ceilings changed, halt and resume."""
        world, c = self._world, self._chance
        ceilings = [None, 15.0, 40.0, 80.0]
        while True:
            await asyncio.sleep(c.expovariate(self.console_per_hour / 3600.0))
            if not world.faults_on:
                await world.as_operator(lambda h: h.admin.resume("operator:sim", "fair weather"))
                return
            draw = c.random()
            if draw < 0.6:
                name, minutes = c.choice(list(world.sites)), c.choice([None, 2.0, 30.0])
                world.say(f"opt-out {name} {minutes}")
                await world.as_operator(_opt_out(name, minutes))
            elif draw < 0.85:
                ceiling = c.choice(ceilings)
                world.say(f"ceiling e1 {ceiling}")
                await world.as_operator(_ceiling(ceiling))
            else:
                world.say("halt")
                await world.as_operator(lambda h: h.admin.halt("operator:sim", "drill"))
                await asyncio.sleep(c.uniform(10.0, 600.0))
                world.say("resume")
                await world.as_operator(lambda h: h.admin.resume("operator:sim", "drill over"))

    async def _intruder(self) -> None:
        """Somebody with one station's token speaks for another; one ISO asks for another's requests."""
        world, c = self._world, self._chance
        while True:
            await asyncio.sleep(c.expovariate(3.0 / 3600.0))
            if not world.faults_on:
                return
            thief, victim = c.sample(list(world.sites.values()), 2)
            body = msgspec.json.encode({"evseID": victim.name})
            path = c.choice(["/evse/unplugged", "/evse/powerOff"])
            await self._intrude(Message("intruder", "POST", path, thief.token, body))
            if len(world.operators) > 1:
                one, other = c.sample(world.operators, 2)
                theirs = sorted(other.asked.keys() - one.asked.keys())
                if theirs:
                    path = f"/iso/requests/{c.choice(theirs)}"
                    await self._intrude(Message("intruder", "GET", path, one.token))

    async def _intrude(self, message: Message) -> None:
        answer = await self._world.network.say(message, cut=False)
        if answer is not None and answer.status not in {401, 404, 429, 503}:
            self._world.fail("P6", f"{message.path} with another's token was answered {answer.status}")

    async def _site(self, site: Site) -> None:
        """Cars come and go; now and then something worse."""
        world = self._world
        c = world.dice(f"life of {site.name}")
        await asyncio.sleep(c.uniform(0.0, 600.0))
        while True:
            if not site.hardware.plugged:
                site.plug(draw_car(c, site.cars + 1, site.name, world.node.clock.now()))
                await self._stay(site, c.uniform(600.0, 9_000.0), c)
                site.unplug()
            await asyncio.sleep(c.choice([0.5, 30.0, 600.0]) * c.uniform(0.5, 1.5))

    async def _stay(self, site: Site, seconds: float, c: Any) -> None:
        world = self._world
        until = world.loop.time() + seconds
        while (left := until - world.loop.time()) > 0:
            await asyncio.sleep(min(left, c.expovariate(self.bumps_per_hour / 3600.0)))
            if not world.faults_on:
                continue
            await self._bump(site, c)

    async def _bump(self, site: Site, c: Any) -> None:
        draw = c.random()
        if draw < 0.3:
            site.turn_knob(c.choice([site.full_knob_a, site.full_knob_a / 2, 8.0, 13.0]))
        elif draw < 0.5:
            site.reboot(c.uniform(1.0, 90.0))
        elif draw < 0.65:
            site.blink()
        elif draw < 0.85:
            site.set_cut(True)
            await asyncio.sleep(c.choice([5.0, 60.0, 600.0]) * c.uniform(0.5, 1.5))
            if site.cut:
                site.set_cut(False)
        elif draw < 0.9:
            site.switch_off()
            await asyncio.sleep(c.uniform(30.0, 600.0))
            site.switch_on()


def _opt_out(name: str, minutes: float | None) -> Any:
    async def ask(headend: HeadEnd) -> None:
        await headend.admin.opt_out("operator:sim", name, minutes, "simulated")

    return ask


def _ceiling(ceiling_kw: float | None) -> Any:
    async def ask(headend: HeadEnd) -> None:
        await headend.admin.define_territory(
            "operator:sim",
            "e1",
            parent_id="east",
            kind="feeder",
            ceiling_kw=ceiling_kw,
            ceiling_a=headend.state.territories["e1"].ceiling_a,
        )

    return ask
