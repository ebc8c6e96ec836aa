"""How fast plug-ins become durable: through the ledger and the store, against bare grouped inserts of the same rows.

Both sides write the same log rows and the same changed records, in groups of the same size, into an SQLite file in
WAL mode with synchronous=FULL. The bare side is the standard library's `executemany` on rows that are ready to be
written: no facts, no JSON, no hash, no event loop, nobody who waits for an answer.

    python -m bench.facts [--facts 40000] [--callers 4000] [--rounds 3]
"""

import argparse
import asyncio
import contextlib
import gc
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import uvloop

from bench.measure import Claim, spread, tell
from emw.domain.facts import Fact, PoweredOn, SessionStarted, StationAdded
from emw.domain.model import Record
from emw.service.ledger import Ledger
from emw.service.ports import Store
from emw.store import SqlStore, schema

GOAL = 0.40
AT = datetime(2026, 5, 4, 7, 0, tzinfo=UTC)


class Groups:
    """Notes how large the groups were that the ledger made."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.sizes: list[int] = []

    async def load(self) -> Any:
        return await self.store.load()

    async def commit(self, facts: Sequence[Fact], records: Sequence[Record]) -> int:
        self.sizes.append(len(facts))
        return await self.store.commit(facts, records)


def stations(count: int) -> list[Fact]:
    facts: list[Fact] = []
    for i in range(count):
        name = f"EVSE-{i:06}"
        facts.append(StationAdded(at=AT, actor="operator:ann", station_id=name, secret_hash="0" * 64))
        facts.append(
            PoweredOn(
                at=AT,
                actor=f"station:{name}",
                evse_id=name,
                station_id=name,
                territory_id="East",
                model="Wallbox 22",
                line_voltage_v=240.0,
                phases=1,
                max_a=32.0,
                status="available",
                token_hash="1" * 64,
            )
        )
    return facts


def plug_in(i: int, callers: int) -> SessionStarted:
    name = f"EVSE-{i % callers:06}"
    return SessionStarted(
        at=datetime.now(UTC),
        actor=f"station:{name}",
        session_id=f"ses_{i * 2654435761 % 2**32:08x}{i:014x}",
        evse_id=name,
        line_voltage_v=240.0,
        evse_max_a=32.0,
        car_max_a=30.0,
        vehicle="Zoe",
    )


async def through_the_store(path: Path, facts: int, callers: int) -> tuple[float, list[int]]:
    """Plug-ins a second, each caller waiting for its own to be durable; and the groups that were made."""
    store = Groups(SqlStore(f"sqlite:///{path}"))
    loaded = await store.load()
    ledger = Ledger(cast("Store", store), loaded.state)  # it has all of the port that the ledger uses
    task = asyncio.create_task(ledger.run())
    await ledger.record(*stations(callers))
    store.sizes.clear()

    made = [plug_in(i, callers) for i in range(facts)]

    async def caller(number: int) -> None:
        for i in range(number, facts, callers):
            await ledger.record(made[i])

    gc.collect()
    started = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(callers):
            tasks.create_task(caller(number))
    took = time.perf_counter() - started
    task.cancel()
    await store.store.close()
    return facts / took, store.sizes


def bare(source: Path, path: Path, sizes: Sequence[int], callers: int) -> float:
    """The same rows a second, ready made, by executemany in groups of the same sizes."""
    with contextlib.closing(sqlite3.connect(source)) as old:
        tables = [row[0] for row in old.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
        first = 2 * callers + 1
        log = old.execute("SELECT * FROM activity WHERE seq >= ? ORDER BY seq", (first,)).fetchall()
        sessions = {row[0]: row for row in old.execute("SELECT * FROM sessions")}
        evses = {row[0]: row for row in old.execute("SELECT * FROM evses")}
        place = [c.name for c in schema.activity.columns].index("payload")
        plugged = [sessions[json.loads(row[place])["session_id"]] for row in log]
    new = sqlite3.connect(path, isolation_level=None)
    new.execute("PRAGMA journal_mode=WAL")
    new.execute("PRAGMA synchronous=FULL")
    new.execute("PRAGMA wal_autocheckpoint=4000")
    new.execute("PRAGMA cache_size=-65536")
    for table in tables:
        new.execute(table)
    new.executemany(_insert("evses"), evses.values())
    insert_log, insert_session, insert_evse = _insert("activity"), _insert("sessions"), _insert("evses")
    cut = []
    done = 0
    for size in sizes:
        part = plugged[done : done + size]
        cut.append((log[done : done + size], part, [evses[row[1]] for row in part]))
        done += size
    gc.collect()
    started = time.perf_counter()
    for rows, started_rows, evse_rows in cut:
        new.execute("BEGIN IMMEDIATE")
        new.executemany(insert_log, rows)
        new.executemany(insert_session, started_rows)
        new.executemany(insert_evse, evse_rows)
        new.execute("COMMIT")
    took = time.perf_counter() - started
    new.close()
    return done / took


def _insert(name: str) -> str:
    table = schema.metadata.tables[name]
    keys = ", ".join(c.name for c in table.primary_key)
    changed = ", ".join(f"{c.name} = excluded.{c.name}" for c in table.columns if not c.primary_key)
    marks = ", ".join("?" * len(table.columns))
    text = f"INSERT INTO {name} VALUES ({marks})"  # noqa: S608 - names from our own schema
    return text if name == "activity" else f"{text} ON CONFLICT ({keys}) DO UPDATE SET {changed}"


def measure(facts: int, callers: int, rounds: int) -> dict[str, Any]:
    """Both sides in turn, several times; the ratio is of the medians."""
    ours, theirs, groups = [], [], 0.0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="emw-bench-") as folder:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                rate, sizes = runner.run(through_the_store(Path(folder) / "emw.db", facts, callers))
            ours.append(rate)
            groups = statistics.mean(sizes)
            theirs.append(bare(Path(folder) / "emw.db", Path(folder) / "bare.db", sizes, callers))
    emw, rival = statistics.median(ours), statistics.median(theirs)
    tell(
        "facts",
        Claim("plug-ins, share of bare grouped inserts", spread(ours, theirs), GOAL, "at least"),
        perSecond=round(emw),
        floorPerSecond=round(rival),
    )
    return {
        "bench": "facts",
        "facts_per_s": round(emw),
        "bare_per_s": round(rival),
        "ratio": round(emw / rival, 3),
        "goal": GOAL,
        "ratios": [round(a / b, 3) for a, b in zip(ours, theirs, strict=True)],
        "mean_group": round(groups),
        "facts": facts,
        "callers": callers,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=40_000)
    parser.add_argument("--callers", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    measure(asked.facts, asked.callers, asked.rounds)


def test_facts_keep_up_with_bare_inserts() -> None:
    told = measure(20_000, 4_000, 3)
    print(json.dumps(told))
    assert told["ratio"] >= GOAL


if __name__ == "__main__":
    main()
