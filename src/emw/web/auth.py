"""Who is speaking to the operator's plane, and what they may do: cookie, key or this machine's owner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from math import log10
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import structlog
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from emw.domain import facts as f
from emw.domain.people import Role
from emw.misfit import decoded
from emw.service.errors import Conflict, EmwError, Forbidden, TooMany, Unauthorised, Unavailable
from emw.service.gate import Guesses, hash_of
from emw.service.headend import HeadEnd
from emw.service.ports import Ids
from emw.service.sign_on import Flow, NotVouchedFor, SignOn
from emw.web.logins import COOKIE, Login, Logins
from emw.web.passwords import Passwords, check_new_password
from emw.web.queries import check_query
from emw.web.settings import WebSettings
from emw.web.shell import CHANGING, host_name

log = structlog.get_logger()
Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
SINGLE: Final = "(single sign-on)"
UNKNOWN: Final = "(unknown)"
"""What the log calls a name nobody has: people type their password there."""


class WrongMedia(EmwError):
    """A changing call that is not JSON: a foreign page's form could have sent it."""

    status = 415
    title = "Wrong media type"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody known. `actor` is what the log says; `login` where a cookie spoke."""

    name: str
    actor: str
    role: Role
    login: Login | None = None
    scopes: frozenset[str] = frozenset()
    """A key's: the parts of the API it opens; empty: every part."""


LOCAL: Final = Caller("local", "operator:local", Role.ADMINISTRATOR)


def address_of(connection: Connection) -> str:
    """The caller's address, as the socket says: headers can lie."""
    client = connection.scope.get("client")
    return str(client[0]) if client else "local"


def elapsed_s() -> float:
    """Seconds of the running loop: people's time, whatever the clock of the simulation does."""
    return asyncio.get_running_loop().time()


def people_now() -> datetime:
    """The same as a datetime, for what counts in those."""
    return EPOCH + timedelta(seconds=elapsed_s())


