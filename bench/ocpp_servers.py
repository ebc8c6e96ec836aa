"""The servers of the OCPP bench, a process each: emw, the bare socket library below it, the `ocpp` package."""

from __future__ import annotations

import asyncio
import gc
import time
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from bench.memory import resident_kb


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

    async def fan_out(frame: bytes) -> float:
        waiting[0], waiting[1] = len(connected), asyncio.get_running_loop().create_future()
        cpu = time.process_time()
        for transport in connected:
            transport.send(WSMsgType.TEXT, frame)
        await waiting[1]
        return time.process_time() - cpu

    async def run() -> None:
        server = await ws_create_server(
            lambda _: Echo(), "127.0.0.1", 0, read_buffer_init_size=2048, backlog=4096, use_aiofastnet=False
        )
        pipe.send((server.sockets[0].getsockname()[1], ()))
        await answer_orders(pipe, fan_out)

    uvloop.run(run())


async def answer_orders(pipe: Connection, fan_out: Any, keep: Any = None, settled: Any = None) -> None:
    """Until told to stop: fan out, and say what CPU that cost; keep readings or not; say how much memory there is."""
    loop = asyncio.get_running_loop()
    while True:
        order = await loop.run_in_executor(None, pipe.recv)
        if order == "memory":
            gc.collect()
            pipe.send(resident_kb())
        elif order in {"keep", "drop"}:
            keep(order == "keep")
            pipe.send(order)
        elif order == "settled":
            await settled()
            pipe.send(order)
        elif order is None:
            return
        else:
            pipe.send(await fan_out(order))


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

        server = await serve(
            each,
            "127.0.0.1",
            0,
            subprotocols=["ocpp1.6"],  # type: ignore[list-item]
            compression=None,
            ping_interval=None,
        )
        pipe.send((next(iter(server.sockets)).getsockname()[1], ()))
        await asyncio.Event().wait()

    import uvloop

    uvloop.run(run())


def serve_emw(pipe: Connection, folder: str, stations: int) -> None:
    """Emw as it is: SQLite on disk, its station plane, stations enrolled; readings go into the durable path."""
    import uvloop

    from emw.app.build import define_territories, parts_of
    from emw.app.config import Config, TerritorySection
    from emw.app.logs import set_up_logs
    from emw.app.loop import collect_seldom
    from emw.app.ocpp_config import OcppSection
    from emw.app.server import bind, server_for
    from emw.app.serving import upgrade_of
    from emw.stations.ocpp import rates

    async def run() -> None:
        set_up_logs("error")
        collect_seldom()  # as `emw serve` does
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

            await answer_orders(pipe, partial(command, headend, hub), keep, partial(settled, hub, stations))
            for task in running:
                task.cancel()

    uvloop.run(run())


async def settled(hub: Any, stations: int) -> None:
    """Every station is connected, has told its EVSE and has been asked what it can do."""
    while True:
        await asyncio.sleep(0.5)
        found = [hub.connected(name) for name in {e.station_id for e in hub.state.evses.values()}]
        if len(found) < stations or None in found:
            continue
        if all(c.learning is None or c.learning.done() for c in found) and not any(
            c.conversation.busy for c in found
        ):
            return


async def command(headend: Any, hub: Any, _: bytes) -> float:
    """Send a limit to every EVSE over the link that the service uses; all have answered when this returns.

    Returns the CPU time of that, s: what the commands are is the service's business.
    """
    from emw.domain.model import Cause, Limit

    now = headend.clock.now()
    until = now + timedelta(minutes=15)
    todo = [
        (
            evse,
            Limit(
                evse_id=evse.evse_id,
                command_id=f"c{number}",
                max_a=10.0,
                until=until,
                cause=Cause.SHED,
                issued_at=now,
            ),
        )
        for number, evse in enumerate(headend.state.evses.values())
    ]
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    left = [len(todo)]

    def answered(evse: Any, limit: Any, answer: Any) -> None:
        left[0] -= 1
        if not left[0]:
            done.set_result(None)

    hub.answered = answered
    link = headend.dispatch.commands._link  # noqa: SLF001 - the port, as it is wired
    stations = headend.state.stations
    cpu = time.process_time()
    for evse, limit in todo:
        await link.send(stations[evse.station_id], evse, limit, now)
    await done
    return time.process_time() - cpu
