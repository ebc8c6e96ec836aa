"""The single write path: facts in, durable when the call returns.

A fact changes the live view at once, so that two callers can't both decide on what only one may have; it is
answered, acted on or shown to anybody only after its commit. One task takes whatever waits and commits it as one
group. A group that can't be written is taken back to the letter, with all that came after it, and its callers
get `Unavailable`: nothing was changed. A store that says `Fenced` ends the head-end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from emw.domain.facts import Fact
from emw.domain.fold import apply
from emw.domain.model import Record
from emw.domain.state import State, Undo, key_of
from emw.service.errors import Fenced, Unavailable
from emw.service.faults import fault_point
from emw.service.ports import Store

Listener = Callable[[int, Sequence[Fact]], None]


class _Waiting:
    """One caller's facts, the rows they change, how to take them back, and whom to tell."""

    __slots__ = ("done", "facts", "records", "undo")

    def __init__(self, facts: Sequence[Fact], done: asyncio.Future[int]) -> None:
        self.facts = facts
        self.records: list[Record] = []
        self.undo: list[Undo] = []
        self.done = done


class Ledger:
    """Applies facts to the live view and commits them in groups, in order."""

    def __init__(self, store: Store, state: State, *, bound: int = 100_000, group: int = 2_000) -> None:
        self.state = state
        self.committed = 0
        self.groups = 0
        self.failures = 0
        self._store = store
        self._bound = bound
        self._group = group
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._in_flight: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._listeners: list[Listener] = []
        self._fenced: Fenced | None = None

    def listen(self, listener: Listener) -> None:
        """Call `listener(first_seq, facts)` after each commit. It must not block."""
        self._listeners.append(listener)

    def put(self, *facts: Fact) -> asyncio.Future[int]:
        """Apply facts to the live view now; the future is done when they are durable.

        Raises Unavailable when the queue is full. Decide and put without an await between them: nobody else
        can then have changed what the decision rests on.
        """
        if self._queued >= self._bound:
            raise Unavailable("too many facts wait for the store", retry_after_s=5)
        waiting = _Waiting(facts, asyncio.get_running_loop().create_future())
        state = self.state
        try:
            for fact in facts:
                records, undo = apply(state, fact)
                waiting.records.extend(records)
                waiting.undo.extend(undo)
        except BaseException:
            state.undo(waiting.undo)
            raise
        self._queue.append(waiting)
        self._queued += len(facts)
        self._wake.set()
        return waiting.done

    async def record(self, *facts: Fact) -> None:
        """Apply facts and return once they are durable. A caller who gives up does not take them back."""
        if facts:
            await self.put(*facts)  # cancelling the caller cancels its future only: the group has the facts
            fault_point("answer.before")

    async def settled(self) -> None:
        """Return once everything applied so far is durable: what was read may then be told."""
        if self._queue or self._in_flight:
            waiting = _Waiting((), asyncio.get_running_loop().create_future())
            self._queue.append(waiting)
            self._wake.set()
            await waiting.done

    async def run(self) -> None:
        """Commit groups until cancelled. Raises Fenced: a process that may never write again must not live on."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._commit_group()
            if self._fenced is not None:
                raise self._fenced

    async def drain(self) -> None:
        """Commit what still waits (at a clean stop)."""
        while self._queue:
            await self._commit_group()

    async def _commit_group(self) -> None:
        group: list[_Waiting] = []
        facts: list[Fact] = []
        rows: dict[tuple[type[Any], Any], Record] = {}
        while self._queue and len(facts) < self._group:
            waiting = self._queue.popleft()
            group.append(waiting)
            facts.extend(waiting.facts)
            for record in waiting.records:
                rows[type(record), key_of(record)] = (
                    record  # the last version of a row is the one that counts
                )
        if not facts:
            self._answer(group, 0)  # somebody waited for what came before
            return
        self._in_flight = group
        try:
            fault_point("commit.before")
            first = await self._store.commit(facts, list(rows.values()))
            fault_point("commit.after")
        except Exception as error:  # noqa: BLE001 - whatever the store raises, callers must hear that nothing was kept
            self._take_back(group, error)
            return
        finally:
            self._in_flight = []
        self._queued -= len(facts)
        self.committed += len(facts)
        self.groups += 1
        self._answer(group, first)
        for listener in self._listeners:
            listener(first, facts)

    @staticmethod
    def _answer(group: Sequence[_Waiting], first: int) -> None:
        for waiting in group:
            if not waiting.done.done():
                waiting.done.set_result(first)

    def _take_back(self, group: Sequence[_Waiting], error: Exception) -> None:
        """Undo the failed group and all that was applied on top of it, latest first."""
        self.failures += 1
        if isinstance(error, Fenced):
            self._fenced = error
        refused = [*group, *self._queue]
        self._queue.clear()
        self._queued = 0
        for waiting in reversed(refused):
            self.state.undo(waiting.undo)
        why = (
            error
            if isinstance(error, Unavailable)
            else Unavailable(f"the store failed: {error}", retry_after_s=5)
        )
        for waiting in refused:
            if not waiting.done.done():
                waiting.done.set_exception(why)
                waiting.done.exception()  # a caller who has gone away does not make the loop complain
