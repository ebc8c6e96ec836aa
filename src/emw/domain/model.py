"""The records emw keeps: one frozen dataclass per table, one row per key. Names are the glossary's.

A record never changes; `state.evolve` makes the next one from a fact. Times are aware UTC datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final, get_args

from emw.domain.hand import HandRecord
from emw.domain.people import PeopleRecord
from emw.domain.signals import GridRecord
from emw.domain.units import FLOOR_A, kw_per_a


class RequestState(StrEnum):
    """The life of a reduction request."""

    PENDING = "pending"
    ACTIVE = "active"
    RESTORING = "restoring"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """What became of a command: three of these count as no shed."""

    PENDING = "pending"
    APPLIED = "applied"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    OFFLINE = "offline"


UNHEARD: Final = frozenset({Outcome.OFFLINE, Outcome.TIMED_OUT})
"""That a station could not be told says nothing of what it agreed to before."""


class Cause(StrEnum):
    """Why a limit is on an EVSE."""

    SHED = "shed"
    CEILING = "ceiling"
    RESTORATION = "restoration"
    OPERATOR = "operator"
    HALT = "halt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Territory:
    """A node of the territory tree: ISO zone, utility, feeder, site. A signal may name it; it may carry a ceiling."""

    table: ClassVar = "territories"
    key_fields: ClassVar = ("territory_id",)
    territory_id: str
    parent_id: str | None = None
    kind: str = "zone"
    ceiling_kw: float | None = None
    ceiling_a: float | None = None  # on each of its lines L1, L2, L3
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """One network identity: who it is, how it proves it, where it is called.

    The last four are the operator's word on its EVSEs, for stations whose protocol has no way to say so (OCPP).
    """

    table: ClassVar = "stations"
    key_fields: ClassVar = ("station_id",)
    station_id: str
    secret_hash: str
    added_at: datetime
    customer_id: str | None = None
    protocol: str = "rest"
    token_hash: str | None = None
    token_at: datetime | None = None
    access_url: str | None = None
    revoked: bool = False
    territory_id: str | None = None
    max_a: float | None = None
    line_voltage_v: float | None = None
    phases: int | None = None
    dc: bool | None = None
    may_pause: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evse:
    """The unit of control: supplies one vehicle at a time. `max_a` is the knob, never exceeded."""

    table: ClassVar = "evses"
    key_fields: ClassVar = ("evse_id",)
    evse_id: str
    station_id: str
    territory_id: str
    model: str
    line_voltage_v: float
    phases: int
    max_a: float
    status: str
    powered: bool
    online: bool
    powered_at: datetime
    site: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    floor_a: float = FLOOR_A
    step_a: float = 1.0
    may_pause: bool = False
    session_id: str | None = None
    opted_out_until: datetime | None = None
    offline_since: datetime | None = None
    can_limit: bool = True  # whether it can be told a limit at all: a station without smart charging can't
    dc: bool = False
    """Direct current: one phase of its line voltage, and limits are told in W."""
    uses: str | None = None  # the terminals in use, for example L2, where they are not its first `phases`
    doubted_at: datetime | None = None
    """Since when its meter contradicts itself: what it shows is no shed."""

    @property
    def kw_per_a(self) -> float:
        """Power per ampere of limit, kW/A."""
        return kw_per_a(self.line_voltage_v, self.phases)

    def opted_out(self, now: datetime) -> bool:
        """Whether its driver or station refuses to be limited now."""
        return self.opted_out_until is not None and self.opted_out_until > now


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One vehicle's stay, plug-in to unplug."""

    table: ClassVar = "sessions"
    key_fields: ClassVar = ("session_id",)
    session_id: str
    evse_id: str
    started_at: datetime
    evse_max_a: float
    car_max_a: float
    vehicle: str | None = None
    energy_requested_kwh: float | None = None
    departure_at: datetime | None = None
    ended_at: datetime | None = None
    energy_kwh: float | None = None
    end_reason: str | None = None
    told_by_driver: bool = False  # need and departure, instead of the station's word
    car_min_a: float | None = None  # below this the vehicle does not charge; None: it does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The last command to an EVSE and what became of it. `max_a` None: back to normal.

    Absolute, and ends by itself at `until`: repeating it is harmless, losing emw frees the car.
    """

    table: ClassVar = "limits"
    key_fields: ClassVar = ("evse_id",)
    evse_id: str
    command_id: str
    max_a: float | None
    until: datetime
    cause: Cause
    issued_at: datetime
    request_key: str | None = None
    node_id: str | None = None
    line: str | None = None
    would_draw_a: float = 0.0
    asked_kw: float = 0.0
    outcome: Outcome = Outcome.PENDING
    answered_a: float | None = None
    answered_at: datetime | None = None
    reason: str | None = None
    renewal: bool = False
    agreed_a: float | None = None
    agreed_until: datetime | None = None
    """What its station agreed to hold before it was told this, and until when: that stands where it did not hear it."""

    def in_force(self, now: datetime) -> bool:
        """Whether the station may still be holding this limit."""
        return self.max_a is not None and now < self.until

    def agreed(self, now: datetime) -> bool:
        """Whether its station has agreed to hold it now: to a renewal that it has not heard, as it did before."""
        before = self.renewal and self.agreed_until is not None and now < self.agreed_until
        return self.in_force(now) and (before or self.outcome is Outcome.APPLIED)

    def holds(self, now: datetime) -> bool:
        """Whether a limit is in force that its station agreed to or has not answered yet."""
        return self.in_force(now) and (self.outcome is Outcome.PENDING or self.agreed(now))

    @property
    def ends_at(self) -> datetime:
        """When it is believed to end: where it was not heard, as what was agreed before."""
        before = self.agreed_until if self.outcome in UNHEARD else None
        return self.until if before is None else min(self.until, before)


@dataclass(frozen=True, slots=True, kw_only=True)
class StationTraits:
    """What a station said of itself when it booted, and what was learned of its ways since (`traits`, JSON)."""

    table: ClassVar = "station_traits"
    key_fields: ClassVar = ("station_id",)
    station_id: str
    version: str
    booted_at: datetime
    vendor: str = ""
    model: str = ""
    serial: str | None = None
    firmware: str | None = None
    traits: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A station's own record inside a session, as it told it: who, since when, from which register value, Wh.

    One that ended is kept in the table only. `started_at` None: its end came, its beginning never did.
    """

    table: ClassVar = "transactions"
    key_fields: ClassVar = ("station_id", "transaction_id")
    station_id: str
    transaction_id: str
    evse_id: str
    started_at: datetime | None = None
    meter_start_wh: float | None = None
    id_token: str | None = None
    ended_at: datetime | None = None
    meter_stop_wh: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Iso:
    """A grid operator and the territories it may name; everything under them is included."""

    table: ClassVar = "isos"
    key_fields: ClassVar = ("iso_id",)
    iso_id: str
    token_hash: str
    territories: tuple[str, ...]
    added_at: datetime
    access_url: str | None = None
    connected_at: datetime | None = None
    revoked: bool = False
    certificate: str | None = None  # the name in the client certificate it must show, too; None: it need not


