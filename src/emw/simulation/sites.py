"""A simulated station in its place: what happens to it, what it says, what reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec

from emw.domain.lines import lines_of
from emw.simulation.network import Answer, Message, Network
from emw.simulation.node import SimClock
from emw.simulator import wire
from emw.simulator.control import SET_MAX
from emw.simulator.hardware import Car, Faults, SimulatedHardware
from emw.simulator.identity import Identity
from emw.simulator.station import Request, Station

KINDS: Final = (
    # voltage V, phases, knob A
    (208.0, 1, 32.0),
    (230.0, 1, 16.0),
    (230.0, 1, 32.0),
    (230.0, 3, 16.0),
    (400.0, 3, 32.0),
    (240.0, 1, 40.0),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """One order as it reached a station."""

    site: Site
    command_id: str
    max_a: float | None
    until: datetime | None
    at_s: float
    told: bool
    """It came in an answer: the return to normal is then a limit at the knob."""


@dataclass(frozen=True, slots=True)
class Watchers:
    """Who wants to know what a station heard."""

    order: Callable[[Heard], None]
    answer: Callable[[Site, Request, Answer], None]
    say: Callable[[str], None]


class Site:
    """One EVSE with its station, its cars and its misfortunes."""

    def __init__(
        self,
        identity: Identity,
        clock: SimClock,
        network: Network,
        chance: Random,
        watchers: Watchers,
        *,
        silent: bool = False,
        faults: Faults | None = None,
    ) -> None:
        self.name = identity.evse_id
        self.identity = identity
        self.silent = silent
        self.faults = faults or Faults()
        self.clock = clock
        self.cut = False
        self.plug_ins = 0
        self.changed_at_s = 0.0
        """When something last happened here (car, knob, reboot, cut), s."""
        self.token: str | None = None
        """The session token it was given last."""
        self.saying_knob_a = 0.0
        """The knob in the message that is on its way: one kept for a server that was away may be an old one."""
        self.last_order: Heard | None = None
        self.cars = 0
        self.wiring: str | None = None
        """Which lines of the grid truly lie on its terminals; None in a world where that doesn't matter."""
        self.wiring_told = False
        self._network = network
        self._chance = chance
        self._watch = watchers
        voltage_v, phases, knob_a = KINDS[chance.randrange(len(KINDS))]
        self.full_knob_a = knob_a
        # The power rule of the hardware counts volts against neutral; the wire says 400 V between phases.
        self.hardware = SimulatedHardware(
            knob_a=knob_a,
            voltage_v=voltage_v / 3**0.5 if voltage_v == 400.0 else voltage_v,
            now=clock.now(),
            rng=Random(chance.random()),
            phases=phases,
            faults=self.faults,
            noise=0.0,
        )
        self.phases = phases
        self.between_lines = voltage_v == 208.0 and phases == 1
        self.station = self._boot()
        self._wake = asyncio.Event()
        self._epoch = 0
        self._encoded: tuple[object, bytes] = (None, b"")
        self._last_plug: object = None

    def _boot(self) -> Station:
        identity = replace(self.identity, phases=self.phases)
        return Station(identity, self.hardware, Random(self._chance.random()), silent=self.silent)

    @property
    def lines(self) -> tuple[str, ...]:
        """Where its current flows: its cars use every phase that it has."""
        return lines_of(self.wiring or "")

    @property
    def sound(self) -> bool:
        """Whether the station is honest and obedient."""
        f = self.faults
        return not (self.silent or f.deaf or f.lying or f.rejecting or f.slow_s or f.no_resume)

    @property
    def callable(self) -> bool:
        """Whether the node can call it."""
        return self.identity.access_url is not None

    def enrolled(self, secret: str) -> None:
        """The operator has enrolled it: from now on it can prove who it is."""
        self.identity = replace(self.identity, secret=secret)
        self.station = self._boot()

    # --- what it says

    async def run(self) -> None:
        """Say what there is to say, for ever."""
        while True:
            now = self.clock.now()
            request = self.station.next_request(now)
            if request is not None:
                await self._exchange(request)
                continue
            due = self.station.due(now)
            wait_s = 600.0 if due is None else max((due - now).total_seconds(), 0.05)
            self._wake.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _exchange(self, request: Request) -> None:
        epoch = self._epoch
        self.saying_knob_a = getattr(request.said, "evse_max_a", 0.0)
        if isinstance(request.said, wire.PlugIntoVehicle) and request.said is not self._last_plug:
            self._last_plug = request.said
            self.plug_ins += 1
        beat = isinstance(request.said, wire.PlugInHeartBeat)
        message = Message(
            self.name, "POST", request.path, request.bearer, self._body(request), ordered=not beat
        )
        answer = await self._network.say(message, cut=self.cut)
        if epoch != self._epoch:
            return  # it rebooted while it waited
        now = self.clock.now()
        if answer is None:
            self.station.failed(request, now)
            return
        if answer.status == 200:
            if isinstance(request.said, wire.PowerOn):
                self.token = wire.read_power_on_answer(answer.body).token
            self._overhear(answer.body)
        self.station.answered(request, answer.status, answer.body, now, answer.retry_after_s)
        self._watch.answer(self, request, answer)

    def _body(self, request: Request) -> bytes:
        """The JSON; said again it is the very same object, which tells the network that nothing else was said."""
        if self._encoded[0] is not request.said:
            self._encoded = (request.said, request.body)
        return self._encoded[1]

    def _overhear(self, body: bytes) -> None:
        order = wire.read_answer(body).limit
        if order is not None:
            self._heard(
                Heard(self, order.command_id, order.max_a, order.until, self._network.now_s(), told=True)
            )

    # --- what reaches it

    def called(self, path: str, token: str | None, body: bytes) -> tuple[int, bytes]:
        """The node calls a control path."""
        if self.station.off:
            return 503, b"{}"
        reply = self.station.called(path, token, body, self.clock.now())
        if reply.status == 401:
            self._network.hurt(self.name)
        else:
            said: dict[str, Any] = msgspec.json.decode(body)
            if path == SET_MAX:
                order = wire.read_order(body)
                self._heard(
                    Heard(self, order.command_id, order.max_a, order.until, self._network.now_s(), told=False)
                )
            elif "commandID" in said:
                self._heard(Heard(self, said["commandID"], None, None, self._network.now_s(), told=False))
        self._wake.set()
        return reply.status, reply.body

    def _heard(self, heard: Heard) -> None:
        self.last_order = heard
        self._watch.order(heard)

    # --- what happens to it

    def happened(self, what: str) -> None:
        """Note a misfortune, and let the station look."""
        self.changed_at_s = self._network.now_s()
        self._watch.say(f"{self.name} {what}")
        self._wake.set()

    def plug(self, car: Car) -> None:
        """A car comes."""
        self.cars += 1
        self.hardware.plug(car, self.clock.now())
        self.happened(f"plug {car.max_a:g} A {car.need_kwh:.1f} kWh")

    def unplug(self) -> None:
        """The car leaves."""
        self.hardware.unplug(self.clock.now())
        self.happened("unplug")

    def reboot(self, boots_s: float) -> None:
        """Computer and hardware restart."""
        now = self.clock.now()
        self.hardware.reboot(now)
        self.station.reboot(now, boots_s)
        self._epoch += 1
        self.last_order = None
        self.happened(f"reboot, back in {boots_s:.0f} s")

    def blink(self) -> None:
        """The hardware alone restarts and forgets its limit; the station does not notice."""
        self.hardware.reboot(self.clock.now())
        self.last_order = None
        self.happened("lost its limit")

    def turn_knob(self, knob_a: float) -> None:
        """An electrician was here."""
        self.hardware.turn_knob(knob_a, self.clock.now())
        self.happened(f"knob {knob_a:g} A")

    def switch_off(self) -> None:
        """It says goodbye."""
        self.station.power_off()
        self.happened("switched off")

    def switch_on(self) -> None:
        """A fresh start after a goodbye; without power it held no limit."""
        self.hardware.reboot(self.clock.now())
        self._epoch += 1
        self.station = self._boot()
        self.last_order = None
        self.happened("switched on")

    def set_cut(self, cut: bool) -> None:
        """Its network fails, or is back."""
        self.cut = cut
        self.happened("cut off" if cut else "connected again")


