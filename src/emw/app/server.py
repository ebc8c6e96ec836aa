"""Uvicorn as both planes use it: our signals, our sockets, and a clock on requests that never end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from emw.app.config import ConfigError

HEAD_DEADLINE_S = 15.0
MOST_HEADER_BYTES = 32_768
MOST_HEADERS = 100


class GuardedHttp(HttpToolsProtocol):
    """Cuts off heads that come too slowly or are too large (fault F19)."""

    def connection_made(self, transport: Any) -> None:
        """A connection: its first request's head has a deadline."""
        super().connection_made(transport)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(HEAD_DEADLINE_S, self._cut)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone: nothing is waited for."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes: between requests they are the head of the next one."""
        if self._head_timer is None and self._idle():
            self._head_timer = self.loop.call_later(HEAD_DEADLINE_S, self._cut)
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A new request's head."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """The path counts as head."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: bodies have a deadline of their own where they are read."""
        self._stop_timer()
        super().on_headers_complete()

    def _idle(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or bool(cycle.response_complete)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MOST_HEADER_BYTES or len(self.headers) > MOST_HEADERS:
            self._cut()
            raise ValueError("the head of this request is too large")

    def _cut(self) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        timer = getattr(self, "_head_timer", None)
        if timer is not None:
            timer.cancel()
            self._head_timer = None


class PlaneServer(uvicorn.Server):
    """A uvicorn server inside our own loop: signals are the application's business."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.serving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone."""
        yield


def server_for(app: Any, *, certificate: str | None = None, key: str | None = None) -> PlaneServer:
    """A server for one plane."""
    return PlaneServer(
        uvicorn.Config(
            app,
            http=GuardedHttp,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=3,
            backlog=4096,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
    )


def bind(host: str, port: int, field: str) -> socket.socket:
    """A listening socket. Raises ConfigError that says what is in the way."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"{field}: can't listen on {host}:{port}: {error.strerror}; choose another port"
        ) from error
    sock.set_inheritable(False)
    return sock


def bind_local(path: Path) -> socket.socket:
    """A unix socket that only this user can open: who can, is the administrator of this machine's emw."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    except OSError as error:
        sock.close()
        raise ConfigError(f"data_dir: can't make {path}: {error}; choose a shorter data_dir") from error
    finally:
        os.umask(before)
    return sock
