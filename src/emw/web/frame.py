"""The frame of every page: navigation, language, theme, who is logged in. A page of its own begins here.

A new page is a template that extends `frame.html`, a route that calls `framed(...)`, and a `Place` below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response
from litestar.response import Redirect

from emw.domain.model import Role
from emw.service.headend import HeadEnd
from emw.web.auth import Auth
from emw.web.tongue import COOKIE, TONGUES, choose
from emw.web.words import home_zone

THEMES: Final = ("auto", "light", "dark")
THEME_COOKIE: Final = "emw_theme"
AnyRequest = Request[Any, Any, Any]
_PAGES: Final = Environment(loader=PackageLoader("emw.web"), autoescape=True, undefined=StrictUndefined)


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


def plain(request: AnyRequest, template: str, **values: Any) -> Response[str]:
    """A page outside the frame (the ways in), in the reader's language and theme."""
    tongue = choose(request.cookies.get(COOKIE), request.headers.get("accept-language"))
    theme = request.cookies.get(THEME_COOKIE)
    text = _PAGES.get_template(template).render(
        t=tongue.t,
        language=tongue.tag,
        languages=[(x.tag, x.name) for x in TONGUES.values()],
        theme=theme if theme in THEMES else THEMES[0],
        themes=THEMES,
        **values,
    )
    return Response(text, media_type="text/html", headers={"Vary": "Accept-Language, Cookie"})


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
        return Redirect("/login" if known else "/setup", status_code=303)
    session = caller.session
    return plain(
        request,
        template,
        place=place,
        places=[p for p in PLACES if caller.role.may(p.role)],
        name=caller.name,
        role=str(caller.role),
        csrf="" if session is None else session.csrf,
        version=headend.version,
        zone=home_zone(headend.state),
        **values,
    )
