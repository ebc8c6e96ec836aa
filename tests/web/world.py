"""A small head-end in memory with its operator plane: what the tests of this folder stand on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import quote

import msgspec

from emw.domain import facts as f
from emw.domain.facts import Fact
from emw.domain.model import Evse, Iso, Limit, Outcome, Record, Report, Station
from emw.domain.people import Role
from emw.domain.state import State
from emw.service.drivers import Drivers
from emw.service.errors import Unavailable
from emw.service.headend import HeadEnd
from emw.service.ports import (
    Answer,
    Believed,
    CallSeen,
    FrameSeen,
    HeartBeat,
    Invitation,
    Loaded,
    Memory,
    Reading,
    StationSeen,
    Store,
)
from emw.service.settings import ServiceSettings
from emw.service.sign_on import SignOn
from emw.store.reports import write
from emw.web.app import WebSettings, operator_app
from emw.web.extras import Extras
from emw.web.logins import COOKIE
from emw.web.passwords import hash_password
from emw.web.shell import OperatorApp

START = datetime(2026, 5, 5, 16, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
PASSWORD_HASH = hash_password(PASSWORD)
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "';alert(3)//",
    '"><svg onload=alert(4)>',
    "{{7*7}}${7*7}",
    "\u202etfel ot thgir\u202c",
    "😀🔌 кабель 電",
    "=1+1",
    "a/b?c#d%2Fe&f",
    "\u200bnull\ufeff",
    "x" * 255,
    "<b>bold</b>\ttab",
    "javascript:alert(5)",
    "..%2f..",
)


class TestClock:
    """Stands still unless told to move; its seconds are the loop's."""

    __test__ = False

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def loop_seconds(self, seconds: float) -> float:
        return seconds


class CountedIds:
    """Ids that can be told apart and never end."""

    def __init__(self) -> None:
        self.random = Random(1)

    def new(self, prefix: str) -> str:
        return f"{prefix}_{self.random.getrandbits(160):040x}"


