"""Every seam of the system on one screen: what the service needs of the world, as protocols.

`app` plugs the real parts in, the simulation its own. No protocol here knows SQL, HTTP or a socket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec

from emw.domain.facts import CommandIssued, Fact, SessionEnded, SessionStarted
from emw.domain.model import Evse, Iso, Limit, Outcome, Record, Report, Station
from emw.domain.state import State


class Clock(Protocol):
    """The only source of time. `now` is UTC and never runs backwards; seconds are the clock's own."""

    def now(self) -> datetime:
        """The time, aware, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of this clock."""
        ...

    def loop_seconds(self, seconds: float) -> float:
        """How long `seconds` of this clock are for the event loop (a compressed clock runs faster)."""
        ...


class Ids(Protocol):
    """The only source of ids and tokens: at least 128 random bits each."""

    def new(self, prefix: str) -> str:
        """A fresh id: `<prefix>_<random>`, safe in URLs."""
        ...


class HeartBeat(msgspec.Struct, gc=False):
    """What a station reads out while a vehicle is plugged in.

    `car_max_a`: the most that the vehicle takes; None: the station does not say. Never changed once made. No dataclass:
    that would take three times as long to make, each heartbeat.
    """

    at: datetime
    voltage_v: float
    current_a: float
    evse_max_a: float
    car_max_a: float | None
    limit_a: float | None
    energy_kwh: float | None


class Reading(msgspec.Struct, gc=False):
    """One meter reading of an EVSE. `at` is the station's time where believable, else when it came.

    Never changed once made; no dataclass for the same reason.
    """

    evse_id: str
    at: datetime
    received_at: datetime
    voltage_v: float
    current_a: float
    kw: float
    limit_a: float | None
    energy_kwh: float | None
    late: bool = False


class Believed(msgspec.Struct, gc=False):
    """What one EVSE was believed to draw had nobody asked anything of it, over a part of five minutes, by the time."""

    evse_id: str
    interval_start: datetime
    believed_at: datetime
    """When the last of the beliefs was held that these means are made of."""
    method: str
    seconds: float
    """How much of the interval it covers: the time that a request held the EVSE."""
    baseline_kw: float
    doubt_kw: float
    """Standard deviation: a vehicle that is held either would still charge or would not."""
    load_kw: float
    """What its meter showed over the same seconds."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What has been learned of a tree's vehicles and can't be read off a meter again (`service.memory` reads it)."""

    root: str
    at: datetime
    body: bytes


Recent = CommandIssued | SessionStarted | SessionEnded
"""What moved load lately: a limit, and whose car it was."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a store knows at start: the live view and each EVSE's latest reading."""

    state: State
    readings: Mapping[str, Reading]
    next_seq: int
    recent: Sequence[Recent] = ()
    """Commands of the last half hour and cars that left, oldest first: the governor's books must outlive a crash
    (promise P7)."""
    newest_at: datetime | None = None
    """The time of the log's newest row; the clock may not start before it (fault F9)."""
    memories: Sequence[Memory] = ()
    """What was learned of each tree, as it was written last."""


class Store(Protocol):
    """What is remembered. One writer; a return means durable (flushed), an `Unavailable` means unchanged."""

    async def load(self) -> Loaded:
        """Migrate if needed and read the live view."""
        ...

    async def commit(self, facts: Sequence[Fact], records: Sequence[Record]) -> int:
        """Write log rows and the records they changed in one transaction; returns the first row's number."""
        ...

    async def add_readings(self, readings: Sequence[Reading]) -> None:
        """Write telemetry in one group; not a fact, may be lost up to the last flush."""
        ...

    async def add_beliefs(self, beliefs: Sequence[Believed]) -> None:
        """Write counterfactuals in one group; like readings not a fact, may be lost up to the last flush."""
        ...

    async def keep_memories(self, memories: Sequence[Memory]) -> None:
        """Write what was learned of each tree in place of what was written before; not a fact."""
        ...

    async def roll_up(self, now: datetime) -> None:
        """Fold telemetry into interval means and drop what is older than its retention."""
        ...

    async def query(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """Rows of a named read-only question (`store.queries` lists them), newest first."""
        ...

    async def still_ours(self) -> None:
        """Raise Fenced where another has become the one who writes, Unavailable where that can't be seen now."""
        ...

    async def close(self) -> None:
        """Flush and let go."""
        ...


@dataclass(frozen=True, slots=True)
class KeptFrame:
    """A message of a station's that emw answered and owes to the station's own central system.

    `ours`: the number that emw gave to the transaction which begins with it.
    """

    station_id: str
    number: int
    action: str
    payload: bytes
    ours: str | None = None


@dataclass(frozen=True, slots=True)
class KeptName:
    """A transaction's number at the central system, for the one that emw gave in its place."""

    station_id: str
    ours: str
    theirs: str
    at: datetime


class FrameStore(Protocol):
    """What is owed to central systems, beside the log: frames are no facts."""

    async def keep_frames(
        self, kept: Sequence[KeptFrame], gone: Sequence[KeptFrame], names: Sequence[KeptName]
    ) -> None:
        """Add, take away and name in one transaction, durable when this returns. Raises Unavailable."""
        ...

    async def kept_frames(self) -> tuple[list[KeptFrame], list[KeptName]]:
        """All that is owed, and all names."""
        ...


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a driver is shown to see his charge: a link, and a code to type instead."""

    url: str
    code: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a station said to a command. PENDING: it will be told in its next answer (no `accessURL`)."""

    outcome: Outcome
    answered_a: float | None = None
    reason: str | None = None


class StationLink(Protocol):
    """How a command reaches a station, whatever it speaks. Returns by a deadline and never raises."""

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        """Send an absolute limit, or the return to normal where `limit.max_a` is None."""
        ...

    async def greet(self, station: Station) -> None:
        """Give the station the token that our calls will carry (`/control/authWithControl`)."""
        ...


@dataclass(frozen=True, slots=True)
class FrameSeen:
    """A frame that went to or came from a station. `text` is cut where it is long."""

    at: datetime
    outgoing: bool
    text: str


@dataclass(frozen=True, slots=True)
class StationSeen:
    """How a station stands now: connected, by what, since when, and what is known of it."""

    connected: bool
    protocol: str | None
    address: str | None
    connected_at: datetime | None
    heard_at: datetime | None
    vendor: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    booted_at: datetime | None
    traits: Mapping[str, Any]
    statuses: Mapping[str, str]
    clock_behind_s: float | None = None
    troubles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallSeen:
    """What came of an operator's message: `outcome` answered, refused (with the station's code) or unanswered."""

    outcome: str
    answer: Any = None
    code: str | None = None
    description: str | None = None


class StationConsole(Protocol):
    """The operator's way to a single station, for protocols with messages of their own. Raises Refused."""

    def seen(self, station_id: str) -> StationSeen:
        """How it stands."""
        ...

    def frames(self, station_id: str) -> Sequence[FrameSeen]:
        """The last frames, newest first."""
        ...

    async def call(self, station_id: str, action: str, payload: Any) -> CallSeen:
        """Send one message and wait for what comes of it."""
        ...


class ReportLink(Protocol):
    """How a report reaches an ISO. True: taken. False: try again later. Never raises."""

    async def deliver(self, iso: Iso, report: Report) -> bool:
        """Post one report to the ISO's URL."""
        ...
