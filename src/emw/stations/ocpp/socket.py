"""The socket under OCPP: WebSocket by picows, on connections that the station plane's HTTP server hands over.

Everything that picows has a say in is in this file. Who may come in is the `Doorman`'s to decide, before the upgrade;
what is said afterwards is the connection's business. A connection costs a few kB: no task, no timer, one small read
buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog
from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # its stub names the public part only

from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.doorman import Doorman, Guest, Proof, Turned, guest_of
from emw.stations.ocpp.hub import Hub
from emw.stations.ocppj import Version

log = structlog.get_logger()

TEXT: Final = WSMsgType.TEXT
MOST_FRAME: Final = 65_536
MOST_UNSENT: Final = 1_048_576
"""So much may wait for a station that does not read, bytes; then it is cut off."""
HANDSHAKE_S: Final = 10.0
READ_BUFFER: Final = 2_048


class _Logger:
    """What picows logs with: our log, and not a logger of its own per connection."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name picows calls
        return level >= 40

    def log(self, level: int, text: str, *args: Any) -> None:
        """A line of a level."""
        if level >= 40:
            log.warning("ocpp.socket", what=(text % args)[:200])

    def debug(self, text: str, *args: Any) -> None:
        """Not ours."""

    info = warning = debug

    def error(self, text: str, *args: Any) -> None:
        """A broken frame, mostly."""
        log.info("ocpp.socket", what=(text % args)[:200])

    def exception(self, text: str, *args: Any) -> None:
        """A bug in a listener: it has been kept from the event loop, and is not to be lost."""
        log.exception("ocpp.socket", what=(text % args)[:200])  # noqa: LOG004 - picows calls it in one


_LOGGER: Final = _Logger()


class OcppSocket(WSListener):
    """One station's socket: the Wire of a Connection."""

    __slots__ = (
        "_address",
        "_connection",
        "_hub",
        "_parts",
        "_proof",
        "_station_id",
        "_transport",
        "_version",
    )

    def __init__(self, hub: Hub, station_id: str, version: Version, address: str, proof: Proof) -> None:
        super().__init__()
        self._hub = hub
        self._station_id = station_id
        self._version = version
        self._address = address
        self._proof = proof
        self._parts: list[bytes] | None = None
        self._transport: WSTransport | None = None
        self._connection: Connection | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is through."""
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(MOST_UNSENT)
        self._connection = self._hub.open(
            self._station_id,
            self._version,
            self,
            self._address,
            proven=self._proof.proven,
            password=self._proof.password,
            profile=self._proof.profile,
        )
        self._proof = self._proof._replace(password=None)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame of the socket: text is the station's, the rest keeps the connection."""
        connection = self._connection
        if connection is None:
            return
        kind = frame.msg_type
        if kind == TEXT and frame.fin and self._parts is None and not frame.rsv1:
            connection.frame(frame.get_payload_as_bytes())
        elif kind == WSMsgType.PONG:
            connection.pong()
        elif kind == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        else:
            self._part(connection, frame)

    def _part(self, connection: Connection, frame: WSFrame) -> None:
        """A message in parts; or what has no place here."""
        first = frame.msg_type == WSMsgType.TEXT
        follows = frame.msg_type == WSMsgType.CONTINUATION
        if frame.rsv1 or frame.rsv2 or frame.rsv3 or first != (self._parts is None) or not (first or follows):
            unsupported = frame.msg_type == WSMsgType.BINARY
            connection.close(1003 if unsupported else 1002, "only text, uncompressed, and part after part")
            return
        parts = self._parts if self._parts is not None else []
        parts.append(frame.get_payload_as_bytes())
        if sum(map(len, parts)) > MOST_FRAME or len(parts) > 1_000:
            connection.close(1009, "a message may have at most 65536 bytes")
            return
        self._parts = parts
        if frame.fin:
            self._parts = None
            connection.frame(b"".join(parts))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket is gone."""
        if self._connection is not None:
            self._connection.lost()

    # --- Wire

    def send(self, frame: bytes) -> None:
        """Send a text frame."""
        if self._transport is not None:
            self._transport.send(TEXT, frame)

    def pause_writing(self) -> None:
        """More waits for the station than may: it does not read, and is cut off."""
        if self._transport is not None:
            log.warning("ocpp.does_not_read", station_id=self._station_id)
            self._transport.disconnect(graceful=False)

    def resume_writing(self) -> None:
        """Nothing: who did not read is gone."""

    def ping(self) -> None:
        """Send a ping."""
        if self._transport is not None:
            self._transport.send_ping()

    def close(self, code: int, reason: str) -> None:
        """Say goodbye; who does not answer is cut off when its buffer is out."""
        if self._transport is not None:
            self._transport.send_close(WSCloseCode(code), reason[:120].encode())
            self._transport.disconnect()


class _Unwelcome(WSListener):
    """No subprotocol in common: the handshake is finished without one, and then it is goodbye (1.6-J 3.2)."""

    def __init__(self, spoken: str) -> None:
        super().__init__()
        self._spoken = spoken

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Close."""
        transport.send_close(WSCloseCode.PROTOCOL_ERROR, f"offer one of {self._spoken}".encode())
        transport.disconnect()


def answer_to(
    hub: Hub, doorman: Doorman, guest: Guest, request: WSUpgradeRequest
) -> WSUpgradeResponseWithListener:
    """The answer to an upgrade: 101 with a listener, or a refusal."""
    headers = request.headers
    offered = ",".join(headers.getall("Sec-WebSocket-Protocol", [])).strip()
    try:
        entry = doorman.let_in(guest, request.path, headers.get("Authorization"), offered)
    except Turned as turned:
        reply = WSUpgradeResponse.create_error_response(turned.status, str(turned).encode(), turned.headers)
        return WSUpgradeResponseWithListener(reply, None)
    # Who offered none is told none: a client must fail on an answer to what it did not ask (RFC 6455, 4.1).
    named = {"Sec-WebSocket-Protocol": entry.spelled} if entry.spelled else None
    listener: WSListener
    if entry.version is None:
        listener = _Unwelcome(doorman.spoken)
    else:
        listener = OcppSocket(hub, entry.station_id, entry.version, guest.address, entry.proof)
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(named), listener)


def hand_over(hub: Hub) -> Callable[[Any, bytes], None]:
    """What takes a connection from the HTTP server: `(transport, head)`, the head being the upgrade request's bytes."""
    doorman = Doorman(hub)

    def take(transport: Any, head: bytes) -> None:
        guest = guest_of(transport)
        protocol = WSProtocol(
            None,
            None,
            False,
            lambda request: answer_to(hub, doorman, guest, request),
            _LOGGER,
            True,
            HANDSHAKE_S,
            False,
            20.0,
            20.0,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            True,
            MOST_FRAME,
            None,
            READ_BUFFER,
        )
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        while head:
            room = protocol.get_buffer(len(head))
            part, head = head[: len(room)], head[len(room) :]
            room[: len(part)] = part
            protocol.buffer_updated(len(part))

    return take
