"""The real clock and the real dice: what the ports `Clock` and `Ids` are in production."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog

log = structlog.get_logger()
JUMP: Final = timedelta(seconds=2)
FALSE_BEFORE: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""No emw was made before: a machine's clock that says so has not been set yet."""
MOST_BACK: Final = timedelta(days=1)
"""A clock set back by more than this since the log's newest row was wrong then or is wrong now: nobody can tell."""


class ClockWrong(Exception):
    """The machine's clock and the log can't both be right; the text says what to do."""


def wall() -> datetime:
    """The machine's clock, aware, UTC."""
    return datetime.now(UTC)


steady: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds that nobody can set, and that go on while the machine sleeps, where it has such a clock."""


class SystemClock:
    """UTC, read once at the start and carried on by a steady clock: it can't be set back or forth in mid-event.

    `speed` seconds of it pass in one second of the loop: 1 in the field, more in demonstrations. A leap of the
    machine's clock is kept out until the next start and told by `off_s` (fault F9). One that was false at the start
    (earlier than the log) is followed once it has been set right.
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        start: datetime | None = None,
        wall: Callable[[], datetime] = wall,
        steady: Callable[[], float] = steady,
    ) -> None:
        self._wall, self._steady = wall, steady
        self._speed = speed
        self._start_s = (start or wall()).timestamp()
        self._zero_s = steady()
        self._compressed = speed != 1.0 or start is not None
        self._behind = False
        self.off_s = 0.0
        """How far the machine's clock was ahead of this one when last looked at, s; nothing while they agree."""

    def now(self) -> datetime:
        """The time, aware, UTC."""
        return datetime.fromtimestamp(self._start_s + (self._steady() - self._zero_s) * self._speed, UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of this clock."""
        await asyncio.sleep(seconds / self._speed)

    def loop_seconds(self, seconds: float) -> float:
        """How long that is for the loop."""
        return seconds / self._speed

    def not_before(self, newest: datetime | None) -> None:
        """Time never runs backwards over a restart: go on from the log's `newest` row. Raises ClockWrong.

        What a clock set back in between would do otherwise: prolong every running event by as much.
        """
        now = self.now()
        if newest is None or newest <= now:
            return
        behind = newest - now
        false = not self._compressed and now < FALSE_BEFORE
        if behind > MOST_BACK and not false and not self._compressed:
            raise ClockWrong(
                f"the newest row of the log is of {newest:%Y-%m-%d %H:%M} UTC, and this machine's clock says "
                f"{now:%Y-%m-%d %H:%M}: set the clock; if it is right, restore a backup from before the log went wrong"
            )
        self._start_s += behind.total_seconds()
        self._behind, self.off_s = not self._compressed, -behind.total_seconds()
        log.error(
            "clock.behind_the_log", seconds=round(behind.total_seconds(), 3), kept="the log's newest time"
        )

    async def watch(self) -> None:
        """Compare with the machine's clock now and then, until cancelled."""
        while not self._compressed:
            await asyncio.sleep(60)
            self.compare()

    def compare(self) -> None:
        """Small drift is followed, a leap is kept out and alarmed."""
        off = self._wall() - self.now()
        if abs(off) <= JUMP or (self._behind and off > JUMP):
            if off > JUMP:
                log.warning("clock.set_right", seconds=round(off.total_seconds(), 3))
            self._start_s += off.total_seconds()
            self._behind, self.off_s = False, 0.0
            return
        self.off_s = off.total_seconds()
        log.error("clock.jumped", seconds=round(self.off_s, 3), kept="the steady clock")


class RandomIds:
    """Ids of 192 random bits from the operating system."""

    def new(self, prefix: str) -> str:
        """A fresh id, safe in URLs."""
        return f"{prefix}_{secrets.token_urlsafe(24)}"
