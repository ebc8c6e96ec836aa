"""The store without its threads: one writer and many readers over one database. Both adapters stand on this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from emw.domain.facts import Fact
from emw.domain.model import Record
from emw.service.errors import Unavailable
from emw.service.ports import Believed, Loaded, Memory, Reading
from emw.store import loading
from emw.store.database import RESTORE, Database
from emw.store.errors import StoreUnusable
from emw.store.frames import FrameTables
from emw.store.log import TAIL, verify_log
from emw.store.migrate import migrate
from emw.store.queries import ask
from emw.store.recent import newest_at, read_recent
from emw.store.telemetry import TelemetryTables
from emw.store.writer import Writer


class StoreCore:
    """What a store does, step by step, in the thread of the caller."""

    def __init__(
        self, database: Database, *, telemetry_days: float = 30, interval_days: float = 1_100
    ) -> None:
        self.database = database
        self.writer = Writer(database)
        self.frames = FrameTables(self.writer, database)
        self.telemetry = TelemetryTables(
            self.writer,
            database,
            raw_for=timedelta(days=telemetry_days),
            means_for=timedelta(days=interval_days),
        )

    def load(self) -> Loaded:
        """Check, migrate if needed, and read the live view. Raises StoreUnusable; Claimed while another emw writes."""
        connection = self._opened()
        try:
            seq, _, _ = self.writer.head
            with self.database.snapshot() as reader:
                problem = verify_log(reader, since=max(1, seq - TAIL + 1))
            if problem:
                raise StoreUnusable(f"the activity log is damaged ({problem}): {RESTORE}")
            state = loading.read_state(connection, self.database.dialect)
            readings = loading.read_readings(connection, self.database.dialect)
            recent = read_recent(connection, self.database.dialect)
            newest = newest_at(connection, self.database.dialect)
            memories = loading.read_memories(connection, self.database.dialect)
            self.telemetry.open()
        except (ValueError, KeyError, TypeError) as error:
            raise StoreUnusable(f"a row can't be read ({error}): {RESTORE}") from error
        return Loaded(state, readings, seq + 1, recent, newest, memories)

    def _opened(self) -> Any:
        try:
            self.writer.close()
            self.writer.connect()  # makes the file, with its mode, before anybody reads
            self.database.check_start()
            migrate(self.database)
            return self.writer.open()
        except Exception as error:
            self.writer.close()
            trouble = self.database.trouble(error)
            if trouble is None or isinstance(error, Unavailable):
                raise
            raise StoreUnusable(f"the database can't be opened: {trouble.detail}") from error

    def commit(self, facts: Sequence[Fact], records: Sequence[Record]) -> int:
        """Facts and the records they changed, durable when this returns."""
        return self.writer.commit(facts, records)

    def add_readings(self, readings: Sequence[Reading]) -> None:
        """Telemetry, in one group."""
        self.telemetry.add(readings)

    def add_beliefs(self, beliefs: Sequence[Believed]) -> None:
        """Counterfactuals, in one group."""
        self.telemetry.add_beliefs(beliefs)

    def keep_memories(self, memories: Sequence[Memory]) -> None:
        """What was learned of each tree."""
        self.telemetry.keep_memories(memories)

    def roll_up(self, now: datetime, write: Callable[[Callable[[], Any]], Any]) -> None:
        """Interval means and retention. `write` runs one small step on the writer's side."""
        self.telemetry.roll_up(now, write)

    def query(self, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """Rows of a named question."""
        try:
            with self.database.engine.connect() as connection:
                return ask(connection, name, parameters)
        except sa.exc.DBAPIError as error:
            raise self.database.trouble(error) or error from error

    def still_ours(self) -> None:
        """Raise Fenced where another has become the one who writes."""
        self.writer.still_ours()

    def close(self) -> None:
        """Let go of everything."""
        self.writer.close()
        self.database.close()
