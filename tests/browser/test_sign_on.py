"""Single sign-on in a real Chromium, at a provider that we did not write."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser

from emw.app.build import provider_of
from emw.app.oidc_config import OidcSection, oidc_of
from emw.web.app import WebSettings
from tests.browser.house import PATIENCE_MS, serving
from tests.identity.mock_provider import running_provider
from tests.web.world import World, world

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@contextlib.asynccontextmanager
async def signing_on(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[tuple[World, str], None]:
    monkeypatch.setenv("SSO_SECRET", "any")
    with running_provider() as issuer:
        parts = oidc_of(
            OidcSection(
                issuer=issuer, client_secret_env="SSO_SECRET", operators=["desk"], label="Log in at work"
            )
        )
        assert parts is not None
        async with (
            provider_of(parts) as provider,
            world(WebSettings(tick_s=0.2), sign_on=provider) as w,
            serving(w) as url,
        ):
            yield w, url


async def test_log_in_at_the_provider_and_out_again(
    monkeypatch: pytest.MonkeyPatch, browser: Browser
) -> None:
    async with signing_on(monkeypatch) as (w, url):
        context = await browser.new_context()
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        await page.goto(url)
        assert await page.inner_text("#sso") == "Log in at work"
        await page.click("#sso")
        await page.fill("input[name=sub]", "stranger")
        await page.click("button[type=submit] >> nth=0")
        await page.wait_for_selector(".error:not([hidden])")
        assert "gives a role here" in await page.inner_text(".error:not([hidden])")
        await page.click("#sso")
        await page.click("button[name=sub][value=opa]")
        await page.wait_for_url(url + "/")
        me = await page.evaluate("fetch('/api/v1/me').then((r) => r.json())")
        assert (me["name"], me["role"]) == ("opa", "operator")
        assert [r["actor"] for r in w.store.log if r["kind"] == "SignedOn"] == ["sso:opa"]
        token = me["csrfToken"]
        await page.evaluate(
            "(t) => fetch('/api/v1/logout', {method: 'POST', body: '{}',"
            " headers: {'Content-Type': 'application/json', 'X-CSRF-Token': t}})",
            token,
        )
        other = await context.new_page()  # this one is on its way to the login by itself
        await other.goto(url)
        assert other.url.endswith("/login")
        await other.goto(url + "/evses")
        await other.click("#sso")
        await other.click("button[name=sub][value=opa]")
        await other.wait_for_url(url + "/evses")  # by way of the provider, too
        await context.close()
