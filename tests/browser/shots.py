"""The pictures of the documentation: the console over a running demo, its main pages in both themes.

    python -m tests.browser.shots build/shots

`make shots` calls it; `make docs` then puts the pictures onto the page about the console.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

from tests.browser.house import FLAGS
from tests.needs import chromium

STATIONS: Final = 200
PAGES: Final = {"live": "/", "map": "/map", "requests": "/requests", "evses": "/evses", "log": "/log"}
THEMES: Final = ("light", "dark")
SIZES: Final = {"": (1440, 900), "-phone": (390, 844)}
LOOK_S: Final = 4.0
WAIT_MS: Final = 180_000


async def _demo() -> tuple[asyncio.subprocess.Process, str, str]:
    """A demo of its own; its address and password are what it prints."""
    program = Path(sys.executable).with_name("emw")
    demo = await asyncio.create_subprocess_exec(
        str(program), "demo", "--stations", str(STATIONS), "--operator", "127.0.0.1:0",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert demo.stdout is not None
    async with asyncio.timeout(120):
        while line := (await demo.stdout.readline()).decode():
            found = re.search(r"(http://\S+)\s+log in as demo / (\S+)", line)
            if found:
                return demo, found[1], found[2]
    raise RuntimeError("the demo ended before it could be looked at")


async def _pictures(browser: Browser, url: str, password: str, out: Path) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(url)
    await page.fill("input[name=name]", "demo")
    await page.fill("input[name=password]", password)
    await page.click("button[type=submit]")
    await page.wait_for_selector(".request .tag[data-state=active]", timeout=WAIT_MS)
    way_in = await context.storage_state()
    await context.close()
    for theme in THEMES:
        for size, (width, height) in SIZES.items():
            context = await browser.new_context(
                storage_state=way_in,
                color_scheme="dark" if theme == "dark" else "light",
                viewport={"width": width, "height": height},
                locale="en",
            )
            page = await context.new_page()
            for name, path in PAGES.items():
                if size and name not in {"live", "requests"}:
                    continue
                await page.goto(url + path)
                await page.wait_for_selector("#link.up", timeout=WAIT_MS)
                if name == "requests":
                    await page.fill("#plan input[name=kw]", "60")
                    await page.wait_for_selector("#preview .answer", timeout=WAIT_MS)
                await asyncio.sleep(LOOK_S)
                await page.screenshot(path=out / f"{name}{size}-{theme}.png")
            await context.close()


async def _make(out: Path) -> None:
    demo, url, password = await _demo()
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            await _pictures(browser, url, password, out)
            await browser.close()
    finally:
        if demo.returncode is None:
            demo.terminate()
        await demo.wait()


def main() -> None:
    """Make them all."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    if not chromium():
        sys.exit("there is no Chromium: apt-get install -y chromium, or EMW_CHROMIUM=/path/to/it")
    asyncio.run(_make(out))


if __name__ == "__main__":
    main()
