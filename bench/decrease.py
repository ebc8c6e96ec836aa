"""A decrease over 2,000 REST stations in another process: from the POST to the last confirmation.

Floor: a bare concurrent POST of the same bodies to the same stations with the same client library, in turns with the
decreases, in the same process and beside the same idle server.

    python -m bench.decrease [--stations 2000] [--rounds 5]

Prints the ratio of the two times (goal: at most 2.5).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing as mp
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from bench.field import TERRITORY, plugged_in
from bench.measure import Claim, spread, tell


def serve_stations(pipe: Connection) -> None:
    """Stations that say yes at once: one process, one port, a path each."""
    import uvloop

    from emw.app.server import bind, server_for

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        said = json.loads(message["body"])
        body = json.dumps({"maxAmps": said.get("maxAmps", 32.0)}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def run() -> None:
        sock = bind("127.0.0.1", 0, "bench")
        pipe.send(sock.getsockname()[1])
        await server_for(app).serve(sockets=[sock])

    uvloop.run(run())


class Cost(NamedTuple):
    """What a round took, by the wall's clock and of this process's CPU time."""

    seconds: float
    cpu_seconds: float


async def floor(port: int, stations: int, connections: int) -> Cost:
    """A bare POST to every station, a bounded number at a time."""
    import aiohttp

    from emw.service.commands import GREETINGS

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def one(n: int) -> None:
            body = json.dumps(
                {"commandID": f"co_{n:032}", "maxAmps": 16.0, "until": "2030-01-01T00:00:00Z"}
            ).encode()
            url = f"http://127.0.0.1:{port}/s/{n}/control/setMaxAmps"
            headers = {"Content-Type": "application/json", "Authorization": "Bearer ct_0123456789"}
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()

        # As many connections are open already as emw's greetings of new stations have left it.
        await asyncio.gather(*(one(n) for n in range(connections // GREETINGS)))
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(one(n) for n in range(stations)))
        return Cost(time.perf_counter() - began, time.process_time() - cpu)


async def one_round(port: int, stations: int, folder: str) -> tuple[Cost, Cost]:
    """From the decrease to the last confirmation, over emw's own service and store; then the floor beside it.

    Each round has a head-end of its own: where limits of an earlier decrease still hold, few commands would go out.
    """
    from emw.app.build import parts_of
    from emw.app.config import Config, Dispatch
    from emw.service.requests import Decrease

    config = Config(data_dir=folder, dispatch=Dispatch(gap_seconds=0.0, reversals=100))
    config.outgoing.networks = ["127.0.0.0/8"]
    async with parts_of(config) as parts:
        headend = parts.headend
        running = asyncio.create_task(headend.run())
        await headend.ready.wait()
        await headend.admin.define_territory("bench", TERRITORY)

        urls = [f"http://127.0.0.1:{port}/s/{n}" for n in range(stations)]
        await asyncio.gather(*(plugged_in(headend, f"evse-{n:05}", access_url=u) for n, u in enumerate(urls)))
        await asyncio.sleep(2)
        kw = stations * 0.23 * 16
        began, cpu = time.perf_counter(), time.process_time()
        asked = Decrease(request_id="r", territory_id=TERRITORY, kw=kw, minutes=30)
        request = await headend.requests.decrease("bench", asked, actor="bench")
        await headend.accounts.answered(request.request_key)
        took = Cost(time.perf_counter() - began, time.process_time() - cpu)
        request = headend.state.requests[request.request_key]
        told = await headend.requests.told(request)
        if told["confirmedKW"] < 0.99 * kw or request.commands < stations:
            raise SystemExit(f"not confirmed with {request.commands} commands: {told}")
        bare = await floor(port, stations, headend.settings.commands_in_flight)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return took, bare


def main() -> None:
    """Measure both and print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stations", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    import uvloop

    from emw.app.logs import set_up_logs
    from emw.app.loop import collect_seldom

    collect_seldom()  # as `emw serve` does
    set_up_logs("error")
    context = mp.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve_stations, args=(there,), daemon=True)
    process.start()
    port = here.recv()
    whole, bare = [], []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            took, least = uvloop.run(one_round(port, options.stations, str(Path(folder) / "data")))
        whole.append(took)
        bare.append(least)
    process.kill()
    tell(
        "decrease",
        Claim(
            f"over {options.stations} stations, times a bare concurrent POST",
            spread([c.seconds for c in whole], [c.seconds for c in bare]),
            2.5,
            "at most",
        ),
        Claim(
            "the same, of CPU time",
            spread([c.cpu_seconds for c in whole], [c.cpu_seconds for c in bare]),
        ),
        seconds=[round(c.seconds, 3) for c in whole],
        floorSeconds=[round(c.seconds, 3) for c in bare],
    )


if __name__ == "__main__":
    main()
