"""The socket to a station's own CSMS: WebSocket by picows, to addresses that the outgoing guard has checked.

No redirects, no proxies of the environment, TLS certificates and names checked against the machine's authorities.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import quote

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSInvalidStatusError,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    ws_connect,
)

from emw.outgoing import Guard, UrlRefused
from emw.stations.ocppj import Version

CONNECT_S: Final = 10.0
PING_S: Final = 45.0
MOST_FRAME: Final = 1_048_576
MOST_UNSENT: Final = 1_048_576
PLACE: Final = "{stationID}"


class NoCsms(Exception):
    """The CSMS can't be reached, or refuses; the text says why. `away`: it may come back, and has not refused."""

    def __init__(self, why: str, *, away: bool = False) -> None:
        super().__init__(why)
        self.away = away


@dataclass(frozen=True, slots=True)
class Address:
    """Where a station's CSMS is, and with what credential."""

    url: str
    user: str
    password: str | None = field(repr=False)


def url_for(template: str, station_id: str) -> str:
    """The URL of one station's CSMS: its id percent-encoded in the template's place."""
    return template.replace(PLACE, quote(station_id, safe=""))


class Upstream(WSListener):
    """One connection to a CSMS."""

    def __init__(self, heard: Callable[[bytes], None], gone: Callable[[], None]) -> None:
        super().__init__()
        self._heard = heard
        self._gone = gone
        self._parts: list[bytes] = []
        self._transport: WSTransport | None = None
        self.subprotocol: str | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is through."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Text is the CSMS's, whole or in parts."""
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind in {WSMsgType.TEXT, WSMsgType.CONTINUATION}:
            self._parts.append(frame.get_payload_as_bytes())
            if sum(map(len, self._parts)) > MOST_FRAME:
                transport.disconnect(graceful=False)
            elif frame.fin:
                whole, self._parts = b"".join(self._parts), []
                self._heard(whole)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket is gone."""
        self._transport = None
        self._gone()

    def send(self, frame: bytes) -> None:
        """Send a text frame; nothing happens on a closed one. A CSMS that does not read is cut off."""
        transport = self._transport
        if transport is not None:
            transport.send(WSMsgType.TEXT, frame)
            if transport.underlying_transport.get_write_buffer_size() > MOST_UNSENT:
                transport.disconnect(graceful=False)

    @property
    def is_open(self) -> bool:
        """Whether frames can go out."""
        return self._transport is not None

    def close(self) -> None:
        """Say goodbye."""
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect()


@cache
def _tls() -> ssl.SSLContext:
    """Certificates and names are checked; made once, it reads the machine's authorities."""
    return ssl.create_default_context()


async def connect(
    guard: Guard,
    address: Address,
    version: Version,
    heard: Callable[[bytes], None],
    gone: Callable[[], None],
) -> Upstream:
    """Connect to a CSMS and agree on this very subprotocol. Raises NoCsms."""
    headers = {"Sec-WebSocket-Protocol": version.value}
    if address.password is not None:
        plain = f"{address.user}:".encode() + address.password.encode("utf-8", "surrogateescape")
        headers["Authorization"] = "Basic " + base64.b64encode(plain).decode()

    def listener(_: WSUpgradeRequest, response: WSUpgradeResponse) -> Upstream:
        it = Upstream(heard, gone)
        it.subprotocol = response.headers.get("Sec-WebSocket-Protocol")
        return it

    secure = address.url.startswith("wss://")
    try:
        async with asyncio.timeout(CONNECT_S):
            sock = await _socket(guard, address.url)
            _, it = await ws_connect(
                listener,
                address.url,
                ssl_context=_tls() if secure else None,
                socket_factory=lambda _: sock,
                extra_headers=headers,
                max_redirects=0,
                proxy=None,
                websocket_handshake_timeout=CONNECT_S,
                enable_auto_ping=True,
                auto_ping_idle_timeout=PING_S,
                auto_ping_reply_timeout=PING_S,
                max_frame_size=MOST_FRAME,
                logger_name="emw.csms",
            )
    except UrlRefused as error:
        raise NoCsms(f"emw may not call it: {error}") from error
    except TimeoutError as error:
        raise NoCsms("no answer in time", away=True) from error
    except (WSError, OSError, ValueError) as error:
        raise NoCsms(str(error)[:200] or type(error).__name__, away=_is_away(error)) from error
    if not isinstance(it, Upstream) or it.subprotocol != version.value:
        if isinstance(it, Upstream):
            it.close()
        raise NoCsms(f"it does not speak {version.value}")
    return it


def _is_away(error: Exception) -> bool:
    """Whether it may be there again in a while: it did not answer, or said that it can't now. A refusal stands."""
    if isinstance(error, WSInvalidStatusError):
        status = 0 if error.response is None else int(error.response.status)
        return status >= 500 or status == 429
    return isinstance(error, OSError) and not isinstance(error, ssl.SSLError)


async def _socket(guard: Guard, url: str) -> socket.socket:
    """A connected socket to the first address that answers, each of them checked. Raises UrlRefused, OSError."""
    checked = guard.check("http" + url.removeprefix("ws"))
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(checked.host or "", checked.port or 0, type=socket.SOCK_STREAM)
    for _, _, _, _, target in infos:
        guard.check_address(ip_address(str(target[0])))
    last: OSError = OSError("it has no address")
    for family, kind, proto, _, target in infos:
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(sock, target)
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise last
