"""One world under one seed: a tree of territories, stations, grid operators, and everything that goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final

from emw.engine.view import Rules
from emw.service.errors import EmwError
from emw.service.headend import HeadEnd
from emw.service.settings import ServiceSettings
from emw.simulation.checks import Checks
from emw.simulation.disk import Disk
from emw.simulation.grid import GridOperator, GridWatchers
from emw.simulation.ledger_checks import LedgerChecks
from emw.simulation.loop import SimLoop
from emw.simulation.misfortune import Misfortune
from emw.simulation.motion import Motion
from emw.simulation.network import Network
from emw.simulation.node import Killed, Node
from emw.simulation.sites import Site, Watchers, draw_faults
from emw.simulation.trace import Broken, Trace
from emw.simulation.tree import PLACES, TREE, draw_ceilings_a, draw_ceilings_kw
from emw.simulator.identity import Identity
from emw.store.inline import Disk as SqlDisk

FAIR_S: Final = 420.0
"""A run ends with so much fair weather: longer than any retry's pause."""


class World:
    """Builds it, runs it, and says whether it held."""

    def __init__(self, seed: int, loop: SimLoop, *, hours: float, echo: bool = False) -> None:
        self.seed = seed
        self.hours = hours
        self.trace = Trace(echo=echo)
        self.broken: Broken | None = None
        self.loop = loop
        # The real store over SQLite is slower than lists: every third world has it.
        self.disk = Disk(sql=SqlDisk() if seed % 3 == 0 else None)
        self.operators: list[GridOperator] = []
        self.sites: dict[str, Site] = {}
        self.tasks: list[asyncio.Task[Any]] = []
        self.faults_on = False
        self._chance = self.dice("world")
        self.settings = self._draw_settings()
        rules = self.settings.rules
        self.network = Network(loop, self.dice("network"), self.say)
        self.motion = Motion(rules, self.fail)
        self.ledger_checks = LedgerChecks(self.disk, rules, self.motion, self.fail)
        self.node = Node(
            loop,
            self.network,
            self.disk,
            self.settings,
            self.dice("node"),
            say=self.say,
            on_commit=self._committed,
            on_loaded=self._loaded,
            on_up=self._up,
            on_bug=lambda what: self.fail("no unhandled exception", what),
        )
        self.checks = Checks(self.node, self.network, self.disk, self.ledger_checks, rules, self.fail)
        self.checks.sites = self.sites
        self.ledger_checks.taken = self._taken
        self.ledger_checks.plug_ins = lambda evse_id: self.sites[evse_id].plug_ins
        self.motion.would_draw_a = self._would_draw_a
        self.seam_odds: dict[str, float] = {}
        self._seams = self.dice("seams")
        self.misfortune = Misfortune(self)
        self._fair_since_s = 0.0

    # --- chance, time, words

    def dice(self, name: str) -> Random:
        """Chance of its own for each part: one part's draws do not shift another's."""
        return Random(f"{self.seed}:{name}")

    def say(self, what: str) -> None:
        """Note what happened."""
        self.trace.say(self.loop.time(), what)

    def fail(self, promise: str, detail: str) -> None:
        """A promise is broken: the run ends here."""
        if self.broken is None:
            self.broken = Broken(promise, self.loop.time(), detail)
            self.say(f"BROKEN {promise}: {detail}")
            self.loop.stop()

    def _draw_settings(self) -> ServiceSettings:
        c = self._chance
        rules = Rules(
            lease_s=c.choice([300.0, 900.0]),
            ramp_floor_kw_per_min=c.choice([2.0, 8.0, 25.0]),
            ceiling_lease_s=c.choice([3_600.0, 86_400.0]),
        )
        return ServiceSettings(
            rules=rules,
            telemetry_flush_s=5.0,
            report_interval_s=c.choice([60.0, 300.0]),
            report_retry_most_s=120.0,
        )

    # --- building

    def build(self) -> None:
        """Grid operators and stations as the seed wants them; the node does not know them yet."""
        c = self._chance
        watch = Watchers(order=self._order, answer=self.checks.answer, say=self.say)
        for n in range(c.randint(20, 28)):
            called = c.random() < 0.75
            place = c.choice(PLACES)
            faults, silent = draw_faults(c)
            address = f"10.0.0.{n + 1}"
            name = f"evse-{n:02d}"
            identity = Identity(
                evse_id=name,
                secret="",
                territory=place,
                customer_id=f"customer of {name}",
                access_url=f"http://{address}:8080" if called else None,
            )
            site = Site(
                identity,
                self.node.clock,
                self.network,
                self.dice(name),
                watch,
                silent=silent,
                faults=faults,
            )
            self.sites[name] = site
            if called:
                self.network.receivers[address] = site
        total_kw = sum(s.full_knob_a * s.hardware.kw_per_a for s in self.sites.values())
        grid_watch = GridWatchers(answer=self.checks.grid_answer, report=self.checks.report, say=self.say)
        areas = (("grid", "east", "west", "e1", "e2", "w1"), ("east", "e1", "e1a", "island"))
        for n, names in enumerate(areas[: c.randint(1, 2)]):
            iso = GridOperator(
                name=f"iso{n}",
                token="",
                territories=names,
                clock=self.node.clock,
                network=self.network,
                chance=self.dice(f"iso{n}"),
                watch=grid_watch,
                per_hour=c.choice([4.0, 10.0, 20.0]),
                most_kw=total_kw / 2,
                address=f"10.1.0.{n + 1}",
            )
            self.operators.append(iso)
            self.network.receivers[iso.address] = iso

    async def enrol(self) -> None:
        """The operator sets the node up: territories, ISOs, stations. In fair weather."""
        self.node.start()
        while self.node.headend is None:  # noqa: ASYNC110 - a life that is killed sets no event
            await asyncio.sleep(0.1)
        await self.node.task(self._enrol(self.node.headend))

    async def _enrol(self, headend: HeadEnd) -> None:
        admin = headend.admin
        ceilings_kw = draw_ceilings_kw(self.sites.values(), self._chance)
        ceilings_a = draw_ceilings_a(self.sites.values(), self.dice("lines"))
        for territory_id, parent_id, kind in TREE:
            await admin.define_territory(
                "emw",
                territory_id,
                parent_id=parent_id,
                kind=kind,
                ceiling_kw=ceilings_kw.get(territory_id),
                ceiling_a=ceilings_a.get(territory_id),
            )
        for iso in self.operators:
            iso.token = await admin.add_iso("emw", iso.name, iso.territories)
        for site in self.sites.values():
            secret = await admin.add_station("emw", site.name)
            site.enrolled(secret)
            if site.wiring is not None and site.wiring_told:
                await admin.wire("emw", site.name, site.wiring)

    # --- running

    async def run(self) -> None:
        """The whole story."""
        await self.enrol()
        for site in self.sites.values():
            self._spawn(self._begin(site))
        for iso in self.operators:
            self._spawn(iso.run())
        self._spawn(self._look())
        for part in self.misfortune.parts():
            self._spawn(part)
        self.faults_on = True
        end_s = self.hours * 3600.0
        await asyncio.sleep(max(end_s - FAIR_S - 60.0, end_s * 0.5))
        self.faults_on = False
        self.misfortune.over()
        self.say("fair weather from here on")
        self._fair_since_s = self.loop.time()
        while self.node.headend is None:  # noqa: ASYNC110 - same
            await asyncio.sleep(1.0)
        await asyncio.sleep(max(end_s - self.loop.time(), 60.0))
        self._last_words()

    def _spawn(self, part: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(part)
        task.add_done_callback(self._ended)
        self.tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, Exception):
                raise error  # a fault of the simulation itself: the loop's handler hears of it
            self.fail("no unhandled exception", repr(error))

    async def _begin(self, site: Site) -> None:
        await asyncio.sleep(self._chance.uniform(0.0, 60.0))
        await site.run()

    async def _look(self) -> None:
        seconds = 0
        while True:
            await asyncio.sleep(1.0)
            seconds += 1
            if self.node.headend is not None:
                self.motion.tick(self.node.clock.now())
            self.checks.look(self.loop.time())
            if seconds % 60 == 0:
                tasks = self.loop.tasks_of(self.node.life) if self.node.alive else []
                self.checks.look_closely(self.loop.time(), len(tasks), 40 + 4 * len(self.sites))

    def _last_words(self) -> None:
        """After a while of fair weather nothing may be left over."""
        headend = self.node.headend
        if headend is None:
            self.fail("P2", "the node did not come back")
            return
        self._check_reports()
        tasks = self.loop.tasks_of(self.node.life)
        few = 12 + len(TREE) + len(self.operators)
        if self.hours >= 0.5 and len(tasks) > few + len(self.sites):
            self.fail("no task leak", f"{len(tasks)} tasks are left: {sorted(t.get_name() for t in tasks)}")
        self.ledger_checks.reread()
        self.ledger_checks.read_back()

    def _check_reports(self) -> None:
        now = self.node.clock.now()
        for queued in self.ledger_checks.undelivered.values():
            if (now - queued.at).total_seconds() > FAIR_S and self.loop.time() - self._fair_since_s >= FAIR_S:
                self.fail("P1 reports", f"still not delivered after {FAIR_S:g} s of fair weather: {queued}")

    # --- what the parts report

    def _committed(self, first: int, changed: Any, records: Any) -> None:
        self.say(f"commit {first} {' '.join(_short(fact) for fact in changed)}")
        try:
            self.ledger_checks.committed(first, changed, records)
        except Exception as error:  # noqa: BLE001 - the node would take it for a failure of its disk
            self.fail("the simulation itself", repr(error))

    def _order(self, heard: Any) -> None:
        self.say(f"{heard.site.name} is told {heard.max_a} A until {heard.until} by {heard.command_id[:9]}")
        self.checks.order(heard)

    def _loaded(self, headend: HeadEnd) -> None:
        self.say("node loaded")
        self.motion.crashed_at_s = self.node.clock.now().timestamp()
        self.checks.loaded(headend)

    def _up(self, headend: HeadEnd) -> None:
        self.say(f"node up, {len(headend.accounts.live_requests())} requests live")
        self.checks.up(headend)

    def _taken(self, iso_id: str, body: str) -> bool:
        return any(body in iso.taken for iso in self.operators if iso.name == iso_id)

    def _would_draw_a(self, evse_id: str) -> float:
        headend = self.node.headend
        if headend is None:
            return 0.0
        evse = headend.state.evses[evse_id]
        session = headend.state.session_of(evse)
        return headend.telemetry.expected(evse, session).would_a

    # --- seams

    def passes(self, seam: str) -> None:
        """The node passes a named seam: perhaps it dies there."""
        if not self.faults_on or not self.node.alive:
            return
        if self._seams.random() < self.seam_odds.get(seam, 0.0):
            self.node.kill(f"at {seam}", self.misfortune.away_s())
            raise Killed(seam)

    async def as_operator(self, what: Callable[[HeadEnd], Coroutine[Any, Any, Any]]) -> None:
        """Somebody at the console does something, if there is a node."""
        headend = self.node.headend
        if headend is not None:
            self.node.task(_politely(what(headend)))


async def _politely(what: Coroutine[Any, Any, Any]) -> None:
    """Refusals are answers."""
    with contextlib.suppress(EmwError):
        await what


def _short(fact: Any) -> str:
    names = ("evse_id", "request_key", "session_id", "max_a", "state", "outcome", "cause")
    said = [str(v) for name in names if (v := getattr(fact, name, None)) is not None]
    return f"{type(fact).__name__}({','.join(said)})"
