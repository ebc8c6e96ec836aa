"""Our own VTN: a thousand VENs, each polling its events every ten seconds, served by one core.

Floor: a constant-answer plain ASGI app on uvicorn as it comes (httptools, uvloop), with a body as long as the VTN's,
driven in the same run by the same client. Each server is a process of its own, held on one core; each VEN keeps its
connection, and its polls are spread over the ten seconds as chance has it. A VEN sees 10 events that all see and 2 of
its own, by targets.

    python -m bench.vtn [--vens 1000] [--seconds 20]

Prints the 50th and 99th percentile of each, and the ratio of the 99th (goal: p99 at most 100 ms).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing as mp
import os
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

PERIOD_S = 10.0
FOR_ALL = 10
OWN = 2
EVENT: dict[str, Any] = {
    "intervalPeriod": {"start": "2030-07-01T17:00:00Z", "duration": "PT1H"},
    "payloadDescriptors": [
        {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "DISPATCH_SETPOINT_RELATIVE", "units": "KW"}
    ],
    "intervals": [{"id": 0, "payloads": [{"type": "DISPATCH_SETPOINT_RELATIVE", "values": [-500.0]}]}],
}


def hold_one_core() -> None:
    """This process and its threads run on one core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def serve_constant(pipe: Connection, body: bytes) -> None:
    """The floor's process."""
    import uvicorn
    import uvloop

    from emw.app.server import bind

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def constant(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

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
            timeout_keep_alive=75,
        )
        await uvicorn.Server(config).serve(sockets=[sock])

    hold_one_core()
    uvloop.run(run())


def serve_vtn(pipe: Connection, folder: str, vens: int) -> None:
    """The measured process: SQLite on disk, clients with tokens, targets granted, events posted."""
    import uvloop

    from emw.app.build import parts_of
    from emw.app.config import Config
    from emw.app.logs import set_up_logs
    from emw.app.openadr_config import OpenAdrSection, ServerSection
    from emw.app.server import bind, server_for
    from emw.domain.vtn import VtnKind, VtnRole
    from emw.grid.vtn.rights import SCOPES, Client
    from emw.grid.vtn.server import VtnServer

    async def fill(headend: Any, vtn: VtnServer) -> list[str]:
        bl = Client("utility", VtnRole.BL, frozenset(SCOPES[VtnRole.BL]))

        async def put(kind: VtnKind, object_id: str, body: dict[str, Any]) -> None:
            await vtn.book.put(bl, kind, object_id, body)

        await put(VtnKind.PROGRAM, "p", {"programName": "Shed"})
        await asyncio.gather(
            *(put(VtnKind.EVENT, f"a{n}", {"programID": "p", **EVENT}) for n in range(FOR_ALL))
        )

        async def ven(n: int) -> str:
            name, target = f"ven-{n}", f"site-{n % 50}"
            secret = await headend.vtn_clients.add("bench", name, VtnRole.VEN)
            body = {"clientID": name, "venName": name, "targets": [target]}
            await put(VtnKind.VEN, f"v{n}", body)
            form = f"grant_type=client_credentials&client_id={name}&client_secret={secret}"
            return (await vtn.tokens.issue(form.encode(), "", "bench")).token

        for n in range(50 * OWN):
            await put(VtnKind.EVENT, f"e{n}", {"programID": "p", "targets": [f"site-{n % 50}"], **EVENT})
        return list(await asyncio.gather(*(ven(n) for n in range(vens))))

    async def run() -> None:
        set_up_logs("error")
        section = OpenAdrSection(server=ServerSection(enabled=True))
        async with parts_of(Config(data_dir=folder, openadr=section)) as parts:
            assert parts.vtn is not None
            running = [asyncio.create_task(parts.headend.run())]
            await parts.headend.ready.wait()
            running += [asyncio.create_task(parts.vtn.run()), asyncio.create_task(parts.vtn.ven.run())]
            tokens = await fill(parts.headend, parts.vtn)
            sock = bind("127.0.0.1", 0, "bench")
            pipe.send((sock.getsockname()[1], tokens))
            await server_for(parts.station_plane).serve(sockets=[sock])

    hold_one_core()
    uvloop.run(run())


async def poll(port: int, token: str, first_s: float, until: float, took: list[float]) -> int:
    """One VEN: a poll every ten seconds on a kept connection; returns the length of what it was told last."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    ask = (
        f"GET /openadr3/3.1.0/events?skip=0&limit=50 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {token}\r\nAccept: application/json\r\n\r\n"
    ).encode()
    loop, due, length = asyncio.get_running_loop(), first_s, 0
    while due < until:
        await asyncio.sleep(max(0.0, due - loop.time()))
        began = time.perf_counter()
        writer.write(ask)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(x[15:]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length:"))
        body = await reader.readexactly(length)
        took.append(time.perf_counter() - began)
        assert head.startswith(b"HTTP/1.1 200"), head
        assert body.count(b'"objectType":"EVENT"') in {0, FOR_ALL + OWN}, body[:200]
        due += PERIOD_S
    writer.close()
    return length


async def listening(port: int) -> None:
    """Return once the server takes connections."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def drive(port: int, tokens: list[str], seconds: float) -> tuple[list[float], int]:
    """All VENs at once; how long each answer took, s, and how long an answer is."""
    await listening(port)
    now, chance, took = asyncio.get_running_loop().time() + 1.0, Random(1), list[float]()
    lengths = await asyncio.gather(
        *(poll(port, t, now + chance.uniform(0, PERIOD_S), now + seconds, took) for t in tokens)
    )
    return took, max(lengths)


def measured(
    serve: Any, arguments: tuple[Any, ...], tokens: list[str], seconds: float
) -> tuple[list[float], int]:
    """Start a server, drive it, end it."""
    ours, theirs = mp.Pipe()
    process = mp.get_context("spawn").Process(target=serve, args=(theirs, *arguments), daemon=True)
    process.start()
    try:
        port, told = ours.recv()
        return asyncio.run(drive(port, told or tokens, seconds))
    finally:
        process.kill()
        process.join()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vens", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "d")
        vtn, length = measured(serve_vtn, (place, told.vens), [], told.seconds)
    floor, _ = measured(serve_constant, (b"[" + b" " * (length - 2) + b"]",), ["x"] * told.vens, told.seconds)
    result: dict[str, Any] = {"vens": told.vens, "bytes": length}
    for name, took in (("vtn", vtn), ("floor", floor)):
        cuts = statistics.quantiles(took, n=100)
        result |= {
            f"{name}_polls": len(took),
            f"{name}_p50_ms": round(cuts[49] * 1000, 2),
            f"{name}_p99_ms": round(cuts[98] * 1000, 2),
        }
    result["ratio_p99"] = round(result["vtn_p99_ms"] / result["floor_p99_ms"], 2)
    print(json.dumps(result) if told.json else "\n".join(f"{k:<14} {v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
