"""Single sign-on, the browser's way: to the provider, and back with its word.

What the browser must bring back lies in a cookie of its own, not in this server: nobody can fill a memory with logins
that never end, and a restart in between does no harm. The code that comes back is good once, at the provider.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import structlog
from litestar import Request, Response, get
from litestar.datastructures import Cookie
from litestar.params import QueryParameter
from litestar.response import Redirect

from emw.service.errors import EmwError, NotFound, Unauthorised
from emw.service.ports import Ids
from emw.service.sign_on import Flow, NotVouchedFor
from emw.web.auth import address_of
from emw.web.given import TheAuth, TheHeadEnd, TheIds, TheSettings
from emw.web.logins import COOKIE
from emw.web.render import plain
from emw.web.settings import WebSettings

log = structlog.get_logger()
FLOW_COOKIE: Final = "emw_sso"
FLOW_S: Final = 600
PATH: Final = "/sso"
Word = Annotated[str | None, QueryParameter(max_length=4096)]
State = Annotated[str | None, QueryParameter(name="state", max_length=4096)]


def _flow(ids: Ids) -> Flow:
    """Three secrets of 192 bits and more; the verifier has the 43 to 128 characters that RFC 7636 asks for."""
    return Flow(ids.new("sa"), ids.new("no"), f"{ids.new('ve')}{ids.new('')}"[:128].ljust(43, "x"))


def _redirect_url(request: Request[Any, Any, Any], settings: WebSettings) -> str:
    """Where the provider sends the browser back to; it knows the few that it may."""
    scheme = "https" if settings.secure else request.scope["scheme"]
    base = settings.public_url or f"{scheme}://{request.headers.get('host', 'localhost')}"
    return base.rstrip("/") + PATH + "/back"


def _cookie(settings: WebSettings, value: str, max_age: int) -> Cookie:
    """For the way back only, which begins at the provider's page: `lax`, as `strict` would not come along."""
    return Cookie(
        key=FLOW_COOKIE,
        value=value,
        path=PATH,
        max_age=max_age,
        secure=settings.secure,
        httponly=True,
        samesite="lax",
    )


def _sorry(
    request: Request[Any, Any, Any], headend: TheHeadEnd, auth: TheAuth, why: str, status: int
) -> Response[Any]:
    told = plain(
        request,
        "login.html",
        first=not headend.state.operators and auth.sign_on is None,
        sign_on=None if auth.sign_on is None else auth.sign_on.label,
        error=why,
    )
    told.status_code = status
    return told


@get(PATH, include_in_schema=False, opt={"open": True})
async def sso_begin(
    request: Request[Any, Any, Any], headend: TheHeadEnd, auth: TheAuth, settings: TheSettings, ids: TheIds
) -> Response[Any]:
    """To the provider."""
    if auth.sign_on is None:
        raise NotFound("there is no single sign-on here")
    flow = _flow(ids)
    try:
        url = await auth.sign_on.begin(flow, _redirect_url(request, settings))
    except NotVouchedFor as error:
        return _sorry(request, headend, auth, str(error), 503)
    return Redirect(
        url,
        status_code=303,
        cookies=[_cookie(settings, f"{flow.state}.{flow.nonce}.{flow.verifier}", FLOW_S)],
    )


@get(PATH + "/back", include_in_schema=False, opt={"open": True})
async def sso_back(
    request: Request[Any, Any, Any],
    headend: TheHeadEnd,
    auth: TheAuth,
    settings: TheSettings,
    code: Word = None,
    given_state: State = None,
    error: Word = None,
) -> Response[Any]:
    """From the provider: a session for whom it vouches for, or the login page with the reason."""
    if auth.sign_on is None:
        raise NotFound("there is no single sign-on here")
    kept = (request.cookies.get(FLOW_COOKIE) or "").split(".")
    try:
        if len(kept) != 3 or not given_state:
            raise Unauthorised("this login was not begun in this browser, or too long ago; begin again")
        if error is not None or not code:
            raise Unauthorised("the sign-on provider did not let you in")
        cookie, _ = await auth.vouched(
            Flow(*kept),
            given_state,
            code,
            _redirect_url(request, settings),
            address_of(request),
            request.cookies.get(COOKIE),
        )
    except EmwError as refused:
        return _sorry(request, headend, auth, refused.detail, refused.status)
    session = Cookie(
        key=COOKIE,
        value=cookie,
        path="/",
        max_age=int(settings.session_s),
        secure=settings.secure,
        httponly=True,
        samesite="lax",
    )
    return Redirect("/", status_code=303, cookies=[session, _cookie(settings, "", 0)])
