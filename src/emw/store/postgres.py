"""PostgreSQL behind the same statements. A driver without an event loop, because one thread writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from emw.store.errors import StoreUnusable, Trouble

# A server that is gone is noticed in seconds, not when the kernel gives up.
_OPTIONS: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "emw",
}
# `on` waits for the flush: an acknowledged row survives power loss (fault F2).
_SETTINGS: Final = (
    "-c timezone=UTC -c synchronous_commit=on -c lock_timeout=5000 "
    "-c idle_in_transaction_session_timeout=60000"
)


class PostgresDatabase:
    """A PostgreSQL database and role of emw's own."""

    dialect: str = "postgresql"
    begin: str = "BEGIN"

    def __init__(self, url: sa.URL) -> None:
        self._url = url.set(drivername="postgresql+psycopg")
        self.shown = url.render_as_string(hide_password=True)
        self.engine = sa.create_engine(
            self._url,
            connect_args={**_OPTIONS, "options": f"{_SETTINGS} -c default_transaction_read_only=on"},
            isolation_level="AUTOCOMMIT",
            pool_size=4,
            max_overflow=4,
            pool_pre_ping=True,
        )

    def connect(self) -> psycopg.Connection[Any]:
        """The writer's connection."""
        name = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(name, autocommit=True, options=_SETTINGS, **_OPTIONS)

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
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(8420518)")
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
