"""OCPP: MeterValues in to answer out, a command to all stations, and memory per idle connection.

Floors, in the same run: a bare echo of the same frames on the same socket library (picows), and a bare fan-out of the
same frames on it; beside them the `ocpp` package with its schema checks, on `websockets`. Each server is a process of
its own, and what counts is its CPU time per message: on a shared machine the clock on the wall says little.

    python -m bench.ocpp [--seconds 3] [--stations 10000]

Prints: MeterValues as a share of the echo (goal: at least 0.40) and as a multiple of the package (goal: at least 20),
without and with what the store writes of them meanwhile; a command to all stations as a multiple of the bare fan-out
(goal: at most 2); KB per idle connection (goal: at most 20).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import multiprocessing as mp
import os
import resource
import statistics
import struct
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.memory import resident_kb

CONNECTIONS = 32
KEY = base64.b64encode(b"0123456789abcdef").decode()


def sampled(at: str) -> list[dict[str, Any]]:
    """Six sampled values, as a three-phase station sends them."""
    told = [
        {"value": "7360.0", "measurand": "Power.Active.Import", "unit": "W"},
        {"value": "10.7", "measurand": "Current.Import", "phase": "L1", "unit": "A"},
        {"value": "10.6", "measurand": "Current.Import", "phase": "L2", "unit": "A"},
        {"value": "10.7", "measurand": "Current.Import", "phase": "L3", "unit": "A"},
        {"value": "230.1", "measurand": "Voltage", "phase": "L1-N", "unit": "V"},
        {"value": "12345", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
    ]
    return [{"timestamp": at, "sampledValue": told}]


def meter_values(at: datetime, transaction: int) -> bytes:
    """One MeterValues CALL."""
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"connectorId": 1, "transactionId": transaction, "meterValue": sampled(stamp)}
    return json.dumps([2, "19223201", "MeterValues", body], separators=(",", ":")).encode()


def masked(payload: bytes) -> bytes:
    """A client's text frame; its mask is zero, which changes nothing and is a mask all the same."""
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else struct.pack("!BBH", 0x81, 0xFE, size)
    return head + b"\x00\x00\x00\x00" + payload


