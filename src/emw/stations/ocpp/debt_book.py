"""What is owed to stations' own central systems, for all stations: read at the start, written in groups."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from emw.service.errors import Unavailable
from emw.service.ports import Clock, FrameStore, KeptFrame, KeptName
from emw.stations.debts import Debts, Full

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None] | None]


class _Change(msgspec.Struct):
    kept: KeptFrame | None
    gone: KeptFrame | None
    name: KeptName | None
    done: asyncio.Future[None]


class DebtBook:
    """All debts. One writes at a time, and takes with it what has come meanwhile."""

    def __init__(self, store: FrameStore, clock: Clock, spawn: Spawn) -> None:
        self._store = store
        self._clock = clock
        self._spawn = spawn
        self._all: dict[str, Debts] = {}
        self._waiting: list[_Change] = []
        self._writes = False

    async def load(self) -> None:
        """Read what was owed when emw stopped. Raises Unavailable."""
        frames, names = await self._store.kept_frames()
        by_station: defaultdict[str, list[KeptFrame]] = defaultdict(list)
        named: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for frame in frames:
            by_station[frame.station_id].append(frame)
        for name in names:
            named[name.station_id].append((name.ours, name.theirs))
        for station_id in by_station.keys() | named.keys():
            self._all[station_id] = Debts(by_station[station_id], named[station_id])

    def of(self, station_id: str) -> Debts:
        """One station's."""
        debts = self._all.get(station_id)
        if debts is None:
            debts = self._all[station_id] = Debts()
        return debts

    async def owe(self, station_id: str, action: str, payload: bytes, ours: str | None) -> None:
        """Keep a message; durable when this returns. Raises Unavailable: then it is not owed."""
        debts = self.of(station_id)
        try:
            new = debts.owe(station_id, action, payload, ours)
        except Full:
            raise Unavailable("too much waits for its central system", retry_after_s=60) from None
        if new is None:
            return
        try:
            await self._write(new.frame, new.dropped, None)
        except Unavailable:
            debts.forget(new.frame)
            raise

    async def paid(self, frame: KeptFrame, theirs: str | None) -> None:
        """A message has been told. `theirs`: the number that its transaction has there."""
        debts = self.of(frame.station_id)
        name = None
        if theirs is not None and frame.ours is not None:
            debts.names[frame.ours] = theirs
            name = KeptName(frame.station_id, frame.ours, theirs, self._clock.now())
        await self._write(None, frame, name)
        debts.forget(frame)

    async def _write(self, kept: KeptFrame | None, gone: KeptFrame | None, name: KeptName | None) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Change(kept, gone, name, done))
        if not self._writes:
            self._writes = True
            if self._spawn(self._flush()) is None:
                self._writes = False
                raise Unavailable("emw is stopping")
        await done

    async def _flush(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                try:
                    await self._store.keep_frames(
                        [c.kept for c in group if c.kept is not None],
                        [c.gone for c in group if c.gone is not None],
                        [c.name for c in group if c.name is not None],
                    )
                except Unavailable as error:
                    _answer(group, error)
                except BaseException:  # cancelled, or a bug: who waits must not wait for ever
                    _answer(group, Unavailable("emw is stopping"))
                    raise
                else:
                    _answer(group, None)
        finally:
            self._writes = False
            _answer(self._waiting, Unavailable("emw is stopping"))
            self._waiting = []


def _answer(group: list[_Change], error: Unavailable | None) -> None:
    for change in group:
        if change.done.done():
            continue
        if error is None:
            change.done.set_result(None)
        else:
            change.done.set_exception(error)
