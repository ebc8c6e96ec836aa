"""What grid systems say, in emw's own words: signals in force, the links they come by, what follows from them.

A signal is protocol-neutral: OpenADR of any version ends in the same segments. It is never edited by hand; the
newest version replaces the one before, and what emw owes is worked out again from all that are in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from emw.domain.vtn import VtnRecord


class SignalKind(StrEnum):
    """What a segment asks for."""

    REDUCE_KW = "reduce_kw"
    """So many kW below baseline."""
    REDUCE_SHARE = "reduce_share"
    """This share of the baseline (0..1) below it."""
    SETPOINT_KW = "setpoint_kw"
    """Load at this many kW: what the baseline has beyond it is to be shed."""
    LIMIT_KW = "limit_kw"
    """A ceiling, by law and not by wish."""
    DEFAULT_LIMIT_KW = "default_limit_kw"
    """The ceiling that holds while no LIMIT_KW does."""
    OTHER = "other"
    """Nothing that moves load here; kept to be seen."""


VTN_PREFIX = "vtn:"
"""How the ids of VTNs begin, as sources of signals and where an ISO's id would stand."""
REDUCES = frozenset({SignalKind.REDUCE_KW, SignalKind.REDUCE_SHARE, SignalKind.SETPOINT_KW})
LIMITS = frozenset({SignalKind.LIMIT_KW, SignalKind.DEFAULT_LIMIT_KW})


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of a signal, [start, end): what it asks of which territory. `end_at` None: until it is taken back.

    `said` is the payload in the grid's words; `why_not` says why emw does nothing about it (None: it does).
    """

    start_at: datetime
    end_at: datetime | None
    kind: SignalKind
    value: float | None = None
    territory_id: str | None = None
    said: str = ""
    interval_id: int = 0
    why_not: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSignal:
    """One published event as emw last understood it. `segments` and `body` (the event as received) are JSON text."""

    table: ClassVar = "grid_signals"
    key_fields: ClassVar = ("source_id", "event_id")
    source_id: str
    event_id: str
    version: int
    program_id: str
    program: str
    first_seen_at: datetime
    changed_at: datetime
    draw: float
    precedence: int
    segments: str
    body: str
    name: str | None = None
    priority: int | None = None
    notes: tuple[str, ...] = ()
    ended_at: datetime | None = None
    why_ended: str | None = None
    asks: str | None = None
    """What the grid wants to be told about it: JSON text of the adapter's own, kept so that a restart knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridLink:
    """A grid system that emw listens to: whether it can be heard, since when, and why not."""

    table: ClassVar = "grid_links"
    key_fields: ClassVar = ("source_id",)
    source_id: str
    protocol: str
    connected: bool
    since_at: datetime
    heard_at: datetime | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCeiling:
    """The ceiling that signals put on a node now, kW; None: none. The node's own ceiling holds beside it."""

    table: ClassVar = "grid_ceilings"
    key_fields: ClassVar = ("territory_id",)
    territory_id: str
    kw: float | None
    since_at: datetime
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GridReport:
    """A report on an event, by the name it has at its grid system. Owed until `delivered_at` or `dropped_at` is set.

    `report_id` is the grid system's own id of it: with one, the next version is a correction. `closed_at`: nothing
    more will come of it, and it leaves the live view.
    """

    table: ClassVar = "grid_reports"
    key_fields: ClassVar = ("source_id", "event_id", "name")
    source_id: str
    event_id: str
    name: str
    program_id: str
    body: str
    queued_at: datetime
    report_id: str | None = None
    delivered_at: datetime | None = None
    dropped_at: datetime | None = None
    reason: str | None = None
    closed_at: datetime | None = None

    @property
    def owed(self) -> bool:
        """Whether it still has to be delivered."""
        return self.delivered_at is None and self.dropped_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadInterval:
    """What a territory drew, and would have drawn had nobody asked anything of it: kW means over [start, end).

    `metered_share` (0..1): how much of the plugged-in vehicles' time a meter vouches for.
    """

    table: ClassVar = "load_intervals"
    key_fields: ClassVar = ("territory_id", "start_at")
    territory_id: str
    start_at: datetime
    end_at: datetime
    load_kw: float
    baseline_kw: float
    peak_kw: float
    metered_share: float


GridRecord = GridSignal | GridLink | GridCeiling | GridReport | LoadInterval | VtnRecord
