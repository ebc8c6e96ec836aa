"""Single sign-on against a provider that we did not write, over real sockets, and against one that lies."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import aiohttp
import msgspec
import pytest
from joserfc.jwk import RSAKey

from emw.app.build import provider_of
from emw.app.config import ConfigError, load_config
from emw.app.oidc_config import OidcSection, oidc_of
from emw.domain.people import Role
from emw.identity.oidc import NOT_THERE, Provider
from emw.service.sign_on import Flow, NotVouchedFor
from emw.web.app import WebSettings
from tests.identity.mock_provider import running_provider
from tests.identity.test_id_token import KEY, OTHER, claims, signed
from tests.web.world import Told, World, world

# The foreign provider's own foundation calls itself old, while it answers.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
FLOW = Flow("sa_1", "no_1", "v" * 60)
BACK = "http://localhost:8401/sso/back"


@pytest.fixture(scope="module")
def issuer() -> Generator[str, None, None]:
    with running_provider() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSO_SECRET", "any")
        yield url


@contextlib.asynccontextmanager
async def provider(issuer: str, **more: Any) -> AsyncGenerator[Provider, None]:
    """Our side of it. (The foreign provider takes any secret, but wants one.)"""
    section = OidcSection(issuer=issuer, operators=["desk"], administrators=["admins"], **more)
    parts = oidc_of(section)
    assert parts is not None
    async with provider_of(parts) as made:
        yield made


async def logged_in_there(url: str, sub: str) -> dict[str, str]:
    """What the provider sends the browser back with, once the person has said who it is."""
    async with aiohttp.ClientSession() as browser:
        async with browser.get(url) as form:
            assert form.status == 200, await form.text()
        async with browser.post(url, data={"sub": sub}, allow_redirects=False) as answer:
            return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


async def test_a_person_logs_in_at_a_real_provider(issuer: str) -> None:
    async with provider(issuer, client_secret_env="SSO_SECRET") as made:
        url = await made.begin(FLOW, BACK)
        asked = dict(parse_qsl(urlsplit(url).query))
        challenge = hashlib.sha256(FLOW.verifier.encode()).digest()
        assert asked["code_challenge"] == base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
        assert (asked["code_challenge_method"], asked["state"], asked["nonce"]) == ("S256", "sa_1", "no_1")
        told = await logged_in_there(url, "ann")
        assert told["state"] == "sa_1"
        person = await made.finish(FLOW, told["code"], BACK)
        assert (person.name, person.role, person.issuer) == ("Ann A.", Role.ADMINISTRATOR, issuer)
        with pytest.raises(NotVouchedFor):  # a code is good once
            await made.finish(FLOW, told["code"], BACK)
        told = await logged_in_there(await made.begin(FLOW, BACK), "nobody")
        with pytest.raises(NotVouchedFor, match="gives a role"):
            await made.finish(FLOW, told["code"], BACK)


@contextlib.asynccontextmanager
async def console(made: Provider) -> AsyncGenerator[World, None]:
    async with world(WebSettings(public_url="http://localhost:8401"), people=False, sign_on=made) as w:
        yield w


async def begun(w: World) -> tuple[dict[str, str], str]:
    """The browser's cookie and where it is sent."""
    told = await w.call("GET", "/sso")
    assert told.status == 303, told.body
    cookie = told.cookies[0]
    assert {"httponly", "path=/sso", "samesite=lax"} <= {p.strip().lower() for p in cookie.split(";")}
    return {"cookie": cookie.partition(";")[0]}, told.headers["location"]


