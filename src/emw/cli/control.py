"""How commands reach emw: the running server's control socket, or, when none runs, the same API in this process.

The socket lies in the data folder and only its owner can open it: that is the credential.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

import msgspec

from emw.app.config import Config

PAGE = 10_000
"""As many as the API gives at once."""
NAME_IT = "name its folder with --data-dir, or its settings with --config"


class ControlError(Exception):
    """emw refused, or can't be reached; the text says why."""


class WrongUse(ControlError):
    """What was given is nothing that can be asked for."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Control:
    """Calls the operator's API as the administrator of this machine.

    `first`: it may be the very first command, which makes the data folder. `running`: only a running server can answer.
    """

    def __init__(self, config: Config, *, first: bool = False, running: bool = False) -> None:
        self._config = config
        self._socket = config.data / "control.sock"
        self._first = first
        self._running = running
        self.in_process = False
        """Whether the last call was answered without a server."""

    def get(self, path: str, **query: Any) -> Any:
        """GET a resource."""
        asked = {k: v for k, v in query.items() if v is not None}
        return self.call("GET", path + ("?" + urlencode(asked) if asked else ""))

    def get_all(self, path: str, **query: Any) -> Any:
        """GET a list, page by page, as one page."""
        page = self.get(path, limit=PAGE, **query)
        while len(page["items"]) < page["total"]:
            more = self.get(path, limit=PAGE, offset=len(page["items"]), **query)
            if not more["items"]:  # some have gone meanwhile
                break
            page["items"] += more["items"]
        return page | {"limit": len(page["items"])}

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST to a resource; fields that are None are left out."""
        return self.call("POST", path, {k: v for k, v in (body or {}).items() if v is not None})

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call. Raises ControlError with the server's own reason."""
        for name, value in (body or {}).items():
            if isinstance(value, float) and not isfinite(value):
                raise WrongUse(
                    f"{name}: {value} is no number to reckon with"
                )  # JSON would say null: not given
        payload = None if body is None else msgspec.json.encode(body)
        try:
            status, got = self._over_socket(method, path, payload)
        except (FileNotFoundError, ConnectionRefusedError):
            if self._running:
                raise ControlError(f"no server runs with {self._place}: start it, or {NAME_IT}") from None
            if not self._first and not self._config.data.is_dir():
                raise ControlError(f"there is no {self._place}: {NAME_IT}") from None
            self.in_process = True
            status, got = asyncio.run(self._in_process(method, path, payload))
        except OSError as error:
            raise ControlError(f"{self._socket}: {error}") from error
        try:
            answer = msgspec.json.decode(got) if got else {}
        except msgspec.DecodeError as error:
            raise ControlError(f"emw answered {status} with something that is not JSON") from error
        if status >= 400:
            said = str(answer.get("detail", answer)) if isinstance(answer, dict) else str(answer)
            raise WrongUse(said) if status == 400 else ControlError(said)
        return answer

    @property
    def _place(self) -> str:
        return f"data folder {self._config.data.absolute()}"

    def _over_socket(self, method: str, path: str, payload: bytes | None) -> tuple[int, bytes]:
        connection = _UnixConnection(self._socket)
        try:
            headers = {"Content-Type": "application/json"} if payload is not None else {}
            connection.request(method, "/api/v1" + path, payload, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    async def _in_process(self, method: str, path: str, payload: bytes | None) -> tuple[int, bytes]:
        """No server runs: open the data folder ourselves, do this one thing, close it."""
        from emw.app.build import local_app, parts_of  # heavy, and mostly a server runs

        async with parts_of(self._config) as parts:
            async with asyncio.TaskGroup() as tasks:
                ledger = tasks.create_task(parts.headend.ledger.run())
                answer = await call_asgi(local_app(parts), method, "/api/v1" + path, payload)
                await parts.headend.ledger.settled()
                ledger.cancel()
            return answer


async def call_asgi(app: Any, method: str, path: str, payload: bytes | None) -> tuple[int, bytes]:
    """Call an ASGI app without a socket."""
    raw_path, _, query = path.partition("?")
    headers = [(b"host", b"localhost")]
    if payload is not None:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(payload)).encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("local", 0),
        "server": ("localhost", 0),
        "state": {},
    }
    sent = [False]
    status, parts = [500], [b""]

    async def receive() -> dict[str, Any]:
        if sent[0]:
            await asyncio.Event().wait()
        sent[0] = True
        return {"type": "http.request", "body": payload or b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status[0] = message["status"]
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return status[0], b"".join(parts)


def segment(text: str) -> str:
    """Any id as one segment of a path."""
    return quote(text, safe="")
