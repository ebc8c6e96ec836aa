"""PostgreSQL behind the same statements. A driver without an event loop, because one thread writes.

Who writes holds a lock of the session's: whoever dies lets go of it with its connection, and nobody else needs a clock
to know (fault F8). A pooler that gives each transaction another session must not stand between.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from emw.store.errors import Claimed, StoreUnusable, Trouble

MIGRATION_LOCK: Final = 8420518
WRITER_LOCK: Final = 8420519
"""Any number will do, if it is the same in every version of emw."""

# A server that is gone is noticed in seconds, not when the kernel gives up.
_OPTIONS: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
# `on` waits for the flush: an acknowledged row survives power loss (fault F2).
_SETTINGS: Final = (
    "-c timezone=UTC -c synchronous_commit=on -c lock_timeout=5000 "
    "-c idle_in_transaction_session_timeout=60000"
)
# And a writer that is gone is noticed by the server: its lock must not outlive a machine that lost its power.
_NOTICED: Final = (
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 "
    "-c tcp_user_timeout=15000"
)
_HOLDER: Final = """
    SELECT pid, backend_start, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND classid = 0 AND objid = %s AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class PostgresDatabase:
    """A PostgreSQL database and role of emw's own."""

    dialect: str = "postgresql"
    begin: str = "BEGIN"

    def __init__(self, url: sa.URL, *, patience_s: float = 0.0) -> None:
        """`patience_s`: for how long the place of who writes must have been free before it is taken."""
        self._patience_s = patience_s
        self._url = url.set(drivername="postgresql+psycopg")
        self.shown = url.render_as_string(hide_password=True)
        self._session: Any = None
        """Process and start of the session that last had the writer's lock for us."""
        self.engine = sa.create_engine(
            self._url,
            connect_args={
                **_OPTIONS,
                "application_name": "emw",
                "options": f"{_SETTINGS} -c default_transaction_read_only=on",
            },
            isolation_level="AUTOCOMMIT",
            pool_size=4,
            max_overflow=4,
            pool_pre_ping=True,
        )

    def connect(self) -> psycopg.Connection[Any]:
        """The writer's connection. Raises Claimed while another emw has one."""
        name = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = psycopg.connect(
            name,
            autocommit=True,
            application_name=f"emw {socket.gethostname()[:40]} {os.getpid()}",
            options=f"{_SETTINGS} {_NOTICED}",
            **_OPTIONS,
        )
        try:
            self._claim(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _claim(self, connection: psycopg.Connection[Any]) -> None:
        """Take the writer's lock. A session of our own that the server still takes for alive makes room.

        Who is patient leaves it to an emw whose session has just ended: after a restart of the database that one comes
        back within a second or two.
        """
        if self._patience_s and self._session is None and _holder(connection) is None:
            connection.execute("SELECT pg_sleep(%s)", (self._patience_s,))
        if not _take(connection, "pg_try_advisory_lock"):
            # Nobody any more: it went just now, perhaps our own that is dead. The lock is waited for.
            holder = _holder(connection)
            if holder is not None and holder[:2] != self._session:
                raise Claimed(_named(holder))
            if holder is not None:
                connection.execute("SELECT pg_terminate_backend(%s)", (holder[0],))
            _take(connection, "pg_advisory_lock")  # waits for it, as long as for any lock
        held = _holder(connection)
        self._session = None if held is None else held[:2]

    def release(self, connection: psycopg.Connection[Any]) -> None:
        """Close what `connect` gave."""
        connection.close()

    @contextlib.contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        """A transaction that no other start runs beside."""
        engine = sa.create_engine(
            self._url, connect_args={**_OPTIONS, "options": _SETTINGS}, poolclass=NullPool
        )
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """A reader for whom the database stands still; writers go on."""
        with self.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            yield connection
            connection.rollback()

    def trouble(self, error: BaseException) -> Trouble | None:
        """What an error of psycopg means."""
        if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
            error = error.orig
        if not isinstance(error, psycopg.Error):
            return None
        state = error.sqlstate or ""
        if isinstance(error, psycopg.errors.UniqueViolation):
            return Trouble(f"the database refused: {error}", retry_after_s=10, keeps=True, clash=True)
        if state.startswith("53"):  # disk full, out of memory, too many connections
            return Trouble(
                f"the database has no room: {error.diag.message_primary}", retry_after_s=10, keeps=True
            )
        if state in {"55P03", "57014", "40001", "40P01"}:
            return Trouble("the database is locked by another process", retry_after_s=2, keeps=True)
        if state == "25006":
            return Trouble("the database is read-only: it is a standby", retry_after_s=10, keeps=False)
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return Trouble("the database can't be reached", retry_after_s=5, keeps=False)
        return Trouble(f"the database refused: {error}", retry_after_s=10, keeps=True)

    def check_start(self) -> None:
        """Reachable, and safe against power loss."""
        try:
            with self.engine.connect() as connection:
                flushes = connection.exec_driver_sql("SHOW fsync").scalar()
        except sa.exc.DBAPIError as error:
            raise StoreUnusable(f"{self.shown} can't be reached: {error.orig}") from error
        if flushes != "on":
            raise StoreUnusable(
                f"{self.shown} runs with fsync = off: it would lose what was acknowledged; switch it on"
            )

    def close(self) -> None:
        """Let go of the readers' connections."""
        self.engine.dispose()


def _take(connection: psycopg.Connection[Any], how: str) -> bool:
    found = connection.execute(f"SELECT {how}(%s)".encode(), (WRITER_LOCK,)).fetchone()
    return found is not None and found[0] is not False


def _holder(connection: psycopg.Connection[Any]) -> tuple[Any, ...] | None:
    """Whose session has the writer's lock: its process, its start, its name."""
    return connection.execute(_HOLDER, (WRITER_LOCK,)).fetchone()


def _named(holder: tuple[Any, ...]) -> str:
    _, since, name = holder
    host, process = (*name.split(" "), "?", "?")[1:3]
    return f"another emw (on {host}, process {process}, connected since {since:%Y-%m-%d %H:%M:%SZ})"
