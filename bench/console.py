"""The console under 10,000 EVSEs, 1,000 of which say something else each second: its first load, its frames, its cost.

One process serves a head-end in memory with its operator plane; stations are stood in for by readings that come as
intake would give them. Another drives Debian's Chromium. No rival: the bars are our own.

    python -m bench.console [--evses 10000] [--changing 1000] [--seconds 15]

Prints, for the live page and the table of EVSEs (by id, and by load, where rows change places): bytes over the wire
until the wire falls silent between two ticks and the time until the first numbers (goals: at most 500 KB and 1.5 s,
live page), the longest time between two frames (goal: at most 100 ms, table) and the longest task of the page's own
thread, and what one viewer costs the server in per cent of a core (goal: at most 1, live page). An empty page is
watched before: its longest frame is the machine's own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing as mp
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, async_playwright

from tests.browser.house import FLAGS, serving
from tests.needs import chromium
from tests.web.world import PASSWORD, World, reads, stations, world

GOAL_KB: Final = 500.0
GOAL_FIRST_S: Final = 1.5
GOAL_FRAME_MS: Final = 100.0
GOAL_CPU: Final = 1.0
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
    """What one page showed."""

    kb: float
    first_s: float
    longest_ms: float
    task_ms: float
    rate: float
    cpu: float


async def _churn(w: World, names: list[str], changing: int) -> None:
    """Each second so many EVSEs draw something else."""
    chance = Random(3)
    while True:
        for _ in range(10):  # spread over the second, as meters are
            for name in chance.sample(names, changing // 10):
                reads(w, name, chance.uniform(6, 30))
            await asyncio.sleep(0.1)


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
            told.send(url)
            await _churn(w, names, changing)


def _server(evses: int, changing: int, told: Any) -> None:
    asyncio.run(_serve(evses, changing, told))


def _cpu_s(pid: int) -> float:
    """Processor seconds that a process has used."""
    parts = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


async def _idle(pid: int, seconds: float) -> float:
    """Per cent of a core that a process uses."""
    before = _cpu_s(pid)
    await asyncio.sleep(seconds)
    return 100 * (_cpu_s(pid) - before) / seconds


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


async def _look(context: Any, address: str, pid: int, idle: float, seconds: float, click: str | None) -> Seen:
    kb = await _wire_kb(context, address)
    page: Page = await context.new_page()
    wire = await context.new_cdp_session(page)
    await wire.send("Network.enable")
    await wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
    await page.add_init_script(FIRST_NUMBER)
    await page.goto(address)
    await page.wait_for_function("() => window.firstNumber", timeout=60_000)
    first_s = await page.evaluate("window.firstNumber") / 1000
    if click:
        await page.click(click)
    await asyncio.sleep(3)  # what is done once
    before = _cpu_s(pid)
    told = await page.evaluate(FRAMES, seconds)
    cpu = 100 * (_cpu_s(pid) - before) / seconds - idle
    await page.close()
    await asyncio.sleep(2)  # until the feed has noticed
    return Seen(kb, first_s, told["longest"], told["task"], told["rate"], cpu)


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
        page: Page = await context.new_page()
        wire = await context.new_cdp_session(page)
        await wire.send("Network.enable")
        await wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
        await page.add_init_script(FIRST_NUMBER)
        await page.goto(f"http://localhost:{server.sockets[0].getsockname()[1]}{to.path}")
        await page.wait_for_function("() => window.firstNumber", timeout=60_000)
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


async def _measure(url: str, pid: int, seconds: float) -> tuple[dict[str, Seen], float]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        context = await _log_in(browser, url)
        await asyncio.sleep(3)
        idle = await _idle(pid, seconds)
        blank_ms = await _blank(context, seconds)
        found = {
            "live": await _look(context, f"{url}/", pid, idle, seconds, None),
            "table": await _look(context, f"{url}/evses", pid, idle, seconds, None),
            "by load": await _look(context, f"{url}/evses", pid, idle, seconds, BY_LOAD),
        }
        await browser.close()
        return found, blank_ms


def main() -> int:
    """Measure; exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evses", type=int, default=10_000)
    parser.add_argument("--changing", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=15.0)
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
        found, blank_ms = asyncio.run(_measure(ours.recv(), server.pid or 0, given.seconds))
    finally:
        server.kill()
        server.join()
    print(f"{given.evses:,} EVSEs, {given.changing:,} change each second; an empty page: {blank_ms:.0f} ms")
    for name, x in found.items():
        print(
            f"{name:<8}{x.kb:7.0f} KB   first numbers {x.first_s:5.2f} s   longest frame {x.longest_ms:5.0f} ms   "
            f"longest task {x.task_ms:4.0f} ms   {x.rate:3.0f} frames/s   server {x.cpu:4.1f} % of a core"
        )
    live = found["live"]
    held = (
        live.kb <= GOAL_KB
        and live.first_s <= GOAL_FIRST_S
        and max(found[name].longest_ms for name in ("table", "by load")) <= GOAL_FRAME_MS
        and live.cpu <= GOAL_CPU
    )
    print("goals held" if held else "goals missed")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
