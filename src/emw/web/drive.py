"""The driver plane: one page and its few calls, on a port of its own, open to the public.

It is another app than the operators' one, so that no slip in a route, a proxy or a guard can show one from the other.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.di import Provide
from litestar.params import FromPath
from litestar.response import Redirect

from emw.service.drivers import Drivers
from emw.service.gate import Guesses
from emw.service.headend import HeadEnd
from emw.web.api_drivers import FREE_TRIES, Charge, stay_of
from emw.web.pages import file_of, sent, static_of
from emw.web.problems import HANDLERS
from emw.web.render import plain
from emw.web.shell import OperatorApp, host_check
from emw.web.tongue import TONGUES

MOST_BODY: Final = 4_096
FILES: Final = ("drive.css", "drive.js", "icon.svg", "zone.js")
"""What of the pages' files drivers are sent. No page of the console is among them."""
AnyRequest = Request[Any, Any, Any]


def _sentences(tag: str) -> bytes:
    """The page's own sentences as a module, and no others."""
    says = {k: v for k, v in TONGUES[tag].says.items() if k.startswith("drive")}
    return b"export default " + msgspec.json.encode(says) + b";\n"


_MESSAGES: Final = {f"{tag}.js": file_of(f"{tag}.js", _sentences(tag)) for tag in TONGUES}


@get("/", include_in_schema=False)
async def front() -> Redirect:
    """To the page."""
    return Redirect("/drive/", status_code=303)


@get("/drive/", include_in_schema=False)
async def drive_page(request: AnyRequest) -> Response[str]:
    """One page. What it shows comes by the token in the link's fragment, which no server sees."""
    return plain(request, "drive.html")


@get("/drive/files/{name:str}", include_in_schema=False)
async def drive_file(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    """A script, a style, an image, a catalogue."""
    if name in FILES:
        return sent(request, static_of(name))
    return sent(request, _MESSAGES.get(name))


@get("/healthz", include_in_schema=False)
async def health() -> dict[str, bool]:
    """Answers as long as the loop turns."""
    return {"alive": True}


@get("/robots.txt", include_in_schema=False, media_type="text/plain")
async def robots() -> str:
    """Nothing here is for a search engine."""
    return "User-agent: *\nDisallow: /\n"


def driver_app(headend: HeadEnd, drivers: Drivers, allowed_hosts: tuple[str, ...] = ()) -> OperatorApp:
    """The driver plane of one head-end. Call it inside the running loop."""
    guesses = Guesses(free=FREE_TRIES)
    app = OperatorApp(
        route_handlers=[front, drive_page, drive_file, health, robots, Charge],
        dependencies={
            "headend": Provide(lambda: headend, sync_to_thread=False, use_cache=True),
            "drivers": Provide(lambda: drivers, sync_to_thread=False, use_cache=True),
            "guesses": Provide(lambda: guesses, sync_to_thread=False, use_cache=True),
            "stay": Provide(stay_of),
        },
        exception_handlers=HANDLERS,
        openapi_config=None,
        request_max_body_size=MOST_BODY,
        debug=False,
        logging_config=None,
    )
    app.answers = Counter()
    app.host_ok = host_check(allowed_hosts)
    return app


def link_of(base_url: str, token: str) -> str:
    """A link that opens one charge. The token is its fragment."""
    return f"{base_url.rstrip('/')}/drive/#{token}"
