"""The wire of emw's VTN: `/openadr3/3.1.0/…` over ASGI, problem+json for whatever is refused, nothing ends in a 5xx.

OpenAPI file 3.1.0. `answer` is the whole door without a socket: emw as VEN of its own VTN comes in there, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import structlog

from emw.domain.vtn import VtnKind
from emw.grid.vtn.book import Filter
from emw.grid.vtn.desk import Desk
from emw.grid.vtn.rights import Client
from emw.grid.vtn.settings import BASE, ServerSettings
from emw.grid.vtn.tokens import AuthRefused, Tokens
from emw.grid.vtn.wire import TAKES
from emw.misfit import decoded
from emw.plane import PROBLEM, BadBody, Receive, Scope, Send, problem, read_body, wrong_method
from emw.service.errors import BadInput, EmwError

log = structlog.get_logger()
MOST_BODY: Final = 256 * 1024
MOST_PAGE: Final = 50
KINDS: Final = {
    "programs": VtnKind.PROGRAM,
    "events": VtnKind.EVENT,
    "reports": VtnKind.REPORT,
    "subscriptions": VtnKind.SUBSCRIPTION,
    "vens": VtnKind.VEN,
    "resources": VtnKind.RESOURCE,
}
QUERY: Final[dict[VtnKind, frozenset[str]]] = {
    VtnKind.PROGRAM: frozenset({"targets"}),
    VtnKind.EVENT: frozenset({"programID", "targets", "active"}),
    VtnKind.REPORT: frozenset({"programID", "eventID", "clientName"}),
    VtnKind.SUBSCRIPTION: frozenset({"programID", "clientName", "objects"}),
    VtnKind.VEN: frozenset({"venName", "targets"}),
    VtnKind.RESOURCE: frozenset({"venID", "resourceName", "targets"}),
}
"""The filters that each search knows; others are not looked at."""
OBJECT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
HOST: Final = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request without its socket. `client`: who speaks, where that is known without a token."""

    method: str
    path: str
    """Below the base, beginning with '/'."""
    query: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    address: str = "local"
    base_url: str = BASE
    client: Client | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer without its socket."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    media: bytes = b"application/json"


