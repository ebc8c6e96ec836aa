"""What a VTN tells its VENs unasked: a reason to look, and nothing more. Here is the door for webhooks.

Nothing in a notification is believed: who sends one can make emw read its own VTN once more, and that is all. Real
servers write the body as JSON inside JSON, with snake_case keys, and append `/echo` to the URL of the challenge.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote

import msgspec
import structlog

from emw.grid.openadr3.settings import ROOM
from emw.plane import BadBody, Receive, Scope, Send, read_body, with_head

log = structlog.get_logger()
ECHO: Final = re.compile(r"[!-~]{1,512}")
MOST_BODY: Final = 1_048_576
NO_NEWS: Final = frozenset({"REPORT", "SUBSCRIPTION"})
READS: Final = frozenset({"READ", "GET"})


class Notice(NamedTuple):
    """What a notification is about, as far as it can be read."""

    object_type: str | None = None
    operation: str | None = None

    @property
    def is_news(self) -> bool:
        """Whether it may be about something that changes what is asked of us; what can't be read may."""
        return self.object_type not in NO_NEWS and self.operation not in READS


def notice_of(raw: object) -> Notice:
    """A notification as servers write it. Never raises."""
    told: Any = raw
    for _ in range(3):
        if not isinstance(told, bytes | bytearray | str):
            break
        try:
            told = msgspec.json.decode(told)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return Notice()
    if not isinstance(told, dict):
        return Notice()
    return Notice(_word(told.get("objectType", told.get("object_type"))), _word(told.get("operation")))


def _word(value: Any) -> str | None:
    return value.upper() if isinstance(value, str) and len(value) <= 32 else None


@dataclass(frozen=True, slots=True)
class Callback:
    """One VTN's callback: the bearer it must carry, and whom it wakes."""

    token: str
    told: Callable[[Notice], None]

    def proved_by(self, authorization: str) -> bool:
        """Whether this header carries the bearer; takes as long however much of it is right."""
        scheme, _, token = authorization.partition(" ")
        right = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self.token.encode())
        return right and scheme.lower() == "bearer"


class Webhooks:
    """An ASGI app: `GET ROOM/NAME?echo=…` proves that the callback is ours, `POST ROOM/NAME` wakes that VEN."""

    def __init__(self, callbacks: Mapping[str, Callback]) -> None:
        self._callbacks = dict(callbacks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        status, body = await self._answer(scope, receive)
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-length", str(len(body)).encode()),
        ]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if status == 405:
            headers.append((b"allow", with_head("GET, POST").encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        name = unquote(str(scope["path"]).removeprefix(ROOM + "/"))
        callback = self._callbacks.get(name) or self._callbacks.get(name.removesuffix("/echo"))
        if callback is None:
            return 404, b"there is no such callback"
        if scope["method"] == "GET":
            return _echo(scope)
        if scope["method"] != "POST":
            return 405, b"use POST here"
        headers = dict(scope["headers"])
        if not callback.proved_by(headers.get(b"authorization", b"").decode("latin-1")):
            log.warning("ven.notice_forged", callback=name)
            return 401, b"this needs the bearer token of the subscription"
        try:
            body = await read_body(receive, MOST_BODY)
        except BadBody as error:
            return error.status, str(error).encode()
        callback.told(notice_of(body))
        return 200, b""


def _echo(scope: Scope) -> tuple[int, bytes]:
    asked = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20).get("echo", [""])[0]
    if not ECHO.fullmatch(asked):
        return 400, b"a challenge is ?echo= with up to 512 plain characters"
    return 200, asked.encode()