class FakeStore:
    """Remembers rows in lists; can be told to fail."""

    def __init__(self) -> None:
        self.log: list[dict[str, Any]] = []
        self.tables: dict[tuple[str, Any], dict[str, Any]] = {}
        self.readings: list[Reading] = []
        self.broken = False
        self.asked: list[str] = []

    async def load(self) -> Loaded:
        return Loaded(State(), {}, 1)

    async def commit(self, facts: Sequence[Fact], records: Sequence[Record]) -> int:
        if self.broken:
            raise Unavailable("the disk is full", retry_after_s=5)
        first = len(self.log) + 1
        for fact in facts:
            row = {x.name: getattr(fact, x.name) for x in fields(fact) if not x.name.endswith("_hash")}
            self.log.append({"seq": len(self.log) + 1, "kind": type(fact).__name__, **row})
        for record in records:
            row = {x.name: getattr(record, x.name) for x in fields(record)}
            self.tables[record.table, tuple(row[k] for k in record.key_fields)] = row
        return first

    async def add_readings(self, readings: Sequence[Reading]) -> None:
        self.readings.extend(readings)

    async def add_beliefs(self, beliefs: Sequence[Believed]) -> None:
        return

    async def keep_memories(self, memories: Sequence[Memory]) -> None:
        return

    async def roll_up(self, now: datetime) -> None:
        return

    async def still_ours(self) -> None:
        return

    async def query(self, name: str, **p: Any) -> list[dict[str, Any]]:
        self.asked.append(name)
        limit = p.pop("limit", 1_000)
        if name == "activity":
            return self._activity(limit, p)
        if name == "telemetry":
            since = p.get("since", datetime.min.replace(tzinfo=UTC))
            rows = [r for r in self.readings if r.evse_id == p["evse_id"] and r.at >= since]
            return [msgspec.structs.asdict(r) for r in reversed(rows)][:limit]
        if name == "load_curve":
            return [
                {"interval_start": START - timedelta(minutes=5 * m), "kw": 40.0 + m, "shed_kw": None}
                for m in range(1, 9)
            ]
        if name == "means_until":
            return [{"first": None, "until": None}]  # no means yet
        table = {"request": "requests"}.get(name, name)
        rows_ = [row for (t, _), row in self.tables.items() if t == table]
        wanted = {k: v for k, v in p.items() if k in {"evse_id", "request_key"}}
        return [r for r in rows_ if all(r.get(k) == v for k, v in wanted.items())][:limit]

    def _activity(self, limit: int, p: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows = []
        for row in reversed(self.log):
            if "before_seq" in p and row["seq"] >= p["before_seq"]:
                continue
            if any(row.get(k) != p[k] for k in ("kind", "evse_id", "request_key", "actor") if k in p):
                continue
            stamps = ("seq", "at", "kind", "actor")
            about = {"payload": {k: v for k, v in row.items() if k not in stamps}}
            rows.append({k: row[k] for k in stamps} | about)
        return rows[:limit]

    async def close(self) -> None:
        return


class Obeying:
    """Stations that always do what they are told."""

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        return Answer(Outcome.APPLIED, evse.max_a if limit.max_a is None else limit.max_a)

    async def greet(self, station: Station) -> None:
        return


class NoReports:
    """No grid operator wants to know."""

    async def deliver(self, iso: Iso, report: Report) -> bool:
        return True


@dataclass
class Told:
    """An answer, whole."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: list[str]

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class NoStations:
    """The way to single stations, where none is connected."""

    def seen(self, station_id: str) -> StationSeen:
        return StationSeen(False, None, None, None, None, None, None, None, None, None, {}, {})

    def frames(self, station_id: str) -> Sequence[FrameSeen]:
        return ()

    async def call(self, station_id: str, action: str, payload: Any) -> CallSeen:
        return CallSeen("unanswered")


@dataclass
class World:
    """The head-end, its app, and how to call it."""

    headend: HeadEnd
    app: OperatorApp
    store: FakeStore
    clock: TestClock
    ids: CountedIds

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
        address: str = "192.0.2.1",
        app: OperatorApp | None = None,
    ) -> Told:
        said = {"host": "localhost:8401", **(headers or {})}
        payload = raw if raw is not None else b"" if body is None else msgspec.json.encode(body)
        if (body is not None or raw is not None) and "content-type" not in said:
            said["content-type"] = "application/json"
        if key is not None:
            said["authorization"] = f"Bearer {key}"
        return await call_asgi(app or self.app, method, path, payload, said, address)

    async def log_in(self, name: str = "ann") -> dict[str, str]:
        """The headers of somebody who is in and means it: without the door, whose lock is slow on purpose."""
        person = self.headend.state.operators[name]
        cookie, session = self.app.state["auth"].logins.open(name, person.password_hash)
        return {
            "cookie": f"{COOKIE}={cookie}",
            "x-csrf-token": session.csrf,
            "origin": "http://localhost:8401",
        }

    async def log_in_by_the_door(self, name: str = "ann", *, address: str = "192.0.2.1") -> dict[str, str]:
        """The same, as people come in."""
        told = await self.call("POST", "/api/v1/login", {"name": name, "password": PASSWORD}, address=address)
        assert told.status == 200, told.body
        return {
            "cookie": told.cookies[0].partition(";")[0],
            "x-csrf-token": told.json["csrfToken"],
            "origin": "http://localhost:8401",
        }

    async def key(self, role: Role) -> str:
        return (await self.headend.admin.add_key("test", f"k-{role}", role))[1]


async def call_asgi(
    app: Any, method: str, path: str, payload: bytes, headers: Mapping[str, str], address: str
) -> Told:
    """Call an app without a socket."""
    route, _, query = path.partition("?")
    sent, over = [False], asyncio.Event()
    out: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if sent[0]:
            await over.wait()
            return {"type": "http.disconnect"}
        sent[0] = True
        return {"type": "http.request", "body": payload, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        out.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            over.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": route,
        "raw_path": route.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        "client": (address, 1234),
        "server": ("localhost", 8401),
        "state": {},
    }
    async with asyncio.timeout(60):
        await app(scope, receive, send)
    got = [(k.decode().lower(), v.decode()) for k, v in out[0]["headers"]]
    return Told(
        out[0]["status"],
        dict(got),
        b"".join(m.get("body", b"") for m in out[1:]),
        [v for k, v in got if k == "set-cookie"],
    )


def segment(text: str) -> str:
    return quote(text, safe="")


@contextlib.asynccontextmanager
async def world(
    settings: WebSettings | None = None,
    *,
    people: bool = True,
    real: Store | None = None,
    sign_on: SignOn | None = None,
    service: ServiceSettings | None = None,
    link: Obeying | None = None,
    at: datetime = START,
) -> AsyncGenerator[World, None]:
    """A running head-end with three people: vic looks, opa operates, ann administers."""
    store, clock, ids = FakeStore(), TestClock(), CountedIds()
    clock.at = at
    headend = HeadEnd(
        store=real or store,
        loaded=await (real or store).load(),
        clock=clock,
        ids=ids,
        chance=Random(2),
        stations=link or Obeying(),
        reports=NoReports(),
        settings=service or ServiceSettings(),
        version="1.2.3",
    )
    running = asyncio.create_task(headend.run())
    await headend.ready.wait()
    if people:
        for name, role in (("vic", Role.VIEWER), ("opa", Role.OPERATOR), ("ann", Role.ADMINISTRATOR)):
            await headend.admin.add_operator("test", name, PASSWORD_HASH, role)
    headend.console = NoStations()
    drivers = Drivers(headend, b"k" * 32, stickers=True)
    headend.invite = lambda s: Invitation(f"http://localhost/drive/#{drivers.link(s)}", drivers.code(s))
    app = operator_app(
        headend, settings or WebSettings(), ids, Extras(sign_on=sign_on, write_table=write, drivers=drivers)
    )
    try:
        yield World(headend, app, store, clock, ids)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def dispatched(w: World) -> None:
    """Return once a round has limited somebody, all have answered, and it stands in the log."""
    async with asyncio.timeout(60):
        while not (limits := w.headend.state.limits.values()) or any(  # noqa: ASYNC110 - dispatch tells nobody
            x.outcome is Outcome.PENDING for x in limits
        ):
            await asyncio.sleep(0.005)
    await w.headend.ledger.settled()


async def stations(
    w: World,
    names: Sequence[str],
    territory: str = "East",
    amps: float = 20.0,
    *,
    customer: str | None = None,
) -> None:
    """Stations that are on, each with a car that draws `amps`."""
    headend, now = w.headend, w.clock.now()
    if territory not in headend.state.territories:
        await headend.admin.define_territory("test", territory, kind="zone")
    for name in names:
        await headend.admin.add_station("test", name, customer_id=customer or "customer-of-" + name[:20])
        await headend.ledger.record(
            f.PoweredOn(
                at=now,
                actor=f"station:{name}",
                evse_id=name,
                station_id=name,
                territory_id=territory,
                model="M1",
                line_voltage_v=230.0,
                phases=1,
                max_a=32.0,
                status="available",
                token_hash="secret-token-hash",
            ),
            f.SessionStarted(
                at=now,
                actor=f"station:{name}",
                session_id=w.ids.new("ss"),
                evse_id=name,
                line_voltage_v=230.0,
                evse_max_a=32.0,
                car_max_a=32.0,
                vehicle="vehicle-7",
            ),
        )
        reads(w, name, amps)


def reads(w: World, name: str, amps: float) -> None:
    """The meter of an EVSE says so many amps, a moment after what it said last."""
    headend = w.headend
    live = headend.telemetry.live.get(name)
    if live is not None and live.reading is not None:
        w.clock.at += timedelta(milliseconds=1)
    headend.telemetry.take(
        headend.state.evses[name],
        headend.state.limits.get(name),
        w.clock.now(),
        HeartBeat(w.clock.now(), 230.0, amps, 32.0, 32.0, None, 1.5),
    )
