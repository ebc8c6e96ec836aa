"""The ways in and out: first administrator, login, logout, who am I."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.params import JSONBody

from emw.domain.people import Role
from emw.web.auth import address_of, means_it, viewer
from emw.web.given import TheAuth, TheCaller, TheSettings
from emw.web.logins import COOKIE, Login
from emw.web.settings import WebSettings
from emw.web.wire import Done
from emw.web.wire_people import LoginIn, MeOut, SetupIn


def _welcome(cookie: str, login: Login, role: Role, settings: WebSettings) -> Response[MeOut]:
    """The answer that carries a new session. The cookie is for our own pages, out of reach for scripts."""
    told = MeOut(name=login.name, role=role, csrf_token=login.csrf)
    kept = Cookie(
        key=COOKIE,
        value=cookie,
        path="/",
        max_age=int(settings.session_s),
        secure=settings.secure,
        httponly=True,
        samesite="lax",
    )
    return Response(told, cookies=[kept])


class LogInOut(Controller):
    """Login."""

    tags = ("Login",)

    @post("/setup", guards=[means_it], status_code=200, summary="Make the first administrator")
    async def set_up(
        self, request: Request[Any, Any, Any], auth: TheAuth, settings: TheSettings, data: JSONBody[SetupIn]
    ) -> Response[MeOut]:
        """With the one-time token that the server printed at its first start; logs in."""
        cookie, login = await auth.set_up(data.token, data.name, data.password, address_of(request))
        return _welcome(cookie, login, Role.ADMINISTRATOR, settings)

    @post("/login", guards=[means_it], status_code=200, summary="Log in")
    async def log_in(
        self, request: Request[Any, Any, Any], auth: TheAuth, settings: TheSettings, data: JSONBody[LoginIn]
    ) -> Response[MeOut]:
        """Sets the session cookie; changing calls then carry `csrfToken` as X-CSRF-Token."""
        cookie, login = await auth.log_in(
            data.name, data.password, address_of(request), request.cookies.get(COOKIE)
        )
        return _welcome(cookie, login, auth.role_of(login) or Role.VIEWER, settings)

    @post("/logout", guards=[viewer], status_code=200, summary="Log out")
    async def log_out(self, request: Request[Any, Any, Any], auth: TheAuth) -> Response[Done]:
        """The session ends at once."""
        cookie = request.cookies.get(COOKIE)
        if cookie is not None:
            auth.logins.close(cookie)
        response = Response(Done())
        response.delete_cookie(COOKIE, path="/")
        return response

    @get("/me", guards=[viewer], summary="Who is speaking")
    async def me(self, caller: TheCaller) -> MeOut:
        """Name, role and the token for changing calls."""
        return MeOut(
            name=caller.name,
            role=caller.role,
            csrf_token=None if caller.login is None else caller.login.csrf,
        )
