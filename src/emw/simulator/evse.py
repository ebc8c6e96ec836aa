"""`emw evse`: one station as a program; with real hardware behind the seam it is a real station's agent."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from ipaddress import ip_address
from random import Random
from typing import Final

from emw.simulator.clock import Clock, WallClock
from emw.simulator.control import Reply
from emw.simulator.driver import Driver
from emw.simulator.hardware import Car, Hardware, SimulatedHardware
from emw.simulator.identity import Identity
from emw.simulator.line import Line, RestLine
from emw.simulator.link import BadAddress, Link, open_http
from emw.simulator.ocpp.build import station_of
from emw.simulator.ocpp.line import Dialer, OcppLine
from emw.simulator.ocpp.station import Ways
from emw.simulator.serving import Listener, control_app
from emw.simulator.station import Station

_GOODBYE_S: Final = 3.0


class BadOptions(ValueError):
    """The station can't be started like this; the message names the option."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseOptions:
    """What one station needs to know. `secret` is its enrolment secret: from a file or the environment, never argv.

    `hardware` names a class (`module:Class`) that is made without arguments and has the methods of `Hardware`; None:
    simulated, with `knob_a`, `voltage_v`, `phases` and perhaps a `car` plugged in from the start. `access_url`: how
    the server calls this station, by default the address it listens on; `behind_nat`: it can't, and nothing listens.
    `ways`: how it speaks OCPP; None: it speaks REST, and needs `territory`.
    """

    server_url: str
    evse_id: str
    secret: str = field(repr=False)
    territory: str = ""
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
    may_pause: bool = False
    car: Car | None = None
    poll_s: float = 1.0
    ways: Ways | None = None


async def run(
    options: EvseOptions,
    *,
    clock: Clock | None = None,
    stop: asyncio.Event | None = None,
    tell: Callable[[str | None], None] = lambda _: None,
) -> None:
    """Be this station until `stop` is set, SIGTERM comes or the task is cancelled.

    `tell` hears when the server begins to take what is said (None), and when it does not (why). On the way out the car
    is freed first and the server told second: failing is towards the driver.
    """
    clock = clock or WallClock()
    if options.ways is None and not options.territory:
        raise BadOptions("a station that speaks REST says its territory")
    if options.ways is None and not options.behind_nat and options.access_url is None:
        _check_host(options.host)
    hardware = load_hardware(options.hardware) if options.hardware else _simulated(options, clock)
    async with contextlib.AsyncExitStack() as stack:
        driver = Driver(clock, poll_s=options.poll_s)
        line: Line
        if options.ways is not None:
            line = _ocpp_line(options, options.ways, hardware, clock, driver)
        else:
            line = await _rest_line(options, hardware, clock, stack)
        line.tell = tell
        driver.add(line, clock.now())
        await _drive(driver, line, hardware, clock, stop or asyncio.Event())


def _ocpp_line(
    options: EvseOptions, ways: Ways, hardware: Hardware, clock: Clock, driver: Driver
) -> OcppLine:
    """A station that calls the central system and is called over the same socket."""
    try:
        dialer = Dialer(options.server_url)
    except BadAddress as error:
        raise BadOptions(str(error)) from error
    ways = replace(ways, most_w=ways.most_w or options.knob_a * options.voltage_v * options.phases)
    station = station_of(_identity(options, None), hardware, Random(), ways)
    return OcppLine(station, dialer, clock, driver.settle)


async def _rest_line(
    options: EvseOptions, hardware: Hardware, clock: Clock, stack: contextlib.AsyncExitStack
) -> RestLine:
    """A station that calls the server, and listens for it unless it is behind NAT."""
    lines: list[RestLine] = []

    async def called(prefix: str, path: str, bearer: str | None, body: bytes) -> Reply:
        if prefix or not lines:
            return Reply(404, b"{}")
        return await lines[0].called(path, bearer, body)

    http = await stack.enter_async_context(open_http(connections=4))
    try:
        link = Link(options.server_url, http)
    except BadAddress as error:
        raise BadOptions(str(error)) from error
    access_url = None
    if not options.behind_nat:
        listener = Listener(control_app(called), host=options.host, port=options.port)
        await stack.enter_async_context(listener)
        access_url = options.access_url or listener.url
    lines.append(RestLine(Station(_identity(options, access_url), hardware, Random()), link, clock))
    return lines[0]


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


async def _drive(driver: Driver, line: Line, hardware: Hardware, clock: Clock, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    # Windows' loop takes none, nor does one outside the main thread: Ctrl-C still ends it.
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
        if line.agent.powered and not driving.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await driver.say_goodbye([line])
        driver.stop()
        await driving


def _check_host(host: str) -> None:
    """A host that means every address of the machine is none that can be called."""
    try:
        anywhere = ip_address(host or "::").is_unspecified
    except ValueError:
        return
    if anywhere:
        raise BadOptions(
            "listening on every address needs access_url: the server must know which one to call"
        )


def _identity(options: EvseOptions, access_url: str | None) -> Identity:
    return Identity(
        evse_id=options.evse_id,
        secret=options.secret,
        territory=options.territory,
        model=options.model,
        customer_id=options.customer_id,
        phases=options.phases,
        may_pause=options.may_pause or None,
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
