"""A month's report over a large fleet, and one request's: against a bare reading of the rows that they are made from.

The database is that of a fleet with a vehicle at every EVSE each day, most of an afternoon: five-minute means of all
days that a baseline may look at, with gaps, and a request each weekday of the month, of an hour and a half, for which
half of the EVSEs were held and believed to have drawn more.

Floor: the standard library's `sqlite3`, in a process of its own, reads the same rows once, as tuples, of which nothing
is made: every stay, each event's means of every EVSE, and of each like day the sums over all EVSEs at the hours of
a request and of its quiet hours; the parts that EVSEs took, and what they were believed to draw without.

    python -m bench.reports [--evses 3000] [--requests 20] [--rounds 3] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from bench.measure import Claim, spread, tell
from emw.app.loop import collect_seldom
from emw.domain import facts as f
from emw.domain.fold import apply
from emw.domain.model import Record, RequestState
from emw.domain.state import State
from emw.service.evidence.month import month_of, month_report
from emw.service.evidence.shed import shed_report
from emw.store import SqlStore
from emw.store.columns import time_text
from emw.store.core import StoreCore
from emw.store.database import open_database

GOAL = 6.0
MONTH = "2026-05"
FIRST = datetime(2026, 5, 1, tzinfo=UTC)
DAYS_BEFORE = 46
"""As far back as a baseline may look."""
BEGINS_H, LASTS = 15.5, timedelta(minutes=90)
M5 = timedelta(minutes=5)
GROUP = 5_000

FLOOR = """
import sqlite3, sys, time, json
db = sqlite3.connect(sys.argv[1])
told = json.load(sys.stdin)
start, cpu = time.perf_counter(), time.process_time()
rows = db.execute("SELECT evse_id, started_at, ended_at, car_max_a FROM sessions").fetchall()
for since, until in told["sums"]:
    rows = db.execute(
        "SELECT interval_start, sum(mean_kw), count(*) FROM telemetry_intervals"
        " WHERE samples > 0 AND interval_start >= ? AND interval_start < ? GROUP BY interval_start", (since, until)
    ).fetchall()
for since, until in told["events"]:
    for table in "telemetry_intervals", "counterfactuals":
        rows = db.execute(
            f"SELECT * FROM {table} WHERE interval_start >= ? AND interval_start < ?", (since, until)
        ).fetchall()
rows = db.execute("SELECT * FROM enrolments").fetchall()
print(time.perf_counter() - start, time.process_time() - cpu)
"""


def days(count: int = DAYS_BEFORE + 31) -> list[datetime]:
    """Midnights, from the first that a baseline of this month may look at to the month's end."""
    return [FIRST + timedelta(days=n - DAYS_BEFORE) for n in range(count)]


def events(requests: int) -> list[datetime]:
    """When requests begin: a weekday of the month each."""
    week = [d for d in days() if d >= FIRST and d.weekday() < 5]
    return [d + timedelta(hours=BEGINS_H) for d in week[:requests]]


def stays(evses: int, seed: int = 1) -> Iterator[tuple[int, int, datetime, datetime]]:
    """Day, EVSE, from when to when a vehicle is there: most of each afternoon."""
    chance = Random(seed)
    for d, day in enumerate(days()):
        for n in range(evses):
            start = day + timedelta(hours=chance.uniform(8, 13))
            yield d, n, start, start + timedelta(hours=chance.uniform(4, 9))


def name_of(n: int) -> str:
    return f"EVSE-{n:05}"


def fleet(evses: int) -> Iterator[f.Fact]:
    """A tree of thirty nodes below one, ten EVSEs to a site."""
    at, emw = days()[0], "operator:ann"
    nodes = [("Root", None), *((f"Z{n}", "Root") for n in range(30))]
    for node, parent in nodes:
        yield f.TerritoryDefined(
            at=at, actor=emw, territory_id=node, parent_id=parent, kind="zone", ceiling_kw=None,
            time_zone="Europe/Berlin",
        )  # fmt: skip
    for n in range(evses):
        name = name_of(n)
        yield f.StationAdded(
            at=at, actor=emw, station_id=name, secret_hash="0" * 64, customer_id=f"customer-{n // 2}"
        )
        yield f.PoweredOn(
            at=at, actor=f"station:{name}", evse_id=name, station_id=name, territory_id=f"Z{n % 30}",
            site=f"site-{n // 10}", model="Wallbox 7", line_voltage_v=230.0, phases=1, max_a=32.0, status="available",
            token_hash="1" * 64,
        )  # fmt: skip


