"""The socket under OCPP: WebSocket by picows, on connections that the station plane's HTTP server hands over.

Everything that picows has a say in is in this file. Who may come in is decided before the upgrade (`Doorman`); what is
said afterwards is the connection's business. A connection costs a few kB: no task, no timer, one small read buffer.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

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

from emw.domain.model import Station
from emw.service.errors import Refused, TooMany
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.hub import Hub
from emw.stations.ocppj import Version, choose

log = structlog.get_logger()

TEXT: Final = WSMsgType.TEXT
MOST_FRAME: Final = 65_536
LONGEST_NAME: Final = 255
MOST_UNSENT: Final = 1_048_576
"""So much may wait for a station that does not read, bytes; then it is cut off."""
HANDSHAKE_S: Final = 10.0
READ_BUFFER: Final = 2_048
BASIC: Final = {"WWW-Authenticate": 'Basic realm="emw"', "Content-Type": "text/plain; charset=utf-8"}


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


@dataclass(frozen=True, slots=True)
class Guest:
    """Who knocks, as far as the connection below tells. `names`: those of its verified certificate, if it has one."""

    address: str
    loopback: bool
    secure: bool
    names: tuple[str, ...]


class Proof(NamedTuple):
    """What a station showed: the password, whether it proved who it is, and by which security profile."""

    password: str | None
    proven: bool
    profile: int


class Turned(Exception):
    """Somebody is not let in: the answer before the upgrade."""

    def __init__(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers


class Doorman:
    """Decides before the upgrade who comes in, and as whom."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._settings = hub.settings
        self._gate = hub.headend.gate
        self._state = hub.state
        self._tokens = self._settings.connects_per_s
        self._at = hub.loop.time()
        self.turned: dict[int, int] = {}

    def let_in(self, guest: Guest, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        """The answer to an upgrade: 101 with a listener, or a refusal."""
        try:
            return self._let_in(guest, request)
        except Turned as turned:
            self.turned[turned.status] = self.turned.get(turned.status, 0) + 1
            why = str(turned)
            log.info("ocpp.turned_away", address=guest.address, status=turned.status, why=why)
            reply = WSUpgradeResponse.create_error_response(turned.status, why.encode(), turned.headers)
            return WSUpgradeResponseWithListener(reply, None)

    def _let_in(self, guest: Guest, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        self._pace()
        station_id = identity_of(request.path)
        if station_id is None:
            raise Turned(404, "the last part of the path is the station's id")
        known = self._state.stations.get(station_id)
        if known is None and self._settings.unknown == "refuse":
            raise Turned(404, "no such station is known here; ask the operator")
        proof = self._prove(guest, request, station_id, known)
        if known is not None and proof.profile < self._hub.peer(station_id).traits.secured(known.secret_hash):
            raise Turned(403, "this station has proved itself by a higher security profile; renew its secret")
        offered = ",".join(request.headers.getall("Sec-WebSocket-Protocol", [])).strip()
        version, spelled = choose(offered.split(","), self._settings.versions) or (None, "")
        if version is None and not offered:
            version = self._settings.no_subprotocol
        if version is None:
            spoken = ", ".join(v.value for v in Version if v in self._settings.versions)
            log.info("ocpp.no_version", station_id=station_id, offers=offered[:LONGEST_NAME], spoken=spoken)
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(), _Unwelcome(spoken))
        # Who offered none is told none: a client must fail on an answer to what it did not ask (RFC 6455, 4.1).
        named = {"Sec-WebSocket-Protocol": spelled} if spelled else None
        listener = OcppSocket(self._hub, station_id, version, guest.address, proof)
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(named), listener)

    def _pace(self) -> None:
        """So many connections a second: after a power cut all come at once."""
        now = self._hub.loop.time()
        rate = self._settings.connects_per_s
        self._tokens = min(rate, self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens < 1.0:
            raise Turned(503, "too many connections at once; try again", {"Retry-After": "10"})
        self._tokens -= 1.0

    def _prove(
        self, guest: Guest, request: WSUpgradeRequest, station_id: str, known: Station | None
    ) -> Proof:
        """What the station proves itself by. Raises Turned."""
        profiles = self._settings.profiles
        if guest.names and 3 in profiles:
            if station_id not in guest.names:
                raise Turned(403, "the certificate is another station's")
            if known is not None:
                if known.revoked:
                    raise Turned(401, "this station is revoked")
                return Proof(None, True, 3)
        credential = request.headers.get("Authorization")
        if credential is None:
            if 0 in profiles and (guest.loopback or self._settings.no_credential_beyond_loopback):
                if known is not None and known.revoked:
                    raise Turned(401, "this station is revoked")
                return Proof(None, False, 0)
            raise Turned(401, "a station proves who it is by HTTP Basic", BASIC)
        profile = 2 if guest.secure else 1
        if profile not in profiles:
            raise Turned(403, "credentials are not taken over this kind of connection")
        user, password = basic_of(credential)
        try:
            # A wrong name is a wrong credential: it counts as a guess for the station in the path.
            if known is not None:
                key = None if password is None or user != station_id else key_of(password)
                self._gate.enrolled(station_id, key, guest.address)
        except TooMany as error:
            raise Turned(429, error.detail, {"Retry-After": str(error.retry_after_s or 10)}) from error
        except Refused as error:
            raise Turned(401, error.detail, BASIC) from error
        return Proof(password, known is not None, profile)


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


def identity_of(path: bytes) -> str | None:
    """The station's id out of a path: its last part, percent-decoded."""
    last = path.partition(b"?")[0].rstrip(b"/").rpartition(b"/")[2]
    try:
        name = unquote(last.decode("ascii"), errors="strict")
    except UnicodeDecodeError:
        return None
    return name if 0 < len(name) <= LONGEST_NAME and "\x00" not in name else None


def basic_of(header: str) -> tuple[str | None, str | None]:
    """User and password of an Authorization header; None and None where it is none."""
    kind, _, coded = header.partition(" ")
    if kind.lower() != "basic" or len(coded) > 1_024:
        return None, None
    try:
        plain = base64.b64decode(coded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None, None
    user, colon, password = plain.partition(b":")
    if not colon:
        return None, None
    return user.decode("utf-8", "replace"), password.decode("utf-8", "surrogateescape")


def key_of(password: str) -> str:
    """The secret that a password is: bytes that are no text are a key whose hexadecimal digits were entered in the
    station, 16 to 20 bytes of it (1.6-J 6.2.1).
    """
    raw = password.encode("utf-8", "surrogateescape")
    return password if not 16 <= len(raw) <= 20 or password.isprintable() else raw.hex()


def guest_of(transport: Any) -> Guest:
    """Who is at the other end of a transport."""
    peer = transport.get_extra_info("peername")
    address = str(peer[0]) if isinstance(peer, tuple) and peer else "local"
    try:
        loopback = ip_address(address).is_loopback
    except ValueError:
        loopback = address == "local"
    tls = transport.get_extra_info("ssl_object")
    return Guest(address, loopback, tls is not None, () if tls is None else names_of(tls.getpeercert()))


def names_of(certificate: Any) -> tuple[str, ...]:
    """The names in a verified certificate: the subject's common name, and the DNS names and URIs it is made for."""
    if not certificate:
        return ()
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    others = [value for kind, value in certificate.get("subjectAltName", ()) if kind in {"DNS", "URI"}]
    return (*common, *others)


def hand_over(doorman: Doorman) -> Callable[[Any, bytes], None]:
    """What takes a connection from the HTTP server: `(transport, head)`, the head being the upgrade request's bytes."""

    def take(transport: Any, head: bytes) -> None:
        guest = guest_of(transport)
        protocol = WSProtocol(
            None,
            None,
            False,
            lambda request: doorman.let_in(guest, request),
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
