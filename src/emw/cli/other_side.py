"""`emw evse`, `emw fleet`: the other side of the wire, one station or thousands."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from emw.cli.control import Control
from emw.cli.serve import ConfigPath, DataDir, configured
from emw.cli.show import AsJson, fail, print_json, say, say_error
from emw.simulator import evse as one_station
from emw.simulator import records
from emw.simulator.clock import VirtualClock
from emw.simulator.fleet import Fleet
from emw.simulator.hardware import Car
from emw.simulator.link import BadAddress, base_of
from emw.simulator.mix import BadHabit, Protocol, habits_told, ways_of
from emw.simulator.ocpp.habits import NAMES
from emw.simulator.ocpp.line import Dialer
from emw.simulator.sessions import Session, draw, fill
from emw.simulator.specs import FaultShares, StationSpec, specs_for

LOOK_S = 2.0


class OneProtocol(StrEnum):
    """What one station speaks."""

    REST = "rest"
    OCPP16 = "ocpp1.6"
    OCPP201 = "ocpp2.0.1"


def evse(
    server: Annotated[str, typer.Option(help="The station plane, for example http://127.0.0.1:8400.")],
    evse_id: Annotated[str, typer.Option("--id", help="Its evseID.")],
    secret: Annotated[
        str, typer.Option(envvar="EMW_STATION_SECRET", help="Enrolment secret; best in the environment.")
    ],
    territory: Annotated[str, typer.Option(help="REST: the territory it lies in.")] = "",
    protocol: Annotated[OneProtocol, typer.Option(help="What it speaks.")] = OneProtocol.REST,
    habit: Annotated[
        list[str], typer.Option(help=f"OCPP: what it does otherwise: {', '.join(NAMES)}. May be said again.")
    ] = [],  # noqa: B006 - typer copies it
    tag: Annotated[str, typer.Option(help="OCPP: the tag that its drivers show.")] = "simulated",
    hardware: Annotated[str | None, typer.Option(help="module:Class that drives the real hardware.")] = None,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT where the server calls this station.")
    ] = "127.0.0.1:0",
    access_url: Annotated[str | None, typer.Option(help="The URL under which the server reaches it.")] = None,
    behind_nat: Annotated[
        bool, typer.Option("--behind-nat", help="Can't be called: hears limits in answers.")
    ] = False,
    knob_a: Annotated[float, typer.Option("--knob-a", help="The station's own maximum, A.")] = 32.0,
    voltage_v: Annotated[float, typer.Option("--voltage-v")] = 230.0,
    phases: int = 1,
    may_pause: Annotated[
        bool, typer.Option("--may-pause", help="REST: a shed may pause it, down to 0 A.")
    ] = False,
    car_kwh: Annotated[
        float | None, typer.Option("--car-kwh", help="Simulated: a car that needs this is plugged in.")
    ] = None,
    car_a: Annotated[float, typer.Option("--car-a", help="Simulated: the car's own maximum, A.")] = 32.0,
) -> None:
    """Run one station: simulated, or as the agent in a real one (`--hardware`).

    It says when the server hears it and when not, and why, and goes on trying until it is stopped.
    With OCPP, `--server` may be any central system's address (ws:// or wss://), to which the id is added.
    """
    ways = ways_of([evse_id], Protocol(protocol.value), habits=_habits(habit), tag=tag)
    host, _, port = listen.rpartition(":")
    options = one_station.EvseOptions(
        server_url=server,
        evse_id=evse_id,
        secret=secret,
        territory=territory,
        host=host or "127.0.0.1",
        port=int(port or 0),
        access_url=access_url,
        behind_nat=behind_nat,
        hardware=hardware,
        knob_a=knob_a,
        voltage_v=voltage_v,
        phases=phases,
        may_pause=may_pause,
        car=None if car_kwh is None else Car(max_a=car_a, need_kwh=car_kwh),
        ways=ways.get(evse_id),
    )

    def tell(why_not: str | None) -> None:
        if why_not is None:
            say(f"{evse_id} is heard by {server}")
        else:
            say_error(f"{evse_id} at {server}: {why_not}")

    try:
        _until_stopped(lambda stop: one_station.run(options, stop=stop, tell=tell))
    except one_station.BadOptions as error:
        raise fail(str(error), 2) from error


def fleet(
    server: Annotated[str, typer.Option(help="The station plane, for example http://127.0.0.1:8400.")],
    territory: Annotated[str, typer.Option(help="The territory they lie in.")],
    stations: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 300,
    protocol: Annotated[
        Protocol, typer.Option(help="What they speak; mixed: most REST, some of each OCPP.")
    ] = Protocol.REST,
    habit: Annotated[
        list[str],
        typer.Option(help=f"OCPP: NAME=SHARE do otherwise: {', '.join(NAMES)}. May be said again."),
    ] = [],  # noqa: B006 - typer copies it
    sessions: Annotated[
        Path | None, typer.Option(help="Recorded sessions: CSV, CSV.gz or ACN-Data JSON.")
    ] = None,
    drawn: Annotated[
        bool, typer.Option("--drawn", help="Draw arrivals by seed instead of replaying records.")
    ] = False,
    speed: Annotated[float, typer.Option(min=0.1, help="Virtual seconds per second.")] = 1.0,
    start: Annotated[str | None, typer.Option(help="Virtual start, ISO-8601; default: now.")] = None,
    seed: int = 0,
    nat_share: Annotated[float, typer.Option(min=0, max=1, help="Share that can't be called.")] = 0.2,
    deaf: Annotated[float, typer.Option(min=0, max=1, help="Share that says yes and does nothing.")] = 0.0,
    slow: Annotated[float, typer.Option(min=0, max=1, help="Share that obeys late.")] = 0.0,
    lost: Annotated[float, typer.Option(min=0, max=1, help="Share that falls silent.")] = 0.0,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many real minutes.")] = None,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Run a fleet of simulated stations; they are enrolled through the control socket of this machine's server."""
    at = datetime.fromisoformat(start) if start else datetime.now(UTC)
    if at.tzinfo is None:
        raise fail("--start: give the offset too, for example 2026-05-04T07:00:00-07:00", 2)
    try:
        recorded = _planned(sessions, stations, at, seed, drawn=drawn)
    except (OSError, records.BadRecord) as error:
        raise fail(f"--sessions: {error}") from error
    ids = sorted({s.evse_id for s in recorded})
    ways = ways_of(ids, protocol, seed=seed, habits=_habits(habit))
    planned = specs_for(recorded, dict.fromkeys(ids, ""), territory=territory, ways=ways)
    _check_address(server, planned)  # before it renews their secrets
    specs = enrol(Control(configured(config_path, data_dir), running=True), planned)
    faults = FaultShares(deaf=deaf, slow=slow, lost=lost)

    async def run(stop: asyncio.Event) -> None:
        clock = VirtualClock(at, speed)
        async with Fleet(
            server, specs, recorded, clock=clock, speed=speed, seed=seed, nat_share=nat_share, faults=faults
        ) as running:
            await _watch(running, clock, stop, minutes, quiet=as_json)
            if as_json:
                print_json(asdict(running.stats()))

    _until_stopped(run)


