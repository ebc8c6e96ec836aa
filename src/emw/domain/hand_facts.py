"""Facts of what people set by hand: limits, priorities and wiring of EVSEs, territories stopped and resumed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from emw.domain.admin_facts import Stamped


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitedByHand(Stamped):
    """An operator limited an EVSE (`max_a`, A per phase) until a time; with None the limit is lifted."""

    evse_id: str
    max_a: float | None
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrioritySet(Stamped):
    """A kWh missed at this EVSE counts so many times as much as one missed elsewhere, until said otherwise."""

    evse_id: str
    priority: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseWired(Stamped):
    """Which line of the grid lies on each terminal of an EVSE, in order; None: it is not known."""

    evse_id: str
    wiring: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TerritoryStopped(Stamped):
    """Sheds were stopped under a node; its cars are freed along the ramp. Ceilings hold on."""

    territory_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TerritoryResumed(Stamped):
    """Sheds may reach the EVSEs under a node again."""

    territory_id: str
    reason: str | None = None
