"""A request's page in a real Chromium while it runs, and what requests ask together as the live page draws it."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, Route

from emw.domain.model import ReductionRequest
from emw.store import Disk
from emw.web import taking_part
from emw.web.app import WebSettings
from emw.web.board import Board
from tests.browser.house import PATIENCE_MS, let_in, listen, serving
from tests.browser.test_pages import complaints
from tests.service.test_shed import beat
from tests.web.world import World, stations, world

pytestmark = pytest.mark.browser
TOGETHER = """async (asked) => {
    const { together } = await import('/static/asked.js');
    const { model } = await import('/static/feed.js');
    return together(asked.map(([territory, requestedKW]) => ({ territory, requestedKW })), model.nodes);
}"""


async def test_a_running_request_leads_to_its_page_and_its_evses_a_page_at_a_time(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking_part, "PAGE", 4)
    async with world(WebSettings(tick_s=0.2), real=Disk().reopen()) as w, serving(w) as url:
        names = [f"E{n:02}" for n in range(10)]
        await stations(w, names)
        body = {"territory": "East", "kW": 30, "requestID": "R1", "durationMinutes": 60}
        told = await w.call("POST", "/api/v1/requests", body, headers=await w.log_in("opa"))
        assert told.status == 201
        for _ in range(8):
            await beat(w, names)
        context = await browser.new_context(viewport={"width": 1400, "height": 1000})
        context.set_default_timeout(PATIENCE_MS)
        await let_in(context, w, url)
        page = await context.new_page()
        heard = listen(page)
        await page.goto(url)
        await page.click("article.request h3 a")
        await page.wait_for_selector("#link.up")
        seen: list[str] = []
        rows = page.locator(".taking-part tbody td:first-child")
        await page.click(".taking-part th >> nth=0 >> a")
        await page.wait_for_url("**by=evse**")
        seen += await rows.all_text_contents()
        for number in (2, 3):
            await page.click(".taking-part a[rel=next]")
            await page.wait_for_url(f"**page={number}**")
            seen += await rows.all_text_contents()
        assert seen == names
        assert await page.locator(".taking-part a[rel=next]").count() == 0
        assert await complaints(page) == []
        await page.emulate_media(color_scheme="dark")
        assert await complaints(page, ["color-contrast"]) == []
        await page.goto(url + "/log?kind=Enrolled")
        await page.click("#log summary >> nth=0")
        links = await page.locator("#log details[open] a").evaluate_all("(all) => all.map((a) => a.pathname)")
        assert len(links) == 2
        assert "/reports/requests/operator%3AR1" in links
        assert {path.removeprefix("/evses/") for path in links} & set(names)
        assert heard == []
        await context.close()


async def test_what_requests_ask_together_is_the_sum_that_the_server_makes(browser: Browser) -> None:
    """Drawn one by one, a request within another's territory looked like a target of its own."""
    async with world(WebSettings(tick_s=0.2)) as w, serving(w) as url:
        for name, parent in (
            ("Zone", None),
            ("East", "Zone"),
            ("Site", "East"),
            ("West", "Zone"),
            ("Far", None),
        ):
            await w.headend.admin.define_territory("test", name, parent_id=parent)
        asked = [
            ("Zone", 900.0),
            ("East", 300.0),
            ("East", 400.0),
            ("Site", 700.0),
            ("West", 350.0),
            ("Far", 5.0),
        ]
        context = await browser.new_context()
        context.set_default_timeout(PATIENCE_MS)
        await let_in(context, w, url)
        page = await context.new_page()
        await page.goto(url)
        await page.wait_for_selector("#link.up")
        for some in (asked, asked[1:], asked[:3], asked[5:], []):
            assert await page.evaluate(TOGETHER, some) == _together(w, some)
        await context.close()


def _together(w: World, asked: list[tuple[str, float]]) -> float:
    """By the server's own rule."""
    now = w.clock.now()
    requests = [
        ReductionRequest(
            request_key=f"t:{n}", iso_id="t", request_id=str(n), territory_id=territory, kw=kw, start_at=now,
            end_at=None, received_at=now,
        )
        for n, (territory, kw) in enumerate(asked)
    ]  # fmt: skip
    wanted = Board(w.headend).wanted(requests)
    nodes = w.headend.state.territories
    return sum(kw for node_id, kw in wanted.items() if nodes[node_id].parent_id is None)


async def test_a_request_that_is_asked_for_twice_because_no_answer_came_is_one_request(
    browser: Browser,
) -> None:
    """A second click while the first is under way, and a second try after an answer was lost."""
    async with world(WebSettings(tick_s=0.2)) as w, serving(w) as url:
        await stations(w, [f"E{n:02}" for n in range(10)])
        context = await browser.new_context(viewport={"width": 1400, "height": 1000})
        context.set_default_timeout(PATIENCE_MS)
        await let_in(context, w, url)
        page = await context.new_page()
        asked: list[str] = []
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def lost(route: Route) -> None:
            if route.request.method != "POST":
                await route.continue_()
                return
            asked.append(route.request.post_data or "")
            if len(asked) == 1:
                await route.fetch()
                reached.set()
                await go_on.wait()
                await route.abort()
            else:
                await route.continue_()

        await page.route("**/api/v1/requests", lost)
        await page.goto(url + "/requests")
        await page.wait_for_selector("#link.up")
        await page.fill("#plan input[name=kw]", "5")
        await page.click("#plan button[type=submit]")
        await reached.wait()
        await page.focus("#plan input[name=kw]")
        await page.keyboard.press("Enter")
        go_on.set()
        error = page.locator("#plan .error", has_text="can't be reached")
        await error.wait_for()
        await page.keyboard.press("Enter")
        await page.wait_for_function("() => document.querySelector('#plan').elements.kw.value === ''")
        assert len(asked) == 2
        assert asked[0] == asked[1]
        assert len(w.headend.state.requests) == 1
        await page.fill("#plan input[name=kw]", "5")  # wished again, it is another one
        await page.keyboard.press("Enter")
        await page.wait_for_function("() => document.querySelector('#plan').elements.kw.value === ''")
        assert len(w.headend.state.requests) == 2
        await context.close()
