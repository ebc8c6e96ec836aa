"""The pictures of the documentation: the console over a running demo, its main pages in both themes.

    python -m tests.browser.shots build/shots [--language de] [--phone]

`make shots` calls it; `make docs` then puts the pictures onto the page about the console.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Page, async_playwright

from tests.browser.house import FLAGS
from tests.needs import chromium

STATIONS: Final = 200
PAGES: Final = {
    "live": "/",
    "map": "/map",
    "requests": "/requests",
    "evses": "/evses",
    "evse": "",  # one that is limited, found when there is one
    "reports": "/reports",
    "report": "",  # of the request that runs
    "grid": "/grid",
    "log": "/log",
    "access": "/access",
    "driver": "",  # the drivers' plane has an address of its own
}
ON_A_PHONE: Final = {"live", "requests", "driver"}
THEMES: Final = ("light", "dark")
SIZES: Final = {"": (1600, 1000), "-phone": (390, 844)}
LOOK_S: Final = 3.0
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


async def _addresses(page: Page, url: str) -> dict[str, str]:
    """Where each page is: of an EVSE and a request that are there now, and its driver's page."""
    evses = await (await page.request.get(f"{url}/api/v1/evses?state=limited&limit=1")).json()
    requests = await (await page.request.get(f"{url}/api/v1/requests?limit=1")).json()
    evse, request = evses["items"][0], requests["items"][0]
    driver = await (await page.request.get(f"{url}/api/v1/evses/{evse['evseID']}/driverLink")).json()
    return {name: url + path for name, path in PAGES.items()} | {
        "evse": f"{url}/evses/{evse['evseID']}",
        "report": f"{url}/reports/requests/{request['requestKey']}",
        "driver": driver["url"],
    }


async def _pictures(
    browser: Browser, url: str, password: str, out: Path, language: str, phone: set[str]
) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(url)
    await page.fill("input[name=name]", "demo")
    await page.fill("input[name=password]", password)
    await page.click("button[type=submit]")
    await page.wait_for_selector(".request .tag[data-state=active]", timeout=WAIT_MS)
    await asyncio.sleep(LOOK_S)  # until the first cars have confirmed
    addresses = await _addresses(page, url)
    way_in = await context.storage_state()
    await context.close()
    for theme in THEMES:
        for size, (width, height) in SIZES.items():
            context = await browser.new_context(
                storage_state=way_in,
                color_scheme="dark" if theme == "dark" else "light",
                viewport={"width": width, "height": height},
                locale=language,
            )
            page = await context.new_page()
            for name, address in addresses.items():
                if (size and name not in phone) or (not size and name == "driver"):
                    continue
                await page.goto(address)
                if name not in {"driver", "report"}:
                    await page.wait_for_selector("#link.up", timeout=WAIT_MS)
                if name == "live":  # while something is asked
                    await page.wait_for_selector(".request .tag[data-state=active]", timeout=WAIT_MS)
                if name == "requests":
                    await page.fill("#plan input[name=kw]", "60")
                    await page.wait_for_selector("#preview .answer", timeout=WAIT_MS)
                await asyncio.sleep(LOOK_S)
                await page.screenshot(path=out / f"{name}{size}-{theme}.png")
            await context.close()


async def _make(out: Path, language: str, phone: set[str]) -> None:
    demo, url, password = await _demo()
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            await _pictures(browser, url, password, out, language, phone)
            await browser.close()
    finally:
        if demo.returncode is None:
            demo.terminate()
        await demo.wait()


def main() -> None:
    """Make them all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--language", default="en")
    parser.add_argument(
        "--phone", action="store_true", help="every page as a phone shows it, not the main ones alone"
    )
    given = parser.parse_args()
    out: Path = given.out
    out.mkdir(parents=True, exist_ok=True)
    if not chromium():
        sys.exit("there is no Chromium: apt-get install -y chromium, or EMW_CHROMIUM=/path/to/it")
    asyncio.run(_make(out, given.language, set(PAGES) if given.phone else ON_A_PHONE))


if __name__ == "__main__":
    main()
