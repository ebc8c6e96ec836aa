"""How emw speaks to a VTN of OpenADR 3.1 or 3.0.1: tokens, complete listings, reports. Every failure has a name.

What real servers do: some take the client's secret only in the form body, some only as HTTP Basic; some leave
`expires_in` out; some answer 403 to an old token; some cap a page below what was asked. Sources: OpenAPI files
3.0.1 and 3.1.0, RFC 6749 4.4 and 2.3.1.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol
from urllib.parse import quote, quote_plus, urlencode, urljoin

import msgspec

from emw.grid.openadr3.settings import VtnSettings
from emw.grid.openadr3.wire import Problem, Token
from emw.outgoing import CallFailed, CallTimedOut, Reply, UrlRefused
from emw.service.ports import Clock

MOST_BYTES: Final = 8 * 1024 * 1024
MOST_OBJECTS: Final = 20_000
REFRESH_AT: Final = 0.8
V31: Final = "3.1.0"
V301: Final = "3.0.1"


class Trouble(StrEnum):
    """What kept us from an answer."""

    REFUSED_URL = "refused_url"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    CREDENTIALS = "credentials"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    CONFLICT = "conflict"
    BUSY = "busy"
    SERVER = "server"
    GARBLED = "garbled"


class VtnFailed(Exception):
    """The VTN gave no usable answer. `trouble` is for programs, the text for people; nothing secret is in it."""

    def __init__(self, trouble: Trouble, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.trouble = trouble
        self.why = why
        self.retry_after_s = retry_after_s


class Http(Protocol):
    """The guarded client, as far as it is needed here (`emw.outgoing.Outgoing`)."""

    async def request(
        self,
        method: str,
        base_url: str,
        path: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
        most_bytes: int = 0,
    ) -> Reply:
        """Call a URL. Raises UrlRefused, CallTimedOut or CallFailed."""
        ...


class VtnClient:
    """One VTN, one set of credentials."""

    def __init__(self, settings: VtnSettings, http: Http, clock: Clock) -> None:
        self._settings = settings
        self._base = settings.url.rstrip("/")
        self._http = http
        self._clock = clock
        self._version = settings.version
        self._token: str | None = None
        self._refresh_at: datetime | None = None
        self._token_url = settings.token_url
        self.basic: bool | None = None
        """Whether the token server takes HTTP Basic; None: not known yet."""
        self.token_life_s: float | None = None
        """What the last token said of its life; None: nothing."""

    # --- one call

    async def _send(
        self,
        method: str,
        base: str,
        path: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        try:
            return await self._http.request(
                method,
                base,
                path,
                query=query,
                body=body,
                headers=headers,
                deadline_s=self._settings.deadline_s,
                most_bytes=MOST_BYTES,
            )
        except UrlRefused as error:
            raise VtnFailed(Trouble.REFUSED_URL, f"emw may not call {base}: {error}") from error
        except CallTimedOut as error:
            raise VtnFailed(
                Trouble.TIMED_OUT, f"{base} did not answer within {self._settings.deadline_s:g} s"
            ) from error
        except CallFailed as error:
            raise VtnFailed(Trouble.UNREACHABLE, f"{base} can't be reached: {error}") from error

    async def _call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None
    ) -> Any:
        """One authorised call; an answer that the token is bad is tried once more with a fresh one."""
        sent = None if body is None else msgspec.json.encode(body)
        reply = Reply(0, b"")
        for again in (False, True):
            headers = {"Accept": "application/json"}
            if sent is not None:
                headers["Content-Type"] = "application/json"
            token = await self.token()
            if token is not None:
                headers["Authorization"] = f"Bearer {token}"
            reply = await self._send(method, self._base, path, query=query, body=sent, headers=headers)
            if reply.status not in {401, 403} or token is None or again:
                break
            self._token = None
        if 200 <= reply.status < 300:
            return _json(reply, path)
        raise _failed(reply, f"{method} {path}")

    # --- who we are

    async def version(self) -> str:
        """3.1.0 or 3.0.1: as configured, else `/auth/server` tells (only 3.1 has it)."""
        if self._version is None:
            reply = await self._send("GET", self._base, "/auth/server")
            if reply.status >= 500 or reply.status == 429:
                raise _failed(reply, "GET /auth/server")
            self._version = V31 if 200 <= reply.status < 300 else V301
        return self._version

    async def token(self) -> str | None:
        """The bearer token, fetched or refreshed where needed; None: this VTN is read without one."""
        if self._settings.client_id is None:
            return None
        due = self._refresh_at is not None and self._clock.now() >= self._refresh_at
        if self._token is None or due:
            await self._log_in()
        return self._token

    async def token_url(self) -> str:
        """Where tokens are made: configured, told by `/auth/server` (3.1), else `/auth/token`."""
        if self._token_url is None:
            url = f"{self._base}/auth/token"
            if await self.version() == V31:
                reply = await self._send("GET", self._base, "/auth/server")
                if 200 <= reply.status < 300:
                    told = _json(reply, "/auth/server")
                    named = told.get("tokenURL") if isinstance(told, dict) else None
                    if isinstance(named, str) and named:
                        url = urljoin(self._base + "/", named)
                        if self._base.startswith("https://") and not url.startswith("https://"):
                            raise VtnFailed(
                                Trouble.REFUSED_URL,
                                f"the VTN sends us to {url} for tokens: our secret does not go there without TLS",
                            )
                elif reply.status >= 500 or reply.status == 429:
                    raise _failed(reply, "GET /auth/server")
            self._token_url = url
        return self._token_url

    async def _log_in(self) -> None:
        url = await self.token_url()
        ways = (False, True) if self.basic is None else (self.basic,)
        reply = Reply(0, b"")
        for basic in ways:
            reply = await self._ask_token(url, basic=basic)
            if 200 <= reply.status < 300:
                self.basic = basic
                break
            if reply.status not in {400, 401, 403, 415}:
                break
        if not 200 <= reply.status < 300:
            self._token, self.basic = None, None
            raise _token_failed(reply, url)
        try:
            told = msgspec.json.decode(reply.body, type=Token)
        except msgspec.DecodeError as error:
            raise VtnFailed(Trouble.GARBLED, f"{url} answered with something that is no token") from error
        self._token = told.access_token
        life_s = self.token_life_s = _life_s(told.expires_in)
        self._refresh_at = (
            None if life_s is None else self._clock.now() + timedelta(seconds=life_s * REFRESH_AT)
        )

    async def _ask_token(self, url: str, *, basic: bool) -> Reply:
        s = self._settings
        client_id, secret = s.client_id or "", s.client_secret or ""
        form = {"grant_type": "client_credentials"}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if basic:
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        else:
            form |= {"client_id": client_id, "client_secret": secret}
        if s.scope:
            form["scope"] = s.scope
        if s.audience:
            form["audience"] = s.audience
        return await self._send("POST", url, body=urlencode(form).encode(), headers=headers)

    # --- what there is

    async def listing(self, path: str, query: Mapping[str, str] | None = None) -> list[Any]:
        """Every object of a list, or VtnFailed: part of a list is never taken for all of it.

        A page shorter than asked may be the last or the server's cap: only a page that brings nothing new ends it.
        """
        found: list[Any] = []
        seen: set[str] = set()
        asked = self._settings.page
        while True:
            page = await self._page(
                path, {**(query or {}), "skip": str(len(found)), "limit": str(asked)}, found
            )
            new = [o for o in page if _name(o) not in seen]
            if not new:
                return found
            found += new
            seen.update(_name(o) for o in new)
            if len(found) > MOST_OBJECTS:
                raise VtnFailed(Trouble.GARBLED, f"GET {path} listed more than {MOST_OBJECTS} objects")

    async def _page(self, path: str, query: Mapping[str, str], found: list[Any]) -> list[Any]:
        try:
            page = await self._call("GET", path, query=query)
        except VtnFailed as error:
            beyond = bool(found) and error.trouble in {Trouble.NOT_FOUND, Trouble.BAD_REQUEST}
            if beyond and len(found) % self._settings.page:
                return []  # some servers have no page after the last
            raise
        if not isinstance(page, list):
            raise VtnFailed(Trouble.GARBLED, f"GET {path} answered with something that is no list")
        return page

    async def one(self, path: str, name: str) -> Any | None:
        """One object; None: it is not there (or not ours to see)."""
        try:
            return await self._call("GET", f"{path}/{quote(name, safe='')}")
        except VtnFailed as error:
            if error.trouble in {Trouble.NOT_FOUND, Trouble.FORBIDDEN}:
                return None
            raise

    async def fetch(self, path: str) -> Any:
        """Whatever stands at a path."""
        return await self._call("GET", path)

    # --- what is told

    async def create(self, path: str, body: Any) -> Any:
        """POST one object; returns it as the server keeps it."""
        return await self._call("POST", path, body=body)

    async def replace(self, path: str, name: str, body: Any) -> Any:
        """PUT one object whole."""
        return await self._call("PUT", f"{path}/{quote(name, safe='')}", body=body)

    async def delete(self, path: str, name: str) -> None:
        """DELETE one object."""
        await self._call("DELETE", f"{path}/{quote(name, safe='')}")


def _name(listed: Any) -> str:
    if isinstance(listed, dict) and isinstance(listed.get("id"), str | int):
        return str(listed["id"])
    return msgspec.json.encode(listed, order="deterministic").decode()


def _json(reply: Reply, what: str) -> Any:
    if not reply.body.strip():
        return None
    try:
        return msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VtnFailed(Trouble.GARBLED, f"{what} answered with something that is no JSON") from error


def _life_s(told: Any) -> float | None:
    """`expires_in`, also where it came as text."""
    try:
        life_s = float(told)
    except (TypeError, ValueError, OverflowError):
        return None
    return min(life_s, 1e9) if life_s > 0 else None


def _detail(reply: Reply) -> str:
    """What the server said about it, short; servers' words are shown, not trusted."""
    try:
        told = msgspec.json.decode(reply.body, type=Problem, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    words = (told.detail, told.error_description, told.title, told.error)
    text = next((w for w in words if w), "")
    return f" ({text[:200]})" if text else ""


_OF_STATUS: Final = {
    400: Trouble.BAD_REQUEST,
    401: Trouble.CREDENTIALS,
    403: Trouble.FORBIDDEN,
    404: Trouble.NOT_FOUND,
    405: Trouble.NOT_FOUND,
    409: Trouble.CONFLICT,
    429: Trouble.BUSY,
    501: Trouble.NOT_FOUND,
}


def _failed(reply: Reply, what: str) -> VtnFailed:
    trouble = _OF_STATUS.get(reply.status, Trouble.SERVER if reply.status >= 500 else Trouble.GARBLED)
    return VtnFailed(trouble, f"{what} was answered {reply.status}{_detail(reply)}", reply.retry_after_s)


def _token_failed(reply: Reply, url: str) -> VtnFailed:
    if reply.status in {400, 401, 403}:
        text = (
            f"the token server {url} does not take our client id and secret: {reply.status}{_detail(reply)}"
        )
        return VtnFailed(Trouble.CREDENTIALS, text)
    return _failed(reply, f"POST {url}")
