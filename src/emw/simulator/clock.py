"""Virtual time for the simulated world: a second of wall clock may be a minute of theirs."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the simulator asks of time. The server's own clock has the same two methods."""

    def now(self) -> datetime:
        """The virtual time, aware, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` of virtual time have passed."""
        ...


class VirtualClock:
    """Virtual time that starts at `start` and runs `speed` times as fast as the event loop's monotonic clock.

    The loop's clock, not the wall's: a stepped wall clock must not make a simulated afternoon jump. The start
    is anchored at the first use, so a clock may be made before its loop runs.
    """

    def __init__(self, start: datetime, speed: float = 1.0) -> None:
        """`start` must be aware; `speed` is virtual seconds per real second."""
        if start.tzinfo is None:
            raise ValueError("the virtual clock needs an aware start, for example 2019-07-24T16:30:00-07:00")
        if not speed > 0:
            raise ValueError("the virtual clock can only run forward: speed must be above 0")
        self._start = start.astimezone(UTC)
        self._anchor_s: float | None = None
        self.speed = speed

    def now(self) -> datetime:
        """The virtual time, aware, UTC."""
        loop_s = asyncio.get_running_loop().time()
        if self._anchor_s is None:
            self._anchor_s = loop_s
        return self._start + timedelta(seconds=(loop_s - self._anchor_s) * self.speed)

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` of virtual time have passed."""
        await asyncio.sleep(max(seconds, 0.0) / self.speed)


class WallClock:
    """Time as it is: for the agent in a real station."""

    def now(self) -> datetime:
        """The time, aware, UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed."""
        await asyncio.sleep(seconds)
