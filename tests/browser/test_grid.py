"""The grid page in a real Chromium: what a VTN says is text, what is lost and not served is seen; axe is content."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from emw.domain.signals import Segment, SignalKind
from emw.service.grid_standing import GridSeen, Notified, Standing
from emw.service.signals import Heard
from tests.browser.test_console import complaints, page, served
from tests.web.world import World

__all__ = ("complaints", "page", "served")
pytestmark = pytest.mark.browser
WIDER = """[...document.querySelectorAll('main *')].filter((e) => !e.closest('.scroll')
    && e.getBoundingClientRect().right > window.innerWidth + 1).map((e) => e.tagName + '.' + e.className)"""
"""What sticks out of a narrow page, but for tables, which scroll."""
HOSTILE = "<img src=x onerror=alert(1)>"


class Vtn:
    """A VTN that says hostile things, and was lost."""

    def seen(self) -> GridSeen:
        standing = Standing(
            polls=3, failures=1, why=f"no answer {HOSTILE}", events=2, unreadable=[(HOSTILE, "odd")]
        )
        return GridSeen(
            source_id="vtn:utility",
            name="utility",
            url="https://vtn.example.org/openadr3/3.1.0",
            protocol="openadr-3.1.0",
            standing=standing,
            webhook=True,
        )


class Ours:
    """Our own VTN, one of whose subscribers is dead."""

    def seen(self) -> GridSeen:
        return GridSeen(
            source_id="vtn:own",
            name="own",
            url="http://127.0.0.1:8400/openadr3/3.1.0",
            protocol="openadr-3.1.0",
            standing=Standing(notified=lambda: Notified(delivered=1_200, dropped=3, muted=1)),
        )


async def test_A11_what_a_vtn_says_is_text_and_its_events_lie_on_a_line_of_time(
    served: tuple[World, str],
    page: Page,
    complaints: list[str],
) -> None:
    w, url = served
    now = w.headend.clock.now()
    w.headend.grids = [Vtn()]

    def segment(value: float | None, why_not: str | None, said: str) -> Segment:
        return Segment(
            start_at=now,
            end_at=now + timedelta(hours=2),
            kind=SignalKind.OTHER if why_not else SignalKind.REDUCE_KW,
            value=value,
            territory_id="East",
            said=said,
            why_not=why_not,
        )

    heard = [
        Heard(
            source_id="vtn:utility",
            event_id=f"e{n}",
            program_id="p",
            program=f"Shed {HOSTILE}",
            first_seen_at=now,
            draw=0.0,
            segments=(told,),
            body="{}",
            name=f"{HOSTILE} {n}",
        )
        for n, told in enumerate(
            (
                segment(20.0, None, "DISPATCH_SETPOINT_RELATIVE -20 KW"),
                segment(None, f"a price {HOSTILE}", f"PRICE {HOSTILE}"),
            )
        )
    ]
    await w.headend.signals.received(heard)
    await w.headend.signals.linked("vtn:utility", "openadr-3.1.0", connected=False, heard_at=now, why="away")
    await page.goto(url + "/grid")
    await page.wait_for_selector("#unserved th")
    assert await page.locator("main img").count() == 0
    assert await page.inner_text("#connections strong") == "lost"
    assert f"no answer {HOSTILE}" in await page.inner_text("#connections")
    assert await page.locator("#events tr").count() == 2
    assert await page.locator("#events .lane .served").count() == 1
    assert "vtn:utility:e0" in await page.inner_text("#events")
    assert f"a price {HOSTILE}" in await page.inner_text("#unserved")
    found = await Axe().run(page, context="main")
    assert found.violations_count == 0, found.generate_report()
    await page.set_viewport_size({"width": 390, "height": 800})
    wide = await page.evaluate(WIDER)
    assert wide == []
    assert complaints == []


async def test_notifications_of_our_own_vtn_that_were_given_up_are_seen(
    served: tuple[World, str], page: Page
) -> None:
    w, url = served
    w.headend.grids = [Vtn(), Ours()]
    await page.goto(url + "/grid")
    told = page.locator("#connections .why-short", has_text="subscribers")
    await told.wait_for()
    assert await told.inner_text() == (
        "subscribers: 1,200 notifications delivered, 3 given up, callbacks called no more: 1"
    )
    me = await w.log_in()
    items = (await w.call("GET", "/api/v1/grid/connections", headers=me)).json["items"]
    assert {c["name"]: c["notified"] for c in items} == {
        "own": {"delivered": 1_200, "dropped": 3, "muted": 1},
        "utility": None,
    }
    metrics = (await w.call("GET", "/metrics", headers=me)).body.decode()
    for line in (
        "emw_vtn_notifications_total 1200.0",
        "emw_vtn_notifications_dropped_total 3.0",
        "emw_vtn_callbacks_muted 1.0",
    ):
        assert line in metrics.splitlines()
