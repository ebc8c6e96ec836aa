"""The one who writes: log rows and the rows they change in one transaction, or nothing.

Used by one thread. The number and hash of the newest row are held here and compared with the database's at every
new connection; the log's primary key does the same at every commit. Whoever finds another's rows there, or another in
its place, is fenced: it never writes again (faults F6 and F8).
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from emw.domain.facts import Fact
from emw.domain.model import Record
from emw.service.errors import Fenced, Unavailable
from emw.store import schema
from emw.store.chain import START, genesis, head_of, head_text, link
from emw.store.columns import time_text
from emw.store.database import Database
from emw.store.errors import Claimed, Trouble
from emw.store.rows import codecs, fact_columns
from emw.store.statements import Insert

T = TypeVar("T")
Head = tuple[int, str, bytes]
"""The newest row of the log: number, day, hash."""

NOTHING: Final[Head] = (0, "", START)
REPLACED: Final = (
    "another emw took this database over while it could not be reached from here; this one must end"
)
FENCED: Final = "another emw has written to this database; stop one of them and start this one again"
IN_DOUBT: Final = (
    "a commit whose answer was lost turned out to be written; start emw again to go on from there"
)


class Writer:
    """The writing side of one database."""

    def __init__(self, database: Database) -> None:
        self.head: Head = NOTHING
        self.fenced: str | None = None
        """Why this writer may never write again; None while it may."""
        self._database = database
        self._connection: Any = None
        self._failed = 0
        self._doubt: Head | None = None
        dialect = database.dialect
        self._text_times = dialect == "sqlite"
        self._codecs = codecs(dialect)
        self._log = Insert(schema.activity, dialect)
        self._tables = {
            kind: Insert(codec.table, dialect, conflict="replace") for kind, codec in self._codecs.items()
        }
        self._meta = Insert(schema.meta, dialect, conflict="replace")

    # --- the connection

    def connect(self) -> None:
        """Become the one who writes: before anything is looked at that another might still change."""
        if self._connection is None:
            self._connection = self._database.connect()

    def open(self) -> Any:
        """Learn where the log ends; returns the driver connection."""
        self.connect()
        self.head = self._read_head()
        return self._connection

    def close(self) -> None:
        """Let go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # a connection that is lost can't be closed either
                self._database.release(connection)

    def _read_head(self) -> Head:
        rows = self._connection.execute("SELECT value FROM meta WHERE name = 'log_head'").fetchall()
        return head_of(rows[0][0]) if rows else NOTHING

    def _connected(self) -> Any:
        if self.fenced is not None:
            raise Fenced(self.fenced, retry_after_s=60)
        if self._connection is None:
            try:
                self._connection = self._database.connect()
                found = self._read_head()
            except Claimed as error:
                self.fenced = REPLACED
                raise Fenced(self.fenced, retry_after_s=60) from error
            except Exception as error:
                self.close()
                raise self._database.trouble(error) or Unavailable(str(error), retry_after_s=10) from error
            if found != self.head:
                self.fenced = IN_DOUBT if found == self._doubt else FENCED
                self.close()
                raise Fenced(self.fenced, retry_after_s=60)
        return self._connection

    def still_ours(self) -> None:
        """Look whether this is still the one who writes, and come back to where it was after a lost connection.

        Raises Fenced, or Unavailable where the database is not to be reached.
        """
        self._connected()
        try:
            found = self._read_head()
        except Exception as error:
            self._back(error)
            raise self._told(error) from error
        if found != self.head:
            self.fenced = FENCED
            self.close()
            raise Fenced(self.fenced, retry_after_s=60)

    # --- writing

    def commit(self, facts: Sequence[Fact], records: Sequence[Record]) -> int:
        """Write facts and the records they changed; returns the first row's number."""
        first = self.head[0] + 1
        if not facts and not records:
            return first
        log, head = self._log_values(facts)
        changed: defaultdict[type[Any], list[Record]] = defaultdict(list)
        for record in records:
            changed[type(record)].append(record)
        tables = [(self._tables[kind], self._codecs[kind].values(found)) for kind, found in changed.items()]

        def work(cursor: Any) -> None:
            try:
                self._log.run_flat(cursor, log)
            except Exception as error:
                trouble = self._database.trouble(error)
                if trouble is not None and trouble.clash:
                    self.fenced = FENCED
                raise
            for insert, written in tables:
                insert.run_flat(cursor, written)
            self._meta.run(cursor, [("log_head", head_text(*head))])

        self.transact(work, head)
        self.head = head
        return first

    def _log_values(self, facts: Sequence[Fact]) -> tuple[list[Any], Head]:
        seq, day, digest = self.head
        values: list[Any] = []
        for fact in facts:
            kind, payload, searched = fact_columns(fact)
            seq += 1
            at: Any = time_text(fact.at)
            if at[:10] != day:
                day = at[:10]
                digest = genesis(day, digest)
            digest = link(digest, seq, kind, payload)
            if not self._text_times:
                at = fact.at
            values += (seq, at, day, kind, fact.actor, *searched, payload.decode(), digest)
        return values, (seq, day, digest)

    def transact(self, work: Callable[[Any], T], head: Head | None = None) -> T:
        """Run `work` in one transaction. `head`: what the log's end is once it is written."""
        connection = self._connected()
        try:
            cursor = connection.cursor()
            cursor.execute(self._database.begin)
            result = work(cursor)
        except BaseException as error:
            self._back(error)
            raise self._told(error) from error
        try:
            cursor.execute("COMMIT")
        except Exception as error:
            self._doubt = head
            self._back(error)
            if head is not None and self._landed(head):
                return result
            raise self._told(error) from error
        self._failed = 0
        return result

    def _told(self, error: BaseException) -> BaseException:
        if self.fenced is not None:
            return Fenced(self.fenced, retry_after_s=60)
        return self._database.trouble(error) or error

    def _back(self, error: BaseException) -> None:
        """Roll back. A connection that may be broken is dropped; the next one is compared with `head`."""
        self._failed += 1
        trouble = self._database.trouble(error)
        try:
            if getattr(self._connection, "in_transaction", True):
                self._connection.execute("ROLLBACK")
        except Exception as second:  # noqa: BLE001 - whatever it says: this connection is not used again
            trouble = Trouble(str(second), retry_after_s=10, keeps=False)
        if trouble is not None and (not trouble.keeps or self._failed > 2):
            self.close()

    def _landed(self, head: Head) -> bool:
        """Whether a commit whose answer was lost with its connection is there after all."""
        if self._connection is not None:
            return False  # the database itself said that it is rolled back
        try:
            self._connection = self._database.connect()
            found = self._read_head()
        except Exception:  # noqa: BLE001 - not reachable now: the next connection settles the doubt
            self.close()
            return False
        if found == head:
            self._doubt = None
            return True
        return False
