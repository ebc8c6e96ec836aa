"""`emw demo`: a whole evening of demand response in a minute, on one laptop, with nothing installed or configured.

A server on SQLite, some 300 simulated stations (most speak REST, some OCPP) with recorded sessions on a fast clock, and
a grid operator that asks for a decrease and later returns it to normal. Everything goes over real sockets on loopback.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from emw.app.config import Config
from emw.app.logs import set_up_logs
from emw.app.loop import run
from emw.cli.show import AsJson, err, fail, print_json, say
from emw.domain.people import Role
from emw.simulator import records
from emw.simulator.fleet import Fleet
from emw.simulator.ground import ground
from emw.simulator.iso import IsoClient, ReportReceiver
from emw.simulator.mix import Protocol, ways_of
from emw.simulator.sessions import fill
from emw.simulator.specs import StationSpec, specs_for
from emw.web.passwords import hash_password

if TYPE_CHECKING:
    from emw.app.serving import Serving

TERRITORY = "East"
START = datetime(2026, 5, 5, 16, 0, tzinfo=UTC)  # 9 in the morning in California, a Tuesday
SPEED = 60.0
SHARE = 0.3
"""The demo asks for this share of the load."""
LEAST_KW = 1.0
"""Less than that it does not ask for: in the evening hardly anybody charges."""
LEARN_MIN = 4.0
HOLD_MIN = 10.0
PAUSE_MIN = 10.0
SUMS = ("requestedKW", "availableKW", "confirmedKW", "pendingKW", "refusedKW", "shortKW", "measuredKW")


def demo(
    stations: Annotated[int, typer.Option(min=10, max=20_000, help="How many stations.")] = 300,
    once: Annotated[
        bool, typer.Option("--once", help="One request, from decrease to return, then stop.")
    ] = False,
    seed: int = 0,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the data folder here (default: thrown away).")
    ] = None,
    operator: Annotated[str, typer.Option(help="HOST:PORT of the console.")] = "127.0.0.1:8401",
    as_json: AsJson = False,
) -> None:
    """Run the whole thing on this machine: server, stations, grid operator, console."""
    set_up_logs("error")
    if keep is not None and keep.is_dir() and any(keep.iterdir()):
        raise fail(f"--keep: {keep} is not empty; a demo begins with a folder of its own", 2)
    with tempfile.TemporaryDirectory(prefix="emw-demo-") as folder:
        config = Config(data_dir=str(keep or folder), speed=SPEED, start=START.isoformat())
        config.stations.listen = "127.0.0.1:0"
        config.operator.listen = _free(operator)
        config.operator.map_file = str(_draw_ground(Path(folder), stations, seed))
        config.drivers.listen = "127.0.0.1:0"
        config.outgoing.networks = ["127.0.0.0/8"]
        config.dispatch.report_interval_seconds = 300.0
        result = run(_run(config, stations, seed, once=once, as_json=as_json))
    if once:
        if as_json:
            print_json(result)
        else:
            for name, value in result.items():
                say(f"{name:<16}{value}")
        if not result["addsUp"]:
            raise fail("the numbers do not add up: " + "; ".join(result["problems"]))


def _draw_ground(folder: Path, stations: int, seed: int) -> Path:
    """A map to look at: the recorded sites, on made-up ground."""
    sessions = fill(records.sample(seed), stations, START.date(), seed)
    file = folder / "ground.geojson"
    file.write_text(json.dumps(ground(((s.site, s.evse_id) for s in sessions), TERRITORY)), encoding="utf-8")
    return file


def _free(address: str) -> str:
    """The wished address, or any free port where it is taken."""
    host, _, port = address.rpartition(":")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, int(port)))
        except OSError:
            return f"{host}:0"
    return address


async def _run(config: Config, stations: int, seed: int, *, once: bool, as_json: bool) -> dict[str, Any]:
    """Serve until the story is told (`--once`) or somebody presses Ctrl-C."""
    from emw.app.serving import serve as serve_planes  # heavy, and `emw --help` needs this module

    ready: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve_planes(config, on_ready=ready.set_result))

    async def told() -> dict[str, Any]:
        return await _Story(await ready, stations, seed, once=once, quiet=as_json).run()

    story = asyncio.create_task(told())
    await asyncio.wait({server, story}, return_when=asyncio.FIRST_COMPLETED)
    first, other = (story, server) if story.done() else (server, story)
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    return first.result() or {"addsUp": True, "problems": []}


class _Story:
    """One run: wires the three sides together, tells what happens, checks the sums."""

    def __init__(self, serving: Serving, stations: int, seed: int, *, once: bool, quiet: bool) -> None:
        self._serving = serving
        self._headend = serving.parts.headend
        self._clock = serving.parts.clock
        self._stations = stations
        self._seed = seed
        self._once = once
        self._quiet = quiet
        self._began = time.monotonic()
        self._fleet: Fleet | None = None
        self._request: dict[str, Any] = {}
        self._step = "starting"
        self._reports = 0

    async def run(self) -> dict[str, Any]:
        """Enrol, connect everybody, then one request after the other (or just one)."""
        admin = self._headend.admin
        password = secrets.token_urlsafe(9)
        await admin.define_territory("demo", TERRITORY, kind="zone", time_zone="America/Los_Angeles")
        await admin.add_operator("demo", "demo", hash_password(password), Role.ADMINISTRATOR)
        token = await admin.add_iso("demo", "grid", (TERRITORY,))
        sessions = fill(records.sample(self._seed), self._stations, START.date(), self._seed)
        ids = sorted({s.evse_id for s in sessions})
        ways = ways_of(ids, Protocol.MIXED, seed=self._seed)
        planned = specs_for(sessions, dict.fromkeys(ids, ""), territory=TERRITORY, ways=ways)
        specs = await asyncio.gather(*(self._enrol(spec) for spec in planned))
        if not self._quiet:
            say(f"console  {self._serving.operator_url}   log in as demo / {password}")
        url = self._serving.stations_url
        async with (
            Fleet(
                url, specs, sessions, clock=self._clock, speed=SPEED, seed=self._seed, nat_share=0.2
            ) as fleet,
            ReportReceiver() as reports,
            IsoClient(url, token) as iso,
            asyncio.TaskGroup() as tasks,
        ):
            self._fleet = fleet
            watching = [tasks.create_task(self._count(reports))]
            if not self._quiet:
                watching.append(tasks.create_task(self._show()))
            reports.token = (await iso.connected(reports.url)).get("reportToken")
            self._step = "stations power on, cars plug in"
            result = await self._one_request(iso, fleet, "demo-1", await self._learned_kw(fleet))
            if not self._once:
                await self._go_on(iso, fleet)
            for task in watching:
                task.cancel()
        return result

    async def _enrol(self, spec: StationSpec) -> StationSpec:
        """The station with its secret. Of those that speak OCPP the operator says what they can't say themselves."""
        from emw.service.admin import EvseDefaults

        told = EvseDefaults()
        if spec.ways is not None:
            told = EvseDefaults(
                territory_id=TERRITORY, max_a=spec.knob_a, line_voltage_v=spec.voltage_v, phases=spec.phases
            )
        return spec.enrolled(await self._headend.admin.add_station("demo", spec.identity.evse_id, evses=told))

    async def _count(self, reports: ReportReceiver) -> None:
        async for _ in reports:
            self._reports += 1

    async def _go_on(self, iso: IsoClient, fleet: Fleet) -> None:
        """One request after the other, as long as somebody looks."""
        number = 1
        while True:
            await self._clock.sleep(PAUSE_MIN * 60)
            kw = await self._learned_kw(fleet)
            if kw < LEAST_KW:
                self._step = "hardly anybody charges any more, so the grid asks for nothing"
                continue
            number += 1
            await self._one_request(iso, fleet, f"demo-{number}", kw)

    async def _learned_kw(self, fleet: Fleet) -> float:
        """What to ask for, once all are there and emw has seen a little of them."""
        for _ in range(200):
            stats = fleet.stats()
            if stats.powered == stats.stations and stats.charging > 0:
                break
            await self._clock.sleep(30)
        await self._clock.sleep(LEARN_MIN * 60)
        return round(fleet.stats().load_kw * SHARE, 1)

    async def _one_request(self, iso: IsoClient, fleet: Fleet, request_id: str, kw: float) -> dict[str, Any]:
        """Ask, hold, return to normal, check."""
        self._step = f"the grid asks for {kw} kW"
        self._request = dict(await iso.decrease(request_id, TERRITORY, kw, duration_minutes=HOLD_MIN * 6))
        self._step = f"{kw} kW are being shed"
        problems = _sums(self._request)
        held, errors = await self._hold(iso, request_id, kw, problems)
        self._step = "the grid returns to normal; cars come back along the ramp"
        self._request = dict(await iso.return_to_normal(request_id))
        for _ in range(60):
            if self._request["state"] in {"closed", "cancelled"}:
                break
            await self._clock.sleep(60)
            self._request = dict(await iso.get(request_id))
            problems += _sums(self._request)
        limited = await self._let_go(fleet)
        if limited:
            problems.append(f"{limited} stations are still limited, past the end of any limit")
        facts = await self._check(fleet, problems)
        self._step = "over"
        return {
            **{k: held[k] for k in SUMS},
            "affectedEVSEs": self._request["affectedEVSEs"],
            "errorPercent": round(100 * sum(errors) / len(errors), 2) if errors else None,
            "commands": self._request["commands"],
            "facts": facts,
            "reports": self._reports,
            "stations": self._stations,
            "stillLimited": limited,
            "seconds": round(time.monotonic() - self._began, 1),
            "addsUp": not problems,
            "problems": problems[:20],
        }

    async def _hold(
        self, iso: IsoClient, request_id: str, kw: float, problems: list[str]
    ) -> tuple[dict[str, Any], list[float]]:
        """Watch the shed while it lasts: the last look, and the meter's error at each look after two minutes."""
        errors: list[float] = []
        settled_at = self._clock.now() + timedelta(minutes=2)
        until = self._clock.now() + timedelta(minutes=HOLD_MIN)
        while self._clock.now() < until:
            await self._clock.sleep(60)
            self._request = dict(await iso.get(request_id))
            problems += _sums(self._request)
            measured = self._request["measuredKW"]
            if measured is not None and self._clock.now() >= settled_at:
                errors.append(abs(measured - kw) / kw)
        return self._request, errors

    async def _let_go(self, fleet: Fleet) -> int:
        """How many stations stay limited. A request is closed once every limit is taken back; a station that can't be
        called hears that at its next heartbeat, and one that misses it is free when its limit ends.
        """
        self._step = "the last stations hear at their next heartbeat that they are free"
        until = self._clock.now() + self._headend.settings.rules.lease
        while (limited := fleet.stats().limited) and self._clock.now() < until:
            await self._clock.sleep(5)
        return limited

    async def _check(self, fleet: Fleet, problems: list[str]) -> int:
        """Everything acknowledged is in the log, and nobody was commanded what is forbidden."""
        problems += [f"{v.evse_id}: {v.rule} ({v.detail})" for v in fleet.violations]
        if self._request["state"] != "closed":
            problems.append(f"the request is still {self._request['state']}")
        await self._headend.ledger.settled()
        acknowledged = self._headend.ledger.committed
        rows = await self._headend.store.query("counts")
        facts = int(rows[0]["activity"])
        if facts < acknowledged:
            problems.append(f"{acknowledged} facts were acknowledged and {facts} are in the log")
        return facts

    async def _show(self) -> None:
        """What happens now: as a table that changes, or, where nobody watches a terminal, a line a step."""
        told = ""
        while not err.is_terminal:
            if self._step != told:
                told = self._step
                err.print(f"{self._clock.now():%H:%M} UTC  {told}", highlight=False)
            await asyncio.sleep(0.5)
        with Live(console=err, refresh_per_second=4, transient=True) as live:
            while True:
                live.update(self._table())
                await asyncio.sleep(0.5)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        stats = self._fleet.stats() if self._fleet else None
        now = self._clock.now()
        table.add_row("time", f"{now:%a %H:%M} UTC, {SPEED:g} times as fast as real")
        table.add_row("now", self._step)
        if stats is not None:
            table.add_row(
                "stations",
                f"{stats.powered} on, {stats.plugged} plugged in, {stats.charging} charging, {stats.limited} limited",
            )
            table.add_row("load", f"{stats.load_kw:,.0f} kW of {stats.free_kw:,.0f} kW that would be drawn")
        r = self._request
        if r:
            measured = "-" if r["measuredKW"] is None else f"{r['measuredKW']:,.1f}"
            table.add_row(
                "request",
                f"{r['requestedKW']:,.1f} kW = {r['confirmedKW']:,.1f} confirmed + {r['pendingKW']:,.1f} pending + "
                f"{r['refusedKW']:,.1f} refused + {r['shortKW']:,.1f} short;  measured {measured} kW",
            )
        return table


def _sums(request: dict[str, Any]) -> list[str]:
    """What does not add up in a request as the grid sees it."""
    parts = sum(request[k] for k in ("confirmedKW", "pendingKW", "refusedKW", "shortKW"))
    if abs(parts - request["requestedKW"]) > 0.0005 or min(request["shortKW"], request["refusedKW"]) < 0:
        return [f"{request['requestedKW']} kW are not the sum {parts}"]
    return []


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(demo)
