"""The console's pages and files. Text comes in by Jinja2 with autoescape; data only by the API, as text."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response import Redirect

from emw.domain.facts import FACTS
from emw.service.errors import NotFound
from emw.web.frame import framed
from emw.web.given import TheAuth, TheHeadEnd, id_of
from emw.web.render import plain
from emw.web.tongue import TONGUES

MEDIA: Final = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it is sent: its bytes, the same packed, its media type and ETag."""

    body: bytes
    packed: bytes
    media: str
    etag: str


def file_of(name: str, body: bytes) -> _File | None:
    """A file, if it is of a kind that pages have."""
    media = next((m for ending, m in MEDIA.items() if name.endswith(ending)), None)
    if media is None:
        return None
    return _File(body, gzip.compress(body, 9, mtime=0), media, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _files() -> dict[str, _File]:
    """Every file of `static/`, in memory. No path of a caller reaches the disk."""
    found = {f.name: file_of(f.name, f.read_bytes()) for f in files("emw.web").joinpath("static").iterdir()}
    return {name: file for name, file in found.items() if file is not None}


_STATIC: Final = _files()
_MESSAGES: Final = {f"{x.tag}.js": file_of(f"{x.tag}.js", x.module) for x in TONGUES.values()}


def static_of(name: str) -> _File | None:
    """A file of `static/`."""
    return _STATIC.get(name)


def sent(request: AnyRequest, known: _File | None) -> Response[bytes]:
    """A file, packed where the browser takes that, or word that it has not changed."""
    if known is None:
        raise NotFound("there is no such file")
    headers = {"ETag": known.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == known.etag:
        return Response(b"", status_code=304, headers=headers, media_type=known.media)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(known.packed, media_type=known.media, headers=headers)
    return Response(known.body, media_type=known.media, headers=headers)


@get("/static/{name:str}", include_in_schema=False)
async def static_file(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    """A script, a style, an image."""
    return sent(request, _STATIC.get(name))


@get("/messages/{name:str}", include_in_schema=False)
async def messages(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    """A catalogue as a module."""
    return sent(request, _MESSAGES.get(name))


# --- pages


@get("/", include_in_schema=False)
async def live_page(request: AnyRequest, headend: TheHeadEnd, auth: TheAuth) -> Response[Any]:
    """The fleet now: load, target, requests, territories, activity."""
    return framed(request, headend, auth, "live.html", place="live")


@get("/map", include_in_schema=False)
async def map_page(request: AnyRequest, headend: TheHeadEnd, auth: TheAuth) -> Response[Any]:
    """Where it happens."""
    return framed(request, headend, auth, "map.html", place="map")


@get("/requests", include_in_schema=False)
async def requests_page(request: AnyRequest, headend: TheHeadEnd, auth: TheAuth) -> Response[Any]:
    """Run an event: preview, schedule, change, end."""
    return framed(request, headend, auth, "requests.html", place="requests")


@get("/evses", include_in_schema=False)
async def evses_page(request: AnyRequest, headend: TheHeadEnd, auth: TheAuth) -> Response[Any]:
    """Every EVSE in a table."""
    return framed(request, headend, auth, "evses.html", place="evses")


@get("/evses/{evse_id:str}", include_in_schema=False)
async def evse_page(
    request: AnyRequest, headend: TheHeadEnd, auth: TheAuth, evse_id: FromPath[str]
) -> Response[Any]:
    """One EVSE."""
    evse_id = id_of(evse_id)
    if evse_id not in headend.state.evses and auth.who(request, touch=False) is not None:
        raise NotFound(f"there is no EVSE {evse_id!r}")
    return framed(request, headend, auth, "evse.html", place="evses", evse_id=evse_id)


@get("/log", include_in_schema=False)
async def log_page(request: AnyRequest, headend: TheHeadEnd, auth: TheAuth) -> Response[Any]:
    """The activity log, searched."""
    return framed(request, headend, auth, "log.html", place="log", kinds=sorted(FACTS))


@get("/grid", include_in_schema=False)
async def grid_page(request: AnyRequest, headend: TheHeadEnd, auth: TheAuth) -> Response[Any]:
    """Grid systems: connections, events on a line of time, what is not served."""
    return framed(request, headend, auth, "grid.html", place="grid")


@get("/login", include_in_schema=False)
async def login_page(request: AnyRequest, headend: TheHeadEnd, auth: TheAuth) -> Response[Any]:
    """Name and password."""
    if auth.who(request, touch=False) is not None:
        return Redirect("/", status_code=303)
    sign_on = auth.sign_on
    return plain(
        request,
        "login.html",
        first=not headend.state.operators and sign_on is None,
        sign_on=None if sign_on is None else sign_on.label,
        error=None,
    )


@get("/setup", include_in_schema=False)
async def setup_page(request: AnyRequest, headend: TheHeadEnd) -> Response[str]:
    """The first administrator. The token is in the link's fragment: only the page's own script sees it."""
    return plain(request, "setup.html", done=bool(headend.state.operators))


PAGES: Final = [
    live_page,
    map_page,
    requests_page,
    evses_page,
    evse_page,
    grid_page,
    log_page,
    login_page,
    setup_page,
    static_file,
    messages,
]
"""Every route of this file, for the app."""