def asked(number: int, begin: datetime, evses: int) -> Iterator[f.Fact]:
    """A request from end to end, with its intervals and the parts that every second EVSE took."""
    key, end = f"ISO:R{number}", begin + LASTS
    yield f.RequestReceived(
        at=begin, actor="iso:ISO", request_key=key, iso_id="ISO", request_id=f"R{number}", territory_id="Root",
        kw=evses * 0.8, start_at=begin, end_at=end,
    )  # fmt: skip
    yield f.RequestMoved(at=begin, actor="emw", request_key=key, state=RequestState.ACTIVE)
    for n in range(0, evses, 2):
        yield f.Enrolled(at=begin, actor="emw", request_key=key, evse_id=name_of(n))
    for start in steps(begin, end):
        yield f.IntervalMeasured(
            at=start + M5, actor="emw", request_key=key, start_at=start, end_at=start + M5, requested_kw=evses * 0.8,
            confirmed_kw=evses * 0.8, measured_kw=evses * 0.79, baseline_kw=evses * 2.0, load_kw=evses * 1.21,
            method="virtual-twin",
        )  # fmt: skip
    yield f.RequestMoved(at=end, actor="emw", request_key=key, state=RequestState.RESTORING)
    for n in range(0, evses, 2):
        yield f.EnrolmentEnded(
            at=end, actor="emw", request_key=key, evse_id=name_of(n), why="request over", measured_kwh=1.0
        )
    yield f.RequestMoved(at=end + M5, actor="emw", request_key=key, state=RequestState.CLOSED)


