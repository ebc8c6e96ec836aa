"""An asyncio event loop on virtual time: it never waits, never does I/O, and its chance comes from the seed.

When nothing is ready, time jumps to the next timer. What is ready in one turn runs in an order drawn by the seed:
code that works only in the order in which things happened to be scheduled fails here. And it can kill: every task
inherits the life it belongs to from its context, and nothing of an ended life runs again, not even a `finally`.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar
from random import Random
from typing import Any, Final, TypeVar

LIFE: Final[ContextVar[int]] = ContextVar("life", default=0)
"""Which life of a node a task belongs to; 0 is the world, which never ends."""

T = TypeVar("T")


class NothingLeft(RuntimeError):
    """Every task waits for something that no timer will bring: a deadlock."""


class NotSimulated(RuntimeError):
    """Threads, sockets and subprocesses have no place in a simulation."""


class SimLoop(asyncio.BaseEventLoop):
    """Virtual time, shuffled turns, and lives that can end between two steps."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self.set_debug(False)
        self.turns = 0
        self.ended: set[int] = set()
        self.living: dict[int, list[asyncio.Task[Any]]] = {}
        self._chance = chance
        self._now_s = 0.0
        self._parked: list[asyncio.Handle] = []
        self.set_task_factory(_remembered)

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self._now_s

    def _run_once(self) -> None:
        """One turn: what is ready or due, in an order drawn by the seed."""
        scheduled, ready = self._scheduled, self._ready
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)
        if not ready:
            if not scheduled:
                raise NothingLeft("every task waits and no timer is set")
            self._now_s = max(self._now_s, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now_s + 1e-9:
            ready.append(heapq.heappop(scheduled))
        turn = list(ready)
        ready.clear()
        if len(turn) > 1:
            self._chance.shuffle(turn)
        self.turns += 1
        ended = self.ended
        for handle in turn:
            if handle.cancelled():
                continue
            if ended and handle._context.get(LIFE) in ended:  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
                self._parked.append(handle)
                continue
            handle._run()  # noqa: SLF001 - what a loop does with a handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is dropped when its time comes."""

    # --- lives

    def tasks_of(self, life: int) -> list[asyncio.Task[Any]]:
        """The tasks of a life that are not done."""
        left = [task for task in self.living.get(life, []) if not task.done()]
        for task in self.living.get(life, []):
            if task.done() and not task.cancelled():
                task.exception()  # heard of: who must know has been told by the task's own parent
        self.living[life] = left
        return left

    def unwind(self) -> None:
        """After the end: let every task of every life run its way out, so that nothing is left for the collector."""
        self.ended.clear()
        self._ready.extend(self._parked)
        self._parked.clear()
        self.set_exception_handler(lambda _loop, _context: None)
        for _ in range(3):
            left = [task for life in sorted(self.living) for task in self.tasks_of(life)]
            if not left:
                break
            for task in left:
                task.cancel()
            waiting = super().create_task(asyncio.wait(left, timeout=60))
            waiting.add_done_callback(lambda _: self.stop())
            self.run_forever()
        for life in sorted(self.living):
            self.tasks_of(life)

    # --- what a simulation can't have

    def run_in_executor(self, *_: Any) -> Any:  # type: ignore[override]
        """Refused: a thread has its own time."""
        raise NotSimulated("no threads here")

    def call_soon_threadsafe(self, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        """Refused: there is one thread."""
        raise NotSimulated("no threads here")

    async def getaddrinfo(self, *_: Any, **__: Any) -> Any:
        """Refused: there is no network but the simulated one."""
        raise NotSimulated("no names are looked up here")

    async def create_connection(self, *_: Any, **__: Any) -> Any:
        """Refused: there is no network but the simulated one."""
        raise NotSimulated("no sockets here")

    async def create_server(self, *_: Any, **__: Any) -> Any:
        """Refused: doors are called, not listened at."""
        raise NotSimulated("no sockets here")


def _remembered(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
    context: Context | None = None,
) -> asyncio.Task[T]:
    """Make a task and note to which life it belongs."""
    task: asyncio.Task[T] = asyncio.Task(coro, loop=loop, context=context)
    assert isinstance(loop, SimLoop)  # noqa: S101 - set by SimLoop itself
    life = LIFE.get() if context is None else context.get(LIFE, 0)
    mine = loop.living.setdefault(life, [])
    mine.append(task)
    if len(mine) > 512 and len(mine) & 511 == 0:
        loop.tasks_of(life)
    return task


@contextlib.contextmanager
def simulated(chance: Random) -> Generator[SimLoop]:
    """A loop for one run; what is left at the end is unwound and the loop closed."""
    loop = SimLoop(chance)
    try:
        yield loop
    finally:
        loop.unwind()
        loop.close()


def run_to_end(loop: SimLoop, main: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
    """Run until `main` is done or somebody stops the loop; the task tells which."""
    task = loop.create_task(main())
    task.add_done_callback(lambda _: loop.stop())
    loop.run_forever()
    return task
