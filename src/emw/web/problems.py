"""Every refusal as `application/problem+json`: {type, title, status, detail, field?}. One place translates.

Who opens a page of the console in a browser, and may not or finds none, is told in a page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from emw.misfit import in_words
from emw.plane import with_head
from emw.service.errors import EmwError
from emw.web.refusals import refusal
from emw.web.render import plain
from emw.web.tongue import tongue_of
from emw.web.wire import wire_name

log = structlog.get_logger()
MEDIA: Final = "application/problem+json"
HAS_PAGES: Final = "pages"
TITLES: Final = {
    400: "Bad input",
    401: "Not authorised",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    413: "Too large",
    415: "Wrong media type",
    421: "Wrong host",
    429: "Too many tries",
    500: "emw failed",
    503: "Not available now",
}


class Problem(msgspec.Struct, omit_defaults=True):
    """What went wrong, in words a person can act on. `field` names the part of the input at fault."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    field: str | None = None

    def encoded(self) -> bytes:
        """As JSON; `type` is always said."""
        told = {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail}
        return msgspec.json.encode(told if self.field is None else {**told, "field": self.field})


def problem(status: int, detail: str, field: str | None = None, title: str | None = None) -> Problem:
    """A problem under the usual title of its status."""
    return Problem(title or TITLES.get(status, "Refused"), status, detail, field=field)


def answer(said: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    """A problem as a response."""
    return Response(said.encoded(), status_code=said.status, media_type=MEDIA, headers=headers or {})


def _refused(
    request: Request[Any, Any, Any], said: Problem, headers: dict[str, str]
) -> Response[bytes] | Response[str]:
    """A problem for whoever asked: a page for people where the app has pages (`opt`), JSON for machines."""
    path, accepts = request.scope["path"], request.headers.get("accept", "")
    reads = request.method == "GET" and not path.startswith(("/api/", "/static/")) and "text/html" in accepts
    if not reads or not request.app.opt.get(HAS_PAGES):
        return answer(said, headers)
    page = plain(request, "refused.html", status_code=said.status, status=said.status, detail=said.detail)
    page.headers.update(headers)
    return page


def _emw(request: Request[Any, Any, Any], error: Exception) -> Response[bytes] | Response[str]:
    """What the service refuses carries its own status, and is told in the caller's language."""
    assert isinstance(error, EmwError)  # noqa: S101 - registered for it
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    detail = refusal(error.detail, error.field, tongue_of(request))
    return _refused(request, problem(error.status, detail, error.field, error.title), headers)


def _validation(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """What does not fit its type, with the field as the wire names it."""
    assert isinstance(error, ValidationException)  # noqa: S101 - registered for it
    first = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    why = in_words(str(first.get("message", error.detail)))
    key = str(first.get("key", ""))
    # Bodies were looked at before (auth.check_body): what is left are queries and paths.
    field = wire_name(key.removeprefix("only_")) if first.get("source") == "query" else key
    return answer(problem(400, f"{field}: {why}" if field else why, field or None))


def _http(request: Request[Any, Any, Any], error: Exception) -> Response[bytes] | Response[str]:
    """What the framework refuses: no such path, wrong method, not JSON."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    status = error.status_code
    if status >= 500:
        return _bug(request, error)
    detail = {
        404: "there is nothing here",
        405: f"{request.method} is not for this path",
        413: "the body is too large",
    }.get(status, error.detail)
    headers = {k: with_head(str(v)) if k == "allow" else str(v) for k, v in (error.headers or {}).items()}
    return _refused(request, problem(status, refusal(detail, None, tongue_of(request))), headers)


def _bad_text(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Text that is none, and nesting without end."""
    if isinstance(error, RecursionError):
        return answer(problem(400, "the body is nested too deeply"))
    return answer(problem(400, "this is not UTF-8"))


def _bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A fault of ours: the caller hears so, the log gets the trace, the server lives on."""
    log.error("web.bug", path=request.scope["path"][:200], exc_info=error)
    return answer(problem(500, "this is a fault of emw; it is in its log"))


HANDLERS: Final[dict[int | type[Exception], Callable[[Request[Any, Any, Any], Exception], Response[Any]]]] = {
    EmwError: _emw,
    ValidationException: _validation,
    HTTPException: _http,
    RecursionError: _bad_text,
    UnicodeError: _bad_text,
    Exception: _bug,
}
"""For `Litestar(exception_handlers=...)`; the nearest class wins."""
