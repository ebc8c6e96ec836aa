"""A whole head-end with its station plane on a loopback socket: what the conversations of this folder talk to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from websockets.asyncio.client import ClientConnection, connect

from emw.app.build import Parts, define_territories, parts_of
from emw.app.config import Config, Dispatch, OutgoingSection, StationPlane, TerritorySection
from emw.app.ocpp_config import OcppSection
from emw.app.server import bind, server_for
from emw.app.serving import upgrade_of
from emw.domain.model import Evse
from emw.service.admin import NOT_SAID, EvseDefaults
from emw.service.headend import HeadEnd
from emw.stations.ocpp.hub import Hub
from tests.loop import keep_step

EAST = "East"


@dataclass
class House:
    """A running head-end."""

    parts: Parts
    hub: Hub
    port: int
    iso_token: str

    @property
    def headend(self) -> HeadEnd:
        return self.parts.headend

    def evse(self, evse_id: str) -> Evse:
        return self.headend.state.evses[evse_id]

    def session(self, evse_id: str) -> str | None:
        """The session of an EVSE that may not have been shown yet."""
        evse = self.headend.state.evses.get(evse_id)
        return None if evse is None else evse.session_id

    async def enrol(self, station_id: str, evses: EvseDefaults = NOT_SAID) -> str:
        return await self.headend.admin.add_station("test", station_id, evses=evses, renew=True)

    async def socket(
        self,
        station_id: str,
        secret: str | None,
        *versions: str,
        path: str = "/ocpp/",
        user: str | None = None,
        **more: Any,
    ) -> ClientConnection:
        headers = {}
        if secret is not None:
            plain = f"{station_id if user is None else user}:{secret}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(plain).decode()
        return await connect(
            f"{'wss' if 'ssl' in more else 'ws'}://127.0.0.1:{self.port}{path}{station_id}",
            additional_headers=headers,
            subprotocols=versions or ("ocpp1.6",),  # type: ignore[arg-type]
            compression=None,
            **more,
        )

    async def iso(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.iso_token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method, f"http://127.0.0.1:{self.port}{path}", json=body, headers=headers
            ) as answer,
        ):
            told: dict[str, Any] = await answer.json()
            assert answer.status < 300, told
            return told


async def until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - the test looks from outside
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def house(
    folder: Path,
    *,
    speed: float = 1.0,
    quiet_s: float = 0.1,
    ping_deadline_s: float = 60.0,
    networks: tuple[str, ...] = (),
    tls: dict[str, str] | None = None,
    **ocpp: Any,
) -> AsyncGenerator[House, None]:
    """A head-end over SQLite in `folder`, its clock `speed` times as fast, with these settings of `[ocpp]`.

    `tls`: what its socket shows: `certificate`, `key`, `client_ca`.
    """
    config = Config(
        data_dir=str(folder),
        speed=speed,
        stations=StationPlane(heartbeat_seconds=60),
        ocpp=msgspec.convert({"territory": EAST, **ocpp}, OcppSection),
        outgoing=OutgoingSection(networks=list(networks)),
        dispatch=Dispatch(gap_seconds=0.0, ramp_floor_kw_per_minute=1_000.0),
        territory=[TerritorySection(name=EAST)],
    )
    async with parts_of(config) as parts:
        hub = parts.ocpp
        assert hub is not None
        keep_step(parts.clock)
        hub.settings = replace(hub.settings, quiet_s=quiet_s, ping_deadline_s=ping_deadline_s)
        running = [asyncio.create_task(parts.headend.run()), asyncio.create_task(hub.run())]
        await parts.headend.ready.wait()
        await define_territories(config, parts.headend)
        sock = bind("127.0.0.1", 0, "test")
        server = server_for(parts.station_plane, upgrade=upgrade_of(parts), **(tls or {}))  # type: ignore[arg-type]
        running.append(asyncio.create_task(server.serve(sockets=[sock])))
        await server.serving.wait()
        known = "grid" in parts.headend.state.isos
        token = await parts.headend.admin.add_iso("test", "grid", (EAST,), renew=known)
        try:
            yield House(parts, hub, sock.getsockname()[1], token)
        finally:
            hub.close()
            server.should_exit = True
            await asyncio.wait(running[2:], timeout=5)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
