"""What the tests of pages stand on: a server in the test's own loop, Chromium's flags, the way in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import Any, Final

import uvicorn
from playwright.async_api import BrowserContext, Page

from tests.ports import free_port
from tests.web.world import World

FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--disable-quic",
]
PATIENCE_MS: Final = 60_000
"""A busy machine is slow, not wrong."""


class Quiet(uvicorn.Server):
    """A server inside the caller's own loop: signals are somebody else's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def serving(w: World, port: int | None = None) -> AsyncGenerator[str, None]:
    """The app on a port of its own."""
    port = port or free_port()
    server = Quiet(uvicorn.Config(w.app, port=port, log_config=None, lifespan="off", access_log=False))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - it tells by a flag
        await asyncio.sleep(0.02)
    try:
        yield f"http://localhost:{port}"
    finally:
        for connection in list(server.server_state.connections):
            connection.transport.abort()  # streams would go on without their server
        server.should_exit = True
        server.force_exit = True
        await running


def listen(page: Page) -> list[str]:
    """Dialogs, errors and what the page wanted from elsewhere: there must be none."""
    heard: list[str] = []

    async def dialog(box: Any) -> None:
        heard.append(f"dialog {box.message}")
        await box.dismiss()

    page.on("dialog", dialog)
    page.on("pageerror", lambda error: heard.append(f"error {error}"))
    page.on("console", lambda line: heard.append(line.text) if line.type == "error" else None)
    page.on("request", lambda r: heard.append(r.url) if not r.url.startswith("http://localhost:") else None)
    return heard


async def let_in(context: BrowserContext, w: World, url: str, who: str = "ann") -> None:
    """In without the door, which has tests of its own."""
    _, _, session = (await w.log_in(who))["cookie"].partition("=")
    await context.add_cookies([{"name": "emw_session", "value": session, "url": url}])