async def test_the_console_lets_in_whom_the_provider_vouches_for(issuer: str) -> None:
    async with provider(issuer, client_secret_env="SSO_SECRET") as made, console(made) as w:
        assert (await w.call("GET", "/")).headers["location"] == "/login"
        assert b'href="/sso"' in (await w.call("GET", "/login")).body
        mine, url = await begun(w)
        back = await logged_in_there(url, "opa")
        path = f"/sso/back?code={back['code']}&state={back['state']}"
        for headers in ({}, {"cookie": "emw_sso=a.b.c"}, {"cookie": "emw_sso=broken"}):
            told = await w.call("GET", path, headers=headers, address="192.0.2.9")
            assert told.status == 401
            assert not [c for c in told.cookies if "emw_session" in c]
        assert (await w.call("GET", "/sso/back?error=access_denied", headers=mine)).status == 401
        told = await w.call("GET", path, headers=mine)
        assert (told.status, told.headers["location"]) == (303, "/"), told.body
        session = next(c for c in told.cookies if c.startswith("emw_session=")).partition(";")[0]
        me = await w.call("GET", "/api/v1/me", headers={"cookie": session})
        assert (me.json["name"], me.json["role"]) == ("opa", "operator")
        row = next(r for r in w.store.log if r["kind"] == "SignedOn")
        assert (row["actor"], row["subject"], row["issuer"], row["role"]) == (
            "sso:opa", "opa", issuer, Role.OPERATOR,
        )  # fmt: skip
        meant = {"cookie": session, "x-csrf-token": me.json["csrfToken"], "origin": "http://localhost:8401"}
        assert (await w.call("POST", "/api/v1/halt", {}, headers=meant)).status == 200
        assert w.store.log[-1]["actor"] == "sso:opa"
        assert (await w.call("POST", "/api/v1/tokens", {"name": "x"}, headers=meant)).status == 403
        # The code is used up: whoever has read the address gets nothing by it.
        told = await w.call("GET", path, headers=mine)
        assert told.status == 401


async def test_without_a_provider_there_is_no_such_door() -> None:
    async with world() as w:
        assert (await w.call("GET", "/sso")).status == 404
        assert (await w.call("GET", "/sso/back?code=x&state=y")).status == 404


# --- a provider that lies


