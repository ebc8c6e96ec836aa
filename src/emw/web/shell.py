"""The outermost skin of the operator's plane: what holds for every request and every answer, whatever it is about.

Inside it the framework may assume: the host is ours, the body is whole, bounded and UTF-8, and a path segment may
hold any id. Outside it a browser may assume: the security headers are on every answer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import quote

import structlog
from litestar import Litestar

from emw.web.problems import MEDIA, Problem, problem

log = structlog.get_logger()

MOST_BODY: Final = 256 * 1024
BODY_DEADLINE_S: Final = 15.0
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
Scope = Any
"""ASGI's own dicts: the framework's types for them differ between HTTP and what we never serve."""
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class _Refuse(Exception):
    """A request that does not get in."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.told: Problem = problem(status, why)


class OperatorApp(Litestar):
    """Litestar inside that skin. `host_ok` says whether a Host header may be answered; None: any."""

    host_ok: Callable[[str], bool] | None = None
    answers: Counter[int]
    images_from: str | None = None
    """The one other origin that a page may take images from: a map's tiles, where they are set."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        dressed = self._dressed(scope, send)
        try:
            self._check_host(scope)
            _route_by_quoted_path(scope)
            inner = receive if scope["method"] not in CHANGING else await _whole_body(scope, receive)
            await super().__call__(scope, inner, dressed)
        except _Refuse as refused:
            body = refused.told.encoded()
            headers = [(b"content-type", MEDIA.encode()), (b"content-length", str(len(body)).encode())]
            await dressed({"type": "http.response.start", "status": refused.told.status, "headers": headers})
            await dressed({"type": "http.response.body", "body": body, "more_body": False})

    def _dressed(self, scope: Scope, send: Send) -> Send:
        """`send`, with the security headers on, and the answer counted."""

        async def dressed(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [h for h in message["headers"] if h[0] != b"server"]
                headers += ALWAYS
                policy = (
                    CSP if self.images_from is None else CSP.replace("data:", f"data: {self.images_from}", 1)
                )
                headers.append((b"content-security-policy", policy.encode()))
                names = {name for name, _ in headers}
                if b"cache-control" not in names:
                    headers.append((b"cache-control", b"no-store"))
                if scope["scheme"] == "https":
                    headers.append((b"strict-transport-security", b"max-age=31536000"))
                message = {**message, "headers": headers}
                self.answers[message["status"]] += 1
            await send(message)

        return dressed

    def _check_host(self, scope: Scope) -> None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if self.host_ok is None:
            return
        if len(hosts) != 1 or not self.host_ok(hosts[0].decode("latin-1")):
            raise _Refuse(421, "this console does not answer under that name; see operator.allowed_hosts")


def host_check(allowed: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a Host header names us: loopback, a plain address (no name can be rebound to it), or configured."""
    names = {name.lower().rstrip(".") for name in allowed}

    def ok(host: str) -> bool:
        name = host_name(host)
        if name in names or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    return ok


def host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    text = host.strip().lower()
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.partition(":")[0].rstrip(".")


def _route_by_quoted_path(scope: Scope) -> None:
    """Route by the path as it was sent: an id may hold '/' (as %2F), and must stay one segment."""
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    scope["path"] = raw.decode("latin-1")


async def _whole_body(scope: Scope, receive: Receive) -> Receive:
    """Read the body before anybody looks at it: bounded in size and time, plain, UTF-8."""
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or len(value) > 9 or int(value) > MOST_BODY):
            raise _Refuse(413, f"a body may have at most {MOST_BODY} bytes")
        if name == b"content-encoding" and value.lower() != b"identity":
            raise _Refuse(415, "send the body uncompressed")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Refuse(400, "the connection closed before the body was whole")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MOST_BODY:
                    raise _Refuse(413, f"a body may have at most {MOST_BODY} bytes")
                if not message.get("more_body", False):
                    break
    except TimeoutError as error:
        raise _Refuse(408, "the body did not arrive in time") from error
    body = b"".join(parts)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Refuse(400, "the body is not UTF-8") from error
    scope["emw.body"] = body
    return _replay(body, receive)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, then whatever comes."""
    given = False

    async def replay() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
