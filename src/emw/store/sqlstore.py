"""The store that serves: one thread writes, a few read, so that a long report never delays a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final, TypeVar

from emw.domain.facts import Fact
from emw.domain.model import Record
from emw.service.errors import Unavailable
from emw.service.ports import Believed, KeptFrame, KeptName, Loaded, Memory, Reading
from emw.store.core import StoreCore
from emw.store.database import open_database
from emw.store.migrate import refuse_other

T = TypeVar("T")
READERS: Final = 4


class SqlStore:
    """The port `Store` over a database URL, SQLite or PostgreSQL."""

    def __init__(
        self,
        url: str,
        *,
        telemetry_days: float = 30,
        interval_days: float = 1_100,
        read_only: bool = False,
        patience_s: float = 0.0,
    ) -> None:
        """`telemetry_days`, `interval_days`: how long readings and interval means are kept; 0 keeps them.

        `patience_s`: for how long nobody else must have been writing before this one does (a spare).
        """
        self._core = StoreCore(
            open_database(url, create=not read_only, patience_s=patience_s),
            telemetry_days=telemetry_days,
            interval_days=interval_days,
        )
        self._read_only = read_only
        self._checked = not read_only
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._closed = False

    @property
    def fenced(self) -> str | None:
        """Why this store may never write again (another has written): stop and start anew. None: all is well."""
        return self._core.writer.fenced

    async def load(self) -> Loaded:
        """Check, migrate if needed, and read the live view. Raises StoreUnusable."""
        return await self._in(self._writer, self._core.load)

    async def commit(self, facts: Sequence[Fact], records: Sequence[Record]) -> int:
        """Facts and the records they changed, durable when this returns."""
        self._may_write()
        return await self._in(self._writer, self._core.commit, facts, records)

    async def add_readings(self, readings: Sequence[Reading]) -> None:
        """Telemetry, in one group."""
        self._may_write()
        await self._in(self._writer, self._core.add_readings, readings)

    async def add_beliefs(self, beliefs: Sequence[Believed]) -> None:
        """Counterfactuals, in one group."""
        self._may_write()
        await self._in(self._writer, self._core.add_beliefs, beliefs)

    async def keep_memories(self, memories: Sequence[Memory]) -> None:
        """What was learned of each tree."""
        self._may_write()
        await self._in(self._writer, self._core.keep_memories, memories)

    async def keep_frames(
        self, kept: Sequence[KeptFrame], gone: Sequence[KeptFrame], names: Sequence[KeptName]
    ) -> None:
        """What is owed to central systems, durable when this returns."""
        self._may_write()
        await self._in(self._writer, self._core.frames.keep, kept, gone, names)

    async def kept_frames(self) -> tuple[list[KeptFrame], list[KeptName]]:
        """What is owed to central systems."""
        return await self._in(self._readers, self._core.frames.read)

    async def roll_up(self, now: datetime) -> None:
        """Interval means and retention: read aside, written in small steps between the commits."""
        self._may_write()

        def write(step: Callable[[], Any]) -> Any:
            return self._writer.submit(step).result()

        await self._in(self._readers, self._core.roll_up, now, write)

    async def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """Rows of a named read-only question."""
        if not self._checked:
            await self._in(self._readers, refuse_other, self._core.database)
            self._checked = True
        return await self._in(self._readers, self._core.query, name, parameters)

    async def still_ours(self) -> None:
        """Raise Fenced where another has become the one who writes, Unavailable where that can't be seen now."""
        self._may_write()
        await self._in(self._writer, self._core.still_ours)

    async def close(self) -> None:
        """Finish what is under way and let go."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._writer, self._core.close)
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._writer.shutdown(wait=False)

    def _may_write(self) -> None:
        if self._read_only:
            raise Unavailable("this store was opened for reading only")

    async def _in(self, executor: ThreadPoolExecutor, work: Callable[..., T], *arguments: Any) -> T:
        if self._closed:
            raise Unavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(executor, work, *arguments)