def steps(since: datetime, until: datetime) -> Iterator[datetime]:
    """Whole five minutes in a stretch of time."""
    at = FIRST + -((FIRST - since) // M5) * M5
    while at + M5 <= until:
        if at >= since:
            yield at
        at += M5


def build(path: Path, evses: int, requests: int) -> None:
    """The log and its tables by the store's own hand; readings, of which there are millions, straight."""
    core = StoreCore(open_database(f"sqlite:///{path}"))
    core.load()
    state = State()
    group: list[f.Fact] = []
    rows: dict[tuple[type[Record], object], Record] = {}

    def put(facts: Iterable[f.Fact]) -> None:
        for fact in facts:
            group.append(fact)
            for record in apply(state, fact)[0]:
                rows[type(record), tuple(getattr(record, name) for name in record.key_fields)] = record
            if len(group) >= GROUP:
                core.commit(group, list(rows.values()))
                group.clear()
                rows.clear()

    put(fleet(evses))
    for number, begin in enumerate(events(requests)):
        put(asked(number, begin, evses))
    core.commit(group, list(rows.values()))
    core.close()
    straight(path, evses, requests)


def straight(path: Path, evses: int, requests: int) -> None:
    """Sessions, means and beliefs."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA synchronous = OFF")
    chance = Random(2)
    texts: dict[datetime, str] = {}

    def text(at: datetime) -> str:
        return texts.get(at) or texts.setdefault(at, time_text(at))

    def sessions() -> Iterator[tuple[object, ...]]:
        for d, n, start, end in stays(evses):
            yield f"se_{d}_{n}", name_of(n), time_text(start), time_text(end), "unplugged", 32.0, 16.0, 0

    def means() -> Iterator[tuple[object, ...]]:
        for _, n, start, end in stays(evses):
            name = name_of(n)
            for at in steps(start, end):
                if chance.random() < 0.98:
                    kw = chance.uniform(0.5, 3.6)
                    yield text(at), name, 5, kw, kw, kw / 12, 0.0, 0

    def beliefs() -> Iterator[tuple[object, ...]]:
        for begin in events(requests):
            for at in steps(begin, begin + LASTS):
                for n in range(0, evses, 2):
                    yield text(at), name_of(n), text(at + M5), "virtual-twin", 300.0, 3.0, 0.1, 1.4

    with db:
        db.executemany(
            "INSERT INTO sessions(session_id, evse_id, started_at, ended_at, end_reason, evse_max_a, car_max_a,"
            " told_by_driver) VALUES (?,?,?,?,?,?,?,?)",
            sessions(),
        )
        db.executemany("INSERT INTO telemetry_intervals VALUES (?,?,?,?,?,?,?,?)", means())
        db.executemany("INSERT INTO counterfactuals VALUES (?,?,?,?,?,?,?,?)", beliefs())
        until = (FIRST + timedelta(days=31)).isoformat()
        db.execute("INSERT OR REPLACE INTO meta(name, value) VALUES ('rolled_until', ?)", (until,))
    db.close()


def within(requests: int) -> dict[str, list[tuple[str, str]]]:
    """What of the means is read: of each event, and of each weekday that one of them looks at (all within 20 days)."""
    begun = events(requests)
    hours = ((timedelta(), LASTS), (timedelta(hours=-4), timedelta(hours=-1)))
    like = [d + timedelta(hours=BEGINS_H) for d in days() if d.weekday() < 5 and d < FIRST][-10:]
    sums = [(d + a, d + b) for d in like for a, b in hours] + [
        (d - timedelta(hours=4), d - timedelta(hours=1)) for d in begun
    ]
    spans = {"events": [(d - M5, d + LASTS) for d in begun], "sums": sums}
    return {name: [(time_text(a), time_text(b)) for a, b in found] for name, found in spans.items()}


async def seconds_to_report(path: Path) -> tuple[float, float, float]:
    """CPU s: of the month, of its last request's own report; and by the clock of the month."""
    store = SqlStore(f"sqlite:///{path}", read_only=True)
    requests = await store.query("requests", limit=1)
    wall, cpu = time.perf_counter(), time.process_time()
    rows = await month_report(store, month_of(MONTH))
    wall, month = time.perf_counter() - wall, time.process_time() - cpu
    if any(r["shed_kwh"] is None for r in rows):
        raise SystemExit("a line has no figure")
    cpu = time.process_time()
    await shed_report(store, requests[0]["request_key"])
    alone = time.process_time() - cpu
    await store.close()
    return month, alone, wall


def seconds_to_read(path: Path, requests: int) -> float:
    """CPU s of the bare reading."""
    told = subprocess.run(
        [sys.executable, "-c", FLOOR, str(path)],
        input=json.dumps(within(requests)),
        check=True,
        capture_output=True,
        text=True,
    )
    return float(told.stdout.split()[1])


def main() -> None:
    """Build, measure in turns, print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--evses", type=int, default=3_000)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", help="a folder for the database, used again when it is there")
    options = parser.parse_args()
    collect_seldom()  # as `emw report` does
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(options.keep or scratch) / "emw.db"
        if not path.exists():
            build(path, options.evses, options.requests)
        floors, ours = [], []
        for _ in range(options.rounds):
            floors.append(seconds_to_read(path, options.requests))
            ours.append(asyncio.run(seconds_to_report(path)))
    month, alone, wall = ([took[n] for took in ours] for n in range(3))
    one = [1.0] * len(ours)
    size = f"{options.requests} requests, {options.evses:,} EVSEs"
    tell(
        "reports",
        Claim(f"times a bare reading of a month's rows, {size}", spread(month, floors), GOAL, "at most"),
        Claim("the same, seconds of CPU", spread(month, one)),
        Claim("the same, seconds by the clock", spread(wall, one)),
        Claim("one request alone, seconds of CPU", spread(alone, one)),
        floorSeconds=[round(s, 3) for s in floors],
    )


if __name__ == "__main__":
    main()