class VtnDoors:
    """An ASGI app for everything under the base path."""

    def __init__(self, desk: Desk, tokens: Tokens, settings: ServerSettings) -> None:
        self._desk = desk
        self._book = desk.book
        self._tokens = tokens
        self._public_url = settings.public_url
        self.answers: dict[int, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            told = await self.answer(await self._asked(scope, receive))
        except (BadBody, EmwError) as error:
            told = refused(error)
        self.answers[told.status] = self.answers.get(told.status, 0) + 1
        headers = [
            (b"content-type", told.media),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
            (b"content-length", str(len(told.body)).encode()),
            *told.headers,
        ]
        await send({"type": "http.response.start", "status": told.status, "headers": headers})
        await send({"type": "http.response.body", "body": told.body})

    async def _asked(self, scope: Scope, receive: Receive) -> Ask:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        length, coding = headers.get(b"content-length", b"0"), headers.get(b"content-encoding", b"identity")
        if not length.isdigit():
            raise BadBody(400, "Content-Length must be a number")
        if len(length) > 9 or int(length) > MOST_BODY:
            raise BadBody(413, f"a message may have at most {MOST_BODY} bytes")
        if coding.lower() != b"identity":
            raise BadBody(415, "send the body uncompressed")
        with_body = scope["method"] in {"POST", "PUT"}
        client = scope.get("client")
        return Ask(
            method=scope["method"],
            path=scope["path"].removeprefix(BASE),
            query=scope.get("query_string", b""),
            headers=headers,
            body=await read_body(receive, MOST_BODY) if with_body else b"",
            address=client[0] if client else "local",
            base_url=self._base_url(scope, headers),
        )

    def _base_url(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        """Where clients reach us: as configured, else as this client came."""
        if self._public_url is not None:
            return self._public_url
        host = headers.get(b"host", b"").decode("latin-1")
        if not HOST.fullmatch(host):
            name, port = scope.get("server") or ("localhost", None)
            host = f"{name}:{port}" if port else str(name)
        return f"{scope.get('scheme', 'http')}://{host}{BASE}"

    # --- without a socket

    async def answer(self, ask: Ask) -> Answer:
        """Answer a request; whatever is wrong with it, too."""
        try:
            return await self._answer(ask)
        except AuthRefused as error:
            return _auth_refused(error)
        except (BadBody, EmwError) as error:
            return refused(error)
        except Exception:  # a bug: the caller hears so, the log gets the trace, the server lives on
            log.exception("vtn.bug", path=ask.path[:200])
            return _problem(500, "emw failed", "this is a fault of emw; it is in its log")

    async def _answer(self, ask: Ask) -> Answer:
        parts = ask.path.strip("/").split("/")
        match parts:
            case ["auth", "server"]:
                _only(ask, "GET")
                return Answer(200, _encode({"tokenURL": f"{ask.base_url}/auth/token"}))
            case ["auth", "token"]:
                _only(ask, "POST")
                return await self._token(ask)
            case ["notifiers"]:
                _only(ask, "GET")
                self._client(ask)
                return Answer(200, _encode({"WEBHOOK": True}))
            case ["notifiers", "mqtt", "topics", *_]:
                _only(ask, "GET")
                self._client(ask)
                raise BadBody(404, "this VTN has no MQTT notifier; subscribe with a webhook, or poll")
            case [plural] if plural in KINDS:
                _only(ask, "GET", "POST")
                return await self._collection(ask, KINDS[plural])
            case [plural, object_id] if plural in KINDS:
                _only(ask, "GET", "PUT", "DELETE")
                return await self._object(ask, KINDS[plural], object_id)
        raise BadBody(404, f"there is nothing at {ask.path[:200]!r}")

    def _client(self, ask: Ask) -> Client:
        if ask.client is not None:
            return ask.client
        kind, _, secret = ask.headers.get(b"authorization", b"").partition(b" ")
        token = secret.strip().decode("latin-1") if kind.lower() == b"bearer" and len(secret) <= 512 else None
        return self._tokens.client(token, ask.address)

    async def _token(self, ask: Ask) -> Answer:
        if _media(ask) != b"application/x-www-form-urlencoded":
            raise AuthRefused(400, "invalid_request", "send a form: application/x-www-form-urlencoded")
        authorization = ask.headers.get(b"authorization", b"").decode("latin-1")
        issued = await self._tokens.issue(ask.body, authorization, ask.address)
        told = {
            "access_token": issued.token,
            "token_type": "Bearer",
            "expires_in": issued.life_s,
            "scope": " ".join(issued.scopes),
        }
        return Answer(200, _encode(told))

    async def _collection(self, ask: Ask, kind: VtnKind) -> Answer:
        client = self._client(ask)
        if ask.method == "POST":
            entry = await self._desk.create(client, kind, _said(ask, kind))
            return Answer(201, self._desk.told(client, entry))
        self._desk.may_read(client, kind)
        wanted, skip, limit = _filter(ask.query, kind)
        await self._book.durable()
        page = self._book.search(client, kind, wanted, skip, limit)
        return Answer(200, b"[" + b",".join(self._desk.told(client, e, shown) for e, shown in page) + b"]")

    async def _object(self, ask: Ask, kind: VtnKind, object_id: str) -> Answer:
        client = self._client(ask)
        if not OBJECT_ID.fullmatch(object_id):
            raise BadBody(404, f"there is no {kind.lower()} {object_id[:128]!r}")
        match ask.method:
            case "PUT":
                entry = await self._desk.replace(client, kind, object_id, _said(ask, kind))
                return Answer(200, self._desk.told(client, entry))
            case "DELETE":
                return Answer(200, await self._desk.delete(client, kind, object_id))
        self._desk.may_read(client, kind)
        await self._book.durable()
        return Answer(200, self._desk.told(client, self._book.seen(client, kind, object_id)))


# --- what is said


def _only(ask: Ask, *methods: str) -> None:
    if ask.method not in methods:
        raise wrong_method(*methods)


def _media(ask: Ask) -> bytes:
    return ask.headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower()


def _said(ask: Ask, kind: VtnKind) -> Any:
    """The body as the kind's request. Raises BadInput naming the field."""
    if ask.client is None and _media(ask) != b"application/json":
        raise BadBody(415, "send JSON with Content-Type: application/json")
    return decoded(TAKES[kind].decode, ask.body)


def _filter(raw: bytes, kind: VtnKind) -> tuple[Filter, int, int]:
    """The query of a search. Raises BadInput naming the parameter."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=200, errors="strict")
    except ValueError as error:
        raise BadInput("query", "is no query of UTF-8 text with at most 200 fields") from error
    many: dict[str, list[str]] = {}
    for name, value in pairs:
        many.setdefault(name, []).append(value)
    knows = QUERY[kind]
    one = {name: _single(name, values) for name, values in many.items() if name in knows | {"skip", "limit"}}
    lists = {
        name: frozenset(_text(name, value) for value in many[name])
        if name in many and name in knows
        else None
        for name in ("targets", "objects")
    }
    if lists["objects"] is not None and not lists["objects"] <= set(VtnKind):
        raise BadInput("objects", f"use {', '.join(VtnKind)}")
    for name in ("programID", "eventID", "venID"):
        if name in one and not OBJECT_ID.fullmatch(one[name]):
            raise BadInput(name, "is no object id: use letters, digits, '_' and '-'")
    for name in ("clientName", "venName", "resourceName"):
        if name in one:
            _text(name, one[name])
    if one.get("active", "true") not in {"true", "false"}:
        raise BadInput("active", "use true or false")
    wanted = Filter(
        targets=lists["targets"],
        objects=lists["objects"],
        program_id=one.get("programID"),
        event_id=one.get("eventID"),
        client_name=one.get("clientName"),
        ven_id=one.get("venID"),
        name=one.get("venName") or one.get("resourceName"),
        active=one.get("active") == "true",
    )
    return (
        wanted,
        _number("skip", one.get("skip", "0"), 2**31 - 1),
        _number("limit", one.get("limit", "50"), MOST_PAGE),
    )


def _single(name: str, values: Sequence[str]) -> str:
    if len(values) > 1 and name not in {"targets", "objects"}:
        raise BadInput(name, "is there twice")
    return values[0]


def _text(name: str, value: str) -> str:
    if not 1 <= len(value) <= 128:
        raise BadInput(name, "must have 1 to 128 characters")
    return value


def _number(name: str, text: str, most: int) -> int:
    if not re.fullmatch(r"\+?\d{1,12}", text, re.ASCII) or int(text) > most:
        raise BadInput(name, f"must be a whole number from 0 to {most}")
    return int(text)


# --- what is refused


def refused(error: BadBody | EmwError) -> Answer:
    """A refusal as problem+json, with what its status asks for in the head."""
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, BadBody):
        headers += error.headers
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, EmwError):
        if error.retry_after_s is not None:
            headers.append((b"retry-after", str(error.retry_after_s).encode()))
        return _problem(error.status, error.title, error.detail, error.field, headers)
    return _problem(error.status, "Bad input", str(error), None, headers)


def _problem(
    status: int,
    title: str,
    detail: str,
    field_name: str | None = None,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> Answer:
    return Answer(status, _encode(problem(status, title, detail, field_name)), tuple(headers), PROBLEM)


def _auth_refused(error: AuthRefused) -> Answer:
    """RFC 6749 5.2, and a problem beside it for who reads OpenADR's own schema."""
    headers = [(b"www-authenticate", b"Basic")] if error.status == 401 else []
    title = "Not authorised" if error.status == 401 else "Bad input"
    told = {"error": error.error, "error_description": error.why, **problem(error.status, title, error.why)}
    return Answer(error.status, _encode(told), tuple(headers))