def draw_car(chance: Random, number: int, site: str, now: datetime) -> Car:
    """A car like any other; its name is its own, so that a stay can be told from its repetition."""
    requested = chance.choice([None, round(chance.uniform(5.0, 40.0), 1)])
    return Car(
        max_a=chance.choice([10.0, 16.0, 16.0, 20.0, 32.0]),
        need_kwh=chance.uniform(2.0, 40.0),
        gap_a=chance.choice([0.0, 0.0, 0.5, 1.0, 1.9]),
        taper_kwh=chance.choice([0.0, 1.0, 3.0]),
        model=f"car {number} of {site}",
        requested_kwh=requested,
        departure=now + timedelta(hours=chance.uniform(0.5, 8.0)) if chance.random() < 0.5 else None,
    )


def draw_faults(chance: Random) -> tuple[Faults, bool]:
    """Most stations are sound; the others are wrong each in its own way. The second: silent."""
    skew = timedelta(0)
    if chance.random() < 0.15:
        skew = timedelta(seconds=chance.choice([-3600.0, -100.0, -20.0, 20.0, 100.0, 7200.0]))
    kind = chance.random()
    if kind < 0.05:
        return Faults(deaf=True, clock_skew=skew), False
    if kind < 0.10:
        return Faults(lying=True, clock_skew=skew), False
    if kind < 0.14:
        return Faults(rejecting=True, clock_skew=skew), False
    if kind < 0.19:
        return Faults(slow_s=chance.uniform(5.0, 60.0), clock_skew=skew), False
    if kind < 0.22:
        return Faults(no_resume=True, clock_skew=skew), False
    return Faults(clock_skew=skew), kind > 0.97
