"""One node of emw: the real head-end behind its real doors, with lives that end at named seams and begin again.

A kill: the ports go dead first, the life's tasks never run another step, its memory is gone, the disk is what was
flushed. Some time later a new head-end is built from the disk alone.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from emw.grid.iso import IsoDoors, IsoLink
from emw.plane import Plane
from emw.service.errors import Unavailable
from emw.service.headend import HeadEnd
from emw.service.settings import ServiceSettings
from emw.simulation.disk import Disk, OnCommit, SimStore
from emw.simulation.loop import LIFE, SimLoop
from emw.simulation.network import Answer, Message, Network, SimOutgoing, call_asgi
from emw.stations.rest import RestLink, RestStations

START: Final = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)
"""Virtual zero: the evening before a day of 23 hours."""
KEY: Final = b"simulated server's own key"


class Killed(BaseException):
    """The process is gone. Not an Exception: nobody handles his own death."""


class SimClock:
    """The loop's virtual seconds as UTC, from `origin` on."""

    def __init__(self, loop: SimLoop, origin: datetime = START) -> None:
        self._loop = loop
        self._origin = origin

    def now(self) -> datetime:
        """The time, aware, UTC."""
        return self._origin + timedelta(seconds=self._loop.time())

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`."""
        await asyncio.sleep(max(seconds, 0.0))

    def loop_seconds(self, seconds: float) -> float:
        """The same: this clock is the loop's."""
        return seconds


class SimIds:
    """Ids of 128 bits from the seed."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def new(self, prefix: str) -> str:
        """A fresh id."""
        return f"{prefix}_{self._chance.getrandbits(128):032x}"


class Node:
    """The server's place in the world: at most one life at a time."""

    def __init__(
        self,
        loop: SimLoop,
        network: Network,
        disk: Disk,
        settings: ServiceSettings,
        chance: Random,
        *,
        say: Callable[[str], None],
        on_commit: OnCommit,
        on_loaded: Callable[[HeadEnd], None],
        on_up: Callable[[HeadEnd], None],
        on_bug: Callable[[str], None],
    ) -> None:
        self.disk = disk
        self.network = network
        self.closed = False
        """The run is over; what happens now is no part of it."""
        self.kills = 0
        self.starts = 0
        self.life = 0
        self.up_at_s: float | None = None
        """Since when it serves; None while it does not."""
        self.headend: HeadEnd | None = None
        self.plane: Plane | None = None
        self.answers: dict[int, int] = {}
        self.commands = 0
        self.ids = SimIds(Random(chance.random()))
        self.clock = SimClock(loop)
        self._loop = loop
        self._settings = settings
        self._chance = chance
        self._say, self._on_commit, self._on_bug = say, on_commit, on_bug
        self._on_loaded, self._on_up = on_loaded, on_up
        self._context = contextvars.Context()
        self._open: dict[int, Callable[[Answer | None], None]] = {}
        self._calls = 0
        network.doors = self

    @property
    def alive(self) -> bool:
        """Whether a process runs, serving or not yet."""
        return self.life > 0 and self.life not in self._loop.ended

    def _lives(self, life: int) -> Callable[[], bool]:
        return lambda: life == self.life and life not in self._loop.ended

    def task(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something inside the node's present life."""
        return self._loop.create_task(coro, context=self._context.copy())

    # --- life and death

    def start(self) -> None:
        """A new process over the disk as it is."""
        self.starts += 1
        self.life = self.starts
        self._context = contextvars.Context()
        self._context.run(LIFE.set, self.life)
        self._say(f"node start {self.life}")
        main = self.task(self._live(self._lives(self.life)))
        main.add_done_callback(self._over, context=contextvars.Context())

    async def _live(self, lives: Callable[[], bool]) -> None:
        settings = self._settings
        store = SimStore(self.disk, self._chance, self.clock.now, lives, self._on_commit)
        loaded = await store.load()
        outgoing = SimOutgoing(self.network, lives, deadline_s=settings.command_deadline_s)
        headend = HeadEnd(
            store=store,
            loaded=loaded,
            clock=self.clock,
            ids=self.ids,
            chance=Random(self._chance.random()),
            stations=RestLink(outgoing, KEY, deadline_s=settings.command_deadline_s),
            reports=IsoLink(outgoing, KEY),
            settings=settings,
            version="simulated",
        )
        self._on_loaded(headend)
        # The doors that `app.build.station_plane` opens; the app itself is wired to real time and real sockets.
        doors = RestStations(headend, outgoing).doors() | IsoDoors(headend, outgoing, KEY).doors()
        plane = Plane(doors, Random(self._chance.random()))
        running = asyncio.create_task(headend.run())
        ready = asyncio.create_task(headend.ready.wait())
        await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            self.headend, self.plane = headend, plane
            self.up_at_s = self._loop.time()
            self._on_up(headend)
        await running

    def _over(self, main: asyncio.Task[None]) -> None:
        """The head-end ended by itself: nobody told it to."""
        if main.cancelled() or self.closed:
            return
        error = main.exception()
        if self.up_at_s is None and isinstance(_root(error), Unavailable):
            self._say("node could not write its start; its supervisor tries again")
            self._end()
            self._loop.call_later(1.0, self.start, context=contextvars.Context())
            return
        self._on_bug(f"the head-end ended by itself: {_root(error)!r}")

    def kill(self, why: str, away_s: float) -> None:
        """Kill -9 now; a supervisor starts it again after `away_s`."""
        if not self.alive:
            return
        self.kills += 1
        self._say(f"node killed {why}, away {away_s:.1f} s")
        self._end()
        self._loop.call_later(away_s, self.start, context=contextvars.Context())

    def _end(self) -> None:
        if self.headend is not None:
            self.commands += self.headend.dispatch.commands.sent
        self._loop.ended.add(self.life)
        self.headend = self.plane = self.up_at_s = None
        self.disk.killed()
        calls, self._open = list(self._open.values()), {}
        for answer in calls:
            answer(None)

    # --- serving

    def serve(self, message: Message, answer: Callable[[Answer | None], None]) -> bool:
        """Serve one request, if there is anybody."""
        plane = self.plane
        if plane is None or not self.alive:
            return False
        self._calls += 1
        number = self._calls
        self._open[number] = answer
        self.task(self._serve(plane, message, number, self._lives(self.life)))
        return True

    async def _serve(self, plane: Plane, message: Message, number: int, lives: Callable[[], bool]) -> None:
        said = await call_asgi(plane, message)
        answer = self._open.pop(number, None)
        if answer is None or not lives():
            return
        self.answers[said.status] = self.answers.get(said.status, 0) + 1
        if said.status >= 500 and said.status != 503:
            self._on_bug(f"{message.method} {message.path} was answered {said.status}: {said.body[:200]!r}")
        answer(said)


def _root(error: BaseException | None) -> BaseException | None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
