"""The station plane's plumbing: requests in over ASGI, typed by msgspec, problem+json out. Hot, so no framework.

A door is a path, the struct of its body and a coroutine. What is wrong with a message is answered here by name;
what the service refuses carries its own status. Nothing a caller sends ends in a 5xx.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from emw.service.errors import BadInput, EmwError

log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY: Final = 65_536
NAMES: Final = "emw.names"
"""Where the server puts the names of a client's certificate in the scope."""
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
}
"""How it is called when the plane itself refuses, before a door has looked; all else is bad input."""
WHERE: Final = re.compile(r" - at `\$?\.?(?P<path>[^`]*)`")
MISSING: Final = re.compile(r"missing required field `(?P<name>[^`]*)`")
AT_BYTE: Final = re.compile(r"\(byte (\d+)\)")
LAST_NAME: Final = re.compile(rb'"([^"\\\x00-\x1f]{1,64})"\s*:\s*(?:"[^"]*|[^",{}\[\]]*)\Z')
"""The name of the value that a text breaks off in."""


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


Handler = Callable[[Caller, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Door:
    """One way in: `POST` with a body of type `takes`, or `GET` with the rest of the path."""

    method: str
    takes: type[msgspec.Struct] | None
    handler: Handler


class BadBody(Exception):
    """A request that can't be taken: status, the field at fault, and why. `allow`: the method that can be."""

    def __init__(self, status: int, why: str, field: str | None = None, *, allow: str | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.field = field
        self.allow = allow


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
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {
            path: msgspec.json.Decoder(door.takes) for path, door in doors.items() if door.takes is not None
        }
        self._encode = msgspec.json.Encoder(decimal_format="number").encode
        self.answers: dict[int, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        for path, app in self._rooms:
            if scope["path"].startswith(path):
                await app(scope, receive, send)
                return
        headers = JSON_HEADERS
        try:
            status, body = await self._answer(scope, receive)
        except EmwError as error:
            status = error.status
            headers = [(b"content-type", PROBLEM), (b"x-content-type-options", b"nosniff")]
            if status == 401:
                headers.append((b"www-authenticate", b"Bearer"))
            if error.retry_after_s is not None:
                headers.append((b"retry-after", str(self._again_s(status, error.retry_after_s)).encode()))
            body = self._problem(status, error.title, error.detail, error.field)
        except BadBody as error:
            status = error.status
            headers = [(b"content-type", PROBLEM), (b"x-content-type-options", b"nosniff")]
            if error.allow is not None:  # RFC 9110, 15.5.6
                headers.append((b"allow", error.allow.encode()))
            body = self._problem(status, TITLES.get(status, "Bad input"), str(error), error.field)
        except Exception:  # a bug: the caller hears so, the log gets the trace, the server lives on
            log.exception("plane.bug", path=scope["path"])
            status, headers = 500, [(b"content-type", PROBLEM)]
            body = self._problem(500, "emw failed", "this is a fault of emw; it is in its log", None)
        self.answers[status] = self.answers.get(status, 0) + 1
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [*headers, (b"content-length", str(len(body)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        path: str = scope["path"]
        door = self._doors.get(path)
        rest = ""
        if door is None:
            prefix = next((p for p in self._prefixes if path.startswith(p)), None)
            if prefix is None:
                raise BadBody(404, f"there is nothing at {path[:200]!r}")
            door, rest, path = self._doors[prefix], path[len(prefix) :], prefix
        if scope["method"] != door.method:
            raise BadBody(405, f"use {door.method} here", allow=door.method)
        content_type, caller = _read_headers(scope)
        said: Any = rest
        if door.takes is not None:
            if content_type != b"application/json" and _plain(content_type) != b"application/json":
                raise BadBody(415, "send JSON with Content-Type: application/json")
            said = self._decode(path, await read_body(receive))
        told = await door.handler(caller, said)
        if isinstance(told, Told):
            return told.status, self._encode(told.body)
        return 200, self._encode(told)

    def _decode(self, path: str, body: bytes) -> Any:
        try:
            return self._decoders[path].decode(body)
        except msgspec.ValidationError as error:
            raise named(error) from error
        except msgspec.DecodeError as error:
            field = _field_at(body, error)
            why = f"{field}: this is not JSON: {error}" if field else f"the body is not JSON: {error}"
            raise BadBody(400, why, field) from error
        except UnicodeDecodeError as error:
            raise BadBody(400, f"the body is not JSON: {error}") from error
        except RecursionError as error:
            raise BadBody(400, "the body is nested too deeply") from error

    def _again_s(self, status: int, retry_after_s: int) -> int:
        """A wait that one caller earned is told to the second; one that all are told is spread, up to its double."""
        late_s = retry_after_s * self._chance.random() if self._chance is not None and status == 503 else 0.0
        return retry_after_s + round(late_s)

    def _problem(self, status: int, title: str, detail: str, field: str | None) -> bytes:
        body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        if field is not None:
            body["field"] = field
        return self._encode(body)


def named(error: msgspec.ValidationError) -> BadBody:
    """The validation error with the field it is about, in the words of the wire."""
    text = str(error)
    where = WHERE.search(text)
    path = where["path"] if where else ""
    missing = MISSING.search(text)
    if missing:
        path = f"{path}.{missing['name']}".lstrip(".")
    why = WHERE.sub("", text)
    return BadBody(400, f"{path}: {why}" if path else why, path or None)


def _field_at(body: bytes, error: msgspec.DecodeError) -> str | None:
    """The field whose value is no JSON: `NaN` and its like end the reading, so nobody else can name it."""
    at = AT_BYTE.search(str(error))
    # Without a byte it breaks off at the end, or in the text before the last brackets.
    end = int(at[1]) if at is not None else len(body.rstrip(b'"}] \t\r\n'))
    name = LAST_NAME.search(body[max(0, end - 512) : end])
    return None if name is None else name[1].decode("utf-8", "replace")


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


def _plain(content_type: bytes) -> bytes:
    """The media type without its parameters."""
    return content_type.split(b";", 1)[0].strip().lower()


def _read_headers(scope: Scope) -> tuple[bytes, Caller]:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if len(headers) != len(scope["headers"]):
        _refuse_twice(scope["headers"])
    get = headers.get
    length, coding = get(b"content-length"), get(b"content-encoding")
    if length is not None:
        if not length.isdigit():
            raise BadBody(400, "Content-Length must be a number")
        if len(length) > 9 or int(length) > MOST_BODY:
            raise BadBody(413, f"a message may have at most {MOST_BODY} bytes")
    if coding is not None and coding.lower() != b"identity":
        raise BadBody(415, "send the body uncompressed")
    token = None
    kind, _, secret = get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer" and len(secret) <= 512:
        token = secret.strip().decode("latin-1")
    client = scope.get("client")
    prefer = get(b"prefer")
    caller = Caller(
        token,
        client[0] if client else "local",
        "" if prefer is None else prefer.decode("latin-1"),
        scope.get(NAMES, ()),
    )
    return get(b"content-type", b""), caller


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
