"""The frame of every page: navigation, language, theme, who is logged in. A page of its own begins here.

A new page is a template that extends `frame.html`, a route that calls `framed(...)`, and a `Place` below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Request, Response
from litestar.response import Redirect

from emw.domain.people import Role
from emw.service.headend import HeadEnd
from emw.web.auth import Auth
from emw.web.render import plain
from emw.web.words import home_zone

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the navigation. Its words are `nav.<name>` in the catalogues."""

    name: str
    path: str
    role: Role = Role.VIEWER


PLACES: Final = (
    Place("live", "/"),
    Place("map", "/map"),
    Place("requests", "/requests"),
    Place("evses", "/evses"),
    Place("reports", "/reports"),
    Place("grid", "/grid"),
    Place("log", "/log"),
    Place("access", "/access", Role.ADMINISTRATOR),
)
"""The navigation, in its order. An entry comes with its page, not before it."""


def _way_in(request: AnyRequest) -> str:
    """The login, and where to go on after it."""
    path, query = request.scope["path"], request.scope["query_string"].decode("latin-1")
    return "/login" if path == "/" else "/login?" + urlencode({"to": f"{path}?{query}" if query else path})


def framed(
    request: AnyRequest, headend: HeadEnd, auth: Auth, template: str, *, place: str, **values: Any
) -> Response[Any]:
    """A page of the console for who is logged in; for anybody else the way in.

    `place`: which entry of the navigation it belongs to. A place above the caller's role is not shown to him; the
    API refuses what he may not do in any case.
    """
    caller = auth.who(request)
    if caller is None:
        known = headend.state.operators or auth.sign_on is not None
        return Redirect(_way_in(request) if known else "/setup", status_code=303)
    login = caller.login
    return plain(
        request,
        template,
        place=place,
        places=[p for p in PLACES if caller.role.may(p.role)],
        name=caller.name,
        role=str(caller.role),
        csrf="" if login is None else login.csrf,
        version=headend.version,
        zone=home_zone(headend.state),
        **values,
    )
