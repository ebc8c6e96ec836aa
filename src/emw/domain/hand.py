"""What people set by hand: one EVSE's limit, wiring and how much its driver counts; territories that are stopped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class HandLimit:
    """An operator's ceiling on one EVSE, A per phase, until a stated time; `max_a` None: lifted."""

    table: ClassVar = "hand_limits"
    key_fields: ClassVar = ("evse_id",)
    evse_id: str
    max_a: float | None
    until: datetime
    at: datetime
    by: str
    reason: str

    def in_force(self, now: datetime) -> bool:
        """Whether it holds now."""
        return self.max_a is not None and now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class TerritoryStop:
    """Whether sheds are stopped under a node, since when and by whom. Ceilings hold on: they are a law."""

    table: ClassVar = "territory_stops"
    key_fields: ClassVar = ("territory_id",)
    territory_id: str
    stopped: bool
    at: datetime
    by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Priority:
    """How much a kWh missed at one EVSE counts against one missed elsewhere; 1 where nobody said anything."""

    table: ClassVar = "priorities"
    key_fields: ClassVar = ("evse_id",)
    evse_id: str
    priority: float
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Which line of the grid lies on each terminal of an EVSE (`domain.lines`); None: nobody knows."""

    table: ClassVar = "wirings"
    key_fields: ClassVar = ("evse_id",)
    evse_id: str
    wiring: str | None
    at: datetime
    by: str


HandRecord = HandLimit | Priority | TerritoryStop | Wiring