class Station(asyncio.Protocol):
    """A raw client: shakes hands, then hands each text frame on."""

    def __init__(self, path: str, version: str) -> None:
        self.request = (
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {version}\r\n\r\n"
        ).encode()
        self.got = bytearray()
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.open.done():
            self.open.set_exception(ConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        got = self.got
        got += data
        if not self.open.done():
            end = got.find(b"\r\n\r\n")
            if end < 0:
                return
            if not got.startswith(b"HTTP/1.1 101"):
                self.open.set_exception(ConnectionError(bytes(got[:80]).decode()))
                return
            del got[: end + 4]
            self.open.set_result(None)
        while len(got) >= 2:
            size, start = got[1] & 0x7F, 2
            if size == 126:
                if len(got) < 4:
                    return
                size, start = struct.unpack_from("!H", got, 2)[0], 4
            if len(got) < start + size:
                return
            kind, payload = got[0] & 0x0F, bytes(got[start : start + size])
            del got[: start + size]
            if kind == 1:
                self.frame(payload)

    def frame(self, payload: bytes) -> None:
        """A text frame came."""

    def send(self, payload: bytes) -> None:
        self.transport.write(masked(payload))


class Metering(Station):
    """Always has one MeterValues waiting for its answer, each a second later than the one before."""

    def __init__(self, path: str, version: str, tally: list[int], frames: list[bytes]) -> None:
        super().__init__(path, version)
        self.tally = tally
        self.frames = frames
        self.number = 0

    def frame(self, payload: bytes) -> None:
        if payload.startswith(b"[4"):
            raise SystemExit(f"refused: {payload[:200]!r}")
        if not self.number or (payload.startswith(b"[2") and b"MeterValues" not in payload):
            return  # answers to what came before, and emw's own questions, which stay unanswered here
        self.tally[0] += 1
        self.go()

    def go(self) -> None:
        self.number += 1
        self.transport.write(self.frames[self.number % len(self.frames)])


class Obeying(Station):
    """Accepts every CALL."""

    def frame(self, payload: bytes) -> None:
        if payload.startswith(b"[2"):
            named = payload.split(b'"', 2)[1]
            self.send(b'[3,"%b",{"status":"Accepted"}]' % named)


def loud(error: Any) -> None:
    """Say what a server died of."""
    raise SystemExit(f"a server failed: {error}")


# --- servers


def serve_bare(pipe: Connection) -> None:
    """The floor: echo every frame; on demand, send one frame to all and count the answers."""
    import uvloop
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    connected: list[WSTransport] = []
    waiting: list[Any] = [0, None]

    class Echo(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            connected.append(transport)

        def on_ws_disconnected(self, transport: WSTransport) -> None:
            connected.remove(transport)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type != WSMsgType.TEXT:
                return
            if waiting[0]:
                frame.get_payload_as_bytes()
                waiting[0] -= 1
                if not waiting[0]:
                    waiting[1].set_result(None)
                return
            transport.send(WSMsgType.TEXT, frame.get_payload_as_bytes())

    async def fan_out(frame: bytes) -> None:
        waiting[0], waiting[1] = len(connected), asyncio.get_running_loop().create_future()
        for transport in connected:
            transport.send(WSMsgType.TEXT, frame)
        await waiting[1]

    async def run() -> None:
        server = await ws_create_server(
            lambda _: Echo(), "127.0.0.1", 0, read_buffer_init_size=2048, backlog=4096, use_aiofastnet=False
        )
        pipe.send((server.sockets[0].getsockname()[1], ()))
        await answer_orders(pipe, fan_out)

    uvloop.run(run())


async def answer_orders(pipe: Connection, fan_out: Any, keep: Any = None) -> None:
    """Until told to stop: fan out, and say what that cost; keep readings or not; or how much memory there is."""
    loop = asyncio.get_running_loop()
    while True:
        order = await loop.run_in_executor(None, pipe.recv)
        if order == "memory":
            gc.collect()
            pipe.send(resident_kb())
        elif order in {"keep", "drop"}:
            keep(order == "keep")
            pipe.send(order)
        elif order is None:
            return
        else:
            cpu, began = time.process_time(), time.perf_counter()
            await fan_out(order)
            pipe.send((time.process_time() - cpu, time.perf_counter() - began))


def serve_package(pipe: Connection) -> None:
    """The `ocpp` package, with its checks, on `websockets`."""
    import logging

    from ocpp.routing import on
    from ocpp.v16 import ChargePoint, call_result
    from websockets.asyncio.server import serve

    logging.disable(logging.CRITICAL)

    class Central(ChargePoint):  # type: ignore[misc]
        @on("MeterValues")  # type: ignore[untyped-decorator]
        def take(self, **told: Any) -> Any:
            return call_result.MeterValues()

    async def run() -> None:
        async def each(socket: Any) -> None:
            await Central("x", socket).start()

        server = await serve(each, "127.0.0.1", 0, subprotocols=["ocpp1.6"], compression=None)  # type: ignore[list-item]
        pipe.send((next(iter(server.sockets)).getsockname()[1], ()))
        await asyncio.Event().wait()

    import uvloop

    uvloop.run(run())


def serve_emw(pipe: Connection, folder: str, stations: int) -> None:
    """Emw as it is: SQLite on disk, its station plane, stations enrolled; readings go into the durable path."""
    import uvloop

    from emw.app.build import define_territories, parts_of, upgrade_of
    from emw.app.config import Config, OcppSection, TerritorySection
    from emw.app.logs import set_up_logs
    from emw.app.server import bind, server_for
    from emw.stations.ocpp import rates

    async def run() -> None:
        set_up_logs("error")
        rates.RATES["MeterValues"] = (1e9, 1e9)  # one connection stands for thousands here
        ocpp = OcppSection(
            territory="East", security_profiles=(0, 1), connects_per_second=100_000.0, ping_seconds=0.0
        )
        config = Config(data_dir=folder, ocpp=ocpp, territory=[TerritorySection(name="East")])
        async with parts_of(config) as parts:
            headend, hub = parts.headend, parts.ocpp
            assert hub is not None
            running = [asyncio.create_task(headend.run()), asyncio.create_task(hub.run())]
            await headend.ready.wait()
            await define_territories(config, headend)
            names = [f"CP{n:05}" for n in range(stations)]
            for at in range(0, stations, 1000):
                await asyncio.gather(
                    *(headend.admin.add_station("bench", name) for name in names[at : at + 1000])
                )
            sock = bind("127.0.0.1", 0, "bench")
            server = server_for(parts.station_plane, upgrade=upgrade_of(parts))
            running.append(asyncio.create_task(server.serve(sockets=[sock])))
            await server.serving.wait()
            pipe.send((sock.getsockname()[1], names))
            store: Any = headend.store
            real = store.add_readings

            async def nowhere(_: Any) -> None:
                """What the store writes beside is no part of the way from a message to its answer."""

            def keep(on: bool) -> None:
                store.add_readings = real if on else nowhere

            await answer_orders(pipe, partial(command, headend, hub), keep)
            for task in running:
                task.cancel()

    uvloop.run(run())


async def command(headend: Any, hub: Any, _: bytes) -> None:
    """Send a limit to every EVSE as the service does; all have answered when this returns."""
    from emw.domain.model import Cause, Limit

    now = headend.clock.now()
    todo = list(headend.state.evses.values())
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    left = [len(todo)]

    def answered(evse: Any, limit: Any, answer: Any) -> None:
        left[0] -= 1
        if not left[0]:
            done.set_result(None)

    hub.answered = answered
    link = headend.dispatch.commands._link  # noqa: SLF001 - the port, as it is wired
    stations = headend.state.stations
    for number, evse in enumerate(todo):
        limit = Limit(
            evse_id=evse.evse_id,
            command_id=f"c{number}",
            max_a=10.0,
            until=now + timedelta(minutes=15),
            cause=Cause.SHED,
            issued_at=now,
        )
        await link.send(stations[evse.station_id], evse, limit, now)
    await done


# --- what is measured


def cpu_s(pid: int) -> float:
    """CPU time of a process, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def connect(port: int, make: Any, paths: list[str]) -> list[Any]:
    """Connected clients, a hundred at a time."""
    loop = asyncio.get_running_loop()
    found: list[Any] = []
    for at in range(0, len(paths), 100):
        some = await asyncio.gather(
            *(loop.create_connection(partial(make, path), "127.0.0.1", port) for path in paths[at : at + 100])
        )
        await asyncio.gather(*(protocol.open for _, protocol in some))
        found += [protocol for _, protocol in some]
    return found


async def per_message(port: int, pid: int, names: list[str], seconds: float) -> float:
    """Server CPU per MeterValues, s."""
    tally = [0]
    paths = [f"/ocpp/{name}" for name in names[:CONNECTIONS]] or ["/x"] * CONNECTIONS
    clients = await connect(port, lambda path: Metering(path, "ocpp1.6", tally, []), paths)
    now = datetime.now(UTC)
    for client in clients:
        boots = bool(names)
        if boots:
            client.send(b'[2,"b","BootNotification",{"chargePointModel":"M","chargePointVendor":"V"}]')
            client.send(
                b'[2,"s","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging"}]'
            )
            body = {"connectorId": 1, "idTag": "t", "meterStart": 1, "timestamp": now.isoformat()}
            client.send(json.dumps([2, "t", "StartTransaction", body]).encode())
        # A clock that runs a little fast: each reading is newer than the last, and none is out of all reason.
        client.frames = [
            masked(meter_values(now + timedelta(milliseconds=n), 1)) for n in range(60_000 // len(clients))
        ]
    await asyncio.sleep(1.5)
    # The clients never sleep: waking them up costs a server's `send` more than all else, but only where it is so slow
    # that they had time to fall asleep. In the field they are on other machines.
    loop = asyncio.get_running_loop()
    awake = True

    def stay_awake() -> None:
        if awake:
            loop.call_soon(stay_awake)

    stay_awake()
    for client in clients:
        client.go()
    await asyncio.sleep(0.5)
    cpu, before = cpu_s(pid), tally[0]
    await asyncio.sleep(seconds)
    cost = (cpu_s(pid) - cpu) / (tally[0] - before)
    awake = False
    for client in clients:
        client.transport.abort()
    await asyncio.sleep(0.2)
    return cost


async def idle_and_command(pipe: Connection, port: int, names: list[str], frame: bytes) -> tuple[float, Any]:
    """KB per idle connection, and what a command to all costs: CPU s and wall s, the best of five."""
    loop = asyncio.get_running_loop()

    async def ask(order: Any) -> Any:
        pipe.send(order)
        return await loop.run_in_executor(None, pipe.recv)

    warm = await connect(port, lambda path: Obeying(path, "ocpp1.6"), [f"/ocpp/{n}" for n in names[:100]])
    before = await ask("memory")
    clients = warm + await connect(
        port, lambda path: Obeying(path, "ocpp1.6"), [f"/ocpp/{n}" for n in names[100:]]
    )
    kb = (await ask("memory") - before) / (len(names) - 100)
    if frame == b"":
        for at in range(0, len(clients), 200):
            for client in clients[at : at + 200]:
                client.send(b'[2,"b","BootNotification",{"chargePointModel":"M","chargePointVendor":"V"}]')
                client.send(
                    b'[2,"s","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]'
                )
            await asyncio.sleep(0.2)
        await asyncio.sleep(20)  # their questions and answers
    costs = [await ask(frame) for _ in range(5)]
    for client in clients:
        client.transport.abort()
    return kb, (min(c for c, _ in costs), min(w for _, w in costs))


def main() -> None:
    """Measure all, and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stations", type=int, default=10_000)
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, options.stations + 1_000)), hard))
    context = mp.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        servers: dict[str, Any] = {}

        def begin(name: str, target: Any, *args: Any) -> None:
            here, there = context.Pipe()
            process = context.Process(target=target, args=(there, *args), daemon=True)
            process.start()
            servers[name] = (process, here, *here.recv())

        begin("echo", serve_bare)
        begin("package", serve_package)
        begin("emw", serve_emw, str(Path(folder) / "data"), options.stations)
        import uvloop

        costs: dict[str, list[float]] = {name: [] for name in (*servers, "emw and its store")}
        for _ in range(options.rounds):
            for name, found in costs.items():
                process, pipe, port, names = servers["emw" if name.startswith("emw") else name]
                if names:
                    pipe.send("drop" if name == "emw" else "keep")
                    pipe.recv()
                found.append(uvloop.run(per_message(port, process.pid, list(names), options.seconds)))
        servers["package"][0].kill()
        names = servers["emw"][3]
        bare = b'[2,"e1","SetChargingProfile",' + b"x" * 420 + b"]"
        _, echo_pipe, echo_port, _ = servers["echo"]
        _, emw_pipe, emw_port, _ = servers["emw"]
        floor = uvloop.run(idle_and_command(echo_pipe, echo_port, names, bare))
        ours = uvloop.run(idle_and_command(emw_pipe, emw_port, names, b""))
        for process, *_ in servers.values():
            process.kill()
    share = statistics.median(e / m for e, m in zip(costs["echo"], costs["emw"], strict=True))
    times = statistics.median(p / m for p, m in zip(costs["package"], costs["emw"], strict=True))
    fan_out = ours[1][0] / floor[1][0]
    print(
        f"ocpp: MeterValues {share:.2f} of a bare echo (goal 0.40), {times:.1f} times the package (goal 20)"
    )
    kept = statistics.median(e / m for e, m in zip(costs["echo"], costs["emw and its store"], strict=True))
    print(f"ocpp: with what the store writes meanwhile {kept:.2f} of a bare echo")
    print(f"ocpp: a command to {len(names)} stations {fan_out:.2f} times a bare fan-out (goal 2)")
    print(f"ocpp: {ours[0]:.1f} KB per idle connection, bare {floor[0]:.1f} (goal 20)")
    told = {
        "bench": "ocpp",
        "shareOfEcho": round(share, 3),
        "timesPackage": round(times, 1),
        "shareOfEchoWithStore": round(kept, 3),
        "fanOut": round(fan_out, 2),
        "idleKB": round(ours[0], 1),
        "cpuMicrosecondsPerMessage": {n: round(statistics.median(c) * 1e6, 1) for n, c in costs.items()},
        "fanOutCpuSeconds": [round(ours[1][0], 3), round(floor[1][0], 3)],
        "fanOutWallSeconds": [round(ours[1][1], 3), round(floor[1][1], 3)],
        "idleKBBare": round(floor[0], 1),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
