"""`emw evse`: one station as a program; with real hardware behind the seam it is a real station's agent."""

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field
from importlib import import_module
from ipaddress import ip_address
from random import Random
from typing import Final

from emw.simulator.clock import Clock, WallClock
from emw.simulator.control import Reply
from emw.simulator.driver import Berth, Driver
from emw.simulator.hardware import Car, Hardware, SimulatedHardware
from emw.simulator.link import Link, open_http
from emw.simulator.serving import Listener, control_app
from emw.simulator.station import Identity, Station

_GOODBYE_S: Final = 3.0


class BadOptions(ValueError):
    """The station can't be started like this; the message names the option."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseOptions:
    """What one station needs to know. `secret` is its enrolment secret: from a file or the environment, never argv.

    `hardware` names a class (`module:Class`) that is made without arguments and has the methods of `Hardware`; None:
    simulated, with `knob_a`, `voltage_v`, `phases` and perhaps a `car` plugged in from the start. `access_url`: how
    the server calls this station, by default the address it listens on; `behind_nat`: it can't, and nothing listens.
    """

    server_url: str
    evse_id: str
    secret: str = field(repr=False)
    territory: str
    model: str = "emw agent"
    customer_id: str = "none"
    site: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    host: str = "127.0.0.1"
    port: int = 0
    access_url: str | None = None
    behind_nat: bool = False
    hardware: str | None = None
    knob_a: float = 32.0
    voltage_v: float = 230.0
    phases: int = 1
    car: Car | None = None
    poll_s: float = 1.0


async def run(options: EvseOptions, *, clock: Clock | None = None, stop: asyncio.Event | None = None) -> None:
    """Be this station until `stop` is set, SIGTERM comes or the task is cancelled.

    On the way out the car is freed first and the server told second: failing is towards the driver.
    """
    if not options.behind_nat and options.access_url is None and _is_anywhere(options.host):
        raise BadOptions(
            "listening on every address needs access_url: the server must know which one to call"
        )
    clock = clock or WallClock()
    hardware = load_hardware(options.hardware) if options.hardware else _simulated(options, clock)
    async with contextlib.AsyncExitStack() as stack:
        link = Link(options.server_url, await stack.enter_async_context(open_http(connections=4)))
        driver = Driver(link, clock, poll_s=options.poll_s)
        seats: list[Berth] = []

        async def called(prefix: str, path: str, bearer: str | None, body: bytes) -> Reply:
            if prefix or not seats:
                return Reply(404, b"{}")
            return await driver.called(seats[0], path, bearer, body)

        access_url = None
        if not options.behind_nat:
            listener = Listener(control_app(called), host=options.host, port=options.port)
            await stack.enter_async_context(listener)
            access_url = options.access_url or listener.url
        station = Station(_identity(options, access_url), hardware, Random())
        seats.append(Berth(station))
        driver.add(seats[0], clock.now())
        await _drive(driver, seats[0], hardware, clock, stop or asyncio.Event())


def load_hardware(path: str) -> Hardware:
    """Make the hardware named by `module:Class`."""
    module_name, _, class_name = path.partition(":")
    try:
        made = getattr(import_module(module_name), class_name)()
    except (ImportError, AttributeError, ValueError) as error:
        raise BadOptions(
            f"hardware {path!r} is not a class that can be found as module:Class: {error}"
        ) from error
    if not isinstance(made, Hardware):
        raise BadOptions(f"hardware {path!r} lacks one of read, set_limit, clear_limit")
    return made


async def _drive(driver: Driver, berth: Berth, hardware: Hardware, clock: Clock, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        loop.add_signal_handler(signal.SIGTERM, stop.set)
    driving = asyncio.create_task(driver.run())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({driving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.remove_signal_handler(signal.SIGTERM)
        hardware.clear_limit(clock.now())
        if berth.station.powered and not driving.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await driver.say_goodbye([berth])
        driver.stop()
        await driving


def _is_anywhere(host: str) -> bool:
    """Whether this host means every address of the machine, which is none that can be called."""
    try:
        return ip_address(host or "::").is_unspecified
    except ValueError:
        return False


def _identity(options: EvseOptions, access_url: str | None) -> Identity:
    return Identity(
        evse_id=options.evse_id,
        secret=options.secret,
        territory=options.territory,
        model=options.model,
        customer_id=options.customer_id,
        phases=options.phases,
        site=options.site,
        latitude=options.latitude,
        longitude=options.longitude,
        access_url=access_url,
    )


def _simulated(options: EvseOptions, clock: Clock) -> SimulatedHardware:
    now = clock.now()
    hardware = SimulatedHardware(
        knob_a=options.knob_a,
        voltage_v=options.voltage_v,
        phases=options.phases,
        now=now,
        rng=Random(),
    )
    if options.car is not None:
        hardware.plug(options.car, now)
    return hardware
