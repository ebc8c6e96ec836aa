"""The socket of an OCPP station: dials, carries frames, and knows nothing of what they say."""

import asyncio
import base64
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlsplit

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from emw.simulator.clock import Clock
from emw.simulator.line import Line
from emw.simulator.link import BadAddress, no_answer
from emw.simulator.ocpp.station import OcppStation

_DIALS_S: Final = 10.0
_MOST_TOLD: Final = 300
"""So much of a refusal is told; some servers send a whole page."""
_CLOSES_S: Final = 2.0
_AT_ONCE: Final = 64
_LONGEST: Final = 1 << 20
_PATH: Final = "/ocpp"


class Dialer:
    """What all OCPP stations of a process share: where the server is, and how many may dial at once.

    `server_url`: emw's station plane (http, https), under which stations connect to /ocpp/ID; or any central system's
    own address (ws, wss), to which the ID is added.
    """

    def __init__(self, server_url: str) -> None:
        self.messages = 0
        self.errors = 0
        self.room = asyncio.Semaphore(_AT_ONCE)
        parts = urlsplit(server_url)
        base = server_url.rstrip("/")
        if parts.scheme in {"http", "https"}:
            base = f"ws{base.removeprefix('http')}{_PATH}"
        elif parts.scheme not in {"ws", "wss"}:
            raise BadAddress(f"{server_url!r} is no address of a central system: http(s):// or ws(s)://")
        self._base = base

    def url(self, identity: str) -> str:
        """Where this station connects."""
        return f"{self._base}/{quote(identity, safe='')}"


class OcppLine(Line):
    """One station's WebSocket. `settle` tells the driver that something was said or heard."""

    def __init__(
        self, station: OcppStation, dialer: Dialer, clock: Clock, settle: Callable[[Line], None]
    ) -> None:
        super().__init__(station)
        self.station = station
        self._dialer = dialer
        self._clock = clock
        self._settle = settle
        self._transport: WSTransport | None = None
        self._closed = False

    async def talk(self) -> None:
        """Connect if it is time to, then say what there is to say."""
        if self.station.hang_up:
            self._hang_up()
        if self.station.wants_connection(self._clock.now()):
            await self._dial()
        self._flush()

    def close(self) -> None:
        """Hang up."""
        self._closed = True
        transport, self._transport = self._transport, None
        if transport is not None:
            _say_goodbye(transport, WSCloseCode.GOING_AWAY)

    # --- what the listener tells ----------------------------------------------------------------------------

    def heard(self, transport: WSTransport, text: bytes) -> None:
        """A whole message came."""
        if self.lost or transport is not self._transport:
            return
        answer = self.station.received(text, self._clock.now())
        if answer is not None:
            self._send(answer)
        self._flush()
        self._settle(self)

    def pinged(self, transport: WSTransport, payload: bytes) -> None:
        """The server wants to know whether we live; a cut network answers nothing."""
        if not self.lost:
            transport.send_pong(payload)

    def gone(self, transport: WSTransport) -> None:
        """The connection broke, or the server closed it."""
        if transport is self._transport:
            self._transport = None
            self.station.closed(self._clock.now())
            self._settle(self)

    # --- within ---------------------------------------------------------------------------------------------

    async def _dial(self) -> None:
        transport = None
        if not self.lost:
            async with self._dialer.room:
                transport = await self._connect()
        now = self._clock.now()
        if transport is None or transport.is_disconnected or self._closed or self.lost:
            self._dialer.errors += 1
            if transport is not None:
                transport.disconnect(graceful=False)
            self.station.closed(now)
            return
        self._transport = transport
        self.station.opened(now)

    async def _connect(self) -> WSTransport | None:
        who, version = self.station.identity.evse_id, self.station.ways.version.value
        basic = base64.b64encode(f"{who}:{self.station.secret}".encode()).decode()
        try:
            transport, _ = await ws_connect(
                lambda: _Ears(self),
                self._dialer.url(who),
                extra_headers={"Authorization": f"Basic {basic}", "Sec-WebSocket-Protocol": version},
                websocket_handshake_timeout=_DIALS_S,
                enable_auto_pong=False,
                max_frame_size=_LONGEST,
                max_redirects=0,
                read_buffer_init_size=2048,
            )
        except WSHandshakeError as error:
            told = (error.raw_body or b"").decode("utf-8", "replace").strip()[:_MOST_TOLD]
            self.stands(f"the connection is refused: {told or error}")
            return None
        except (WSError, OSError, TimeoutError) as error:
            self.stands(no_answer(error))
            return None
        # One that the server hung up on before it answered comes back without a response.
        if transport.is_disconnected or transport.response.headers.get("Sec-WebSocket-Protocol") != version:
            transport.disconnect(graceful=False)
            self.stands(f"{version} is not spoken there")
            return None
        self.stands(None)
        return transport

    def _flush(self) -> None:
        """Send what may be sent; without a connection, only look."""
        while (frame := self.station.next_frame(self._clock.now())) is not None:
            self._dialer.messages += 1
            self._send(frame)
        if self.station.hang_up:
            self._hang_up()

    def _send(self, frame: bytes) -> None:
        if self._transport is not None and not self.lost:
            self._transport.send(WSMsgType.TEXT, frame)

    def _hang_up(self) -> None:
        """Let go of the connection, politely where somebody hears it."""
        transport, self._transport = self._transport, None
        if transport is not None and self.lost:
            transport.disconnect(graceful=False)
        elif transport is not None:
            _say_goodbye(transport, WSCloseCode.OK)
        self.station.closed(self._clock.now())


def _say_goodbye(transport: WSTransport, code: WSCloseCode) -> None:
    """Close as the protocol asks: who closes the socket too soon takes his last words back."""
    transport.send_close(code)
    asyncio.get_running_loop().call_later(_CLOSES_S, transport.disconnect)


class _Ears(WSListener):
    """Puts messages together from frames."""

    def __init__(self, line: OcppLine) -> None:
        self._line = line
        self._parts = bytearray()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.PING:
            self._line.pinged(transport, frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind in {WSMsgType.TEXT, WSMsgType.CONTINUATION}:
            self._text(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._line.gone(transport)

    def _text(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        if frame.fin and not self._parts:
            self._line.heard(transport, payload)
            return
        self._parts += payload
        if len(self._parts) > _LONGEST:
            transport.disconnect(graceful=False)
        elif frame.fin:
            whole, self._parts = bytes(self._parts), bytearray()
            self._line.heard(transport, whole)
