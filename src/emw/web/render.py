"""Templates to pages: by Jinja2 with autoescape, in the reader's language and theme."""

from __future__ import annotations

from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response

from emw.web.tongue import COOKIE, TONGUES, choose

THEMES: Final = ("auto", "light", "dark")
THEME_COOKIE: Final = "emw_theme"
_PAGES: Final = Environment(loader=PackageLoader("emw.web"), autoescape=True, undefined=StrictUndefined)


def plain(
    request: Request[Any, Any, Any], template: str, *, status_code: int = 200, **values: Any
) -> Response[str]:
    """A page outside the frame (the ways in, a refusal), in the reader's language and theme."""
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
    headers = {"Vary": "Accept-Language, Cookie"}
    return Response(text, status_code=status_code, media_type="text/html", headers=headers)
