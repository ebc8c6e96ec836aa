"""What waits for a store that can't write: the newest is kept, the oldest is lost, and how much is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from emw.service.errors import Unavailable
from emw.service.groups import hand_over


async def test_what_could_not_be_written_waits_in_order_and_the_oldest_is_lost_first() -> None:
    waiting = deque(range(6), maxlen=6)
    written: list[int] = []

    async def write(group: Sequence[int]) -> None:
        if written:
            waiting.extend((6, 7, 8, 9))  # readings go on coming while the store fails
            raise Unavailable("the disk is full")
        written.extend(group)

    assert await hand_over(waiting, 3, write) == 1
    assert (written, list(waiting)) == ([0, 1, 2], [4, 5, 6, 7, 8, 9])
