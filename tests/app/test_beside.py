"""What takes long goes on beside the loop, a little of it at once; the evidence of requests does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from emw.app.beside import AT_ONCE, Beside
from emw.service.errors import NotFound
from tests.acceptance.driver import Server


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - a thread tells no loop
            await asyncio.sleep(0.01)


async def test_the_loop_turns_while_work_goes_on_and_no_more_than_a_little_goes_on_at_once() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    async def work() -> int:
        begun.append(threading.get_ident())
        assert go_on.wait(60), "the loop stood still"
        await asyncio.sleep(0)
        return len(begun)

    beside = Beside()
    asked = [asyncio.create_task(beside(work)) for _ in range(AT_ONCE + 1)]
    await until(lambda: len(begun) == AT_ONCE)
    asked[-1].cancel()  # whoever waits may leave
    go_on.set()
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert done[:AT_ONCE] == [AT_ONCE] * AT_ONCE
    assert isinstance(done[-1], asyncio.CancelledError)
    assert threading.get_ident() not in begun


async def test_what_it_raises_is_raised_to_whoever_asked() -> None:
    async def work() -> None:
        raise NotFound("there is none")

    with pytest.raises(NotFound, match="there is none"):
        await Beside()(work)


def test_a_real_server_tells_the_evidence_of_a_request(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    try:
        server.control.post("/territories", {"territoryID": "East"})
        server.control.post("/requests", {"territory": "East", "kW": 5, "requestID": "R1"})
        told = server.control.get("/requests/operator:R1/shed")
        assert {row["method"] for row in told["rows"]} == {
            "virtual-twin",
            "before-after",
            "10-of-10-adjusted",
        }
    finally:
        assert server.stop() == 0
