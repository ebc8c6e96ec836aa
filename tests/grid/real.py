"""emw over real sockets: its parts running in this process, its station plane at a port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable
from typing import Any

from emw.app.build import Parts, define_territories, parts_of
from emw.app.config import Config
from emw.app.server import server_for
from tests.loop import keep_step

DEADLINE_S = 60.0


async def until(what: Callable[[], Any]) -> Any:
    """Wait for the thing, and give it back."""
    async with asyncio.timeout(DEADLINE_S):
        while not (found := what()):  # noqa: ASYNC110 - whatever state it is
            await asyncio.sleep(0.01)
        return found


@contextlib.asynccontextmanager
async def serving(config: Config, sock: socket.socket) -> AsyncGenerator[Parts, None]:
    """A head-end with its VENs, and its station plane at a socket."""
    async with parts_of(config) as parts, asyncio.TaskGroup() as tasks:
        keep_step(parts.clock)
        running = [tasks.create_task(parts.headend.run())]
        await parts.headend.ready.wait()
        await define_territories(config, parts.headend)
        server = server_for(parts.station_plane)
        served = tasks.create_task(server.serve(sockets=[sock]))
        await server.serving.wait()
        running += [tasks.create_task(v.run()) for v in parts.vens]
        if parts.vtn is not None:
            running.append(tasks.create_task(parts.vtn.run()))
        try:
            yield parts
        finally:
            server.should_exit = True
            await served
            for task in running:
                task.cancel()
