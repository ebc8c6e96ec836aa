"""Single sign-on by OpenID Connect: discovery, the authorization code flow with PKCE, and the provider's keys.

Sources: OpenID Connect Core 1.0 and Discovery 1.0, RFC 7636 (PKCE), RFC 6749 2.3.1. All calls pass the guarded client,
which follows no redirect and reads 64 KB at most.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from emw.identity.id_token import Trust, list_in, person_of
from emw.outgoing import CallFailed, Reply, UrlRefused
from emw.service.sign_on import Flow, NotVouchedFor, Person

log = structlog.get_logger()
KEPT: Final = timedelta(hours=1)
"""How long a discovery document and keys are used before they are read again."""
AGAIN: Final = timedelta(seconds=30)
"""Keys change: a token that no known key signed has them read again, but not more often than this."""
NOT_THERE: Final = "the sign-on provider does not answer as it should; try again, or log in with a password"


class Http(Protocol):
    """The guarded client, as far as it is needed here (`emw.outgoing.Outgoing`)."""

    async def request(
        self,
        method: str,
        base_url: str,
        path: str = "",
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Call. Raises UrlRefused, CallTimedOut or CallFailed."""
        ...


class Discovery(msgspec.Struct):
    """What of a provider's own description is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Tokens(msgspec.Struct):
    id_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """One provider, and emw as its client. `client_secret` None: a public client, PKCE alone."""

    trust: Trust
    label: str = "Single sign-on"
    client_secret: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile")
    plain_http: bool = False

    def __repr__(self) -> str:
        """Without the secret."""
        return f"OidcSettings(issuer={self.trust.issuer!r})"


class Provider:
    """One OpenID provider. `now` is the wall clock: a token's times are the world's, not a simulation's."""

    def __init__(self, settings: OidcSettings, http: Http, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._http = http
        self._now = now
        self._known: tuple[Discovery, datetime] | None = None
        self._keys: tuple[KeySet, datetime] | None = None
        self.label = settings.label

    async def begin(self, flow: Flow, redirect_url: str) -> str:
        """The provider's URL to send the browser to."""
        found = await self._discovery()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).rstrip(b"=")
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._settings.trust.client_id,
                "redirect_uri": redirect_url,
                "scope": " ".join(self._settings.scopes),
                "state": flow.state,
                "nonce": flow.nonce,
                "code_challenge": challenge.decode(),
                "code_challenge_method": "S256",
            }
        )
        where = found.authorization_endpoint
        return f"{where}{'&' if '?' in where else '?'}{query}"

    async def finish(self, flow: Flow, code: str, redirect_url: str) -> Person:
        """Trade the code for an ID token and check it."""
        found = await self._discovery()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_url,
            "code_verifier": flow.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        client, secret = self._settings.trust.client_id, self._settings.client_secret
        if secret is None:
            form["client_id"] = client
        elif "client_secret_basic" in found.token_endpoint_auth_methods_supported:
            pair = f"{quote_plus(client)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        else:
            form |= {"client_id": client, "client_secret": secret}
        told = await self._call("POST", found.token_endpoint, body=urlencode(form).encode(), headers=headers)
        token = _decoded(told, _Tokens).id_token
        try:
            return person_of(token, await self._jwks(found), self._settings.trust, flow.nonce, self._now())
        except NotVouchedFor:
            if not self._keys_may_be_old():
                raise
        return person_of(
            token, await self._jwks(found, anew=True), self._settings.trust, flow.nonce, self._now()
        )

    # --- what the provider says of itself

    async def _discovery(self) -> Discovery:
        if self._known is not None and self._now() - self._known[1] < KEPT:
            return self._known[0]
        issuer = self._settings.trust.issuer
        told = await self._call("GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
        found = _decoded(told, Discovery)
        if found.issuer != issuer:
            raise self._unusable(f"it says that it is {found.issuer!r}, not {issuer!r}")
        for url in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            parts = urlsplit(url)
            if parts.scheme not in ({"https", "http"} if self._settings.plain_http else {"https"}) or not (
                parts.hostname
            ):
                raise self._unusable(f"it names {url!r}, which is no https URL")
        self._known = (found, self._now())
        return found

    async def _jwks(self, found: Discovery, *, anew: bool = False) -> KeySet:
        if self._keys is not None and not anew and self._now() - self._keys[1] < KEPT:
            return self._keys[0]
        told = _decoded(await self._call("GET", found.jwks_uri), dict[str, Any])
        usable = [key for raw in list_in(told.get("keys")) if (key := _public_key(raw)) is not None]
        if not usable:
            raise self._unusable("none of its keys can be used")
        keys = KeySet(usable)
        self._keys = (keys, self._now())
        return keys

    def _keys_may_be_old(self) -> bool:
        return self._keys is not None and self._now() - self._keys[1] >= AGAIN

    async def _call(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        try:
            told = await self._http.request(method, url, body=body, headers=headers)
        except (UrlRefused, CallFailed) as error:
            raise self._unusable(f"{url}: {error}") from error
        if told.status != 200:
            raise self._unusable(f"{url} answered {told.status}")
        return told.body

    def _unusable(self, why: str) -> NotVouchedFor:
        """What people are told names no internals; the log does."""
        log.warning("oidc.unusable", issuer=self._settings.trust.issuer, why=why)
        return NotVouchedFor(NOT_THERE)


def _public_key(raw: Any) -> Key | None:
    """A key that a provider signs with. A shared secret, one for something else or of an unknown kind is none."""
    if not isinstance(raw, dict) or raw.get("use", "sig") != "sig":
        return None
    try:
        match raw.get("kty"):
            case "RSA":
                return RSAKey.import_key(raw)
            case "EC":
                return ECKey.import_key(raw)
            case "OKP":
                return OKPKey.import_key(raw)
            case _:
                return None
    except (JoseError, ValueError, KeyError, TypeError):
        return None


Kind = TypeVar("Kind")


def _decoded(body: bytes, kind: type[Kind]) -> Kind:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise NotVouchedFor(NOT_THERE) from error
