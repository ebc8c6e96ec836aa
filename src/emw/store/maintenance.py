"""What an operator does with a database: back up, restore, check, upgrade. Functions for `emw db` and `emw doctor`."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emw.store import schema
from emw.store.database import Database, SqliteDatabase, open_database, open_file, start_errors
from emw.store.errors import StoreUnusable
from emw.store.log import TAIL, differences, verify_log
from emw.store.migrate import migrate, version_of, why_other


def backup(url: str, to: Path) -> dict[str, Any]:
    """Copy the database to a file, also while a server writes; the copy is whole as of one moment, and flushed."""
    source = _sqlite(url, "backed up with pg_dump")
    if to.exists() and source.path.exists() and to.samefile(source.path):
        raise StoreUnusable(f"{to} is the database itself: name another file")
    if not source.path.exists():
        raise StoreUnusable(f"there is no database at {source.path}")
    with _replacing(to) as partial:
        _copy(source.path, partial)
        _must_be_whole(partial)
    told = _about(to)
    return {"file": str(to), "bytes": to.stat().st_size, **told}


def restore(url: str, source: Path, *, force: bool = False) -> dict[str, Any]:
    """Put a backup in the database's place, after checking it. What stood there is kept beside, never overwritten.

    Raises StoreUnusable where the backup is not whole, or where a database is there and `force` is not given.
    """
    target = _sqlite(url, "restored with pg_restore").path
    if not source.exists():
        raise StoreUnusable(f"there is no file {source}")
    if target.exists() and source.samefile(target):
        raise StoreUnusable(f"{source} is the database itself: name a backup")
    if target.exists() and not force:
        raise StoreUnusable(
            f"there is a database at {target}: --force puts it aside and the backup in its place"
        )
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _replacing(target) as partial:
        _copy(source, partial)
        _must_be_whole(partial)
        aside = _aside(target)
    return {"file": str(target), "kept": None if aside is None else str(aside), **_about(target)}


def check(url: str, *, whole_log: bool = True) -> dict[str, Any]:
    """Whether the database is whole: pages, version, the log's chain, and that the tables are what the log says.

    `whole_log` off: only the chain's newest rows, and no fold. Changes nothing, also beside a running server.
    `older`: it is of an earlier version, which a start of the server brings to this one.
    """
    try:
        database = open_database(url, create=False)
    except StoreUnusable as error:
        return {"ok": False, "exists": False, "problems": [error.detail]}
    if isinstance(database, SqliteDatabase) and not database.path.exists():
        return {"ok": True, "exists": False, "problems": []}
    try:
        return {"exists": True, **_checked(database, whole_log=whole_log)}
    finally:
        database.close()


def upgrade(url: str) -> dict[str, Any]:
    """Bring the tables to this version."""
    database = open_database(url)
    with contextlib.ExitStack() as held:
        held.callback(database.close)
        held.callback(database.release, database.connect())  # nobody else writes meanwhile
        database.check_start()
        found = migrate(database)
    return {"from": found, "to": schema.REVISION}


def _checked(database: Database, *, whole_log: bool) -> dict[str, Any]:
    problems: list[str] = []
    facts = 0
    older = False
    try:
        with _readable(database), database.snapshot() as connection:
            if isinstance(database, SqliteDatabase):
                pragma = "integrity_check" if whole_log else "quick_check"
                found = [str(row[0]) for row in connection.exec_driver_sql(f"PRAGMA {pragma}(20)")]
                problems += [f"pages: {line}" for line in found if line != "ok"]
            version = version_of(connection)
            if problem := why_other(version):
                older = version is None or version < schema.REVISION
                problems.append(problem)
            else:
                facts = connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM activity").scalar_one()
                since = 1 if whole_log else max(1, facts - TAIL + 1)
                if problem := verify_log(connection, since):
                    problems.append(f"log: {problem}")
                if whole_log and not problems:
                    problems += differences(connection)
    except StoreUnusable as error:
        problems.append(error.detail)
    except (ValueError, KeyError, TypeError) as error:
        problems.append(f"a row can't be read: {error!r}")
    return {"ok": not problems, "problems": problems, "facts": facts, "older": older}


@contextlib.contextmanager
def _readable(database: Database) -> Iterator[None]:
    try:
        if isinstance(database, SqliteDatabase):
            with start_errors(database.path):
                yield
        else:
            database.check_start()
            yield
    except Exception as error:
        trouble = database.trouble(error)
        if trouble is None:
            raise
        raise StoreUnusable(trouble.detail) from error


def _sqlite(url: str, otherwise: str) -> SqliteDatabase:
    database = open_database(url, create=False)
    if not isinstance(database, SqliteDatabase):
        database.close()
        raise StoreUnusable(f"a PostgreSQL database is {otherwise}")
    return database


def _must_be_whole(path: Path) -> None:
    told = check(f"sqlite:///{path}")
    if not told["ok"]:
        raise StoreUnusable(
            f"the copy is not whole, so it was not put in place: {'; '.join(told['problems'])}"
        )


def _about(path: Path) -> dict[str, Any]:
    database = SqliteDatabase(path, create=False)
    try:
        with database.engine.connect() as connection:
            seq = connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM activity").scalar_one()
            last = connection.exec_driver_sql("SELECT max(at) FROM activity").scalar()
    finally:
        database.close()
    return {"facts": seq, "last_at": last}


def _copy(source: Path, to: Path) -> None:
    with (
        start_errors(source),
        contextlib.closing(open_file(source)) as reader,
        contextlib.closing(sqlite3.connect(to, isolation_level=None)) as writer,
    ):
        reader.backup(writer)
        writer.execute("PRAGMA journal_mode=DELETE").fetchone()  # one file, complete in itself


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A new file of mode 0600 beside `path`, flushed and put in its place when the block ends well."""
    partial = path.with_name(path.name + ".partial")
    with start_errors(path):
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        yield partial
        with start_errors(path):
            _flush(partial)
            partial.replace(path)
            _flush(path.parent)
    finally:
        for left in ("", "-wal", "-shm", "-journal"):
            partial.with_name(partial.name + left).unlink(missing_ok=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _aside(path: Path) -> Path | None:
    """Move a database and its side files out of the way; returns where it is now."""
    if not path.exists():
        return None
    number = 1
    while (aside := path.with_name(f"{path.name}.replaced-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
