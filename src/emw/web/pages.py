"""The console's pages and files. Text comes in by Jinja2 with autoescape; data only by the API, as text."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response import Redirect

from emw.service.errors import NotFound
from emw.web.given import TheAuth, TheHeadEnd

MEDIA: Final = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_PAGES: Final = Environment(loader=PackageLoader("emw.web"), autoescape=True, undefined=StrictUndefined)


def _files() -> dict[str, tuple[bytes, str, str]]:
    """Every file of `static/`, in memory: name to bytes, media type, ETag. No path of a caller reaches the disk."""
    found = {}
    for file in files("emw.web").joinpath("static").iterdir():
        media = next((m for ending, m in MEDIA.items() if file.name.endswith(ending)), None)
        if media is not None:
            body = file.read_bytes()
            found[file.name] = (body, media, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return found


_STATIC: Final = _files()


def page(template: str, **values: Any) -> Response[str]:
    """A template filled in."""
    return Response(_PAGES.get_template(template).render(**values), media_type="text/html")


@get("/", include_in_schema=False)
async def console(request: Request[Any, Any, Any], headend: TheHeadEnd, auth: TheAuth) -> Response[Any]:
    """The one page, for who is logged in; else the way in."""
    caller = auth.who(request)
    if caller is None:
        known = headend.state.operators or auth.sign_on is not None
        return Redirect("/login" if known else "/setup", status_code=303)
    session = caller.session
    return page(
        "console.html",
        name=caller.name,
        role=str(caller.role),
        csrf="" if session is None else session.csrf,
        version=headend.version,
    )


@get("/login", include_in_schema=False)
async def login_page(request: Request[Any, Any, Any], headend: TheHeadEnd, auth: TheAuth) -> Response[Any]:
    """Name and password."""
    if auth.who(request, touch=False) is not None:
        return Redirect("/", status_code=303)
    sign_on = auth.sign_on
    return page(
        "login.html",
        first=not headend.state.operators and sign_on is None,
        sign_on=None if sign_on is None else sign_on.label,
        error=None,
    )


@get("/setup", include_in_schema=False)
async def setup_page(headend: TheHeadEnd) -> Response[str]:
    """The first administrator. The token is in the link's fragment: only the page's own script sees it."""
    return page("setup.html", done=bool(headend.state.operators))


@get("/static/{name:str}", include_in_schema=False)
async def static_file(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    """A script, a style, an image."""
    known = _STATIC.get(name)
    if known is None:
        raise NotFound("there is no such file")
    body, media, etag = known
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(b"", status_code=304, headers=headers, media_type=media)
    return Response(body, media_type=media, headers=headers)
