"""Facts of grid signals: events heard, changed and gone, links lost and found, what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from emw.domain.admin_facts import Stamped


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReceived(Stamped):
    """A grid system published an event, or another version of it; `segments` (JSON) is what emw made of it."""

    source_id: str
    event_id: str
    version: int
    program_id: str
    program: str
    first_seen_at: datetime
    draw: float
    precedence: int
    segments: str
    body: str
    name: str | None = None
    priority: int | None = None
    notes: tuple[str, ...] = ()
    asks: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalEnded(Stamped):
    """An event is no longer in force: cancelled, gone from a complete listing, or over."""

    source_id: str
    event_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GridLinkChanged(Stamped):
    """A grid system can be heard again, or no longer; `heard_at` is when it last was."""

    source_id: str
    protocol: str
    connected: bool
    heard_at: datetime | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestChanged(Stamped):
    """What a request asks is another amount or time now, because its signal says so."""

    request_key: str
    kw: float
    start_at: datetime
    end_at: datetime | None
    asked: str = ""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCeilingMoved(Stamped):
    """The ceiling that signals put on a node is another one now, kW; None: there is none any more."""

    territory_id: str
    kw: float | None
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadMetered(Stamped):
    """What a territory drew over [start, end), and what it would have drawn had nobody asked; kW means."""

    territory_id: str
    start_at: datetime
    end_at: datetime
    load_kw: float
    baseline_kw: float
    peak_kw: float
    metered_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GridReportQueued(Stamped):
    """A report on an event is owed to its grid system, or another version of it is."""

    source_id: str
    event_id: str
    name: str
    program_id: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GridReportDelivered(Stamped):
    """A grid system took a report; `report_id` is its own name for it."""

    source_id: str
    event_id: str
    name: str
    report_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GridReportDropped(Stamped):
    """A report is not delivered: the grid system does not want it, or nobody took it in time."""

    source_id: str
    event_id: str
    name: str
    reason: str
