"""The station plane's plumbing: requests in over ASGI, typed by msgspec, problem+json out. Hot, so no framework.

A door is a path, the struct of its body and a coroutine. What is wrong with a message is answered here by name;
what the service refuses carries its own status. Nothing a caller sends ends in a 5xx.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from types import CoroutineType
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

import msgspec
import structlog

from emw.misfit import decoded
from emw.service.errors import BadInput, EmwError

log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Answered = tuple[int, Headers, bytes]
"""A status, the headers that go with it, and the body."""

MOST_BODY: Final = 65_536
NAMES: Final = "emw.names"
"""Where the server puts the names of a client's certificate in the scope."""
UNDER_WAY: Final = "emw.under_way"
"""Where the server puts the rest of a request that it has asked a door about, and that has to wait."""
JSON_HEADERS: Final = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
PROBLEM: Final = b"application/problem+json"
ONCE: Final = (b"authorization", b"content-type", b"content-length", b"content-encoding", b"host")
"""Headers that decide something. Said twice, two readers on the way may take each another one (attack A14)."""
TITLES: Final = {
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    413: "Too large",
    415: "Wrong media type",
    426: "Upgrade required",
}
"""How it is called when the plane itself refuses, before a door has looked; all else is bad input."""


class Caller(NamedTuple):
    """Who speaks, as far as the wire tells: a bearer token and an address. `prefer` is the Prefer header.

    `names`: those in the client certificate that the connection was made with, checked against the CA configured.
    """

    token: str | None
    address: str
    prefer: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: a struct or dict to encode, and its status."""

    body: Any
    status: int = 200


Handler = Callable[[Caller, Any], Any]
"""Gives a coroutine of the answer; or, behind a door `at_once`, the answer itself where nothing is waited for."""


@dataclass(frozen=True, slots=True)
class Door:
    """One way in: `POST` with a body of type `takes`, or `GET` with the rest of the path."""

    method: str
    takes: type[msgspec.Struct] | None
    handler: Handler
    at_once: bool = False
    """It answers most of what comes without waiting: a server may ask it without a task, see `Plane.ask`."""
    bare: bool = False
    """No query may stand in its URL: who sent one would believe that it was heard."""


class BadBody(Exception):
    """A request that can't be taken: status, and why. `headers`: what can be, as HTTP says it."""

    def __init__(self, status: int, why: str, headers: Headers | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers or []


class Plane:
    """An ASGI app that routes by exact path, or by the longest prefix that ends in '/'."""

    def __init__(
        self,
        doors: Mapping[str, Door],
        chance: Random | None = None,
        *,
        rooms: Mapping[str, App] | None = None,
    ) -> None:
        """`chance` spreads when those who were all refused at once come again (fault F18).

        `rooms`: apps that answer for everything under their path, methods and queries of their own included.
        """
        self._chance = chance
        self._rooms = tuple((path + "/", app) for path, app in (rooms or {}).items())
        self._doors = dict(doors)
        self._prefixes = sorted((p for p in doors if p.endswith("/")), key=len, reverse=True)
        self._takes: dict[str, Callable[[bytes], Any]] = {
            path: msgspec.json.Decoder(door.takes).decode
            for path, door in doors.items()
            if door.takes is not None
        }
        self._encode = msgspec.json.Encoder(decimal_format="number").encode
        self.at_once = {path.encode(): path for path, door in doors.items() if door.at_once}
        """Paths as they stand in a request line, of doors that may be asked without a task."""
        self.answers: dict[int, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        for room, app in self._rooms:
            if path.startswith(room):
                await app(scope, receive, send)
                return
        try:
            answered = self._told(await (scope.get(UNDER_WAY) or self._answer(scope, receive)))
        except Exception as error:  # noqa: BLE001 - each has its answer
            answered = self._refused(error, path)
        status, headers, body = answered
        headers = [*headers, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def ask(
        self, path: str, headers: Headers, client: tuple[str, int] | None, names: tuple[str, ...], body: bytes
    ) -> Answered | Coroutine[Any, Any, Any]:
        """The answer to a POST that is there as a whole, at a door `at_once`. Hot: a heartbeat comes this way.

        A coroutine: it has to wait. Whoever asked then calls the app, with the coroutine in the scope as `UNDER_WAY`.
        """
        try:
            caller = _caller(headers, client, names, json=True)
            if len(body) > MOST_BODY:  # it came in pieces, and nothing said how many
                raise _too_large()
            told = self._doors[path].handler(caller, decoded(self._takes[path], body))
            return told if isinstance(told, CoroutineType) else self._told(told)
        except Exception as error:  # noqa: BLE001 - each has its answer
            return self._refused(error, path)

    async def _answer(self, scope: Scope, receive: Receive) -> Any:
        path: str = scope["path"]
        door = self._doors.get(path)
        rest = ""
        if door is None:
            prefix = next((p for p in self._prefixes if path.startswith(p)), None)
            if prefix is None:
                raise BadBody(404, f"there is nothing at {path[:200]!r}")
            door, rest, path = self._doors[prefix], path[len(prefix) :], prefix
        if scope["method"] != door.method:
            raise wrong_method(door.method)
        if door.bare and (query := scope.get("query_string")):
            name = unquote_plus(query.decode("latin-1").partition("&")[0].partition("=")[0])
            raise BadInput(name[:64], "is not a parameter here; nothing is asked in the URL")
        takes = door.takes is not None
        caller = _caller(scope["headers"], scope.get("client"), scope.get(NAMES, ()), json=takes)
        told = door.handler(caller, decoded(self._takes[path], await read_body(receive)) if takes else rest)
        return await told if isinstance(told, CoroutineType) else told

    def _told(self, told: Any) -> Answered:
        status = 200
        if isinstance(told, Told):
            told, status = told.body, told.status
        body = self._encode(told)
        self.answers[status] = self.answers.get(status, 0) + 1
        return status, JSON_HEADERS, body

    def _refused(self, error: Exception, path: str) -> Answered:
        """What a caller hears whose request was not done: by whose fault, and why."""
        headers = [(b"content-type", PROBLEM), (b"x-content-type-options", b"nosniff")]
        if isinstance(error, EmwError):
            status = error.status
            if status == 401:
                headers.append((b"www-authenticate", b"Bearer"))
            if error.retry_after_s is not None:
                headers.append((b"retry-after", str(self._again_s(status, error.retry_after_s)).encode()))
            body = self._problem(status, error.title, error.detail, error.field)
        elif isinstance(error, BadBody):
            status = error.status
            headers += error.headers
            body = self._problem(status, TITLES.get(status, "Bad input"), str(error), None)
        else:  # a bug: the caller hears so, the log gets the trace, the server lives on
            log.error("plane.bug", path=path, exc_info=error)
            status = 500
            body = self._problem(500, "emw failed", "this is a fault of emw; it is in its log", None)
        self.answers[status] = self.answers.get(status, 0) + 1
        return status, headers, body

    def _again_s(self, status: int, retry_after_s: int) -> int:
        """A wait that one caller earned is told to the second; one that all are told is spread, up to its double."""
        late_s = retry_after_s * self._chance.random() if self._chance is not None and status == 503 else 0.0
        return retry_after_s + round(late_s)

    def _problem(self, status: int, title: str, detail: str, field: str | None) -> bytes:
        return self._encode(problem(status, title, detail, field))


def problem(status: int, title: str, detail: str, field: str | None = None) -> dict[str, Any]:
    """A refusal as problem+json has it (RFC 9457); `field`: what is wrong, where it is one thing."""
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return body if field is None else body | {"field": field}


def names_of(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The names in a client's verified certificate: its subject's common name, and its DNS names and URIs."""
    if not certificate:
        return ()
    subject = (pair for part in certificate.get("subject", ()) for pair in part)
    common = [value for kind, value in subject if kind == "commonName"]
    others = [value for kind, value in certificate.get("subjectAltName", ()) if kind in {"DNS", "URI"}]
    return tuple(dict.fromkeys((*common, *others)))


def utc(field: str, when: datetime) -> datetime:
    """A time of the wire as UTC. Raises BadInput where the calendar ends before it is there (0001, 9999)."""
    try:
        return when.astimezone(UTC)
    except OverflowError as error:
        raise BadInput(field, "is no time that there is in UTC") from error


def _refuse_twice(headers: Iterable[tuple[bytes, bytes]]) -> None:
    names = [name for name, _ in headers]
    for name in ONCE:
        if names.count(name) > 1:
            raise BadBody(400, f"the header {name.decode()} may be there only once")


def wrong_method(*allowed: str) -> BadBody:
    """What a request with another method than these is told (RFC 9110, 15.5.6)."""
    why = f"use {' or '.join(allowed)} here"
    return BadBody(405, why, [(b"allow", with_head(", ".join(allowed)).encode())])


def with_head(allowed: str) -> str:
    """The methods of an Allow header, with HEAD where there is GET: a plane's server answers it."""
    return allowed.replace("GET", "GET, HEAD")


def _plain(content_type: bytes) -> bytes:
    """The media type without its parameters."""
    return content_type.split(b";", 1)[0].strip().lower()


def _too_large() -> BadBody:
    return BadBody(413, f"a message may have at most {MOST_BODY} bytes")


def _caller(lines: Headers, client: tuple[str, int] | None, names: tuple[str, ...], *, json: bool) -> Caller:
    """Who speaks, by the headers of a request that can be taken. `json`: it has a body, which must be JSON. Hot."""
    headers = dict(lines)
    if len(headers) != len(lines):
        _refuse_twice(lines)
    get = headers.get
    length, coding = get(b"content-length"), get(b"content-encoding")
    if length is not None:
        if not length.isdigit():
            raise BadBody(400, "Content-Length must be a number")
        if len(length) > 9 or int(length) > MOST_BODY:
            raise _too_large()
    if coding is not None and coding.lower() != b"identity":
        raise BadBody(415, "send the body uncompressed")
    if json:
        kind = get(b"content-type", b"")
        if kind != b"application/json" and _plain(kind) != b"application/json":
            raise BadBody(415, "send JSON with Content-Type: application/json")
    token = None
    scheme, _, secret = get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and len(secret) <= 512:
        token = secret.strip().decode("latin-1")
    prefer = get(b"prefer")
    return Caller(
        token,
        client[0] if client else "local",
        "" if prefer is None else prefer.decode("latin-1"),
        names,
    )


async def read_body(receive: Receive, most: int = MOST_BODY) -> bytes:
    """The whole body, bounded in size. The server ends the connection of one that does not come in time."""
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadBody(400, "the connection closed before the body was whole")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise BadBody(413, f"a message may have at most {most} bytes")
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)
