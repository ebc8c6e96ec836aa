"""The floor of `bench.facts`: the same rows by `executemany` of the standard library, in a process that has only that.

    python bench/bare_inserts.py SOURCE TARGET FIRST < sizes

SOURCE is what emw wrote; the rows of its log from number FIRST on are written to TARGET again, with the session and
the EVSE that each changed, in groups of the sizes given as a JSON array. Prints the seconds that took, by the wall's
clock and of CPU.
"""

import contextlib
import gc
import json
import sqlite3
import sys
import time
from typing import Any


def insert_into(table: str, db: sqlite3.Connection, *, replace: bool) -> str:
    """An INSERT of all columns; `replace`: a row that is there already gets them instead."""
    columns = [(name, key) for _, name, _, _, _, key in db.execute(f"PRAGMA table_info({table})")]
    text = f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our own schema's names
    if not replace:
        return text
    keys = ", ".join(name for name, key in columns if key)
    changed = ", ".join(f"{name} = excluded.{name}" for name, key in columns if not key)
    return f"{text} ON CONFLICT ({keys}) DO UPDATE SET {changed}"


def rows_of(source: str, first: int) -> tuple[list[str], list[Any], list[Any], list[Any], list[Any]]:
    """The schema; the log's rows, and for each its session and EVSE; all EVSEs."""
    with contextlib.closing(sqlite3.connect(source)) as old:
        schema = [row[0] for row in old.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
        log = old.execute("SELECT * FROM activity WHERE seq >= ? ORDER BY seq", (first,)).fetchall()
        payloads = old.execute("SELECT payload FROM activity WHERE seq >= ? ORDER BY seq", (first,))
        sessions = {row[0]: row for row in old.execute("SELECT * FROM sessions")}
        evses = {row[0]: row for row in old.execute("SELECT * FROM evses")}
        plugged = [sessions[json.loads(payload)["session_id"]] for (payload,) in payloads]
    return schema, log, plugged, [evses[row[1]] for row in plugged], list(evses.values())


def main() -> None:
    """Prepare everything, then measure the writing alone."""
    source, target, first = sys.argv[1:]
    schema, log, sessions, evses, all_evses = rows_of(source, int(first))
    new = sqlite3.connect(target, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000", "cache_size=-65536"):
        new.execute(f"PRAGMA {pragma}")
    for table in schema:
        new.execute(table)
    log_text = insert_into("activity", new, replace=False)
    session_text = insert_into("sessions", new, replace=True)
    evse_text = insert_into("evses", new, replace=True)
    new.executemany(evse_text, all_evses)
    groups = []
    done = 0
    for size in json.load(sys.stdin):
        part = slice(done, done + size)
        groups.append((log[part], sessions[part], evses[part]))
        done += size
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    for log_rows, session_rows, evse_rows in groups:
        new.execute("BEGIN IMMEDIATE")
        new.executemany(log_text, log_rows)
        new.executemany(session_text, session_rows)
        new.executemany(evse_text, evse_rows)
        new.execute("COMMIT")
    print(json.dumps([time.perf_counter() - began, time.process_time() - cpu]))
    new.close()


if __name__ == "__main__":
    main()
