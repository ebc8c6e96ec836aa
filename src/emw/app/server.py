"""Uvicorn as all planes use it: our signals, our sockets, our HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import uvicorn

from emw.app.config import ConfigError
from emw.app.guarded import GuardedHttp
from emw.app.handshakes import Refusals, watched
from emw.app.head import answering_head
from emw.app.straight import StraightHttp, Usual
from emw.app.tls import harden
from emw.plane import Plane

TICKS_PER_LOOK = 5
"""The server's own tick is a tenth of a second."""

Upgrade = Callable[[Any, bytes], None]
"""Takes a connection over: its transport, and the head of the request that asked for a WebSocket."""


class PlaneServer(uvicorn.Server):
    """A uvicorn server inside our own loop: signals are the application's business."""

    def __init__(self, app: Any, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.app = app
        self.serving = asyncio.Event()

    @property
    def papers(self) -> tuple[str, str] | None:
        """The files of its certificate and key; None: it speaks no TLS."""
        certificate, key = self.config.ssl_certfile, self.config.ssl_keyfile
        return None if certificate is None or key is None else (str(certificate), str(key))

    def renew(self) -> None:
        """Read certificate and key again, for whoever connects from now on. Raises OSError or ssl.SSLError."""
        if self.papers is None or self.config.ssl is None:
            return
        # Tried on a context of nobody's first: a pair that does not fit would leave the one in use without a key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self.papers)
        self.config.ssl.load_cert_chain(*self.papers)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.serving.set()

    async def on_tick(self, counter: int) -> bool:
        """Look at the connections now and then."""
        if counter % TICKS_PER_LOOK == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, GuardedHttp):
                    connection.look(now)
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone."""
        yield


def server_for(
    app: Any,
    *,
    certificate: str | None = None,
    key: str | None = None,
    client_ca: str | None = None,
    old_suites: bool = False,
    upgrade: Upgrade | None = None,
) -> PlaneServer:
    """A server for one plane. `client_ca`: who has a certificate of these may show it; nobody has to."""
    kept: dict[str, Any] = {} if upgrade is None else {"upgrade": staticmethod(upgrade)}
    http: type[GuardedHttp] = GuardedHttp
    if isinstance(app, Plane):
        http = StraightHttp
        kept |= {"plane": app, "usual": Usual()}
    return PlaneServer(
        app,
        uvicorn.Config(
            answering_head(app),
            http=type("Guarded", (http,), kept),
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
            backlog=4096,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            ssl_ca_certs=client_ca,
            ssl_context_factory=None
            if certificate is None
            else lambda _, made: watched(harden(made(), old_suites=old_suites), Refusals(certificate)),
            ssl_cert_reqs=ssl.CERT_NONE if client_ca is None else ssl.CERT_OPTIONAL,
        ),
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
