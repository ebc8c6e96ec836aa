"""A driver's phone in a real Chromium: the link, the limit, the way out, the need, the end; and what axe finds."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from emw.web.app import WebSettings
from emw.web.drive import driver_app
from tests.browser.house import PATIENCE_MS, serving
from tests.service.test_drivers import limited, session_of, unplugged, until
from tests.web.test_drive import Plane
from tests.web.world import World, world

pytestmark = pytest.mark.browser


@pytest_asyncio.fixture(loop_scope="session")
async def phone(browser: Browser) -> AsyncGenerator[tuple[Plane, Page, str], None]:
    async with world(WebSettings()) as w:
        await limited(w)
        plane = Plane(w)
        w.app = driver_app(w.headend, plane.drivers)
        async with serving(w) as url:
            context = await browser.new_context(
                viewport={"width": 390, "height": 780}, timezone_id="UTC", has_touch=True
            )
            context.set_default_timeout(PATIENCE_MS)
            page = await context.new_page()
            yield plane, page, url
            await context.close()


async def nothing_serious(page: Page) -> None:
    found = (await Axe().run(page)).response["violations"]
    assert [v["id"] for v in found if v["impact"] in {"serious", "critical"}] == []


async def test_a_driver_sees_the_limit_opts_out_and_tells_the_need(phone: tuple[Plane, Page, str]) -> None:
    plane, page, url = phone
    w: World = plane.w
    await page.goto(f"{url}/drive/#{plane.token('E3')}")
    await page.wait_for_selector('#state[data-state="limited"]')
    assert "#" not in page.url  # who looks over the shoulder sees no key
    assert "of 7.4 kW" in await page.inner_text("#why")
    assert "held back to" in await page.inner_text("#history")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    for theme in ("dark", "light"):
        await page.emulate_media(color_scheme=theme)
        await nothing_serious(page)
    await page.click("button[data-minutes='']")
    await page.wait_for_selector("#opted:not([hidden])")
    await until(w, lambda: w.headend.state.limits["E3"].max_a is None)
    await page.wait_for_selector('#state[data-state="opted_out"]')
    await page.fill("input[name=energy]", "12")
    await page.fill("input[name=departure]", "2026-05-05T18:00")
    await page.click("#need button[type=submit]")
    await page.wait_for_selector("#told:not([hidden])")
    session = w.headend.state.sessions[session_of(w, "E3")]
    assert session.energy_requested_kwh == 12.0
    assert session.departure_at is not None
    assert f"{session.departure_at:%H:%M}" == "18:00"
    await page.click("#optin")
    await page.wait_for_selector("#opted", state="hidden")
    await unplugged(w, "E3", 9.5)
    await page.reload()
    await page.wait_for_selector('#state[data-state="over"]')
    assert await page.is_hidden("#acts")


async def test_a_code_is_typed_and_a_wrong_one_is_said(phone: tuple[Plane, Page, str]) -> None:
    plane, page, url = phone
    await page.goto(f"{url}/")
    await page.wait_for_selector("#find:not([hidden])")
    await nothing_serious(page)
    await page.fill("input[name=code]", "AAAAA-AAAAA")
    await page.click("#find button")
    await page.wait_for_selector("#find .error:not([hidden])")
    await page.fill("input[name=code]", plane.drivers.code(session_of(plane.w, "E5")).lower())
    await page.click("#find button")
    await page.wait_for_selector("#charge:not([hidden])")
    assert "E5" in await page.inner_text("#where")
