"""Every page of the console in a real Chromium: what axe-core finds, in both themes; a phone; a line that breaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import msgspec
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page

from emw.domain.model import Evse, Session
from emw.engine.forecast import Ahead, Forecast
from emw.service.settings import ServiceSettings
from emw.web.app import WebSettings
from emw.web.frame import PLACES
from tests.browser.house import PATIENCE_MS, let_in, listen, serving
from tests.browser.test_grid import Vtn
from tests.web.world import HOSTILE, World, reads, stations, world

pytestmark = pytest.mark.browser
CAREFUL = ServiceSettings(confirm_above_kw=500.0)
TOP = """(names) => names.every((name, n) => document.querySelectorAll(
    '.rows .tr:not([hidden]) .id')[n]?.textContent === name)"""
HALF_MADE = """new MutationObserver(() => {
    for (const e of document.querySelectorAll('[role=img]:not([aria-label])')) console.error('half made', e.outerHTML);
}).observe(document, { subtree: true, childList: true, attributeFilter: ['role'] })"""
"""A picture without words, were it only until the next frame: seen by luck alone when one looks at the end."""
PAGES = [*(p.path for p in PLACES), "/evses/E0001"]


@contextlib.asynccontextmanager
async def house() -> AsyncGenerator[tuple[World, str], None]:
    """A tree, hostile names and some others, served."""
    async with world(WebSettings(tick_s=0.2), service=CAREFUL) as w:
        await w.headend.admin.define_territory("test", "Zone", ceiling_kw=5_000, time_zone="Europe/Berlin")
        await w.headend.admin.define_territory("test", "East", parent_id="Zone", time_zone="Europe/Berlin")
        await w.headend.admin.define_territory("test", "West", parent_id="Zone", time_zone="Europe/Berlin")
        await stations(w, [*HOSTILE[:4], *(f"E{n:04}" for n in range(16))])
        async with serving(w) as url:
            yield w, url


@pytest_asyncio.fixture(loop_scope="session")
async def served() -> AsyncGenerator[tuple[World, str], None]:
    async with house() as told:
        yield told


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def looked_at() -> AsyncGenerator[tuple[World, str], None]:
    """One with something on every page, for tests that only look."""
    async with house() as (w, url):
        await busy(w)
        await w.headend.by_hand.stop("operator:opa", "West", "a banner to look at")
        yield w, url


Windows = Callable[..., Awaitable[BrowserContext]]
"""Makes a window of a kind, with somebody logged in."""


@pytest_asyncio.fixture(loop_scope="session")
async def context_of(browser: Browser) -> AsyncGenerator[Windows, None]:
    async with contextlib.AsyncExitStack() as windows:

        async def made(w: World, url: str, **how: object) -> BrowserContext:
            given: dict[str, Any] = {"viewport": {"width": 1400, "height": 1000}, **how}
            context = await browser.new_context(**given)
            context.set_default_timeout(PATIENCE_MS)
            windows.push_async_callback(context.close)
            await let_in(context, w, url)
            return context

        yield made


async def busy(w: World) -> None:
    """Something on every page: a grid operator, a VTN, and a request that waits for a second person."""
    await w.headend.admin.add_iso("test", "a-grid-operator-with-a-name-that-is-long", ("East",))
    w.headend.grids = [Vtn()]
    ask = {"territory": "East", "kW": 600, "requestID": "R1"}
    assert (await w.call("POST", "/api/v1/requests", ask, headers=await w.log_in("opa"))).status == 201


async def alive(page: Page, url: str, path: str) -> None:
    """A page whose feed has told its first numbers."""
    await page.goto(url + path)
    await page.wait_for_selector("#link.up")


async def complaints(page: Page, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds, down to the least, with where; by these rules only, or by all."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}  # what passes is not written out
    found = await Axe().run(page, options=options | ({"runOnly": rules} if rules else {}))
    return [f"{v['id']} {v['nodes'][0]['html'][:120]}" for v in found.response["violations"]]


async def few(look: Callable[[str], Awaitable[Any]]) -> dict[str, Any]:
    """What `look` finds on each page, some at once: a browser opens six connections to a host, and a feed holds one."""
    some = asyncio.Semaphore(3)

    async def one(path: str) -> Any:
        async with some:
            return await look(path)

    return dict(zip(PAGES, await asyncio.gather(*map(one, PAGES)), strict=True))


async def test_axe_finds_nothing_on_any_page_in_both_themes(
    looked_at: tuple[World, str], context_of: Windows
) -> None:
    w, url = looked_at
    english, german = [await context_of(w, url, color_scheme="light", locale=tag) for tag in ("en", "de")]

    async def look(path: str) -> list[str]:
        page = await (german if path in {"/requests", "/log"} else english).new_page()
        heard = listen(page)
        await page.add_init_script(HALF_MADE)
        await alive(page, url, path)
        if path == "/requests":
            await page.select_option("#plan select", "East")
            await page.fill("#plan input[name=kw]", "50")
            await page.wait_for_selector("#preview .answer")
            await page.click("#preview summary")
        elif path == "/evses/E0001":
            await page.wait_for_selector("#facts dd")
            await page.click("#acts button >> nth=0")
        found = await complaints(page)
        await page.emulate_media(color_scheme="dark")
        found += await complaints(page, ["color-contrast"])  # what is no matter of colour is the same
        await page.close()
        return found + heard

    assert await few(look) == {path: [] for path in PAGES}


async def test_an_empty_map_says_what_it_would_need(
    looked_at: tuple[World, str], context_of: Windows
) -> None:
    w, url = looked_at
    page = await (await context_of(w, url)).new_page()
    await alive(page, url, "/map")
    await page.locator("#nothing").filter(has_text="operator.map_file").wait_for()


async def test_a_phone_scrolls_one_way_only(looked_at: tuple[World, str], context_of: Windows) -> None:
    w, url = looked_at
    # A phone widens what it shows to the widest element: the window's width tells that, too.
    context = await context_of(w, url, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)

    async def look(path: str) -> list[int]:
        page = await context.new_page()
        await alive(page, url, path)
        widths: list[int] = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        await page.close()
        return widths

    assert await few(look) == {path: [360, 360] for path in PAGES}


async def test_a_line_that_breaks_is_said_and_the_page_comes_back_by_itself(context_of: Windows) -> None:
    async with world(WebSettings(tick_s=0.2)) as w:
        await stations(w, ["E1"])
        async with serving(w) as url:
            context = await context_of(w, url)
            page = await context.new_page()
            await alive(page, url, "/")
            await page.wait_for_function(
                "() => document.querySelector('.t-load .value').textContent === '4.6'"
            )
            high = await page.evaluate("document.querySelector('.bar').offsetHeight")
        await page.wait_for_selector("#link.down")
        assert await page.evaluate("document.querySelector('.bar').offsetHeight") == high  # nothing jumps
        await page.click("#halt")
        await page.fill("#d-halt input[name=sure]", "STOP")
        await page.click("#d-halt button[type=submit]")
        await page.locator("#d-halt .error", has_text="emw halt does the same").wait_for()
        await page.click("#d-halt button[value=cancel]")
        reads(w, "E1", 10)  # what happens meanwhile
        async with serving(w, int(url.rpartition(":")[2])):
            await page.wait_for_selector("#link.up")
            await page.wait_for_function(
                "() => document.querySelector('.t-load .value').textContent === '2.3'"
            )
            await page.close()


async def test_who_is_here_and_who_is_still_to_come_are_told_apart(
    served: tuple[World, str], context_of: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    w, url = served

    def forecast(_: str, hours: tuple[float, ...]) -> tuple[datetime, list[Forecast]]:
        def ahead(h: float, kw: float) -> Ahead:
            return Ahead(hours=h, kw=kw, doubt_kw=5.0, most_kw=2 * kw)

        return w.clock.now(), [Forecast(here=ahead(h, 60.0 - 5 * h), to_come=ahead(h, 20 * h)) for h in hours]

    monkeypatch.setattr(w.headend.oracle, "forecast", forecast)
    page = await (await context_of(w, url)).new_page()
    await alive(page, url, "/")
    told = page.locator("#ahead .term")
    await told.first.wait_for()
    assert await told.all_inner_texts() == [
        "55.0 by vehicles that are here",
        "20.0 by vehicles still to come",
    ]
    # Four of five: 1.28 times 5 kW, twice and independent; below no further than who is here alone.
    assert await page.inner_text("#ahead") == (
        "Could be shed at 19:00: 75.0 kW (four of five: 65.9 to 84.1 kW) = 55.0 by vehicles that are here"
        " + 20.0 by vehicles still to come"
    )
    monkeypatch.undo()
    await page.reload()  # nothing is learned here yet
    await page.locator("#ahead", has_text="not known yet").wait_for()
    assert (await told.all_inner_texts())[1] == "0.0 by vehicles still to come"


async def test_a_page_out_of_sight_costs_nothing_and_comes_back(
    served: tuple[World, str], context_of: Windows
) -> None:
    w, url = served
    feed = w.app.state["feed"]
    page = await (await context_of(w, url)).new_page()
    await page.clock.install()
    await alive(page, url, "/")
    assert feed.viewers == 1
    await page.evaluate(
        "Object.defineProperty(document, 'hidden', { value: true, configurable: true, writable: true })"
    )
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await page.clock.fast_forward(16_000)
    async with asyncio.timeout(60):
        while feed.viewers:  # noqa: ASYNC110 - it tells by a number
            await asyncio.sleep(0.05)
    reads(w, "E0001", 10)
    await page.evaluate("document.hidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    await page.wait_for_function("() => document.querySelector('.t-load .value').textContent === '89.7'")
    assert feed.viewers == 1


async def test_ten_thousand_evses_are_one_table_of_which_a_screen_is_drawn(
    served: tuple[World, str], context_of: Windows
) -> None:
    w, url = served
    _multiply(w, "E0001", 10_000)
    context = await context_of(w, url)
    page = await context.new_page()
    heard = listen(page)
    await page.clock.install()
    await alive(page, url, "/evses")
    await page.wait_for_function(
        "() => document.querySelector('#evse-count').textContent.replace(/\\D/g, '') > 10000"
    )
    assert await page.locator(".rows .tr").count() < 100
    await page.fill("#filter", "N09999")
    await page.wait_for_function(
        "() => document.querySelector('.rows .tr:not([hidden]) .id').textContent === 'N09999'"
    )
    reads(w, "N09999", 10)
    await page.wait_for_function(
        "() => document.querySelector('.rows .tr:not([hidden]) .load').textContent === '2.3'"
    )
    # By load: who changes moves to its place among the others, who leaves the filter goes.
    await page.fill("#filter", "N000")
    await page.click(".th .load button")
    reads(w, "N00042", 31)
    reads(w, "N00043", 30)
    await page.clock.fast_forward(2_100)  # an order that jumps each second can't be read
    await page.wait_for_function(TOP, arg=["N00042", "N00043", "N00000"])
    reads(w, "N00042", 30.5)
    reads(w, "N00043", 31)
    await page.clock.fast_forward(2_100)
    await page.wait_for_function(TOP, arg=["N00043", "N00042", "N00000"])
    assert await page.inner_text("#evse-count") == "100 of 10,020"
    assert heard == []


async def test_evses_are_found_by_their_site(served: tuple[World, str], context_of: Windows) -> None:
    w, url = served
    w.headend.state.put(replace(w.headend.state.evses["E0004"], site="Depot North"))
    page = await (await context_of(w, url)).new_page()
    await alive(page, url, "/evses")
    await page.fill("#filter", "depot north")
    await page.locator("#evse-count", has_text="1 of 20").wait_for()
    assert await page.inner_text(".rows .tr:not([hidden]) .territory") == "East · Depot North"
    await page.fill("#filter", "depot south")
    await page.locator("#nothing", has_text="No EVSE is like that").wait_for()


async def test_a_maximum_that_no_ac_station_has_is_doubted_on_its_page(
    served: tuple[World, str], context_of: Windows
) -> None:
    w, url = served
    page = await (await context_of(w, url)).new_page()
    for volts, phases, amps, doubted in ((230, 1, 900, True), (230, 1, 80, False), (480, 3, 900, False)):
        evse = w.headend.state.evses["E0001"]
        w.headend.state.put(replace(evse, line_voltage_v=volts, phases=phases, max_a=amps))
        await alive(page, url, "/evses/E0001")
        said = await page.locator("#facts dd", has_text="phases: ").inner_text()
        assert ("by mistake" in said) is doubted, said


async def test_an_operator_limits_one_evse_and_says_why(
    served: tuple[World, str], context_of: Windows
) -> None:
    w, url = served
    context = await context_of(w, url)
    page = await context.new_page()
    heard = listen(page)
    await alive(page, url, "/evses/E0002")
    await page.wait_for_selector("#facts dd")
    await page.click("#acts button >> nth=0")
    await page.fill("#d-limit input[name=amps]", "10")
    await page.click("#d-limit button[type=submit]")
    await page.wait_for_selector("#d-limit .error:not([hidden])")  # not without a reason
    await page.fill("#d-limit input[name=reason]", "cable is hot")
    await page.click("#d-limit button[type=submit]")
    await page.wait_for_function("() => document.querySelector('#why').textContent.includes('cable is hot')")
    await page.wait_for_function("() => document.querySelector('#commands')?.textContent.includes('applied')")
    assert w.headend.state.hand_limits["E0002"].max_a == 10
    assert heard == []


async def test_the_past_of_an_evse_is_fetched_once_and_then_what_is_new(
    served: tuple[World, str], context_of: Windows
) -> None:
    w, url = served
    for amps in range(6, 16):
        w.clock.at += timedelta(minutes=20)
        reads(w, "E0003", amps)
    await w.headend.telemetry.flush()
    page = await (await context_of(w, url)).new_page()
    asked: list[datetime] = []
    page.on("request", lambda r: asked.append(_since(r.url)) if "/telemetry?" in r.url else None)
    await page.clock.install()
    await alive(page, url, "/evses/E0003")
    told = page.locator("#trace canvas")
    await told.and_(page.get_by_label("11 readings")).wait_for()
    late = w.clock.at - timedelta(seconds=30)
    reads(w, "E0003", 20)
    w.store.readings.append(msgspec.structs.replace(w.store.readings[-1], at=late, received_at=w.clock.at))
    await w.headend.telemetry.flush()
    newest = w.clock.at
    await page.clock.fast_forward(8_000)
    await told.and_(page.get_by_label("13 readings")).wait_for()  # the one that came late, too
    assert asked[0] < newest - timedelta(hours=5)
    assert all(since > newest - timedelta(minutes=5) for since in asked[1:])


async def test_a_request_is_planned_changed_and_ended_from_the_page(
    served: tuple[World, str], context_of: Windows
) -> None:
    w, url = served
    context = await context_of(w, url)
    page = await context.new_page()
    await alive(page, url, "/requests")
    start = w.clock.now() + timedelta(hours=2)
    await page.fill("#plan input[name=kw]", "40")
    # The field speaks the territory's time: 20:00 in Berlin is 18:00 UTC.
    await page.fill("#plan input[name=start]", "2026-05-05T20:00")
    await page.click("#plan button[type=submit]")
    await page.wait_for_selector(".request .tag[data-state=pending]")
    request = next(iter(w.headend.state.requests.values()))
    assert request.start_at == start
    await page.click(".request button >> text=Change")
    await page.fill("#d-change input[name=kw]", "50")
    await page.click("#d-change button[type=submit]")
    await page.wait_for_function("() => document.querySelector('.request .numbers b').textContent === '50.0'")
    await page.click(".request button >> text=Call off")
    await page.click("#d-sure button[type=submit]")
    await page.wait_for_selector(".request", state="detached")
    assert not next(iter(w.headend.state.requests.values())).live
    told = page.locator("#past .when")
    await told.filter(has_text="20:00").filter(has_text="21:00").wait_for()

    ask = {"requestID": "R2", "territory": "East", "kW": 20, "durationMinutes": 240}
    me = await w.log_in()
    assert (await w.call("POST", "/api/v1/requests", ask, headers=me)).status == 201
    w.clock.at += timedelta(minutes=10)
    ended = await w.call("POST", "/api/v1/requests/operator:R2/returnToNormal", {}, headers=me)
    assert ended.status == 200
    over = (w.headend.state.requests["operator:R2"].ended_at or start).astimezone(ZoneInfo("Europe/Berlin"))
    await page.reload()
    await told.first.filter(has_text=f"{over:%H:%M}").wait_for()


async def test_A8_a_request_that_waits_says_who_asked_and_another_agrees_in_the_page(
    served: tuple[World, str], context_of: Windows
) -> None:
    w, url = served
    await busy(w)
    context = await context_of(w, url)
    page = await context.new_page()
    await alive(page, url, "/")
    await page.wait_for_selector(".request .waits:not([hidden])")
    said = await page.inner_text(".request .waits")
    assert said.startswith("Waits for a second person: operator:opa asked; more than 500 kW")
    await page.click(".request button >> text=Agree")
    await page.fill("#d-sure [name=reason]", "spoke to the control room")
    await page.click("#d-sure button[type=submit]")
    await page.wait_for_selector(".request .waits", state="hidden")
    request = w.headend.state.requests["operator:R1"]
    assert (request.held, request.confirmed_by) == (None, "operator:ann")


def _since(url: str) -> datetime:
    return datetime.fromisoformat(parse_qs(urlsplit(url).query)["since"][0])


def _multiply(w: World, like: str, n: int) -> None:
    """Many EVSEs like one, put where the store would have put them."""
    state = w.headend.state
    evse: Evse = state.evses[like]
    session: Session = state.sessions[evse.session_id or ""]
    for number in range(n):
        name = f"N{number:05}"
        state.put(replace(session, session_id=f"s{name}", evse_id=name))
        state.put(replace(evse, evse_id=name, station_id=name, session_id=f"s{name}"))
        reads(w, name, 20)
