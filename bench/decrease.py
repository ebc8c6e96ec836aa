"""A decrease over 2,000 REST stations in another process: from the POST to the last confirmation.

Floor: a bare concurrent POST of the same bodies to the same stations with the same client library, in the same run.

    python -m bench.decrease [--stations 2000]

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
from typing import Any

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


async def floor(port: int, stations: int, connections: int) -> float:
    """Seconds for a bare POST to every station, a bounded number at a time."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def one(n: int) -> None:
            body = json.dumps(
                {"commandID": f"co_{n:032}", "maxAmps": 16.0, "until": "2030-01-01T00:00:00Z"}
            ).encode()
            url = f"http://127.0.0.1:{port}/s/{n}/control/setMaxAmps"
            headers = {"Content-Type": "application/json", "Authorization": "Bearer ct_0123456789"}
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()

        await asyncio.gather(*(one(n) for n in range(connections)))  # connections open, as emw's are
        began = time.perf_counter()
        await asyncio.gather(*(one(n) for n in range(stations)))
        return time.perf_counter() - began


async def emw(port: int, stations: int, folder: str, rounds: int) -> list[float]:
    """Seconds from the decrease to the last confirmation, over emw's own service and store."""
    from emw.app.build import parts_of
    from emw.app.config import Config, Dispatch
    from emw.service.requests import Decrease

    config = Config(
        data_dir=folder, dispatch=Dispatch(gap_seconds=0.0, reversals=100, restore_share_per_minute=1.0)
    )
    config.outgoing.networks = ["127.0.0.0/8"]
    took = []
    async with parts_of(config) as parts:
        headend = parts.headend
        running = asyncio.create_task(headend.run())
        await headend.ready.wait()
        await headend.admin.define_territory("bench", TERRITORY)

        urls = [f"http://127.0.0.1:{port}/s/{n}" for n in range(stations)]
        await asyncio.gather(*(plugged_in(headend, f"evse-{n:05}", access_url=u) for n, u in enumerate(urls)))
        await asyncio.sleep(2)
        kw = stations * 0.23 * 16
        for n in range(rounds):
            began = time.perf_counter()
            asked = Decrease(request_id=f"r{n}", territory_id=TERRITORY, kw=kw, minutes=30)
            request = await headend.requests.decrease("bench", asked, actor="bench")
            await headend.accounts.answered(request.request_key)
            took.append(time.perf_counter() - began)
            told = await headend.requests.told(headend.state.requests[request.request_key])
            if told["confirmedKW"] < 0.99 * kw:
                raise SystemExit(f"not confirmed: {told}")
            await headend.requests.return_to_normal("bench", f"r{n}", actor="bench")
            for _ in range(300):
                if headend.state.requests[request.request_key].state == "closed":
                    break
                await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return took


def main() -> None:
    """Measure both and print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stations", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    import uvloop

    from emw.app.logs import set_up_logs
    from emw.service.settings import ServiceSettings

    set_up_logs("error")
    context = mp.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve_stations, args=(there,), daemon=True)
    process.start()
    port = here.recv()
    connections = ServiceSettings().commands_in_flight
    bare = [uvloop.run(floor(port, options.stations, connections)) for _ in range(options.rounds)]
    with tempfile.TemporaryDirectory() as folder:
        whole = uvloop.run(emw(port, options.stations, str(Path(folder) / "data"), options.rounds))
    process.kill()
    tell(
        "decrease",
        Claim(
            f"over {options.stations} stations, times a bare concurrent POST",
            spread(whole, bare),
            2.5,
            "at most",
        ),
        seconds=[round(s, 3) for s in whole],
        floorSeconds=[round(s, 3) for s in bare],
    )


if __name__ == "__main__":
    main()
