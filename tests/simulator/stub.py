"""A server for stations, as simple as can be: it believes who has a secret, and the test reads its mind."""

import asyncio
import json
from collections import Counter
from datetime import datetime
from typing import Any

import aiohttp

from emw.simulator.serving import AsgiApp, Receive, Scope, Send, bearer_of, read_body, send_json


class StubServer:
    """Keeps what it heard; `limits` go out with the next answer to that EVSE."""

    def __init__(self, heartbeat_s: float = 60.0) -> None:
        self.heartbeat_s = heartbeat_s
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.tokens: dict[str, str] = {}
        self.access_urls: dict[str, str | None] = {}
        self.limits: dict[str, dict[str, Any]] = {}
        self.fails = 0
        self._changed = asyncio.Event()
        self._serial = 0

    @property
    def app(self) -> AsgiApp:
        return self._app

    def count(self, path: str) -> int:
        return Counter(heard for heard, _ in self.heard)[path]

    def said(self, path: str) -> list[dict[str, Any]]:
        return [body for heard, body in self.heard if heard == path]

    async def until(self, path: str, count: int = 1, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Wait until a path was called so often."""
        async with asyncio.timeout(seconds):
            while self.count(path) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.said(path)

    async def control(self, evse_id: str, call: str, body: Any, bearer: str | None) -> tuple[int, Any]:
        """Call a station as the server would."""
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        url = f"{self.access_urls[evse_id]}/control/{call}"
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, json=body, headers=headers) as response,
        ):
            return response.status, json.loads(await response.read())

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = json.loads(await read_body(receive) or b"{}")
        status, answer = self._answer(scope["path"], bearer_of(scope), body)
        await send_json(send, status, json.dumps(answer).encode())
        self._changed.set()

    def _answer(self, path: str, bearer: str | None, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.fails:
            self.fails -= 1
            return 503, {}
        evse_id = body["evseID"]
        answer: dict[str, Any] = {}
        if path == "/evse/powerOn":
            if bearer != f"secret-{evse_id}":
                return 401, {}
            self._serial += 1
            self.tokens[evse_id] = f"token-{self._serial}"
            self.access_urls[evse_id] = body.get("accessURL")
            server_time = datetime.fromisoformat("2019-07-24T12:00:00+00:00").isoformat()
            answer = {
                "token": self.tokens[evse_id],
                "heartbeatSeconds": self.heartbeat_s,
                "serverTime": server_time,
            }
        elif bearer != self.tokens.get(evse_id):
            return 401, {}
        elif path == "/evse/plugIntoVehicle":
            answer = {"sessionID": f"session-{len(self.heard)}"}
        if path != "/evse/adjustedMaxAmps" and evse_id in self.limits:
            answer["limit"] = self.limits.pop(evse_id)
        self.heard.append((path, body))
        return 200, answer
