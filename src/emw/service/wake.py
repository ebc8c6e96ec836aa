"""How a loop of ours rests: until it is woken, or for a while."""

from __future__ import annotations

import asyncio

from emw.service.ports import Clock


async def woken(wake: asyncio.Event, clock: Clock, seconds: float | None) -> bool:
    """Whether `wake` was set within `seconds` of the clock in force (None: however long). It is clear afterwards."""
    try:
        async with asyncio.timeout(None if seconds is None else clock.loop_seconds(seconds)):
            await wake.wait()
    except TimeoutError:
        pass
    came = wake.is_set()
    wake.clear()
    return came
