"""People and keys in a real Chromium: a secret is shown once, a login is ended."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from emw.domain.people import Role
from emw.web.app import WebSettings
from tests.browser.house import PATIENCE_MS, serving
from tests.web.world import HOSTILE, PASSWORD, stations, world

pytestmark = pytest.mark.browser


async def test_a_key_is_made_shown_once_and_revoked_and_a_login_is_ended(
    browser: Browser,
) -> None:
    async with world(WebSettings(tick_s=0.2)) as w, serving(w) as url:
        await stations(w, ["E1", HOSTILE[0]])
        await w.headend.admin.add_iso("test", "grid", ("East",))
        theirs = await w.log_in("vic")
        context = await browser.new_context(viewport={"width": 1300, "height": 900})
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        heard: list[str] = []
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda box: heard.append(box.message))
        await page.goto(url)
        await page.fill("input[name=name]", "ann")
        await page.fill("input[name=password]", PASSWORD)
        await page.click("button[type=submit]")
        await page.wait_for_selector("nav a[href='/access']")
        await page.click("nav a[href='/access']")
        await page.wait_for_selector("#stations tbody tr")
        assert HOSTILE[0] in await page.inner_text("#stations")
        assert await page.inner_text("#found") == "2 of 2"
        await page.fill("#find", "e1")
        await page.locator("#found", has_text="1 of 1").wait_for()
        assert await page.locator("#stations tbody tr").count() == 1
        await page.fill("#find", "")
        await page.locator("#found", has_text="2 of 2").wait_for()
        await page.click("#keys [data-open]")
        await page.fill("#d-keys input[name=name]", "grafana")
        await page.check("#d-keys input[value=watching]")
        await page.click("#d-keys button[type=submit]")
        await page.wait_for_selector("#d-secret[open]")
        key = await page.inner_text("#secret")
        await page.click("#seen")
        assert key not in await page.content()
        told = await w.call("GET", "/metrics", key=key)
        assert told.status == 200
        assert (await w.call("GET", "/api/v1/evses", key=key)).status == 403
        await page.click("#keys tbody tr:not(.gone) td.do button")
        await page.click("#d-sure button[type=submit]")
        await page.wait_for_selector("#keys tr.gone")
        assert (await w.call("GET", "/metrics", key=key)).status == 401
        row = page.locator("#logins tbody tr", has_text="vic")
        await row.locator("button").click()
        await page.click("#d-sure button[type=submit]")
        await row.wait_for(state="detached")
        assert (await w.call("GET", "/api/v1/me", headers=theirs)).status == 401
        assert heard == []
        await context.close()
        assert (await w.call("GET", "/access", headers=await w.log_in("opa"))).status == 403
        assert (await w.call("GET", "/access", key=await w.key(Role.ADMINISTRATOR))).status == 200
