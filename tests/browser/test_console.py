"""The console in a real Chromium: log in, hostile names stay text (A11), a running request shows its bar."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route

from emw.web.app import WebSettings
from tests.browser.house import PATIENCE_MS, let_in, listen, serving
from tests.web.world import HOSTILE, PASSWORD, World, stations, world

pytestmark = pytest.mark.browser
EVSES = 120
"""More than a screen shows."""
# The parts of a bar move to their widths, so this is waited for.
CONFIRMED_FILLS_ITS_BAR = """() => {
    const width = (element) => element.getBoundingClientRect().width;
    const part = document.querySelector('.part.confirmed');
    return width(part) > 0 && width(part) > 0.99 * width(part.parentElement);
}"""

HAS_ROW = """(name) => [...document.querySelectorAll('.rows .tr:not([hidden]) .td.id')].some(
    (cell) => cell.textContent === name)"""


@pytest_asyncio.fixture(loop_scope="session")
async def served() -> AsyncGenerator[tuple[World, str], None]:
    async with world(WebSettings(tick_s=0.2)) as w:
        await w.headend.admin.define_territory("test", "<b>Zone</b>", ceiling_kw=5_000)
        await w.headend.admin.define_territory("test", "East", parent_id="<b>Zone</b>")
        await stations(w, [*HOSTILE, *(f"E{n:04}" for n in range(EVSES))])
        async with serving(w) as url:
            yield w, url


@pytest_asyncio.fixture(loop_scope="session")
async def page(served: tuple[World, str], browser: Browser) -> AsyncGenerator[Page, None]:
    context = await browser.new_context(viewport={"width": 1400, "height": 1000}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    await let_in(context, *served)
    yield await context.new_page()
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def complaints(page: Page) -> list[str]:
    return listen(page)


async def test_A11_hostile_names_are_text_and_a_request_shows_its_bar(
    served: tuple[World, str], page: Page, complaints: list[str]
) -> None:
    w, url = served
    await page.goto(url)
    await page.wait_for_selector("#tree .node")
    assert await page.locator(".tree b, .tree script, .log script, .log img").count() == 0
    await page.click("nav a[href='/evses']")
    await page.wait_for_selector(".rows .tr")
    assert await page.inner_text("#evse-count") == str(EVSES + len(HOSTILE))
    assert await page.locator(".rows .tr").count() < 80  # only what can be seen is drawn
    for name in HOSTILE:
        await page.fill("#filter", name.strip("\u200b\ufeff").split("\t")[0].split(" ")[0])
        await page.wait_for_function(HAS_ROW, arg=name)
    for name in (HOSTILE[0], "a/b?c#d%2Fe&f"):
        await page.fill("#filter", name)
        await page.wait_for_function(HAS_ROW, arg=name)
        await page.click(".rows .tr:not([hidden])")
        await page.wait_for_selector("#facts dd")
        assert await page.inner_text("#h-evse") == name
        assert await page.inner_text("#why") == "no limit; ceiling of <b>Zone</b> (5,000 kW) not binding"
        assert await page.locator("script:not([src])").count() == 0
        await page.click(".back a")
        await page.wait_for_selector(".rows .tr")

    await page.click("nav a[href='/requests']")
    await page.select_option("#plan select", "East")
    await page.fill("#plan input[name=kw]", "200")
    await page.fill("#plan input[name=minutes]", "30")
    await page.wait_for_selector("#preview .answer")
    assert "200.0 kW" in await page.inner_text("#preview .answer > div:first-child")
    assert not w.headend.state.requests  # a preview asks nobody
    await page.click("#plan button[type=submit]")
    await page.wait_for_selector(".request .sum .confirmed")
    await page.wait_for_function(
        "document.querySelector('.numbers .key.confirmed + b')?.textContent === '200.0'"
    )
    said = await page.get_attribute(".request .sum", "aria-label")
    assert said == "200.0 kW requested: 200.0 confirmed, 0.0 pending, 0.0 refused, 0.0 short"
    await page.wait_for_function(CONFIRMED_FILLS_ITS_BAR)
    await page.click("nav a[href='/']")
    # The past comes after the present.
    await page.locator("#log li", has_text="asks for 200 kW less in East").wait_for()
    await page.wait_for_selector("#timeline .tl-shape.active")
    await page.goto(f"{url}/evses?state=limited")
    await page.wait_for_selector('.rows .tr[data-state="limited"]')
    assert complaints == []


async def test_halt_needs_its_word_and_the_page_is_usable_by_keyboard(
    served: tuple[World, str], page: Page, complaints: list[str]
) -> None:
    w, url = served
    await page.goto(url)
    await page.wait_for_selector("#link.up")
    await page.click("#halt")
    button = page.locator("#d-halt button[type=submit]")
    assert await button.is_disabled()
    await page.fill("#d-halt input[name=sure]", "stop")
    assert await button.is_disabled()
    await page.fill("#d-halt input[name=sure]", "STOP")
    await button.click()
    await page.wait_for_selector("#halted .banner")
    assert w.headend.dispatch.halted
    await page.click("#halted button")
    await page.click("#d-sure button[type=submit]")
    await page.wait_for_selector("#halted .banner", state="detached")
    await page.click("#halt")
    await page.select_option("#d-halt select", "East")
    await page.fill("#d-halt input[name=sure]", "STOP")
    await button.click()
    await page.wait_for_selector("#halted .banner")
    assert list(w.headend.state.stops) == ["East"]
    assert not w.headend.dispatch.halted
    assert "East" in await page.inner_text("#halted")
    await page.click("nav a[href='/evses']")
    await page.wait_for_selector(".rows .tr")
    await page.focus(".view")
    await page.keyboard.press("End")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#facts dd")
    await page.click("details.me summary")
    await page.click("#logout")
    await page.wait_for_url("**/login")
    assert [c for c in complaints if "401" not in c] == []


async def test_the_first_administrator_is_made_in_the_page(browser: Browser) -> None:
    async with world(people=False) as w, serving(w) as url:
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        complaints = listen(page)
        await page.goto(url + w.app.state["setup_path"])
        assert "#" not in page.url  # the token is gone from the address at once
        await page.fill("input[name=name]", "root")
        await page.fill("input[name=password]", PASSWORD)
        await page.fill("input[name=again]", PASSWORD)
        await page.click("button[type=submit]")
        await page.wait_for_selector("#tree")
        assert list(w.headend.state.operators) == ["root"]
        # While the server is there: what the page asks of one that has gone is refused.
        assert complaints == []
        await page.close()


async def test_a_login_that_ends_is_said_and_the_next_one_goes_on_where_one_was(
    served: tuple[World, str], page: Page
) -> None:
    w, url = served

    async def log_in() -> None:
        await page.fill("input[name=name]", "ann")
        await page.fill("input[name=password]", PASSWORD)
        await page.click("button[type=submit]")

    await page.goto(f"{url}/evses/a%2Fb%3Fc%23d%252Fe%26f")
    await page.wait_for_selector("#facts dd")
    for login_id, _ in w.app.state["auth"].logins.alive():
        w.app.state["auth"].logins.end(login_id)
    await page.wait_for_url("**/login?ended=*")
    await page.wait_for_selector("#ended")
    await log_in()
    await page.wait_for_selector("#facts dd")
    assert await page.inner_text("#h-evse") == "a/b?c#d%2Fe&f"
    await page.click("details.me summary")
    await page.click("#logout")
    await page.wait_for_url("**/login")
    assert await page.is_hidden("#ended")  # who left knows
    await page.goto(f"{url}/log?evseID=E0001")  # a link that somebody sent
    await page.wait_for_url("**/login?to=*")
    assert await page.is_hidden("#ended")
    await log_in()
    await page.wait_for_url("**/log?evseID=E0001")


@pytest.mark.parametrize(
    "to", ["//example.org/", "/\\example.org", "https://example.org/", "javascript:alert(1)"]
)
async def test_no_link_leads_from_the_login_to_another_host(
    served: tuple[World, str], page: Page, complaints: list[str], to: str
) -> None:
    _, url = served
    await page.context.clear_cookies()
    await page.goto(f"{url}/login?{urlencode({'to': to})}")
    await page.fill("input[name=name]", "ann")
    await page.fill("input[name=password]", PASSWORD)
    await page.click("button[type=submit]")
    await page.wait_for_selector("#link.up")
    assert page.url == f"{url}/"
    assert complaints == []


async def test_an_empty_installation_says_what_to_do_next(browser: Browser) -> None:
    async with world() as w, serving(w) as url:
        context = await browser.new_context()
        context.set_default_timeout(PATIENCE_MS)
        await let_in(context, w, url)
        page = await context.new_page()
        complaints = listen(page)
        await page.goto(url)
        await page.locator("#tree", has_text="emw territory add NAME").wait_for()
        await page.goto(f"{url}/evses")
        await page.locator("#nothing", has_text="emw station add NAME").wait_for()
        await page.goto(f"{url}/requests")
        await page.locator("#past", has_text="Nothing was ever asked").wait_for()
        await page.fill("#plan input[name=kw]", "60")
        await page.click("#plan button[type=submit]")
        await page.locator("#plan .error", has_text="There is no territory yet").wait_for()
        assert await page.is_hidden("#plan .zoned")
        for path in ("/map", "/reports", "/grid", "/log", "/access"):
            await page.goto(url + path)
            await page.wait_for_selector("#link.up")
        assert complaints == []
        await context.close()


async def test_an_access_page_that_is_told_nothing_says_so_and_keeps_its_line(
    served: tuple[World, str], page: Page
) -> None:
    _, url = served
    fails = True

    async def lost(route: Route) -> None:
        await (route.abort() if fails else route.continue_())

    await page.route("**/api/v1/operators", lost)
    await page.goto(f"{url}/access")
    await page.locator("#trouble", has_text="can't be reached").wait_for()
    await page.wait_for_selector("#link.up")
    fails = False
    await page.evaluate("location.reload()")
    await page.locator("#people td", has_text="ann").wait_for()
    assert await page.inner_text("#trouble") == ""
