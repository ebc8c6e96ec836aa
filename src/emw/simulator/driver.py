"""Runs stations over a link: one agenda and one sleeper for all of them, a task only while a station is
talking.
"""

import asyncio
import contextlib
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from emw.simulator.clock import Clock
from emw.simulator.control import Reply
from emw.simulator.link import Link
from emw.simulator.station import Request, Station

_IDLE_S: Final = 3600.0
_HANGS_S: Final = 30.0


@dataclass(slots=True, eq=False)
class Berth:
    """A station's place in the driver. `lost`: its network is cut, both ways."""

    station: Station
    lost: bool = False
    talking: bool = False
    due: datetime | None = None


@dataclass(order=True, slots=True)
class _Entry:
    at: datetime
    order: int
    berth: Berth | None = field(compare=False, default=None)
    action: Callable[[datetime], None] | None = field(compare=False, default=None)


class Driver:
    """Asks each station when it has something to say, says it, and hands back the answer.

    `quantum_s` (virtual) bounds how often it looks: what is due within it goes out together. `poll_s`
    (virtual) also looks at every station that often: real hardware does not announce a plugged vehicle.
    """

    def __init__(
        self, link: Link, clock: Clock, *, quantum_s: float = 0.01, poll_s: float | None = None
    ) -> None:
        self._link = link
        self._clock = clock
        self._quantum_s = quantum_s
        self._poll_s = poll_s
        self._agenda: list[_Entry] = []
        self._order = count()
        self._woken = asyncio.Event()
        self._stopped = asyncio.Event()
        self._leaving: set[Berth] = set()
        self._all_left = asyncio.Event()

    def add(self, berth: Berth, at: datetime) -> None:
        """Start running this station at a time."""
        self._schedule(berth, at)

    def at(self, when: datetime, action: Callable[[datetime], None]) -> None:
        """Do something to the simulated world at a time."""
        self._put(_Entry(when, next(self._order), action=action))

    def poke(self, berth: Berth) -> None:
        """Something happened at this station: let it look now."""
        self._schedule(berth, self._clock.now())

    async def say_goodbye(self, berths: Iterable[Berth]) -> None:
        """Power these stations off and wait until they have said so; those cut off just fall silent."""
        self._leaving = {berth for berth in berths if not berth.lost}
        for berth in self._leaving:
            berth.station.power_off()
            self.poke(berth)
        if self._leaving:
            await self._all_left.wait()

    def stop(self) -> None:
        """End `run` once the conversations under way are over."""
        self._stopped.set()
        self._woken.set()

    async def run(self) -> None:
        """Run until `stop`. A bug in a station ends it with that exception."""
        async with asyncio.TaskGroup() as group:
            while not self._stopped.is_set():
                now = self._clock.now()
                while self._agenda and self._agenda[0].at <= now:
                    self._begin(heapq.heappop(self._agenda), now, group)
                wait_s = (self._agenda[0].at - now).total_seconds() if self._agenda else _IDLE_S
                await self._nap(max(wait_s, self._quantum_s))

    async def called(self, berth: Berth, path: str, bearer: str | None, body: bytes) -> Reply:
        """A control call from the server, unless the network is cut: then it hangs like the real thing."""
        if berth.lost:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HANGS_S):
                    await self._stopped.wait()
            return Reply(504, b"{}")
        return berth.station.called(path, bearer, body, self._clock.now())

    def _begin(self, entry: _Entry, now: datetime, group: asyncio.TaskGroup) -> None:
        if entry.action is not None:
            entry.action(now)
        berth = entry.berth
        if berth is not None and berth.due == entry.at and not berth.talking:
            berth.talking = True
            group.create_task(self._converse(berth))

    async def _converse(self, berth: Berth) -> None:
        """Say everything this station has to say now."""
        while (request := berth.station.next_request(self._clock.now())) is not None:
            await self._exchange(berth, request)
        berth.talking = False
        self._has_left(berth)
        now = self._clock.now()
        due = berth.station.due(now)
        if self._poll_s is not None and not berth.station.off:
            polled = now + timedelta(seconds=self._poll_s)
            due = polled if due is None else min(due, polled)
        berth.due = None
        if due is not None:
            self._schedule(berth, due)

    def _has_left(self, berth: Berth) -> None:
        if berth.station.off and berth in self._leaving:
            self._leaving.discard(berth)
            if not self._leaving:
                self._all_left.set()

    async def _exchange(self, berth: Berth, request: Request) -> None:
        answer = None if berth.lost else await self._link.say(request)
        now = self._clock.now()
        if answer is None or berth.lost:
            berth.station.failed(request, now)
        else:
            berth.station.answered(request, answer.status, answer.body, now, answer.retry_after_s)

    def _schedule(self, berth: Berth, at: datetime) -> None:
        berth.due = at
        self._put(_Entry(at, next(self._order), berth=berth))

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