class Liar:
    """A provider of our own that answers what a test puts in."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, dict[str, list[str]], str | None]] = []
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                form = parse_qs(self.rfile.read(length).decode())
                liar.asked.append((self.path, form, self.headers.get("Authorization")))
                status, body = liar.answers.get(self.path, (404, {}))
                raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_POST = do_GET  # noqa: N815 - the library names it

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.says(claims())
        self.answers["/.well-known/openid-configuration"] = (200, self.discovery())
        self.answers["/jwks"] = (200, {"keys": [KEY.as_dict(private=False)]})

    def discovery(self, **more: Any) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": self.url + "/authorize?tenant=1",
            "token_endpoint": self.url + "/token",
            "jwks_uri": self.url + "/jwks",
            **more,
        }

    def says(self, told: dict[str, Any], key: Any = KEY, **head: Any) -> None:
        now = int(datetime.now(UTC).timestamp())
        told = {"iss": self.url, "iat": now, "exp": now + 60, "groups": ["desk"]} | {
            k: v for k, v in told.items() if k not in {"iss", "iat", "exp", "groups"}
        }
        self.answers["/token"] = (200, {"access_token": "x", "id_token": signed(told, key, **head)})


@pytest.fixture
def liar() -> Generator[Liar, None, None]:
    made = Liar()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join(5)
    made.server.server_close()


async def test_the_secret_goes_in_the_head_and_the_verifier_along(liar: Liar, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s:e/c ret\n")
    secret.chmod(0o600)
    async with provider(liar.url, client_secret_file=str(secret)) as made:
        assert (await made.begin(FLOW, BACK)).startswith(liar.url + "/authorize?tenant=1&response_type=code")
        assert (await made.finish(FLOW, "the-code", BACK)).role is Role.OPERATOR
        _, form, authorization = next(a for a in liar.asked if a[0] == "/token")
        assert authorization is not None
        assert base64.b64decode(authorization.removeprefix("Basic ")) == b"emw:s%3Ae%2Fc+ret"
        assert form == {
            "grant_type": ["authorization_code"],
            "code": ["the-code"],
            "redirect_uri": [BACK],
            "code_verifier": [FLOW.verifier],
        }
        assert "s:e/c ret" not in repr(made._settings)


async def test_keys_that_were_changed_are_read_again_but_not_at_every_try(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = RSAKey.generate_key(2048, {"kid": "k2"})
    async with provider(liar.url) as made:
        await made.finish(FLOW, "c", BACK)
        liar.answers["/jwks"] = (200, {"keys": [new.as_dict(private=False)]})
        liar.says(claims(), new, kid="k2")
        with pytest.raises(NotVouchedFor):  # read a moment ago
            await made.finish(FLOW, "c", BACK)
        monkeypatch.setattr("emw.identity.oidc.AGAIN", datetime.resolution)
        assert (await made.finish(FLOW, "c", BACK)).name == "ann"


async def test_A16_what_a_lying_provider_says_is_not_believed(liar: Liar) -> None:
    good = dict(liar.answers)
    shared = {"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}

    def token(**more: Any) -> Callable[[], None]:
        return lambda: liar.says(claims(**more))

    def answer(path: str, status: int, body: Any) -> Callable[[], None]:
        return lambda: liar.answers.__setitem__(path, (status, body))

    found = "/.well-known/openid-configuration"
    for lie in (
        token(aud="another"),
        token(nonce="no_2"),
        token(azp="another"),
        lambda: liar.says(claims(), OTHER),
        lambda: liar.says(claims(), alg="none"),
        answer("/token", 200, b"not json"),
        answer("/token", 200, {}),
        answer("/token", 400, {"error": "invalid_grant"}),
        answer("/token", 302, {}),
        answer("/token", 200, b"x" * 100_000),
        answer("/jwks", 200, {"keys": []}),
        answer("/jwks", 200, {"keys": [shared, {"kty": "RSA", "n": "x"}, 7, None]}),
        answer("/jwks", 200, {"keys": [KEY.as_dict(private=False) | {"use": "enc"}]}),
        answer("/jwks", 200, []),
        answer("/jwks", 500, {}),
        answer(found, 200, liar.discovery(issuer="https://elsewhere.example")),
        answer(found, 200, liar.discovery(token_endpoint="http://192.0.2.1/token")),
        answer(found, 200, liar.discovery(token_endpoint="file:///etc/passwd")),
        answer(found, 200, liar.discovery(jwks_uri="http://169.254.169.254/jwks")),
        answer(found, 200, liar.discovery(authorization_endpoint="javascript:alert(1)")),
        answer(found, 200, b"[" * 60_000),
        answer(found, 404, {}),
    ):
        liar.answers = dict(good)
        lie()
        async with provider(liar.url) as made:
            with pytest.raises(NotVouchedFor) as caught:
                await made.finish(FLOW, "c", BACK)
            assert "127.0.0.1" not in str(caught.value)
    liar.answers = good
    async with provider(liar.url) as made:
        assert (await made.finish(FLOW, "c", BACK)).name == "ann"


async def test_a_provider_that_is_down_is_said_on_the_login_page() -> None:
    async with provider("http://127.0.0.1:9") as made, console(made) as w:
        told: Told = await asyncio.wait_for(w.call("GET", "/sso"), 60)
        assert told.status == 503
        assert NOT_THERE.encode() in told.body


# --- the configuration


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('issuer = "http://login.example.org"', "must begin with https"),
        ('issuer = "ldap://login.example.org"', "must begin with https"),
        ('issuer = "https://login.example.org"', "nobody could log in"),
        ('issuer = "https://x.example"\nviewers = ["v"]\nalgorithms = ["HS256"]', "algorithms"),
        ('issuer = "https://x.example"\nviewers = ["v"]\nalgorithms = ["none"]', "algorithms"),
        ('issuer = "https://x.example"\nviewers = ["v"]\nscopes = ["email"]', "openid"),
        ('issuer = "https://x.example"\nviewers = ["v"]\nclient_secret_env = "NOPE_NOT_SET"', "NOPE_NOT_SET"),
        ('issuer = "https://x.example"\nviewers = ["v"]\nnetworks = ["intranet"]', "networks"),
        ('issuer = "https://x.example"\ndefault_role = "administrator"', "default_role"),
    ],
)
def test_what_a_configuration_may_not_say(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "emw.toml"
    file.write_text(f"[operator.oidc]\n{text}\n")
    with pytest.raises(ConfigError, match=re.escape(why)):
        load_config(file, {}).oidc()
