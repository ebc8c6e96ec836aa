"""A whole head-end behind its doors, without a process: the real service and plane over a store in memory.

`House.post` speaks ASGI directly, which is quick enough for big tables; `served` puts the same plane behind the real
HTTP server on a loopback socket, for what only bytes on a wire can show.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import socket
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from emw.app.server import server_for
from emw.domain.facts import Fact
from emw.domain.model import Record, RequestInterval
from emw.domain.state import State
from emw.grid.iso import IsoDoors, IsoLink
from emw.outgoing import Outgoing, OutgoingRules
from emw.plane import App, Plane
from emw.service.errors import Unavailable
from emw.service.headend import HeadEnd
from emw.service.ports import Believed, Loaded, Memory, Reading, Recent, Store
from emw.service.settings import ServiceSettings
from emw.stations.rest import RestLink, RestStations

START = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
KEY = b"k" * 32


class HandClock:
    """Runs with the loop, and can be put forward by hand."""

    def __init__(self) -> None:
        self._zero = asyncio.get_running_loop().time()
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return START + self._ahead + timedelta(seconds=asyncio.get_running_loop().time() - self._zero)

    def forward(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        until = self.now() + timedelta(seconds=seconds)
        while (left := (until - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - `forward` may come in between
            await asyncio.sleep(min(left, 0.05))

    def loop_seconds(self, seconds: float) -> float:
        return min(seconds, 0.2)


class CountedIds:
    """Ids in order: what is minted can be told from what was guessed."""

    def __init__(self) -> None:
        self._next = 0

    def new(self, prefix: str) -> str:
        self._next += 1
        return f"{prefix}_{self._next:08d}-0123456789abcdefghij"


@dataclass
class MemoryStore:
    """The port `Store` in memory: the log a list, the tables rows by key. `fails` makes it refuse to write."""

    log: list[Fact] = field(default_factory=list)
    rows: dict[tuple[str, Any], Record] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    beliefs: list[Believed] = field(default_factory=list)
    memories: dict[str, Memory] = field(default_factory=dict)
    fails: Exception | None = None
    slow_s: float = 0.0
    groups: list[int] = field(default_factory=list)

    async def load(self) -> Loaded:
        state = State()
        for record in self.rows.values():
            state.put(record)
        moved = [fact for fact in self.log if isinstance(fact, Recent)]
        readings = {r.evse_id: r for r in self.readings}
        return Loaded(state, readings, len(self.log) + 1, moved, memories=list(self.memories.values()))

    async def commit(self, facts: Sequence[Fact], records: Sequence[Record]) -> int:
        await asyncio.sleep(self.slow_s)
        if self.fails is not None:
            raise self.fails
        first = len(self.log) + 1
        self.log.extend(facts)
        self.groups.append(len(facts))
        for record in records:
            key = tuple(getattr(record, name) for name in record.key_fields)
            self.rows[record.table, key] = record
        return first

    async def add_readings(self, readings: Sequence[Reading]) -> None:
        if self.fails is not None:
            raise Unavailable("no")
        self.readings.extend(readings)

    async def add_beliefs(self, beliefs: Sequence[Believed]) -> None:
        if self.fails is not None:
            raise Unavailable("no")
        self.beliefs.extend(beliefs)

    async def keep_memories(self, memories: Sequence[Memory]) -> None:
        if self.fails is not None:
            raise Unavailable("no")
        self.memories.update((m.root, m) for m in memories)

    async def roll_up(self, now: datetime) -> None:
        return

    async def still_ours(self) -> None:
        return

    async def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        if name in {
            "parts",
            "counterfactual_sums",
            "visits",
        }:  # whose turn it was, who gave, who came: nobody yet
            return []
        key = parameters["request_key"]
        return [
            {f: getattr(r, f) for f in r.__dataclass_fields__}
            for r in self.rows.values()
            if isinstance(r, RequestInterval) and r.request_key == key
        ]

    async def close(self) -> None:
        return


@dataclass(frozen=True)
class Told:
    """What a door answered."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def field(self) -> str | None:
        found = self.body.get("field")
        assert found is None or isinstance(found, str)
        return found


