"""Listening sockets of the simulator: an ASGI server that leaves the process's signals alone, and the control door."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import uvicorn

from emw.simulator import wire
from emw.simulator.control import Reply

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

ControlHandler = Callable[[str, str, str | None, bytes], Awaitable[Reply]]
"""(prefix, path, bearer, body) -> reply. `prefix` is what stands before `/control/` in the URL."""

LIMIT_BYTES: Final = 65536
_STARTS_S: Final = 10.0
_CONTROL: Final = "/control/"


class _Server(uvicorn.Server):
    """A server that is a guest: signals belong to whoever runs the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """Serves one ASGI app while its `async with` lasts. Port 0 takes a free one; `url` says which."""

    def __init__(self, app: AsgiApp, *, host: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        config = uvicorn.Config(
            app,
            interface="asgi3",
            lifespan="off",
            proxy_headers=False,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        serving = asyncio.create_task(self._server.serve([self._socket]))
        started = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({serving, started}, timeout=_STARTS_S, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if serving.done():
            await serving
        self._task = serving
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()


def station_url(base_url: str, evse_id: str) -> str:
    """Where a station of a fleet is called: one listener, one prefix per station."""
    return f"{base_url}/s/{quote(evse_id, safe='')}"


def control_app(handle: ControlHandler) -> AsgiApp:
    """The control door: POST {prefix}/control/..., small JSON bodies, nothing else."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        prefix, found, call = scope["path"].rpartition(_CONTROL)
        if not found:
            reply = _problem("no such path", 404)
        elif scope["method"] != "POST":
            reply = _problem("control calls are POSTed", 405)
        else:
            body = await read_body(receive)
            if body is None:
                reply = _problem("too long", 413)
            else:
                reply = await handle(prefix, _CONTROL + call, bearer_of(scope), body)
        await send_json(send, reply.status, reply.body)

    return app


def bearer_of(scope: Scope) -> str | None:
    """The token in `Authorization: Bearer ...`, if there is one."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if kind.lower() == "bearer" else None
    return None


async def read_body(receive: Receive) -> bytes | None:
    """The whole body; None when it is longer than any message of ours."""
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        parts.append(part)
        length += len(part)
        if length > LIMIT_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


async def send_json(send: Send, status: int, body: bytes) -> None:
    """Answer with JSON."""
    kind = b"application/json" if status < 400 else b"application/problem+json"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _problem(title: str, status: int) -> Reply:
    return Reply(status, wire.encode(wire.Problem(title, status)))
