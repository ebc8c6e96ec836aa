"""Thousands of stations in one process: their cars, their one shared door, and what they saw."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Final, Self

from emw.simulator.backoff import BackOff
from emw.simulator.clock import Clock
from emw.simulator.control import Reply
from emw.simulator.driver import Driver
from emw.simulator.hardware import Car, SimulatedHardware
from emw.simulator.identity import Identity
from emw.simulator.line import Line, RestLine
from emw.simulator.link import Link, open_http
from emw.simulator.ocpp.build import station_of
from emw.simulator.ocpp.line import Dialer, OcppLine
from emw.simulator.orders import Violation
from emw.simulator.serving import Listener, control_app, station_url
from emw.simulator.sessions import Session
from emw.simulator.specs import FaultShares, StationSpec, car_of
from emw.simulator.station import Station

_QUANTUM_S: Final = 0.01
_GOODBYE_S: Final = 5.0
_STATIONS_A_SECOND: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStats:
    """A look at a fleet. `load_kw` is the truth at the cars; `free_kw` what they would draw unlimited, now.

    `limited`: stations whose limit is below their knob. `unserved_kwh`: what cars that left did not get.
    """

    stations: int
    powered: int
    plugged: int
    charging: int
    limited: int
    lost: int
    load_kw: float
    free_kw: float
    unserved_kwh: float
    commands: int
    violations: int
    messages: int
    errors: int


@dataclass(slots=True, eq=False)
class _Member:
    line: Line
    hardware: SimulatedHardware


class Fleet:
    """Simulated stations against one server, for as long as its `async with` lasts.

    `speed` is the clock's, virtual seconds per real second; it scales what must not grow with it (back-off,
    spread of the first power-on). Sessions on EVSEs that are not in `stations` are left out. `goodbye`: power
    off in the end instead of just falling silent. `access_url`: under which the server reaches the shared door.
    `patience_s`: real seconds that OCPP stations wait for an answer at least, however fast the clock runs.
    """

    def __init__(
        self,
        server_url: str,
        stations: Sequence[StationSpec],
        sessions: Iterable[Session],
        *,
        clock: Clock,
        speed: float = 1.0,
        seed: int = 0,
        nat_share: float = 0.0,
        faults: FaultShares | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        access_url: str | None = None,
        goodbye: bool = True,
        patience_s: float = 10.0,
    ) -> None:
        self._server_url = server_url
        self._specs = stations
        self._clock = clock
        self._speed = speed
        self._seed = seed
        self._nat_share = nat_share
        self._shares = faults or FaultShares()
        self._host, self._port, self._access_url = host, port, access_url
        self._goodbye = goodbye
        self._patience_s = patience_s
        self._members: dict[str, _Member] = {}
        self._sessions: dict[str, list[Session]] = {}
        for session in sorted(sessions, key=lambda one: (one.plug, one.session_id)):
            self._sessions.setdefault(session.evse_id, []).append(session)
        self._unserved_kwh = 0.0
        self._stack = AsyncExitStack()
        self._link: Link | None = None
        self._dialer: Dialer | None = None
        self._driver: Driver | None = None
        self._run: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(
                Listener(control_app(self._called), host=self._host, port=self._port)
            )
            http = await stack.enter_async_context(open_http())
            if any(spec.ways is None for spec in self._specs):
                self._link = Link(self._server_url, http)
            if any(spec.ways is not None for spec in self._specs):
                self._dialer = Dialer(self._server_url)
            self._driver = Driver(self._clock, quantum_s=_QUANTUM_S * self._speed)
            self._populate(self._driver, self._access_url or listener.url)
            self._run = asyncio.create_task(self._driver.run())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        async with self._stack:
            if self._driver is None or self._run is None:
                return
            if self._goodbye and kind is None and not self._run.done():
                await self._say_goodbye(self._driver)
            self._driver.stop()
            await self._run

    # --- what a watcher may look at -------------------------------------------------------------------------

    @property
    def violations(self) -> list[Violation]:
        """Every broken promise that any station saw, in order of time."""
        found = [one for member in self._members.values() for one in member.line.agent.violations]
        return sorted(found, key=lambda one: one.at)

    def stats(self) -> FleetStats:
        """Count and add up, now. Raises what broke the fleet, if something did."""
        if self._run is not None and self._run.done():
            self._run.result()
        now = self._clock.now()
        members = list(self._members.values())
        for member in members:
            member.hardware.advance(now)
        hardware = [member.hardware for member in members]
        stations = [member.line.agent for member in members]
        carriers = [one for one in (self._link, self._dialer) if one is not None]
        return FleetStats(
            stations=len(members),
            powered=sum(station.powered for station in stations),
            plugged=sum(one.plugged for one in hardware),
            charging=sum(one.draw_a > 0.0 for one in hardware),
            limited=sum(one.limit_a is not None and one.limit_a < one.knob_a for one in hardware),
            lost=sum(member.line.lost for member in members),
            load_kw=sum(one.load_kw for one in hardware),
            free_kw=sum(one.free_kw for one in hardware),
            unserved_kwh=self._unserved_kwh,
            commands=sum(station.commands for station in stations),
            violations=sum(len(station.violations) for station in stations),
            messages=sum(one.messages for one in carriers),
            errors=sum(one.errors for one in carriers),
        )

    def troubles(self) -> list[tuple[str, int]]:
        """Why stations are not heard, and how many of them; the most first."""
        return Counter(m.line.trouble for m in self._members.values() if m.line.trouble).most_common()

    def hardware(self, evse_id: str) -> SimulatedHardware:
        """The hardware of one station, to look at."""
        return self._members[evse_id].hardware

    # --- what may be done to it -----------------------------------------------------------------------------

    def plug(self, evse_id: str, car: Car) -> None:
        """A car arrives that no record knows."""
        member = self._members[evse_id]
        member.hardware.plug(car, self._clock.now())
        self._poke(member)

    def unplug(self, evse_id: str) -> None:
        """The car leaves, now."""
        self._left(self._members[evse_id], None, self._clock.now())

    def reboot(self, evse_id: str, boots_s: float = 30.0) -> None:
        """The station loses power and its limit; back after `boots_s` of virtual time."""
        member, now = self._members[evse_id], self._clock.now()
        member.hardware.reboot(now)
        member.line.agent.reboot(now, boots_s)
        self._poke(member)

    def turn_knob(self, evse_id: str, knob_a: float) -> None:
        """Somebody sets the station's own maximum."""
        member = self._members[evse_id]
        member.hardware.turn_knob(knob_a, self._clock.now())
        self._poke(member)

    def cut(self, evse_ids: Iterable[str], *, lost: bool = True) -> None:
        """Cut these stations off the network, both ways; or give it back."""
        for evse_id in evse_ids:
            self._members[evse_id].line.lost = lost
            self._poke(self._members[evse_id])

    # --- how it is made -------------------------------------------------------------------------------------

    def _populate(self, driver: Driver, door_url: str) -> None:
        now = self._clock.now()
        spread_s = len(self._specs) / _STATIONS_A_SECOND * self._speed
        for spec in self._specs:
            rng = Random(f"{self._seed}:{spec.identity.evse_id}")
            behind_nat = rng.random() < self._nat_share
            url = None if behind_nat else station_url(door_url, spec.identity.evse_id)
            planned = self._sessions.get(spec.identity.evse_id, [])
            hardware = SimulatedHardware(
                knob_a=spec.knob_a,
                voltage_v=spec.voltage_v,
                phases=spec.phases,
                now=min([now, *(session.plug for session in planned)]),
                rng=Random(rng.getrandbits(64)),
                faults=self._shares.draw(rng),
            )
            identity = replace(spec.identity, access_url=url, phases=spec.identity.phases or spec.phases)
            silent = rng.random() < self._shares.silent
            line = self._line_of(driver, spec, identity, hardware, Random(rng.getrandbits(64)), silent=silent)
            member = _Member(line, hardware)
            self._members[identity.evse_id] = member
            self._plan(driver, member, planned, now)
            driver.add(line, now + timedelta(seconds=rng.random() * spread_s))
            if rng.random() < self._shares.lost:
                gone = now + self._shares.lost_within * rng.random()
                driver.at(gone, partial(self._lost, member))

    def _line_of(
        self,
        driver: Driver,
        spec: StationSpec,
        identity: Identity,
        hardware: SimulatedHardware,
        rng: Random,
        *,
        silent: bool,
    ) -> Line:
        """A station on its line, in whichever protocol it speaks."""
        backoff = BackOff(base_s=max(1.0, 0.5 * self._speed), cap_s=max(60.0, 5.0 * self._speed))
        if spec.ways is None or self._dialer is None:
            if self._link is None:
                raise RuntimeError("a fleet runs within its `async with`")
            station = Station(identity, hardware, rng, backoff=backoff, silent=silent)
            return RestLine(station, self._link, self._clock)
        ways = replace(
            spec.ways,
            patience_s=max(spec.ways.patience_s, self._patience_s * self._speed),
            most_w=spec.ways.most_w or spec.knob_a * spec.voltage_v * spec.phases,
        )
        ocpp = station_of(identity, hardware, rng, ways, backoff=backoff, silent=silent)
        return OcppLine(ocpp, self._dialer, self._clock, driver.settle)

    def _plan(self, driver: Driver, member: _Member, planned: list[Session], now: datetime) -> None:
        """Put a station's cars on the agenda; a car that came before the start has charged since then."""
        for session in planned:
            if session.unplug <= now:
                continue
            car = car_of(session, Random(f"{self._seed}:car:{session.session_id}"))
            if session.plug <= now:
                member.hardware.plug(car, session.plug)
                member.hardware.advance(now)
            else:
                driver.at(session.plug, partial(self._arrived, member, car))
            driver.at(session.unplug, partial(self._left, member, car))

    def _arrived(self, member: _Member, car: Car, now: datetime) -> None:
        member.hardware.plug(car, now)
        self._poke(member)

    def _left(self, member: _Member, car: Car | None, now: datetime) -> None:
        """This car leaves; when another one stands there already, it has left before."""
        member.hardware.advance(now)
        if car is None or member.hardware.car is car:
            self._unserved_kwh += member.hardware.missing_kwh
            member.hardware.unplug(now)
            self._poke(member)

    def _lost(self, member: _Member, now: datetime) -> None:
        member.line.lost = True

    def _poke(self, member: _Member) -> None:
        if self._driver is not None:
            self._driver.poke(member.line)

    async def _called(self, prefix: str, path: str, bearer: str | None, body: bytes) -> Reply:
        member = self._members.get(prefix.removeprefix("/s/"))
        if member is None or not isinstance(member.line, RestLine):
            return Reply(404, b"{}")
        return await member.line.called(path, bearer, body)

    async def _say_goodbye(self, driver: Driver) -> None:
        waiting = [member.line for member in self._members.values() if member.line.agent.powered]
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await driver.say_goodbye(waiting)
        except TimeoutError:
            return  # A server that is down hears no goodbyes: it finds its stations missing by their silence.
