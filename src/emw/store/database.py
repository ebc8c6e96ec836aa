"""Where the rows lie: opening SQLite and PostgreSQL, for one writer and for readers, and what their errors mean.

The writer's connection is the driver's own, in autocommit mode with explicit BEGIN and COMMIT. Readers go through a
SQLAlchemy engine whose connections can't write.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import sqlalchemy as sa
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from emw.store.errors import StoreUnusable, Trouble

BUSY_S: Final = 5.0
"""How long another process may hold the database before a caller hears 503."""

RESTORE: Final = "restore a backup with `emw db restore`"

# After these the same connection is used again; after others a new one is made and compared with what was written.
_KEEPS: Final = {"SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR"}
_WHY: Final = {
    "SQLITE_FULL": ("the disk is full", 10),
    "SQLITE_BUSY": ("the database is locked by another process", 2),
    "SQLITE_LOCKED": ("the database is locked", 2),
    "SQLITE_IOERR": ("the disk failed to read or write", 10),
    "SQLITE_READONLY": ("the database can't be written to: it is read-only or was moved away", 10),
    "SQLITE_CANTOPEN": ("the database can't be opened", 10),
    "SQLITE_CORRUPT": (f"the database file is damaged; stop emw and {RESTORE}", 60),
    "SQLITE_NOTADB": (f"the database file is no database any more; stop emw and {RESTORE}", 60),
    "SQLITE_NOMEM": ("there is no memory left", 10),
}

# Of each value that is no number and no text sqlite3 asks in three places whether it can be adapted, and makes an
# exception for every no. With an adapter it asks once; these give back what they got.
sqlite3.register_adapter(type(None), {None: None}.get)
sqlite3.register_adapter(bool, int)
sqlite3.register_adapter(bytes, bytes)


class Database(Protocol):
    """One database, SQLite or PostgreSQL."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    @property
    def begin(self) -> str:
        """How the writer begins a transaction."""
        ...

    @property
    def engine(self) -> sa.Engine:
        """The readers' connections."""
        ...

    def connect(self) -> Any:
        """A driver connection that writes, in autocommit mode."""
        ...

    def release(self, connection: Any) -> None:
        """Close what `connect` gave."""
        ...

    def migrating(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """A connection inside a transaction that may change tables."""
        ...

    def snapshot(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """A reader for whom the database stands still."""
        ...

    def trouble(self, error: BaseException) -> Trouble | None:
        """What an error of the driver means to a caller; None: it is not the driver's."""
        ...

    def check_start(self) -> None:
        """Raise StoreUnusable where emw must not start on this."""
        ...

    def close(self) -> None:
        """Let go of the readers' connections."""
        ...


class SqliteDatabase:
    """SQLite in WAL mode; every commit is flushed before it returns (synchronous=FULL)."""

    dialect = "sqlite"
    begin = "BEGIN IMMEDIATE"
    checked_at_start: ClassVar[int] = 64 * 1024 * 1024
    """Files up to this size, in bytes, are checked page by page at every start."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self._create = create
        self.engine = sa.create_engine(
            "sqlite://", creator=self._reader, poolclass=QueuePool, pool_size=4, max_overflow=4
        )

    def connect(self) -> sqlite3.Connection:
        """The writer's connection."""
        with start_errors(self.path):
            if self._create:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                # Only while it is absent: closing any handle on a file lets go of all POSIX locks this process has
                # on it, SQLite's too; another process would then take the write-ahead log for nobody's and drop it.
                if not self.path.exists():
                    os.close(
                        os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)
                    )  # -wal and -shm take its mode over
            connection = open_file(self.path)
            try:
                connection.execute("PRAGMA journal_mode=WAL").fetchone()
                tune(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def release(self, connection: sqlite3.Connection) -> None:
        """Close what `connect` gave."""
        connection.close()

    def _reader(self) -> sqlite3.Connection:
        if not self.path.exists():
            raise StoreUnusable(f"there is no database at {self.path} yet: start the server once to make it")
        connection = open_file(self.path)
        connection.execute("PRAGMA query_only=ON")
        return connection

    @contextlib.contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        """DDL is transactional in SQLite too: a migration that is killed half-way has not happened."""
        engine = sa.create_engine("sqlite://", creator=self.connect, poolclass=NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(self.begin)
            yield connection
            connection.commit()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """A reader for whom the database stands still; writers go on."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection
            connection.rollback()

    def trouble(self, error: BaseException) -> Trouble | None:
        """What an error of sqlite3 means."""
        if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
            error = error.orig
        if not isinstance(error, sqlite3.Error):
            return None
        name = error_name(error)
        base = next((known for known in _WHY if name.startswith(known)), "")
        if base:
            why, retry_after_s = _WHY[base]
            return Trouble(why, retry_after_s=retry_after_s, keeps=base in _KEEPS)
        return Trouble(
            f"the database refused: {error}",
            retry_after_s=10,
            keeps=name.startswith("SQLITE_CONSTRAINT"),
            clash=name
            in {"SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_ROWID"},
        )

    def check_start(self) -> None:
        """A damaged file is found before anything is built on it (fault F5)."""
        with start_errors(self.path):
            if self.path.exists() and self.path.stat().st_size > self.checked_at_start:
                return
            with self.engine.connect() as connection:
                found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check(3)")]
            if found != ["ok"]:
                raise StoreUnusable(f"{self.path} is damaged ({'; '.join(found)}): {RESTORE}")

    def close(self) -> None:
        """Let go of the readers' connections."""
        self.engine.dispose()


class GivenSqlite(SqliteDatabase):
    """One sqlite3 connection that somebody else keeps, for reading and writing: a simulation's disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.path = Path(":memory:")
        self._given = connection
        connection.isolation_level = None
        self.engine = sa.create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)

    def connect(self) -> sqlite3.Connection:
        """The connection that was given."""
        return self._given

    def release(self, connection: sqlite3.Connection) -> None:
        """The connection belongs to whoever gave it."""

    @contextlib.contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        """The given connection, inside a transaction."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql(self.begin)
            yield connection
            connection.commit()

    def close(self) -> None:
        """The connection belongs to whoever gave it."""


def tune(connection: sqlite3.Connection) -> None:
    """FULL: an acknowledged row survives power loss (fault F2). Checkpoints are rarer than SQLite's default.

    What a statement of many rows would need to take itself back is kept in memory, not in a file of its own.
    """
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    connection.execute("PRAGMA cache_size=-65536")


def open_file(path: Path) -> sqlite3.Connection:
    """A connection to a file that must be there."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,  # handed between threads by the pool, used by one at a time
        cached_statements=256,
    )


def error_name(error: BaseException) -> str:
    """SQLite's name of an error, such as SQLITE_FULL."""
    return getattr(error, "sqlite_errorname", "") or ""


@contextlib.contextmanager
def start_errors(path: Path) -> Iterator[None]:
    """What stops a start, in a sentence that says what to do."""
    try:
        yield
    except (sqlite3.Error, sa.exc.DBAPIError) as error:
        cause = getattr(error, "orig", None) or error
        name = error_name(cause)
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or name == "SQLITE_ERROR":
            raise StoreUnusable(f"{path} is damaged ({cause}): {RESTORE}") from error
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreUnusable(f"{path} is locked by another process: stop that one first") from error
        raise StoreUnusable(f"{path} can't be opened: {cause}") from error
    except OSError as error:
        raise StoreUnusable(f"{path} can't be opened: {error.strerror}") from error


def open_database(url: str, *, create: bool = True, patience_s: float = 0.0) -> Database:
    """The database at a URL: `sqlite:///file` or `postgresql://user@host/name`.

    `create`: a file that is not there is made. `patience_s`: a spare's, see `PostgresDatabase`.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise StoreUnusable("store.url is no database URL: write sqlite:///file or postgresql://…") from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise StoreUnusable("store.url names no file: write sqlite:///path/to/emw.db")
        return SqliteDatabase(Path(parsed.database), create=create)
    if backend == "postgresql":
        from emw.store.postgres import PostgresDatabase  # noqa: PLC0415 - the driver is loaded where it is used

        return PostgresDatabase(parsed, patience_s=patience_s)
    raise StoreUnusable(f"store.url: {backend} is not known here: write sqlite:///… or postgresql://…")