class Auth:
    """Logins, keys and the first start's link."""

    def __init__(
        self, headend: HeadEnd, settings: WebSettings, ids: Ids, sign_on: SignOn | None = None
    ) -> None:
        self._headend = headend
        self.sign_on = sign_on
        self._state = headend.state
        self._settings = settings
        self.passwords = Passwords()
        self.logins = Logins(ids, elapsed_s, life_s=settings.session_s, idle_s=settings.idle_s)
        self._by_both = Guesses(free=5)
        self._by_name = Guesses(free=50)
        self._by_address = Guesses(free=20)
        self._setup_hash: str | None = None
        self._setup_until_s = 0.0
        self._ids = ids
        self.refused = 0

    # --- the first start

    def offer_setup(self) -> str | None:
        """The path of the one-time link, when nobody may log in yet. In the fragment: never sent, never logged."""
        if self._state.operators or self._settings.local:
            return None
        token = self._ids.new("setup")
        self._setup_hash = hash_of(token)
        self._setup_until_s = elapsed_s() + self._settings.setup_s
        return f"/setup#{token}"

    async def set_up(self, token: str, name: str, password: str, address: str) -> tuple[str, Login]:
        """Make the first administrator and log in. The link is used up by the first who succeeds."""
        self._not_too_many(name, address)
        expected = self._setup_hash
        if self._state.operators:
            raise Conflict("emw is set up already: log in, or ask an administrator for a login")
        if (
            expected is None
            or elapsed_s() > self._setup_until_s
            or not compare_digest(hash_of(token), expected)
        ):
            self._wrong(name, address)
            raise Unauthorised("this link is not valid or too old; restart emw to get a new one")
        check_new_password(password, name)
        self._setup_hash = None  # before the first await: two calls can't both have it
        try:
            password_hash = await self.passwords.hash(password)
            await self._headend.admin.add_operator("setup", name, password_hash, Role.ADMINISTRATOR)
        except EmwError:
            self._setup_hash = expected
            raise
        return self.logins.open(name, password_hash, address=address)

    # --- logging in

    async def log_in(
        self, name: str, password: str, address: str, old_cookie: str | None
    ) -> tuple[str, Login]:
        """A new login for the right password. Unknown and wrong look alike, in words and in time."""
        self._not_too_many(name, address)
        operator = self._state.operators.get(name)
        known_hash = None if operator is None or operator.disabled else operator.password_hash
        if not await self.passwords.right(known_hash, password) or known_hash is None:
            await self._note_refusal(name if operator else UNKNOWN, address, self._wrong(name, address))
            raise Unauthorised("name or password is wrong")
        self._by_both.right(f"{name}@{address}")
        if old_cookie is not None:
            self.logins.close(old_cookie)
        fact = f.LoggedIn(at=self._headend.clock.now(), actor=f"operator:{name}", name=name, address=address)
        await self._write(fact)
        return self.logins.open(name, known_hash, address=address)

    async def vouched(
        self, flow: Flow, state: str, code: str, redirect_url: str, address: str, old_cookie: str | None
    ) -> tuple[str, Login]:
        """A login for whom the sign-on provider vouches for; the role is its word, for this login alone."""
        self._not_too_many(SINGLE, address)
        if self.sign_on is None or not compare_digest(state.encode(), flow.state.encode()):
            self._wrong(SINGLE, address)
            raise Unauthorised("this login was not begun in this browser, or too long ago; begin again")
        try:
            person = await self.sign_on.finish(flow, code, redirect_url)
        except NotVouchedFor as error:
            await self._note_refusal(SINGLE, address, self._wrong(SINGLE, address))
            raise Unauthorised(str(error)) from error
        if old_cookie is not None:
            self.logins.close(old_cookie)
        await self._write(
            f.SignedOn(
                at=self._headend.clock.now(),
                actor=f"sso:{person.name}",
                name=person.name,
                subject=person.subject,
                issuer=person.issuer,
                role=person.role,
                address=address,
            )
        )
        return self.logins.open(person.name, "", address=address, role=person.role)

    def _not_too_many(self, name: str, address: str) -> None:
        """Few tries per name and address: nobody locks a person out from elsewhere.

        More per address (no trying of names), and more per name (no trying from many addresses).
        """
        now = people_now()
        wait_s = max(
            self._by_both.wait_s(f"{name}@{address}", now),
            self._by_name.wait_s(name, now),
            self._by_address.wait_s(address, now),
        )
        if wait_s:
            raise TooMany("too many wrong tries; wait and try again", retry_after_s=wait_s)

    def _wrong(self, name: str, address: str) -> int:
        self.refused += 1
        self._by_both.wrong(f"{name}@{address}", people_now())
        self._by_name.wrong(name, people_now())
        return self._by_address.wrong(address, people_now())

    async def _note_refusal(self, name: str, address: str, tries: int) -> None:
        """A row for the 1st, 10th, 100th wrong try from an address: a flood must not fill the log."""
        if log10(tries).is_integer():
            await self._write(
                f.LoginRefused(
                    at=self._headend.clock.now(), actor="emw", name=name, address=address, tries=tries
                )
            )

    async def _write(self, fact: f.Fact) -> None:
        """A login changes nothing: when the disk is full, people must be able to look all the more."""
        try:
            await self._headend.ledger.record(fact)
        except Unavailable as error:
            log.warning("web.login_not_written", why=error.detail)

    def role_of(self, login: Login) -> Role | None:
        """The role of who is logged in; None: may not be, any more."""
        if login.role is not None:
            return login.role
        known = self._state.operators.get(login.name)
        gone = known is None or known.disabled or known.password_hash != login.password_hash
        return None if known is None or gone else known.role

    # --- every call after that

    def who(self, connection: Connection, *, touch: bool = True) -> Caller | None:
        """Who speaks; None: nobody known. A key that is sent must be right, even beside a good cookie."""
        if self._settings.local:
            return LOCAL
        header = connection.headers.get("authorization")
        if header is not None:
            return self._by_key(header, address_of(connection))
        cookie = connection.cookies.get(COOKIE)
        login = self.logins.find(cookie, touch=touch) if cookie else None
        if login is None or cookie is None:
            return None
        if login.role is not None:
            return Caller(login.name, f"sso:{login.name}", login.role, login)
        role = self.role_of(login)
        if role is None:
            self.logins.close(cookie)
            return None
        return Caller(login.name, f"operator:{login.name}", role, login)

    def _by_key(self, header: str, address: str) -> Caller:
        kind, _, key = header.partition(" ")
        digest = hash_of(key.strip())
        found: Caller | None = None
        for known in self._state.api_keys.values():
            over = known.expires_at is not None and known.expires_at <= self._headend.clock.now()
            if compare_digest(digest, known.key_hash) and not known.revoked and not over:
                scopes = frozenset(known.scopes)
                found = Caller(known.name, f"key:{known.key_id}", known.role, scopes=scopes)
        if found is not None and kind.lower() == "bearer":
            return found
        self.refused += 1
        wait_s = self._by_address.wait_s(address, people_now())
        self._by_address.wrong(address, people_now())
        if wait_s:
            raise TooMany("too many wrong keys from here; wait and try again", retry_after_s=wait_s)
        raise Unauthorised("this API key is not valid")

    def let_in(self, connection: Connection, role: Role, scope: str | None = None) -> Caller:
        """The caller of a route that needs `role`: known, allowed, and, where a cookie changes something, meant.

        `scope`: the part of the API it belongs to. A key that is kept to some parts opens no other, and none that
        is named nowhere.
        """
        caller = self.who(connection)
        if caller is None:
            raise Unauthorised("log in, or send an API key as Authorization: Bearer")
        if not caller.role.may(role):
            raise Forbidden(f"this needs the role {role}; yours is {caller.role}")
        if caller.scopes and scope not in caller.scopes:
            raise Forbidden(f"this key is for {', '.join(sorted(caller.scopes))} only")
        self.check_meant(connection, caller)
        return caller

    def check_meant(self, connection: Connection, caller: Caller | None) -> None:
        """A changing call must be JSON, and one with a cookie must come from our own page and carry its token."""
        if connection.scope.get("method") not in CHANGING:
            return
        check_media(connection)
        if self._settings.local:
            return
        check_origin(connection)
        if caller is not None and caller.login is not None:
            token = connection.headers.get("x-csrf-token", "")
            if not compare_digest(token.encode(), caller.login.csrf.encode()):
                raise Forbidden(
                    "X-CSRF-Token is missing or old; reload the page (its value is in /api/v1/me)"
                )


