"""Work that takes long and asks nothing but the store, beside the loop: stations are answered while it goes on.

The evidence of a request with many EVSEs is made of millions of rows. In the loop it would be seconds in which no
heartbeat is taken. On a thread it shares the interpreter with the loop, which gets its turn every few milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

AT_ONCE: Final = 2
"""Whoever asks for more waits: reports must not take the machine from dispatch."""
Result = TypeVar("Result")


class Beside:
    """Runs coroutines, each on a thread with a loop of its own. The store's questions may be asked from any."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """What the coroutine that `work` makes gives, or raises."""
        async with self._room:
            return await asyncio.to_thread(lambda: asyncio.run(work()))
