"""Heartbeats over HTTP: one server process, checked, authenticated, written.

Floor: a constant-answer plain ASGI app on uvicorn as it comes (httptools, uvloop), driven in the same run by the same
client, in turns. Each server is a process of its own; the client keeps connections alive and always has one request
waiting on each. No two readings are the same, and a round is over when the last one of it has been written. What counts
is the server's CPU time per answer, the rate of a server that has a core to itself; the rates by the clock on the wall,
without the rest of the writing, are told beside it.

    python -m bench.heartbeats [--seconds 1.5] [--connections 32] [--rounds 7]

Prints the ratio of the two (goal: at least 0.50).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing as mp
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.field import TERRITORY, plugged_in
from bench.measure import Claim, cpu_s, spread, tell

STATIONS = 500
NOW = "2026-01-01T00:00:00.000000+00:00"
"""Where the time of a reading comes in, and as long."""


async def constant(scope: Any, receive: Any, send: Any) -> None:
    """The floor: read the body, answer `{}`."""
    await receive()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def serve_constant(pipe: Connection) -> None:
    """The floor's process."""
    import uvicorn
    import uvloop

    from emw.app.server import bind

    async def run() -> None:
        sock = bind("127.0.0.1", 0, "bench")
        pipe.send((sock.getsockname()[1], []))
        config = uvicorn.Config(
            constant,
            http="httptools",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        answer_when(pipe, nothing_waits)
        await uvicorn.Server(config).serve(sockets=[sock])

    async def nothing_waits() -> int:
        return 0

    uvloop.run(run())


def answer_when(pipe: Connection, settled: Callable[[], Awaitable[int]]) -> None:
    """Answer whoever asks over the pipe once `settled` returns, with what it returns."""

    async def answer() -> None:
        pipe.send(await settled())

    def asked() -> None:
        pipe.recv()
        tasks.append(asyncio.create_task(answer()))

    tasks: list[asyncio.Task[None]] = []
    asyncio.get_running_loop().add_reader(pipe.fileno(), asked)


def serve_emw(pipe: Connection, folder: str) -> None:
    """The measured process: SQLite on disk, stations enrolled, powered on and plugged in."""
    import uvloop

    from emw.app.build import parts_of
    from emw.app.config import Config
    from emw.app.logs import set_up_logs
    from emw.app.loop import collect_seldom
    from emw.app.server import bind, server_for

    async def run() -> None:
        collect_seldom()  # as `emw serve` does
        set_up_logs("error")
        async with parts_of(Config(data_dir=folder)) as parts:
            headend = parts.headend
            running = asyncio.create_task(headend.run())
            await headend.ready.wait()
            await headend.admin.define_territory("bench", TERRITORY)
            ids = [f"evse-{n}" for n in range(STATIONS)]
            tokens = await asyncio.gather(*(plugged_in(headend, i) for i in ids))
            sock = bind("127.0.0.1", 0, "bench")
            pipe.send((sock.getsockname()[1], list(zip(ids, tokens, strict=True))))

            async def all_written() -> int:
                while headend.telemetry.waiting:  # noqa: ASYNC110 - nobody tells when a buffer is empty
                    await asyncio.sleep(0.02)
                await headend.store.add_readings([])  # behind the group that is being written
                return headend.telemetry.dropped

            answer_when(pipe, all_written)
            await server_for(parts.station_plane).serve(sockets=[sock])
            running.cancel()

    uvloop.run(run())


def request_of(evse_id: str, token: str) -> tuple[bytes, bytes]:
    """One heartbeat as it goes over the wire, some 300 bytes of JSON: what comes before its time, and behind it."""
    body = json.dumps(
        {
            "evseID": evse_id,
            "timestamp": NOW,
            "lineVoltage": 229.7,
            "currentAmps": 15.9,
            "evseMaxAmps": 32.0,
            "carMaxAmps": 32.0,
            "limitAmps": None,
            "energyKWh": 3.217,
        }
    )
    head = (
        f"POST /evse/plugInHeartBeat HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    before, _, behind = (head + body).partition(NOW)
    return before.encode(), behind.encode()


class Client(asyncio.Protocol):
    """A connection that always has one request waiting for its answer."""

    def __init__(self, tally: list[int], requests: list[tuple[bytes, bytes]], number: int) -> None:
        self.tally = tally
        self.requests = requests
        self.number = number
        self.got = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        before, behind = self.requests[self.number % len(self.requests)]
        now = datetime.now(UTC).isoformat(timespec="microseconds").encode()
        self.transport.write(before + now + behind)
        self.number += 1

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, blank, body = self.got.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            self.tally[1] += 1
        if not blank or not body:
            return  # the server writes head and body apart; an answer is never empty here
        self.got = b""
        self.tally[0] += 1
        self.ask()


async def rates_of(
    port: int,
    pipe: Connection,
    pid: int,
    requests: list[tuple[bytes, bytes]],
    connections: int,
    seconds: float,
) -> tuple[float, float]:
    """Answers per second of the server's CPU time, and of the wall's."""
    tally = [0, 0]
    loop = asyncio.get_running_loop()
    began, cpu = time.perf_counter(), cpu_s(pid)
    made = [
        await loop.create_connection(partial(Client, tally, requests, n * 7), "127.0.0.1", port)
        for n in range(connections)
    ]
    await asyncio.sleep(seconds)
    for transport, _ in made:
        transport.abort()
    got, passed = tally[0], time.perf_counter() - began
    pipe.send(None)
    dropped = await loop.run_in_executor(None, pipe.recv)
    if tally[1] or dropped:
        raise SystemExit(f"{tally[1]} answers were no 200, {dropped} readings were dropped")
    return got / (cpu_s(pid) - cpu), got / passed


def main() -> None:
    """Measure both, in turns, and print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    context = mp.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        servers = {}
        for name, target, args in (
            ("constant", serve_constant, ()),
            ("emw", serve_emw, (str(Path(folder) / "data"),)),
        ):
            here, there = context.Pipe()
            process = context.Process(target=target, args=(there, *args), daemon=True)
            process.start()
            servers[name] = (process, here, *here.recv())
        import uvloop

        rates: dict[str, list[tuple[float, float]]] = {"constant": [], "emw": []}
        requests = [request_of(e, t) for e, t in servers["emw"][3]]
        for _ in range(options.rounds):
            for name, (process, pipe, port, _) in servers.items():
                work = rates_of(port, pipe, process.pid, requests, options.connections, options.seconds)
                rates[name].append(uvloop.run(work))
        for process, *_ in servers.values():
            process.kill()
    emw, bare = rates["emw"], rates["constant"]
    tell(
        "heartbeats",
        Claim(
            "share of a constant answer, by CPU time",
            spread([c for c, _ in emw], [c for c, _ in bare]),
            0.5,
            "at least",
        ),
        Claim("the same by the wall's clock", spread([w for _, w in emw], [w for _, w in bare])),
        perCpuSecond=round(statistics.median(c for c, _ in emw)),
        floorPerCpuSecond=round(statistics.median(c for c, _ in bare)),
    )


if __name__ == "__main__":
    main()