def check_media(connection: Connection) -> None:
    """A changing call is JSON: a foreign page's form could send anything else unasked."""
    media = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and (connection.scope.get("method") != "DELETE" or media):
        raise WrongMedia("send JSON with Content-Type: application/json")


def check_origin(connection: Connection) -> None:
    """Browsers say which page sends a call; another than ours may not. (Tools say nothing, and need the token.)"""
    origin = connection.headers.get("origin")
    site = connection.headers.get("sec-fetch-site", "same-origin")
    host = connection.headers.get("host", "")
    if site not in {"same-origin", "none"}:
        raise Forbidden("this call comes from another site's page")
    if origin is None:
        return
    netloc = urlsplit(origin).netloc.lower()
    if not netloc or (netloc != host.lower() and not _default_port(origin, host)):
        raise Forbidden("this call comes from another site's page")


def _default_port(origin: str, host: str) -> bool:
    """`https://console` and `console:443` are one place."""
    parts = urlsplit(origin)
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return (
        bool(default)
        and host_name(host) + default == host.lower()
        and parts.netloc.lower() == host_name(host)
    )


def scope_of(handler: BaseRouteHandler) -> str | None:
    """The part of the API that a door belongs to: its tag in the description, as one word."""
    tags = sorted(handler.resolve_tags()) if isinstance(handler, HTTPRouteHandler) else []
    return tags[0].lower().replace(" ", "-") if tags else None


def needs(role: Role) -> Guard:
    """The guard of a route: who it lets in, the handler finds as `caller`.

    `guard.role` tells the tests, which hold every door against every role.
    """

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        auth: Auth = connection.app.state["auth"]
        connection.scope["state"]["caller"] = auth.let_in(connection, role, scope_of(handler))
        check_query(connection, handler)
        check_body(connection, handler)

    guard.role = role  # type: ignore[attr-defined]  # a note on a function
    return guard


async def means_it(connection: Connection, handler: BaseRouteHandler) -> None:
    """The guard of the ways in (login, setup): nobody is known yet, but a foreign page may not send it."""
    auth: Auth = connection.app.state["auth"]
    auth.check_meant(connection, None)
    check_query(connection, handler)
    check_body(connection, handler)


def check_body(connection: Connection, handler: BaseRouteHandler) -> None:
    """Decode the body strictly, before the framework does: to it "5" is a number, to us it is a mistake (P9)."""
    body: bytes | None = connection.scope.get("emw.body")  # type: ignore[assignment]
    if body is None or handler.parsed_data_field is None:
        return
    kind = handler.parsed_data_field.annotation
    decoded(lambda said: msgspec.json.decode(said, type=kind), body)


viewer: Final = needs(Role.VIEWER)
operator: Final = needs(Role.OPERATOR)
administrator: Final = needs(Role.ADMINISTRATOR)


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """The caller whom the route's guard let in."""
    caller: Caller = request.scope["state"]["caller"]
    return caller