@dataclass(frozen=True, slots=True, kw_only=True)
class ReductionRequest:
    """What emw owes because of a grid signal: `kw` below baseline in one territory, over [start, end)."""

    table: ClassVar = "requests"
    key_fields: ClassVar = ("request_key",)
    request_key: str
    iso_id: str
    request_id: str
    territory_id: str
    kw: float
    start_at: datetime
    end_at: datetime | None
    received_at: datetime
    open_ended: bool = (
        False  # `end_at` is None; read by older versions, from which no migration takes a column (F21)
    )
    emergency: bool = True
    asked: str = ""
    state: RequestState = RequestState.PENDING
    started_at: datetime | None = None
    ended_at: datetime | None = None
    closed_at: datetime | None = None
    cancelled_by: str | None = None
    available_kw: float = 0.0
    confirmed_kw: float = 0.0
    pending_kw: float = 0.0
    refused_kw: float = 0.0
    short_kw: float = 0.0
    measured_kw: float | None = None
    affected_evses: int = 0
    commands: int = 0
    why_short: str | None = None
    asked_by: str | None = None
    held: str | None = None  # why it waits for a second person; None: it does not
    confirmed_by: str | None = None

    @property
    def live(self) -> bool:
        """Whether dispatch still has something to do for it."""
        return self.state in {RequestState.PENDING, RequestState.ACTIVE, RequestState.RESTORING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """An EVSE's part in a request: asked, confirmed, measured, joined, left, why. The next vehicle's is another."""

    table: ClassVar = "enrolments"
    key_fields: ClassVar = ("request_key", "evse_id", "part")
    found_by: ClassVar = ("request_key", "evse_id")  # of its parts, at most one is not over
    request_key: str
    evse_id: str
    part: int = 0
    joined_at: datetime
    asked_kw: float = 0.0
    confirmed_kw: float = 0.0
    measured_kwh: float = 0.0
    commands: int = 0
    left_at: datetime | None = None
    why_left: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInterval:
    """What was asked and measured in one report interval, kW means over [start, end)."""

    table: ClassVar = "intervals"
    key_fields: ClassVar = ("request_key", "start_at")
    request_key: str
    start_at: datetime
    end_at: datetime
    requested_kw: float
    confirmed_kw: float
    measured_kw: float | None
    baseline_kw: float | None
    load_kw: float | None
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report owed to an ISO, kept until delivered. `body` is the JSON text that goes out."""

    table: ClassVar = "reports"
    key_fields: ClassVar = ("report_id",)
    report_id: str
    iso_id: str
    request_key: str
    kind: str
    body: str
    queued_at: datetime
    delivered_at: datetime | None = None
    dropped_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Whether all dispatch is stopped, since when and by whom. One row."""

    table: ClassVar = "halt"
    key_fields: ClassVar = ("name",)
    name: str = field(default="all")
    halted: bool = False
    at: datetime | None = None
    by: str | None = None
    reason: str | None = None


Record = (
    Territory
    | Station
    | Evse
    | Session
    | Limit
    | StationTraits
    | Transaction
    | Iso
    | ReductionRequest
    | Enrolment
    | RequestInterval
    | Report
    | Halt
    | PeopleRecord
    | GridRecord
    | HandRecord
)
RECORDS: Final[tuple[type[Record], ...]] = get_args(Record)
