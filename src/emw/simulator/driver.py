"""Runs stations over their lines: one agenda and one sleeper for all, a task only while a station is talking."""

import asyncio
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from emw.simulator.clock import Clock
from emw.simulator.line import Line

_IDLE_S: Final = 3600.0


@dataclass(order=True, slots=True)
class _Entry:
    at: datetime
    order: int
    line: Line | None = field(compare=False, default=None)
    action: Callable[[datetime], None] | None = field(compare=False, default=None)


class Driver:
    """Lets each station talk when it has something to say.

    `quantum_s` (virtual) bounds how often it looks: what is due within it goes out together. `poll_s`
    (virtual) also looks at every station that often: real hardware does not announce a plugged vehicle.
    """

    def __init__(self, clock: Clock, *, quantum_s: float = 0.01, poll_s: float | None = None) -> None:
        self._clock = clock
        self._quantum_s = quantum_s
        self._poll_s = poll_s
        self._lines: list[Line] = []
        self._agenda: list[_Entry] = []
        self._order = count()
        self._woken = asyncio.Event()
        self._stopped = False
        self._leaving: set[Line] = set()
        self._all_left = asyncio.Event()

    def add(self, line: Line, at: datetime) -> None:
        """Start running this station at a time."""
        self._lines.append(line)
        self._schedule(line, at)

    def at(self, when: datetime, action: Callable[[datetime], None]) -> None:
        """Do something to the simulated world at a time."""
        self._put(_Entry(when, next(self._order), action=action))

    def poke(self, line: Line) -> None:
        """Something happened at this station: let it look now."""
        self._schedule(line, self._clock.now())

    def settle(self, line: Line) -> None:
        """This station has said and heard what there was: look again when it is due."""
        self._has_left(line)
        if line.talking:
            return
        now = self._clock.now()
        due = line.agent.due(now)
        if self._poll_s is not None and not line.agent.off:
            polled = now + timedelta(seconds=self._poll_s)
            due = polled if due is None else min(due, polled)
        if due is None:
            line.due = None
        elif due != line.due:
            self._schedule(line, due)

    async def say_goodbye(self, lines: Iterable[Line]) -> None:
        """Power these stations off and wait until they have said so; those cut off just fall silent."""
        self._leaving = {line for line in lines if not line.lost}
        for line in self._leaving:
            line.agent.power_off()
            self.poke(line)
        if self._leaving:
            await self._all_left.wait()

    def stop(self) -> None:
        """End `run` once the conversations under way are over."""
        self._stopped = True
        for line in self._lines:
            line.close()
        self._woken.set()

    async def run(self) -> None:
        """Run until `stop`. A bug in a station ends it with that exception."""
        async with asyncio.TaskGroup() as group:
            while not self._stopped:
                now = self._clock.now()
                while self._agenda and self._agenda[0].at <= now:
                    self._begin(heapq.heappop(self._agenda), now, group)
                wait_s = (self._agenda[0].at - now).total_seconds() if self._agenda else _IDLE_S
                await self._nap(max(wait_s, self._quantum_s))

    def _begin(self, entry: _Entry, now: datetime, group: asyncio.TaskGroup) -> None:
        if entry.action is not None:
            entry.action(now)
        line = entry.line
        if line is not None and line.due == entry.at and not line.talking:
            line.talking = True
            group.create_task(self._converse(line))

    async def _converse(self, line: Line) -> None:
        """Say everything this station has to say now."""
        await line.talk()
        line.talking = False
        line.due = None
        self.settle(line)

    def _has_left(self, line: Line) -> None:
        if line.agent.off and line in self._leaving:
            self._leaving.discard(line)
            if not self._leaving:
                self._all_left.set()

    def _schedule(self, line: Line, at: datetime) -> None:
        line.due = at
        self._put(_Entry(at, next(self._order), line=line))

    def _put(self, entry: _Entry) -> None:
        """Onto the agenda; the sleeper is woken only for what comes before all it knew of."""
        heapq.heappush(self._agenda, entry)
        if self._agenda[0] is entry:
            self._woken.set()

    async def _nap(self, seconds: float) -> None:
        """Sleep on the virtual clock until then, or until somebody wakes us."""
        sleeper = asyncio.ensure_future(self._clock.sleep(seconds))
        waker = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            waker.cancel()
        self._woken.clear()
