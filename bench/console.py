"""The console under 10,000 EVSEs, 1,000 of which say something else each second: its first load, its frames, its cost.

One process serves a head-end in memory with its operator plane; stations are stood in for by readings that come as
intake would give them. Another drives Debian's Chromium. No rival: the bars are our own.

    python -m bench.console [--evses 10000] [--changing 1000] [--seconds 4]

Claims, for the live page, the table of EVSEs by id, and by load, where rows change places: KB over the wire until it
falls silent between two ticks, and seconds until the first numbers (goals: at most 500 and 1.5, live page); the longest
time between two frames, ms (goal: at most 100; an empty page is watched first: its longest frame is the machine's own).
And what one viewer costs the server, per cent of a core (goal: at most 1): CPU time of its process while it feeds the
stream that such a page holds open, less the same while nobody looks, turn by turn. Takes three minutes, ten at most.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import multiprocessing as mp
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, async_playwright

from bench.measure import Claim, Spread, cpu_s, spread, tell
from tests.browser.house import FLAGS, serving
from tests.needs import chromium
from tests.web.world import PASSWORD, World, reads, stations, world

GOAL_KB: Final = 500.0
GOAL_FIRST_S: Final = 1.5
GOAL_FRAME_MS: Final = 100.0
GOAL_CPU: Final = 1.0
TURNS: Final = 2
VIEWS: Final = 6
VIEW_S: Final = 3.0
MOST_S: Final = 600
TERRITORIES: Final = 20
SILENT_S: Final = 0.35
"""A wire that brings nothing for so long has brought the page; ticks are further apart."""
BY_LOAD: Final = ".th .load button"
FIRST_NUMBER = """
new MutationObserver((_, me) => {
    const at = document.querySelector('#tiles .value, .rows .td.load');
    if (!at || !/\\d/.test(at.textContent)) return;
    window.firstNumber = performance.now();
    me.disconnect();
}).observe(document, { childList: true, subtree: true, characterData: true });
"""
FRAMES = """
(seconds) => new Promise((done) => {
    let longest = 0, frames = 0, task = 0, last = performance.now();
    const until = last + 1000 * seconds;
    const seen = new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) task = Math.max(task, entry.duration);
    });
    seen.observe({ entryTypes: ['longtask'] });
    const frame = () => {
        const now = performance.now();
        longest = Math.max(longest, now - last);
        frames += 1;
        last = now;
        if (now < until) requestAnimationFrame(frame);
        else { seen.disconnect(); done({ longest, task, rate: frames / seconds }); }
    };
    requestAnimationFrame(frame);
})
"""


@dataclass(frozen=True)
class Seen:
    """What one page showed, a value per turn where there are turns."""

    kb: float
    first_s: list[float]
    longest_ms: list[float]
    task_ms: list[float]


async def _churn(w: World, names: list[str], changing: int) -> None:
    """Each second so many EVSEs draw something else."""
    chance = Random(3)
    while True:
        for _ in range(10):  # spread over the second, as meters are
            for name in chance.sample(names, changing // 10):
                reads(w, name, chance.uniform(6, 30))
            await asyncio.sleep(0.1)


async def _drop(_: Sequence[Any]) -> None:
    """Readings that are kept nowhere."""


async def _serve(evses: int, changing: int, told: Any) -> None:
    async with world() as w:
        each = evses // TERRITORIES
        await w.headend.admin.define_territory("bench", "Zone")
        names: list[str] = []
        for n in range(TERRITORIES):
            await w.headend.admin.define_territory("bench", f"Feeder {n}", parent_id="Zone")
            part = [f"E{n:02}-{m:04}" for m in range(each)]
            await stations(w, part, f"Feeder {n}")
            names += part
        async with serving(w) as url:
            setattr(w.store, "add_readings", _drop)  # noqa: B010 - kept, they would be all that is collected
            gc.collect()
            gc.freeze()  # as `emw serve` does
            told.send(url)
            await _churn(w, names, changing)


def _server(evses: int, changing: int, told: Any) -> None:
    asyncio.run(_serve(evses, changing, told))


async def _idle(pid: int, seconds: float) -> float:
    """Per cent of a core that a process uses."""
    before = cpu_s(pid)
    await asyncio.sleep(seconds)
    return 100 * (cpu_s(pid) - before) / seconds


async def _log_in(browser: Browser, url: str) -> Any:
    context = await browser.new_context(viewport={"width": 1600, "height": 1000})
    page = await context.new_page()
    await page.goto(url)
    await page.fill("input[name=name]", "ann")
    await page.fill("input[name=password]", PASSWORD)
    await page.click("button[type=submit]")
    await page.wait_for_selector("#tree .node", timeout=60_000)
    await page.close()
    return context


async def _look(context: Any, address: str, seconds: float, click: str | None) -> Seen:
    seen = Seen(await _wire_kb(context, address), [], [], [])
    for _ in range(TURNS):
        page = await _open(context, address)
        seen.first_s.append(await page.evaluate("window.firstNumber") / 1000)
        if click:
            await page.click(click)
        await asyncio.sleep(2)  # what is done once
        told = await page.evaluate(FRAMES, seconds)
        seen.longest_ms.append(told["longest"])
        seen.task_ms.append(told["task"])
        await page.close()
        await asyncio.sleep(1)  # until the feed has noticed
    return seen


async def _viewer(url: str, cookie: str, pid: int, *, rows: bool) -> list[float]:
    """What one viewer costs, per cent of a core: with a stream that is read less without one, turn by turn."""
    to, costs = urlsplit(url), []
    ask = f"GET /api/v1/live?rows={str(rows).lower()} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n"
    for _ in range(VIEWS):
        idle = await _idle(pid, VIEW_S)
        reader, writer = await asyncio.open_connection(to.hostname, to.port)
        writer.write(f"{ask}Accept-Encoding: gzip\r\n\r\n".encode())
        if b" 200 " not in await reader.readline():
            raise RuntimeError("the feed did not open")
        read = asyncio.create_task(_drain(reader))
        await asyncio.sleep(1.5)  # everything comes once
        costs.append(await _idle(pid, VIEW_S) - idle)
        writer.close()
        await read
        await asyncio.sleep(0.5)  # until the feed has noticed
    return costs


async def _drain(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(65_536):
            pass


async def _open(context: Any, address: str) -> Page:
    """A page as a first visit loads it, once its first numbers are there."""
    page: Page = await context.new_page()
    wire = await context.new_cdp_session(page)
    await wire.send("Network.enable")
    await wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
    await page.add_init_script(FIRST_NUMBER)
    await page.goto(address)
    await page.wait_for_function("() => window.firstNumber", timeout=60_000)
    return page


async def _wire_kb(context: Any, address: str) -> float:
    """KB that a first load brings, counted on the wire itself: the browser's own count of a stream comes late."""
    to = urlsplit(address)
    got = {"bytes": 0, "at": monotonic()}

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                if counted:
                    got["bytes"] += len(data)
                    got["at"] = monotonic()
                writer.write(data)
                await writer.drain()
        writer.close()

    async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(to.hostname, to.port)
        await asyncio.gather(carry(reader, ours, counted=False), carry(theirs, writer, counted=True))

    server = await asyncio.start_server(both, "127.0.0.1", 0)
    async with server:
        page = await _open(context, f"http://localhost:{server.sockets[0].getsockname()[1]}{to.path}")
        while monotonic() - got["at"] < SILENT_S:  # noqa: ASYNC110 - silence has no event
            await asyncio.sleep(0.02)
        kb = got["bytes"] / 1000
        await page.close()
        await asyncio.sleep(2)  # until the feed has noticed
    return kb