async def _watch(
    running: Fleet, clock: VirtualClock, stop: asyncio.Event, minutes: float | None, *, quiet: bool
) -> None:
    """Tell how the fleet does until it is stopped or its time is up; each trouble once."""
    loop = asyncio.get_running_loop()
    ends = None if minutes is None else loop.time() + minutes * 60
    told: set[str] = set()
    while not stop.is_set() and (ends is None or loop.time() < ends):
        s = running.stats()
        if not quiet:
            say(
                f"{clock.now():%H:%M}  {s.powered}/{s.stations} powered  {s.plugged} plugged  "
                f"{s.charging} charging  {s.load_kw:.0f} kW  {s.limited} limited  {s.errors} errors"
            )
        for why, count in running.troubles():
            if why not in told:
                told.add(why)
                say_error(f"{count} stations: {why}")
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await stop.wait()


def _planned(path: Path | None, stations: int, at: datetime, seed: int, *, drawn: bool) -> list[Session]:
    """A day of sessions for so many stations: drawn by seed, or from records."""
    if drawn:
        return draw([f"drawn-{n:05}" for n in range(stations)], at.date(), seed=seed)
    return fill(records.read(path, seed) if path else records.sample(seed), stations, at.date(), seed)


def _check_address(server: str, stations: list[StationSpec]) -> None:
    try:
        if any(spec.ways is None for spec in stations):
            base_of(server)
        if any(spec.ways is not None for spec in stations):
            Dialer(server)
    except BadAddress as error:
        raise fail(f"--server: {error}", 2) from error


def enrol(control: Control, specs: list[StationSpec]) -> list[StationSpec]:
    """Enrol stations, known ones anew; they get their secrets. Fails, and renews none, where they lie nowhere."""
    known = sorted(t["territoryID"] for t in control.get("/territories")["items"])
    for nowhere in sorted({spec.identity.territory for spec in specs} - set(known)):
        raise fail(f"--territory: there is no {nowhere!r} here; there are {', '.join(known) or 'none'}")
    enrolled = []
    for spec in specs:
        body: dict[str, Any] = {"stationID": spec.identity.evse_id, "renew": True}
        if spec.ways is not None:  # OCPP has no words for these
            body |= {"territory": spec.identity.territory, "maxAmps": spec.knob_a}
            body |= {"lineVoltage": spec.voltage_v, "phases": spec.phases}
        enrolled.append(spec.enrolled(control.post("/stations", body)["secret"]))
    return enrolled


def _habits(told: list[str]) -> dict[str, float]:
    try:
        return habits_told(told)
    except BadHabit as error:
        raise fail(f"--habit: {error}", 2) from error


def _until_stopped(work: Any) -> None:
    """Run a coroutine that takes a stop event, until it ends or Ctrl-C."""

    async def go() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        task: Coroutine[Any, Any, None] = work(stop)
        await task

    asyncio.run(go())


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(evse)
    app.command()(fleet)
