"""The store without threads, for the deterministic simulation, and the disk that outlives its crashes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from emw.domain.facts import Fact
from emw.domain.model import Record
from emw.service.ports import Believed, Loaded, Memory, Reading
from emw.store.core import StoreCore
from emw.store.database import Database, GivenSqlite, tune


class Disk:
    """What is left after a crash: what was committed, and nothing else."""

    def __init__(self, place: sqlite3.Connection | Path | str = ":memory:") -> None:
        if isinstance(place, sqlite3.Connection):
            self.connection = place
            self.connection.isolation_level = None
        else:
            self.connection = sqlite3.connect(place, isolation_level=None, cached_statements=256)
            self.connection.execute("PRAGMA journal_mode=WAL").fetchone()
            tune(self.connection)

    def reopen(self, **settings: Any) -> InlineStore:
        """The store of the next life. A transaction that was open is not there."""
        if self.connection.in_transaction:
            self.connection.rollback()
        return InlineStore(GivenSqlite(self.connection), **settings)


class InlineStore:
    """The port `Store`, in the thread of its caller: each call is over when it returns."""

    def __init__(self, database: Database, **settings: Any) -> None:
        self._core = StoreCore(database, **settings)

    @property
    def fenced(self) -> str | None:
        """Why this store may never write again; None: all is well."""
        return self._core.writer.fenced

    async def load(self) -> Loaded:
        """Check, migrate if needed, and read the live view."""
        return self._core.load()

    async def commit(self, facts: Sequence[Fact], records: Sequence[Record]) -> int:
        """Facts and the records they changed, committed."""
        return self._core.commit(facts, records)

    async def add_readings(self, readings: Sequence[Reading]) -> None:
        """Telemetry, in one group."""
        self._core.add_readings(readings)

    async def add_beliefs(self, beliefs: Sequence[Believed]) -> None:
        """Counterfactuals, in one group."""
        self._core.add_beliefs(beliefs)

    async def keep_memories(self, memories: Sequence[Memory]) -> None:
        """What was learned of each tree."""
        self._core.keep_memories(memories)

    async def roll_up(self, now: datetime) -> None:
        """Interval means and retention."""

        def write(step: Callable[[], Any]) -> Any:
            return step()

        self._core.roll_up(now, write)

    async def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """Rows of a named read-only question."""
        return self._core.query(name, parameters)

    async def still_ours(self) -> None:
        """Raise Fenced where another has become the one who writes."""
        self._core.still_ours()

    async def close(self) -> None:
        """The disk stays with whoever has it."""
        self._core.close()
