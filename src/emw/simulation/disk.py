"""A disk that keeps exactly what was committed, and the store that an emw node has over it.

The log is a list of facts, the tables are rows by key. A commit takes a while; the instant at which it becomes
durable lies somewhere within, so that a kill can fall before it, after it, and between it and the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from emw.domain.facts import Fact
from emw.domain.model import Enrolment, Record, RequestInterval
from emw.domain.signals import LoadInterval
from emw.domain.state import State, key_of
from emw.service.errors import Unavailable
from emw.service.ports import Believed, Loaded, Memory, Reading, Recent
from emw.store.inline import Disk as SqlDisk

Rows = dict[tuple[type[Record], Any], Record]
OnCommit = Callable[[int, Sequence[Fact], Sequence[Record]], None]

RECENT = timedelta(minutes=30)


def row_key(record: Record) -> tuple[type[Record], Any]:
    """Table and key of a record."""
    return type(record), key_of(record)


@dataclass(slots=True)
class Disk:
    """What survives a kill, and what is wrong with the disk now."""

    log: list[Fact] = field(default_factory=list)
    rows: Rows = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    beliefs: dict[tuple[str, datetime, datetime], Believed] = field(default_factory=dict)
    """By EVSE, interval and time of belief, as the table has them."""
    memories: dict[str, Memory] = field(default_factory=dict)
    """By root of a tree."""
    commits: int = 0
    fails: bool = False
    slow_s: float = 0.0
    forgets_last: bool = False
    """Planted: it says yes before it has flushed, and a kill takes the last group with it."""
    sql: SqlDisk | None = None
    """The real store's disk, where a run has one: every commit goes there, every start reads from there. `log` and
    `rows` are then what it must hold."""
    last_group: tuple[int, dict[tuple[type[Record], Any], Record | None]] | None = None

    @property
    def troubled(self) -> bool:
        """Whether anything is wrong with it now."""
        return self.fails or self.slow_s > 0.0

    def well(self) -> None:
        """It works again."""
        self.fails, self.slow_s = False, 0.0

    def check(self) -> None:
        """Raises Unavailable where nothing can be written now."""
        if self.fails:
            raise Unavailable("the disk is full", retry_after_s=5)

    def killed(self) -> None:
        """The machine lost power: only what was flushed is there."""
        if self.forgets_last and self.last_group is not None:
            length, before = self.last_group
            del self.log[length:]
            for key, row in before.items():
                if row is None:
                    self.rows.pop(key, None)
                else:
                    self.rows[key] = row
        self.last_group = None

    def write(self, facts: Sequence[Fact], records: Sequence[Record]) -> int:
        """One transaction, all or nothing."""
        first = len(self.log)
        if self.forgets_last:
            self.last_group = (first, {row_key(r): self.rows.get(row_key(r)) for r in records})
        self.log.extend(facts)
        for record in records:
            self.rows[row_key(record)] = record
        self.commits += 1
        return first + 1


class SimStore:
    """The port `Store` of one life of a node over the disk it shares with its earlier lives."""

    def __init__(
        self,
        disk: Disk,
        chance: Random,
        now: Callable[[], datetime],
        alive: Callable[[], bool],
        on_commit: OnCommit | None = None,
    ) -> None:
        self._disk = disk
        self._chance = chance
        self._now = now
        self._alive = alive
        self._on_commit = on_commit
        self._sql = None if disk.sql is None else disk.sql.reopen()

    async def load(self) -> Loaded:
        """The live view out of the tables."""
        await asyncio.sleep(self._chance.uniform(0.05, 1.0))
        if self._sql is not None:
            return await self._sql.load()
        state = State()
        for record in self._disk.rows.values():
            state.put(record)
        disk = self._disk
        return Loaded(
            state,
            dict(disk.readings),
            len(disk.log) + 1,
            self._recent(),
            memories=list(disk.memories.values()),
        )

    def _recent(self) -> list[Recent]:
        recent: list[Recent] = []
        for fact in reversed(self._disk.log):
            if fact.at < self._now() - RECENT:
                break
            if isinstance(fact, Recent):
                recent.append(fact)
        return recent[::-1]

    async def commit(self, facts: Sequence[Fact], records: Sequence[Record]) -> int:
        """Durable when it returns; unchanged when it raises."""
        took_s = self._chance.uniform(0.0005, 0.02) + self._disk.slow_s * self._chance.random()
        durable_after = self._chance.random()
        await asyncio.sleep(took_s * durable_after)
        self._disk.check()
        if not self._alive():
            raise Unavailable("nothing is written by the dead")
        facts, records = list(facts), list(records)
        if self._sql is not None:
            await self._sql.commit(facts, records)
        first = self._disk.write(facts, records)
        if self._on_commit is not None:
            self._on_commit(first, facts, records)
        await asyncio.sleep(took_s * (1 - durable_after))
        return first

    async def add_readings(self, readings: Sequence[Reading]) -> None:
        """Keep the latest reading of each EVSE."""
        self._disk.check()
        if self._alive() and self._sql is not None:
            await self._sql.add_readings(readings)
        elif self._alive():
            self._disk.readings.update((r.evse_id, r) for r in readings if not r.late)

    async def add_beliefs(self, beliefs: Sequence[Believed]) -> None:
        """Keep them all: a start asks for what was believed of requests that still run."""
        self._disk.check()
        if self._alive() and self._sql is not None:
            await self._sql.add_beliefs(beliefs)
        elif self._alive():
            self._disk.beliefs.update(((b.evse_id, b.interval_start, b.believed_at), b) for b in beliefs)

    async def keep_memories(self, memories: Sequence[Memory]) -> None:
        """Keep the latest of each tree."""
        self._disk.check()
        if self._alive() and self._sql is not None:
            await self._sql.keep_memories(memories)
        elif self._alive():
            self._disk.memories.update((m.root, m) for m in memories)

    def _sums(self, request_key: str) -> list[dict[str, Any]]:
        """What each EVSE that takes part in a request has given so far, kWh: the real store's question."""
        joined = {
            r.evse_id: r.joined_at
            for r in self._disk.rows.values()
            if isinstance(r, Enrolment) and r.request_key == request_key and r.left_at is None
        }
        kwh: dict[str, float] = {}
        for b in self._disk.beliefs.values():
            if b.evse_id in joined and b.believed_at > joined[b.evse_id]:
                given_kwh = (b.baseline_kw - b.load_kw) * b.seconds / 3600
                kwh[b.evse_id] = kwh.get(b.evse_id, 0.0) + given_kwh
        return [{"evse_id": evse_id, "kwh": kwh[evse_id]} for evse_id in sorted(kwh)]

    async def still_ours(self) -> None:
        """Nobody else is here."""
        if self._alive() and self._sql is not None:
            await self._sql.still_ours()

    async def roll_up(self, now: datetime) -> None:
        """Nothing to fold: no history of telemetry is kept here."""
        self._disk.check()
        if self._alive() and self._sql is not None:
            await self._sql.roll_up(now)

    async def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """The few questions that a running node asks."""
        if self._sql is not None:
            return await self._sql.query(name, **parameters)
        if name == "load_intervals":
            return [
                asdict(r)
                for r in self._disk.rows.values()
                if isinstance(r, LoadInterval) and _asked(r, **parameters)
            ]
        if name == "parts":
            enrolments = (r for r in self._disk.rows.values() if isinstance(r, Enrolment))
            ended = [r for r in enrolments if r.left_at is not None and r.left_at >= parameters["since"]]
            return [asdict(r) for r in sorted(ended, key=lambda r: (r.left_at, r.evse_id), reverse=True)]
        if name == "visits":
            return []  # no history is longer than a world
        if name == "counterfactual_sums":
            return self._sums(parameters["request_key"])
        if name != "intervals":
            raise NotImplementedError(name)
        key = parameters["request_key"]
        found = [
            r for r in self._disk.rows.values() if isinstance(r, RequestInterval) and r.request_key == key
        ]
        return [
            {
                "start_at": r.start_at,
                "end_at": r.end_at,
                "requested_kw": r.requested_kw,
                "confirmed_kw": r.confirmed_kw,
                "measured_kw": r.measured_kw,
                "baseline_kw": r.baseline_kw,
                "load_kw": r.load_kw,
                "method": r.method,
            }
            for r in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _asked(r: LoadInterval, *, territory_id: str, since: datetime, until: datetime) -> bool:
    return r.territory_id == territory_id and r.end_at > since and r.start_at < until