class House:
    """The head-end, its doors, and short ways to do what stations and grid operators do."""

    def __init__(
        self, headend: HeadEnd, plane: Plane, outgoing: Outgoing, clock: HandClock, store: Any
    ) -> None:
        self.headend = headend
        self.plane = plane
        self.outgoing = outgoing
        self.clock = clock
        self.store = store
        self.secrets: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.isos: dict[str, str] = {}

    async def call(
        self,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        method: str = "POST",
        content_type: str | None = "application/json",
        headers: Sequence[tuple[bytes, bytes]] = (),
        address: str = "192.0.2.1",
    ) -> Told:
        """One request straight into the ASGI app. `body`: bytes as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        head = list(headers)
        if content_type is not None:
            head.append((b"content-type", content_type.encode()))
        if token is not None:
            head.append((b"authorization", f"Bearer {token}".encode("latin-1", "replace")))
        if all(name != b"content-length" for name, _ in head):
            head.append((b"content-length", str(len(raw)).encode()))
        route, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": route,
            "query_string": query.encode(),
            "headers": head,
            "client": (address, 1),
        }
        answers: list[Mapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            answers.append(message)

        await self.plane(scope, receive, send)
        start, end = answers
        answered = {k.decode(): v.decode() for k, v in start["headers"]}
        return Told(start["status"], answered, end["body"])

    async def post(self, path: str, body: Any, token: str | None = None, **more: Any) -> Told:
        return await self.call(path, body, token=token, **more)

    async def get(self, path: str, token: str | None = None, **more: Any) -> Told:
        return await self.call(path, None, token=token, method="GET", content_type=None, **more)

    # --- what people do

    async def enrol(self, station_id: str) -> str:
        secret = self.secrets[station_id] = await self.headend.admin.add_station("operator:test", station_id)
        return secret

    def power_on_body(self, station_id: str, **over: Any) -> dict[str, Any]:
        return {
            "evseID": station_id,
            "evseModel": "Model 1",
            "customerID": "customer-1",
            "lineVoltage": 230,
            "status": "available",
            "location": {"territory": "East"},
            "evseMaxAmps": 32,
            **over,
        }

    async def power_on(self, station_id: str, **over: Any) -> str:
        if station_id not in self.secrets:
            await self.enrol(station_id)
        body = self.power_on_body(station_id, **over)
        told = await self.post("/evse/powerOn", body, self.secrets[station_id])
        assert told.status == 200, told.raw
        token: str = told.body["token"]
        self.tokens[station_id] = token
        return token

    async def plug_in(self, station_id: str, **over: Any) -> dict[str, Any]:
        if station_id not in self.tokens:
            await self.power_on(station_id)
        body = {"evseID": station_id, "lineVoltage": 230, "evseMaxAmps": 32, "carMaxAmps": 32, **over}
        told = await self.post("/evse/plugIntoVehicle", body, self.tokens[station_id])
        assert told.status == 200, told.raw
        answer: dict[str, Any] = told.body
        return answer

    def heartbeat_body(self, station_id: str, **over: Any) -> dict[str, Any]:
        return {
            "evseID": station_id,
            "timestamp": self.clock.now().isoformat(),
            "lineVoltage": 230,
            "currentAmps": 20,
            "evseMaxAmps": 32,
            "carMaxAmps": 32,
            "limitAmps": None,
            **over,
        }

    async def heartbeat(self, station_id: str, **over: Any) -> Told:
        body = self.heartbeat_body(station_id, **over)
        return await self.post("/evse/plugInHeartBeat", body, self.tokens[station_id])

    async def iso(self, name: str, *territories: str) -> str:
        token = self.isos[name] = await self.headend.admin.add_iso("operator:test", name, territories)
        return token

    async def decrease(self, iso: str, request_id: str, kw: float = 5.0, **over: Any) -> Told:
        body = {"requestID": request_id, "territory": "East", "kW": kw, **over}
        headers = [(b"prefer", b"respond-async")]
        return await self.call("/iso/decrease", body, token=self.isos[iso], headers=headers)

    # --- what must not change

    async def settled(self) -> None:
        """Return once nothing waits: facts are written, rounds are through."""
        for _ in range(200):
            before = len(self.store.log), self.headend.dispatch.rounds, self.headend.dispatch.commands.sent
            await asyncio.sleep(0.02)
            await self.headend.ledger.settled()
            if before == (
                len(self.store.log),
                self.headend.dispatch.rounds,
                self.headend.dispatch.commands.sent,
            ):
                return

    async def until(self, holds: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 - anything may hold, not only what has an event
                await asyncio.sleep(0.01)

    def snapshot(self) -> dict[str, Any]:
        """The live state, the log's length and the readings taken: what a refused message may not touch."""
        return {
            **tables(self.headend.state),
            "log": len(self.store.log),
            "taken": self.headend.telemetry.taken,
            "live": {
                k: tuple(getattr(v, s) for s in ("reading", "free_a", "station_at", "strikes"))
                for k, v in self.headend.telemetry.live.items()
            },
        }


def tables(state: State) -> dict[str, Any]:
    """The live state as plain dicts (records never change)."""
    return {name: copy.copy(getattr(state, name)) for name in state.__slots__ if not name.startswith("_")}


@contextlib.asynccontextmanager
async def house(
    *,
    networks: Sequence[str] = (),
    ports: Sequence[tuple[int, int]] = ((80, 80), (443, 443), (1024, 65_535)),
    settings: ServiceSettings | None = None,
    store: Store | None = None,
    deadline_s: float = 0.4,
) -> AsyncGenerator[House, None]:
    """A running head-end with the territories East > East-1 and West."""
    clock = HandClock()
    kept: Any = store if store is not None else MemoryStore()
    settings = settings or ServiceSettings(decrease_wait_s=1.0)
    async with Outgoing(OutgoingRules.of(networks, ports), deadline_s=deadline_s) as outgoing:
        headend = HeadEnd(
            store=kept,
            loaded=await kept.load(),
            clock=clock,
            ids=CountedIds(),
            chance=Random(1),
            stations=RestLink(outgoing, KEY, deadline_s=deadline_s),
            reports=IsoLink(outgoing, KEY, deadline_s=deadline_s),
            settings=settings,
            version="test",
        )
        doors = RestStations(headend, outgoing).doors() | IsoDoors(headend, outgoing, KEY).doors()
        plane = Plane(doors, Random(2))
        running = asyncio.create_task(headend.run())
        try:
            await headend.ready.wait()
            for name, parent in (("East", None), ("East-1", "East"), ("West", None)):
                await headend.admin.define_territory("operator:test", name, parent_id=parent)
            yield House(headend, plane, outgoing, clock, kept)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await headend.close()


@contextlib.asynccontextmanager
async def served(app: App) -> AsyncGenerator[tuple[str, int], None]:
    """A plane behind the real server, on a port of the loopback interface."""
    server = server_for(app)
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        await server.serving.wait()
        yield sock.getsockname()
    finally:
        server.should_exit = True
        server.force_exit = True
        await task
        sock.close()
