"""Who has to be looked at, and when. A look costs by what is due, and not by how many there are. Pure."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Due(Generic[T]):
    """Things by the second in which they are due, on any steady clock. What is taken is forgotten."""

    __slots__ = ("_seconds", "_slots")

    def __init__(self) -> None:
        self._seconds: list[int] = []
        self._slots: dict[int, list[T]] = {}

    def at(self, when_s: float, thing: T) -> None:
        """Put a thing in, due at `when_s`; it is taken in the second after that, and never a rounding too soon."""
        second = math.floor(when_s + 0.001) + 1
        slot = self._slots.get(second)
        if slot is None:
            self._slots[second] = [thing]
            heapq.heappush(self._seconds, second)
        else:
            slot.append(thing)

    def take(self, now_s: float) -> Iterator[T]:
        """What is due, earliest first. What is put in meanwhile and due already comes as well."""
        while self._seconds and self._seconds[0] <= now_s:
            yield from self._slots.pop(heapq.heappop(self._seconds))
