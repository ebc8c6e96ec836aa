"""Start-up after a kill: from the start of `emw serve` until it serves, over a full database.

The database is that of a fleet with a vehicle at every EVSE: half of the EVSEs were limited and freed again in the
last half hour, everything before fills the log; each EVSE has a reading of the last minute. Its writer is killed, so
that the write-ahead log is left behind.

Floor: a bare Python process that opens the same file with sqlite3 and reads the same rows: all tables of what is
live, the latest readings, the commands of the last half hour.

    python -m bench.startup [--stations 50000] [--log 250000] [--rounds 3] [--keep FOLDER]

Prints the ratio of the two times (goal: at most 5), and the seconds (goal: at most 2, on a quiet machine).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.measure import Claim, cpu_s, spread, tell
from emw.domain.facts import (
    CommandAnswered,
    CommandIssued,
    Fact,
    PoweredOn,
    SessionStarted,
    StationAdded,
    TerritoryDefined,
)
from emw.domain.fold import apply
from emw.domain.model import Cause, Outcome, Record
from emw.domain.state import State
from emw.service.ports import Reading
from emw.store.core import StoreCore
from emw.store.database import open_database

GOAL = 5.0
GROUP = 5_000
COMMANDS_EACH = 2
"""Commands of the last half hour, for every second EVSE."""

FLOOR = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
for name in ("stations", "evses", "limits", "territories", "requests"):
    db.execute(f"SELECT * FROM {name}").fetchall()
db.execute("SELECT * FROM sessions WHERE ended_at IS NULL").fetchall()
since, = db.execute("SELECT max(at) FROM activity").fetchone()
db.execute("SELECT * FROM telemetry WHERE at >= ?", (sys.argv[2],)).fetchall()
db.execute(
    "SELECT kind, payload FROM activity WHERE at >= ? AND kind = 'CommandIssued'", (sys.argv[2],)
).fetchall()
"""


def fleet(stations: int, at: datetime) -> Iterator[Fact]:
    """A vehicle at every EVSE."""
    yield TerritoryDefined(
        at=at,
        actor="operator:ann",
        territory_id="East",
        parent_id=None,
        kind="territory",
        ceiling_kw=None,
        time_zone="UTC",
    )
    for i in range(stations):
        name = f"EVSE-{i:06}"
        station = f"station:{name}"
        yield StationAdded(at=at, actor="operator:ann", station_id=name, secret_hash="0" * 64)
        yield PoweredOn(
            at=at,
            actor=station,
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
        yield SessionStarted(
            at=at,
            actor=station,
            session_id=f"se_{i:032}",
            evse_id=name,
            line_voltage_v=240.0,
            evse_max_a=32.0,
            car_max_a=30.0,
            vehicle="Zoe",
        )


def commands(stations: int, count: int, first: datetime, last: datetime) -> Iterator[Fact]:
    """`count` commands from `first` to `last`, each answered: every second EVSE limited in turn, then freed."""
    step = (last - first) / max(count, 1)
    for n in range(count):
        name = f"EVSE-{n * 2 % stations:06}"
        at = first + n * step
        release = n // (stations // 2) % 2 == 1
        command_id = f"co_{at:%H%M%S%f}{n:020}"
        yield CommandIssued(
            at=at,
            actor="emw",
            command_id=command_id,
            evse_id=name,
            max_a=None if release else 16.0,
            until=at + timedelta(minutes=15),
            cause=Cause.RESTORATION if release else Cause.SHED,
            node_id="East",
            would_draw_a=30.0,
            asked_kw=0.0 if release else 3.36,
            replaces_a=16.0 if release else None,
        )
        yield CommandAnswered(
            at=at,
            actor="emw",
            command_id=command_id,
            evse_id=name,
            outcome=Outcome.APPLIED,
            answered_a=32.0 if release else 16.0,
        )


def build(path: str, stations: int, log: int, now: datetime) -> None:
    """Write the database, then die without closing it."""
    core = StoreCore(open_database(f"sqlite:///{path}"))
    core.load()
    state = State()
    group: list[Fact] = []
    rows: dict[tuple[type[Record], object], Record] = {}

    def commit() -> None:
        core.commit(group, list(rows.values()))
        group.clear()
        rows.clear()

    recent = stations // 2 * COMMANDS_EACH
    old = max(0, (log - 3 * stations - 2 * recent) // 2)
    day = now - timedelta(days=1)
    half_hour = now - timedelta(minutes=29)
    for facts in (
        fleet(stations, day),
        commands(stations, old, day, half_hour - timedelta(minutes=30)),
        commands(stations, recent, half_hour, now),
    ):
        for fact in facts:
            group.append(fact)
            for (_, key, _), record in zip(*reversed(apply(state, fact)), strict=True):
                rows[type(record), key] = record
            if len(group) == GROUP:
                commit()
    commit()
    for first in range(0, stations, GROUP):
        core.add_readings(
            [
                Reading(f"EVSE-{i:06}", now, now, 240.0, 16.0, 3.84, 16.0, 4.2)
                for i in range(first, min(first + GROUP, stations))
            ]
        )
    os._exit(0)


def seconds_to_serve(folder: Path) -> tuple[float, float]:
    """From the start of the process to its word that it is ready: by the wall's clock, and of CPU."""
    arguments = ["serve", "--data-dir", str(folder), "--stations", "127.0.0.1:0", "--operator", "127.0.0.1:0"]
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "emw", *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        line = process.stdout.readline() if process.stdout else b""
        took = time.perf_counter() - began
        cpu = cpu_s(process.pid)
        process.kill()
    if not json.loads(line).get("ready"):
        raise SystemExit("it did not start")
    return took, cpu


def seconds_to_read(path: Path, since: datetime) -> float:
    """From the start of a bare process to its end."""
    began = time.perf_counter()
    text = since.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    subprocess.run([sys.executable, "-c", FLOOR, str(path), text], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Build, measure in turns, print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stations", type=int, default=50_000)
    parser.add_argument("--log", type=int, default=250_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", help="a folder for the database, used again when it is there")
    options = parser.parse_args()
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.keep or scratch)
        path = folder / "emw.db"
        if not path.exists():
            arguments = (str(path), options.stations, options.log, now)
            writer = mp.get_context("spawn").Process(target=build, args=arguments)
            writer.start()
            writer.join()
            if writer.exitcode:
                raise SystemExit("the database was not built")
        floors, ours, cpu = [], [], []
        for _ in range(options.rounds):
            floors.append(seconds_to_read(path, now - timedelta(minutes=30)))
            took, used = seconds_to_serve(folder)
            ours.append(took)
            cpu.append(used)
    size = f"with {options.stations:,} EVSEs and {options.log:,} rows of log"
    tell(
        "startup",
        Claim(f"times a bare reading of the rows, {size}", spread(ours, floors), GOAL, "at most"),
        Claim(f"seconds, {size}", spread(ours, [1.0] * len(ours)), 2.0, "at most"),
        Claim("seconds of CPU until then", spread(cpu, [1.0] * len(cpu))),
        floorSeconds=[round(s, 3) for s in floors],
    )


if __name__ == "__main__":
    main()
