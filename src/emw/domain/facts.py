"""Everything that may enter the activity log: the closed union of facts, one row each.

A fact is past tense, complete (the tables can be rebuilt from the log alone) and names its `actor`:
`station:<id>`, `iso:<id>`, `vtn:<name>`, `vtn-client:<id>`, `operator:<name>`, `sso:<name>`, `key:<id>`,
`driver:<session>` or `emw`. Fields that end in `_hash` never leave the store.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import get_args

from emw.domain.admin_facts import (
    ApiKeyAdded,
    ApiKeyRevoked,
    DispatchHalted,
    DispatchResumed,
    IsoAdded,
    IsoRevoked,
    LoggedIn,
    LoginEnded,
    LoginRefused,
    OperatorAdded,
    OperatorDisabled,
    SignedOn,
    Stamped,
    StationAdded,
    StationRevoked,
    TerritoryDefined,
)
from emw.domain.grid_facts import (
    GridCeilingMoved,
    GridLinkChanged,
    GridReportDelivered,
    GridReportDropped,
    GridReportQueued,
    LoadMetered,
    RequestChanged,
    SignalEnded,
    SignalReceived,
)
from emw.domain.hand_facts import EvseWired, LimitedByHand, PrioritySet, TerritoryResumed, TerritoryStopped
from emw.domain.model import Cause, Outcome, RequestState
from emw.domain.station_facts import (
    CameBack,
    EvseChanged,
    EvseFound,
    KnobTurned,
    MeterDoubted,
    MeterTrusted,
    NeedTold,
    OptedOut,
    PoweredOff,
    PoweredOn,
    SessionEnded,
    SessionStarted,
    StationBooted,
    StationCalled,
    StationLearned,
    TransactionEnded,
    TransactionStarted,
    VehicleTold,
    WentOffline,
)
from emw.domain.vtn_facts import VtnFact

# --- commands


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandIssued(Stamped):
    """A limit (`max_a`, A per phase, until) or, with None, the return to normal is to be sent."""

    command_id: str
    evse_id: str
    max_a: float | None
    until: datetime
    cause: Cause
    request_key: str | None = None
    node_id: str | None = None
    line: str | None = None
    would_draw_a: float = 0.0
    asked_kw: float = 0.0
    renewal: bool = False
    replaces_a: float | None = None
    """The limit that was in force until now; None: there was none."""
    could_kw: tuple[float, ...] = ()
    """The load there was to move under each node above it, nearest first, kW: by it a change was a turn or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAnswered(Stamped):
    """What became of a command. `answered_a` is what the station said it went to."""

    command_id: str
    evse_id: str
    outcome: Outcome
    answered_a: float | None = None
    reason: str | None = None
    request_key: str | None = None
    """The request that the command was for."""


# --- the grid


@dataclass(frozen=True, slots=True, kw_only=True)
class IsoConnected(Stamped):
    """A grid operator said hello and where its reports go."""

    iso_id: str
    access_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReceived(Stamped):
    """A grid operator (or an operator, as `operator`) asked for a decrease."""

    request_key: str
    iso_id: str
    request_id: str
    territory_id: str
    kw: float
    start_at: datetime
    end_at: datetime | None
    emergency: bool = True
    asked: str = ""
    held: str | None = None
    """Why it waits for a second person before anything is asked of anybody; None: it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestConfirmed(Stamped):
    """A second person (`actor`) let a request through that waited for one."""

    request_key: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCancelled(Stamped):
    """The one who asked said: return to normal."""

    request_key: str
    iso_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMoved(Stamped):
    """A request reached the next state of its life by the clock: started, ended, restored."""

    request_key: str
    state: RequestState
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTallied(Stamped):
    """The sums of a request changed: requested = confirmed + pending + refused + short, kW."""

    request_key: str
    available_kw: float
    confirmed_kw: float
    pending_kw: float
    refused_kw: float
    short_kw: float
    measured_kw: float | None
    why_short: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled(Stamped):
    """An EVSE takes part in a request from now on. `part`: how often it did before, with other vehicles."""

    request_key: str
    evse_id: str
    part: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentEnded(Stamped):
    """An EVSE's part in a request is over; what it gave in all is known."""

    request_key: str
    evse_id: str
    why: str
    measured_kwh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalMeasured(Stamped):
    """A report interval of a request is over."""

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
class ReportQueued(Stamped):
    """A report is owed to a grid operator."""

    report_id: str
    iso_id: str
    request_key: str
    kind: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDelivered(Stamped):
    """A grid operator took a report."""

    report_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDropped(Stamped):
    """A report was given up (its receiver is gone, or it was refused for good)."""

    report_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStarted(Stamped):
    """emw started; what ran before is carried on."""

    version: str
    resumed_requests: int = 0
    host: str | None = None
    key_id: str | None = None


Fact = (
    TerritoryDefined
    | StationAdded
    | StationRevoked
    | IsoAdded
    | IsoRevoked
    | OperatorAdded
    | OperatorDisabled
    | LoggedIn
    | LoginRefused
    | SignedOn
    | LoginEnded
    | ApiKeyAdded
    | ApiKeyRevoked
    | DispatchHalted
    | DispatchResumed
    | StationBooted
    | StationLearned
    | StationCalled
    | EvseFound
    | EvseChanged
    | TransactionStarted
    | TransactionEnded
    | PoweredOn
    | PoweredOff
    | SessionStarted
    | SessionEnded
    | KnobTurned
    | WentOffline
    | CameBack
    | MeterDoubted
    | MeterTrusted
    | OptedOut
    | NeedTold
    | VehicleTold
    | CommandIssued
    | CommandAnswered
    | IsoConnected
    | RequestReceived
    | RequestCancelled
    | RequestConfirmed
    | RequestMoved
    | RequestTallied
    | Enrolled
    | EnrolmentEnded
    | IntervalMeasured
    | ReportQueued
    | ReportDelivered
    | ReportDropped
    | ServerStarted
    | SignalReceived
    | SignalEnded
    | GridLinkChanged
    | GridCeilingMoved
    | RequestChanged
    | LoadMetered
    | GridReportQueued
    | GridReportDelivered
    | GridReportDropped
    | LimitedByHand
    | PrioritySet
    | EvseWired
    | TerritoryStopped
    | TerritoryResumed
    | VtnFact
)
FACTS: dict[str, type[Fact]] = {kind.__name__: kind for kind in get_args(Fact)}
"""Every kind of fact by the name it has in the log."""

SECRET_FIELDS: frozenset[str] = frozenset(
    field.name for kind in FACTS.values() for field in fields(kind) if field.name.endswith("_hash")
)
"""Fields the store keeps and no reader is shown."""
