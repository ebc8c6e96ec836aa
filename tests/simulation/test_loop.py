"""The loop of the simulation: virtual time, turns drawn by the seed, lives that end between two steps."""

import asyncio
import contextvars
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from emw.simulation.loop import LIFE, NothingLeft, NotSimulated, run_to_end, simulated


def ran(story: Coroutine[Any, Any, Any], seed: int = 1) -> Any:
    with simulated(Random(seed)) as loop:
        return run_to_end(loop, lambda: story).result()


def test_hours_pass_in_no_time() -> None:
    async def story() -> float:
        await asyncio.sleep(36_000)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert ran(story()) == pytest.approx(36_060)


def test_what_is_ready_together_runs_in_an_order_of_the_seed() -> None:
    async def story() -> list[int]:
        order: list[int] = []

        async def part(n: int) -> None:
            await asyncio.sleep(5)
            order.append(n)

        async with asyncio.TaskGroup() as tasks:
            for n in range(8):
                tasks.create_task(part(n))
        return order

    orders = [tuple(ran(story(), seed)) for seed in range(6)]
    assert len(set(orders)) > 1
    assert tuple(ran(story(), 3)) == orders[3]


def test_who_waits_for_nothing_is_told() -> None:
    async def story() -> None:
        await asyncio.Event().wait()

    with simulated(Random(1)) as loop, pytest.raises(NothingLeft):
        run_to_end(loop, story)


def test_threads_and_sockets_are_refused() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(NotSimulated):
            await asyncio.to_thread(print)
        with pytest.raises(NotSimulated):
            await asyncio.open_connection("127.0.0.1", 1)
        with pytest.raises(NotSimulated):
            await loop.getaddrinfo("localhost", 1)

    ran(story())


def test_nothing_of_an_ended_life_runs_again_not_even_its_finally() -> None:
    said: list[str] = []

    async def life() -> None:
        try:
            while True:
                await asyncio.sleep(1)
                said.append("alive")
        finally:
            said.append("finally")

    async def story() -> list[str]:
        loop: Any = asyncio.get_running_loop()
        context = contextvars.Context()
        context.run(LIFE.set, 1)
        keep = loop.create_task(life(), context=context)
        await asyncio.sleep(3.5)
        loop.ended.add(1)
        await asyncio.sleep(100)
        assert not keep.done()
        return list(said)

    assert ran(story()) == ["alive"] * 3
