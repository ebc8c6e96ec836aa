"""`emw demo`: a whole evening of demand response in a minute, on one laptop, with nothing installed or configured.

A server on SQLite, some 300 simulated stations with recorded sessions on a compressed clock, and a grid operator
that asks for a decrease and later returns it to normal. Everything goes over real sockets on loopback.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from emw.app.build import Serving
from emw.app.build import serve as serve_planes
from emw.app.config import Config
from emw.app.logs import set_up_logs
from emw.cli.show import AsJson, err, fail, print_json, say
from emw.domain.model import Role
from emw.simulator import records
from emw.simulator.fleet import Fleet, specs_for
from emw.simulator.iso import IsoClient, ReportReceiver
from emw.simulator.sessions import fill
from emw.web.passwords import hash_password

TERRITORY = "East"
START = datetime(2026, 5, 5, 16, 0, tzinfo=UTC)  # 9 in the morning in California, a Tuesday
SPEED = 60.0
SHARE = 0.3
"""The demo asks for this share of the load."""
LEARN_MIN = 4.0
HOLD_MIN = 10.0
PAUSE_MIN = 10.0


def demo(
    stations: Annotated[int, typer.Option(min=10, max=20_000, help="How many stations.")] = 300,
    once: Annotated[
        bool, typer.Option("--once", help="One request from decrease to return to normal, then stop.")
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
    with tempfile.TemporaryDirectory(prefix="emw-demo-") as folder:
        config = Config(data_dir=str(keep or folder), speed=SPEED, start=START.isoformat())
        config.stations.listen = "127.0.0.1:0"
        config.operator.listen = _free(operator)
        config.outgoing.networks = ["127.0.0.0/8"]
        config.dispatch.report_interval_seconds = 300.0
        result = asyncio.run(_Demo(config, stations, seed, once=once, as_json=as_json).run())
    if once:
        if as_json:
            print_json(result)
        else:
            for name, value in result.items():
                say(f"{name:<16}{value}")
        if not result["addsUp"]:
            raise fail("the numbers do not add up: " + "; ".join(result["problems"]))


def _free(address: str) -> str:
    """The wished address, or any free port where it is taken."""
    import socket

    host, _, port = address.rpartition(":")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, int(port)))
        except OSError:
            return f"{host}:0"
    return address


class _Demo:
    """One run: wires the three sides together, tells the story, checks the sums."""

    def __init__(self, config: Config, stations: int, seed: int, *, once: bool, as_json: bool) -> None:
        self._config = config
        self._stations = stations
        self._seed = seed
        self._once = once
        self._quiet = as_json
        self._serving: Serving | None = None
        self._fleet: Fleet | None = None
        self._request: dict[str, Any] = {}
        self._step = "starting"
        self._reports = 0

    async def run(self) -> dict[str, Any]:
        """Serve until the story is told (`--once`) or somebody presses Ctrl-C."""
        ready = asyncio.Event()

        def on_ready(serving: Serving) -> None:
            self._serving = serving
            ready.set()

        began = time.monotonic()
        server = asyncio.create_task(serve_planes(self._config, on_ready=on_ready))
        story = asyncio.create_task(self._story(ready, began))
        done, _ = await asyncio.wait({server, story}, return_when=asyncio.FIRST_COMPLETED)
        if story in done:
            server.cancel()
            await asyncio.gather(server, return_exceptions=True)
            return story.result()
        story.cancel()
        await asyncio.gather(story, return_exceptions=True)
        server.result()
        return {"addsUp": True, "problems": []}

    async def _story(self, ready: asyncio.Event, began: float) -> dict[str, Any]:
        await ready.wait()
        assert self._serving is not None
        headend = self._serving.parts.headend
        password = secrets.token_urlsafe(9)
        await headend.admin.define_territory("demo", TERRITORY, kind="zone", time_zone="America/Los_Angeles")
        await headend.admin.add_operator("demo", "demo", hash_password(password), Role.ADMINISTRATOR)
        token = await headend.admin.add_iso("demo", "grid", (TERRITORY,))
        sessions = fill(records.sample(self._seed), self._stations, START.date(), self._seed)
        ids = sorted({s.evse_id for s in sessions})
        given = await asyncio.gather(*(headend.admin.add_station("demo", i) for i in ids))
        clock = self._serving.parts.clock
        if not self._quiet:
            say(f"console  {self._serving.operator_url}   log in as demo / {password}")
        async with (
            Fleet(
                self._serving.stations_url,
                specs_for(sessions, dict(zip(ids, given, strict=True)), territory=TERRITORY),
                sessions,
                clock=clock,
                speed=SPEED,
                seed=self._seed,
                nat_share=0.2,
            ) as fleet,
            ReportReceiver() as reports,
            IsoClient(self._serving.stations_url, token) as iso,
            asyncio.TaskGroup() as tasks,
        ):
            self._fleet = fleet
            watching = [tasks.create_task(self._count(reports))]
            if not self._quiet:
                watching.append(tasks.create_task(self._show()))
            await iso.connected(reports.url)
            result: dict[str, Any] = {}
            number = 0
            while not result or not self._once:
                number += 1
                result = await self._one_request(iso, f"demo-{number}", began)
            for task in watching:
                task.cancel()
        return result

    async def _count(self, reports: ReportReceiver) -> None:
        async for _ in reports:
            self._reports += 1

    async def _one_request(self, iso: IsoClient, request_id: str, began: float) -> dict[str, Any]:
        """Learn, ask, hold, return to normal, check."""
        assert self._serving is not None
        assert self._fleet is not None
        clock = self._serving.parts.clock
        headend = self._serving.parts.headend
        self._step = "stations power on, cars plug in"
        for _ in range(200):
            stats = self._fleet.stats()
            if stats.powered == stats.stations and stats.charging > 0:
                break
            await clock.sleep(30)
        await clock.sleep(LEARN_MIN * 60)
        kw = round(self._fleet.stats().load_kw * SHARE, 1)
        self._step = f"the grid asks for {kw} kW"
        self._request = dict(await iso.decrease(request_id, TERRITORY, kw, duration_minutes=HOLD_MIN * 6))
        self._step = f"{kw} kW are being shed"
        errors: list[float] = []
        held = dict(self._request)
        problems: list[str] = []
        until = clock.now() + timedelta(minutes=HOLD_MIN)
        while clock.now() < until:
            await clock.sleep(60)
            held = self._request = dict(await iso.get(request_id))
            problems += _sums(held)
            stats = self._fleet.stats()
            if held["measuredKW"] is not None and clock.now() > until - timedelta(minutes=HOLD_MIN - 2):
                errors.append(abs(held["measuredKW"] - kw) / kw)
        self._step = "the grid returns to normal; cars come back along the ramp"
        self._request = dict(await iso.return_to_normal(request_id))
        for _ in range(60):
            if self._request["state"] in {"closed", "cancelled"}:
                break
            await clock.sleep(60)
            self._request = dict(await iso.get(request_id))
            problems += _sums(self._request)
        self._step = "over"
        limited = self._fleet.stats().limited
        problems += [f"{v.evse_id}: {v.rule} ({v.detail})" for v in self._fleet.violations]
        if self._request["state"] != "closed":
            problems.append(f"the request is still {self._request['state']}")
        await headend.ledger.settled()
        rows = await headend.store.query("counts")
        facts = int(rows[0]["activity"])
        if facts != headend.ledger.committed:
            problems.append(f"{headend.ledger.committed} facts were acknowledged and {facts} are in the log")
        if not self._once:
            await clock.sleep(PAUSE_MIN * 60)
        return {
            "requestedKW": held["requestedKW"],
            "availableKW": held["availableKW"],
            "confirmedKW": held["confirmedKW"],
            "pendingKW": held["pendingKW"],
            "refusedKW": held["refusedKW"],
            "measuredKW": held["measuredKW"],
            "shortKW": held["shortKW"],
            "affectedEVSEs": self._request["affectedEVSEs"],
            "errorPercent": round(100 * sum(errors) / len(errors), 2) if errors else None,
            "commands": self._request["commands"],
            "facts": facts,
            "reports": self._reports,
            "stations": self._stations,
            "stillLimited": limited,
            "seconds": round(time.monotonic() - began, 1),
            "addsUp": not problems,
            "problems": problems[:20],
        }

    async def _show(self) -> None:
        """A progress view that says what happens now."""
        assert self._serving is not None
        with Live(console=err, refresh_per_second=4, transient=True) as live:
            while True:
                live.update(self._table())
                await asyncio.sleep(0.5)

    def _table(self) -> Table:
        assert self._serving is not None
        table = Table.grid(padding=(0, 2))
        stats = self._fleet.stats() if self._fleet else None
        now = self._serving.parts.clock.now()
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
            measured = "–" if r["measuredKW"] is None else f"{r['measuredKW']:,.1f}"
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
