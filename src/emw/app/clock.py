"""The real clock and the real dice: what the ports `Clock` and `Ids` are in production."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

import structlog

log = structlog.get_logger()
JUMP = timedelta(seconds=2)


class SystemClock:
    """UTC, read once at the start and carried on by the loop's steady clock: it can't be set back in mid-event.

    `speed` seconds of it pass in one second of the loop: 1 in the field, more in demonstrations.
    """

    def __init__(self, *, speed: float = 1.0, start: datetime | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._speed = speed
        self._start_s = (start or datetime.now(UTC)).timestamp()
        self._zero = self._loop.time()
        self._compressed = speed != 1.0 or start is not None

    def now(self) -> datetime:
        """The time, aware, UTC."""
        return datetime.fromtimestamp(self._start_s + (self._loop.time() - self._zero) * self._speed, UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of this clock."""
        await asyncio.sleep(seconds / self._speed)

    def loop_seconds(self, seconds: float) -> float:
        """How long that is for the loop."""
        return seconds / self._speed

    async def watch(self) -> None:
        """Compare with the machine's clock now and then: small drift is followed, a jump is alarmed (fault F9)."""
        while not self._compressed:
            await asyncio.sleep(60)
            off = datetime.now(UTC) - self.now()
            if abs(off) > JUMP:
                log.error("clock.jumped", seconds=round(off.total_seconds(), 3), kept="the steady clock")
            else:
                self._start_s += off.total_seconds()


class RandomIds:
    """Ids of 192 random bits from the operating system."""

    def new(self, prefix: str) -> str:
        """A fresh id, safe in URLs."""
        return f"{prefix}_{secrets.token_urlsafe(24)}"