async def _blank(context: Any, seconds: float) -> float:
    """The longest frame of a page with nothing on it: what the machine itself makes wait, ms."""
    page: Page = await context.new_page()
    longest: float = (await page.evaluate(FRAMES, seconds))["longest"]
    await page.close()
    return longest


async def _measure(url: str, pid: int, seconds: float) -> list[Claim]:
    async with asyncio.timeout(MOST_S), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        context = await _log_in(browser, url)
        cookie = "; ".join(f"{c['name']}={c['value']}" for c in await context.cookies())
        blank_ms = await _blank(context, seconds)
        pages = {
            "live page": await _look(context, f"{url}/", seconds, None),
            "table by id": await _look(context, f"{url}/evses", seconds, None),
            "table by load": await _look(context, f"{url}/evses", seconds, BY_LOAD),
        }
        await browser.close()
        claims = [claim for page, seen in pages.items() for claim in _claims(page, seen)]
        claims.append(Claim("an empty page, longest frame, ms", _spread([blank_ms])))
        for page, rows in (("live page", False), ("table", True)):
            cpu = _spread(await _viewer(url, cookie, pid, rows=rows))
            claims.append(Claim(f"{page}, one viewer, % of a core of the server", cpu, GOAL_CPU, "at most"))
        return claims


def _spread(values: list[float]) -> Spread:
    return spread(values, [1.0] * len(values))


def _claims(page: str, seen: Seen) -> list[Claim]:
    live = page == "live page"
    return [
        Claim(
            f"{page}, first load, KB over the wire", _spread([seen.kb]), GOAL_KB if live else None, "at most"
        ),
        Claim(f"{page}, first numbers, s", _spread(seen.first_s), GOAL_FIRST_S if live else None, "at most"),
        Claim(f"{page}, longest frame, ms", _spread(seen.longest_ms), GOAL_FRAME_MS, "at most"),
        Claim(f"{page}, longest task of its own, ms", _spread(seen.task_ms)),
    ]


def main() -> int:
    """Measure; exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--evses", type=int, default=10_000)
    parser.add_argument("--changing", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=4.0)
    given = parser.parse_args()
    if not chromium():
        print("console: skipped, there is no Chromium")
        return 0
    ours, theirs = mp.get_context("spawn").Pipe()
    server = mp.get_context("spawn").Process(target=_server, args=(given.evses, given.changing, theirs))
    server.start()
    try:
        if not ours.poll(300):
            raise TimeoutError("the server did not start")
        claims = asyncio.run(_measure(ours.recv(), server.pid or 0, given.seconds))
    finally:
        server.kill()
        server.join()
    tell("console", *claims, evses=given.evses, changing=given.changing)
    return 0 if all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
