"""What waits for the store goes there in groups; where the store can't write, it goes on waiting, oldest lost first."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from emw.service.errors import Unavailable

T = TypeVar("T")


async def hand_over(waiting: deque[T], size: int, write: Callable[[Sequence[T]], Awaitable[None]]) -> int:
    """Write all that waits, `size` at a time, until that fails; returns how many there was no room to keep."""
    while waiting:
        group = [waiting.popleft() for _ in range(min(size, len(waiting)))]
        try:
            await write(group)
        except Unavailable:
            room = len(group) if waiting.maxlen is None else waiting.maxlen - len(waiting)
            lost = max(0, len(group) - room)
            waiting.extendleft(reversed(group[lost:]))
            return lost
    return 0
