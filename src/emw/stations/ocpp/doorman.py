"""Who may come in over OCPP, and as whom: decided before the upgrade, by what the request and the connection show."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, NamedTuple, NoReturn
from urllib.parse import unquote

import structlog

from emw.domain.model import Station
from emw.plane import BadBody, Caller, Door, names_of
from emw.service.errors import Refused, TooMany
from emw.stations.ocpp.hub import Hub
from emw.stations.ocppj import Version, choose

log = structlog.get_logger()
LONGEST_NAME: Final = 255
BASIC: Final = {"WWW-Authenticate": 'Basic realm="emw"', "Content-Type": "text/plain; charset=utf-8"}


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


class Entry(NamedTuple):
    """Who comes in, and what is spoken then. `version` None: nothing that both speak; it is told so and let go.

    `spelled`: the subprotocol as it was offered; empty where none was.
    """

    station_id: str
    version: Version | None
    spelled: str
    proof: Proof


class Turned(Exception):
    """Somebody is not let in: the answer before the upgrade.

    `told_here`: what the operator's log says instead of `why`, where that is more than a stranger has to know.
    """

    def __init__(
        self, status: int, why: str, headers: Mapping[str, str] | None = None, *, told_here: str = ""
    ) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers
        self.told_here = told_here


class Doorman:
    """Decides before the upgrade who comes in, and as whom."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._settings = hub.settings
        self._gate = hub.headend.gate
        self._state = hub.state
        self._tokens = self._settings.connects_per_s
        self._at = hub.loop.time()

    def let_in(self, guest: Guest, path: bytes, credential: str | None, offered: str) -> Entry:
        """`credential`: of the Authorization header. `offered`: subprotocols, comma-separated. Raises Turned."""
        try:
            return self._let_in(guest, path, credential, offered)
        except Turned as turned:
            log.info(
                "ocpp.turned_away",
                station_id=identity_of(path),
                address=guest.address,
                status=turned.status,
                why=turned.told_here or str(turned),
            )
            raise

    def _let_in(self, guest: Guest, path: bytes, credential: str | None, offered: str) -> Entry:
        self._pace()
        station_id = identity_of(path)
        if station_id is None:
            raise Turned(404, "the last part of the path is the station's id")
        known = self._state.stations.get(station_id)
        if known is None and self._settings.unknown == "refuse":
            raise Turned(404, "no such station is known here; ask the operator")
        proof = self._prove(guest, credential, station_id, known)
        if known is not None and proof.profile < self._hub.peer(station_id).traits.secured(known.secret_hash):
            raise Turned(403, "this station has proved itself by a higher security profile; renew its secret")
        version, spelled = choose(offered.split(","), self._settings.versions) or (None, "")
        if version is None and not offered:
            version = self._settings.no_subprotocol
        if version is None:
            log.info(
                "ocpp.no_version", station_id=station_id, offers=offered[:LONGEST_NAME], spoken=self.spoken
            )
        return Entry(station_id, version, spelled, proof)

    @property
    def spoken(self) -> str:
        """The versions that are spoken here, in words."""
        return ", ".join(v.value for v in Version if v in self._settings.versions)

    def _pace(self) -> None:
        """So many connections a second: after a power cut all come at once."""
        now = self._hub.loop.time()
        rate = self._settings.connects_per_s
        self._tokens = min(rate, self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens < 1.0:
            raise Turned(503, "too many connections at once; try again", {"Retry-After": "10"})
        self._tokens -= 1.0

    def _prove(self, guest: Guest, credential: str | None, station_id: str, known: Station | None) -> Proof:
        """What the station proves itself by. Raises Turned."""
        profiles = self._settings.profiles
        if guest.names and 3 in profiles:
            if station_id not in guest.names:
                raise Turned(403, "the certificate is another station's")
            if known is not None:
                if known.revoked:
                    raise Turned(401, "this station is revoked")
                return Proof(None, True, 3)
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
            told_here = what_is_wrong(station_id, user, password)
            raise Turned(401, error.detail, BASIC, told_here=told_here) from error
        return Proof(password, known is not None, profile)


def no_upgrade(_: Caller, __: str) -> NoReturn:
    """Who asks for no WebSocket, or whose wish got lost on the way, is told what is wanted (RFC 9110, 15.5.22)."""
    why = "OCPP is spoken over a WebSocket, and this request does not ask for one with 'Upgrade: websocket' and "
    why += "'Connection: Upgrade'; a proxy on the way must pass both on"
    raise BadBody(426, why, [(b"upgrade", b"websocket"), (b"connection", b"upgrade")])


PLAIN_DOORS: Final = {"/ocpp/": Door("GET", None, no_upgrade)}
"""What answers where stations are told to connect, to requests that are no upgrade."""


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


def what_is_wrong(station_id: str, user: str | None, password: str | None) -> str:
    """Why a credential that was not taken may be none, for the operator who set the station up."""
    if user is None or password is None:
        return "its Authorization header is no user and password in base64"
    if user != station_id:
        return f"its user is {user[:LONGEST_NAME]!r}, and must be the id in its path"
    if not password.isprintable():
        return "its password is bytes that are no text: it wants a key in hexadecimal digits; renew with --hex-secret"
    return "its password is another than was issued to it last; the station's secret can be renewed"


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
