"""A head-end with its own VTN behind the doors, clients of every kind, and a callback that can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from emw.app.build import station_plane
from emw.domain.vtn import VtnRole
from emw.grid.openadr3.settings import Meaning, VtnSettings
from emw.grid.vtn.server import VtnServer
from emw.grid.vtn.settings import BASE, ServerSettings
from tests.doors.house import CountedIds, House, Told, house

PROGRAM = {"programName": "Shed"}
SHED: dict[str, Any] = {
    "eventName": "shed",
    "priority": 1,
    "intervalPeriod": {"start": "2026-07-01T17:00:00Z", "duration": "PT1H"},
    "payloadDescriptors": [
        {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "DISPATCH_SETPOINT_RELATIVE", "units": "KW"}
    ],
    "intervals": [{"id": 0, "payloads": [{"type": "DISPATCH_SETPOINT_RELATIVE", "values": [-500.0]}]}],
}


class VtnHouse:
    """The VTN, spoken to without a socket."""

    def __init__(self, emw: House, vtn: VtnServer) -> None:
        self.emw = emw
        self.vtn = vtn
        self.secrets: dict[str, str] = {}
        self.tokens: dict[str, str] = {}

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str | None = None,
        token: str | None = None,
        query: Mapping[str, Any] | Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        address: str = "192.0.2.1",
    ) -> Told:
        """One request. `by`: a client by name; `body`: bytes as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        told = {"content-type": "application/json", "host": "vtn.example:8400", **(headers or {})}
        bearer = token if token is not None else self.tokens[by] if by is not None else None
        if bearer is not None:
            told["authorization"] = f"Bearer {bearer}"
        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": BASE + path,
            "query_string": urlencode(query, doseq=True).encode(),
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in told.items()],
            "client": (address, 1),
            "server": ("127.0.0.1", 8400),
        }
        answers: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: Any) -> None:
            answers.append(message)

        await self.emw.plane(scope, receive, send)
        start, end = answers
        return Told(start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, end["body"])

    async def log_in(self, client_id: str, secret: str | None = None, **more: str) -> Told:
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": self.secrets.get(client_id, "") if secret is None else secret,
            **more,
        }
        return await self.call(
            "POST",
            "/auth/token",
            urlencode(form).encode(),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )

    async def client(self, client_id: str, role: VtnRole) -> str:
        """A client with a token of all its scopes."""
        self.secrets[client_id] = await self.emw.headend.vtn_clients.add("operator:test", client_id, role)
        told = await self.log_in(client_id)
        assert told.status == 200, told.raw
        self.tokens[client_id] = told.body["access_token"]
        return self.tokens[client_id]

    async def make(self, by: str, plural: str, body: Any) -> dict[str, Any]:
        """An object; what is created is told as it will be read."""
        told = await self.call("POST", f"/{plural}", body, by=by)
        assert told.status == 201, told.raw
        made: dict[str, Any] = told.body
        return made

    async def ids(self, by: str, plural: str, **query: Any) -> list[str]:
        """What a client finds."""
        told = await self.call("GET", f"/{plural}", by=by, query=query)
        assert told.status == 200, told.raw
        return [o["id"] for o in told.body]


@contextlib.asynccontextmanager
async def vtn_house(
    *, meaning: Meaning | None = None, store: Any = None, networks: Sequence[str] = (), **settings: Any
) -> AsyncGenerator[VtnHouse, None]:
    """The VTN with its business logic `shop` and the VENs `ven-1` and `ven-2`."""
    async with house(networks=networks, store=store) as emw:
        ours = VtnSettings(
            name="own",
            url=f"http://vtn.example{BASE}",
            version="3.1.0",
            meaning=meaning or Meaning(territory_id="East", may_name=("East",)),
        )
        more = {"callback_deadline_s": 1.0, "callback_tries": 3, "key": b"k" * 32, **settings}
        vtn = VtnServer(emw.headend, emw.outgoing, CountedIds(), Random(4), ServerSettings(ours=ours, **more))
        emw.plane = station_plane(emw.headend, emw.outgoing, b"k" * 32, vtn=vtn)
        running = [asyncio.create_task(vtn.run()), asyncio.create_task(vtn.ven.run())]
        try:
            h = VtnHouse(emw, vtn)
            if store is None or not emw.headend.state.vtn_clients:
                await h.client("shop", VtnRole.BL)
                await h.client("ven-1", VtnRole.VEN)
                await h.client("ven-2", VtnRole.VEN)
            yield h
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


@dataclass
class Callback:
    """A subscriber's own server."""

    url: str = ""
    got: list[Any] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    echoes: bool = True
    status: int = 200
    silent_s: float = 0.0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        """Echo a challenge, take a notification."""
        if self.silent_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), self.silent_s)
        self.tokens.append(request.headers.get("Authorization"))
        if request.method == "GET":
            return web.Response(text=request.query.get("echo", "") if self.echoes else "hello")
        self.got.append(await request.json())
        return web.Response(status=self.status)


@contextlib.asynccontextmanager
async def callback(path: str = "/hook") -> AsyncGenerator[Callback, None]:
    """A callback on a loopback port."""
    heard = Callback()
    app = web.Application()
    app.router.add_route("*", path, heard.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        heard.url = f"{site.name}{path}"
        yield heard
    finally:
        heard.over.set()
        await runner.cleanup()
