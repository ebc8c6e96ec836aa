"""How fast plug-ins become durable: through the ledger and the store, against bare grouped inserts of the same rows.

Both sides write the same log rows and the same changed records, in groups of the same size, into an SQLite file in
WAL mode with synchronous=FULL. The bare side is the standard library's `executemany` on rows that are ready to be
written: no facts, no JSON, no hash, no event loop, nobody who waits for an answer. It runs in a process that has
nothing else, `bench/bare_inserts.py`.

    python -m bench.facts [--facts 40000] [--callers 4000] [--rounds 5]
"""

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

import uvloop

from bench.measure import Claim, spread, tell
from emw.app.loop import collect_seldom
from emw.domain.facts import Fact, PoweredOn, SessionStarted, StationAdded
from emw.domain.model import Record
from emw.service.ledger import Ledger
from emw.service.ports import Store
from emw.store import SqlStore

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


class Cost(NamedTuple):
    """What it took to make facts durable."""

    seconds: float
    cpu_seconds: float


async def through_the_store(path: Path, facts: int, callers: int) -> tuple[Cost, list[int]]:
    """Plug-ins, each caller waiting for its own to be durable; and the groups that were made."""
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
    started, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for number in range(callers):
            tasks.create_task(caller(number))
    took = Cost(time.perf_counter() - started, time.process_time() - cpu)
    task.cancel()
    await store.store.close()
    return took, store.sizes


def bare(source: Path, path: Path, sizes: Sequence[int], first: int) -> Cost:
    """The same rows, ready made, by executemany in groups of the same sizes; in a process of its own."""
    told = subprocess.run(
        [sys.executable, Path(__file__).with_name("bare_inserts.py"), source, path, str(first)],
        input=json.dumps(list(sizes)),
        check=True,
        capture_output=True,
        text=True,
    )
    return Cost(*json.loads(told.stdout))


def measure(facts: int, callers: int, rounds: int) -> dict[str, Any]:
    """Both sides in turn, several times."""
    ours: list[Cost] = []
    theirs: list[Cost] = []
    groups = 0.0
    collect_seldom()  # as `emw serve` does
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="emw-bench-") as folder:
            path = Path(folder) / "emw.db"
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                took, sizes = runner.run(through_the_store(path, facts, callers))
            ours.append(took)
            groups = statistics.mean(sizes)
            theirs.append(bare(path, Path(folder) / "bare.db", sizes, 2 * callers + 1))
    rate = Claim(
        "plug-ins, share of bare grouped inserts",
        spread([b.seconds for b in theirs], [o.seconds for o in ours]),
        GOAL,
        "at least",
    )
    tell(
        "facts",
        rate,
        Claim(
            "the same, of CPU time", spread([b.cpu_seconds for b in theirs], [o.cpu_seconds for o in ours])
        ),
        perSecond=round(facts / statistics.median(o.seconds for o in ours)),
        floorPerSecond=round(facts / statistics.median(b.seconds for b in theirs)),
        rounds=[round(b.seconds / o.seconds, 3) for b, o in zip(theirs, ours, strict=True)],
        meanGroup=round(groups),
    )
    return {"ratio": rate.figure[1], "facts": facts, "callers": callers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=40_000)
    parser.add_argument("--callers", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    measure(asked.facts, asked.callers, asked.rounds)


def test_facts_keep_up_with_bare_inserts() -> None:
    told = measure(20_000, 4_000, 3)
    print(json.dumps(told))
    assert told["ratio"] >= GOAL


if __name__ == "__main__":
    main()
