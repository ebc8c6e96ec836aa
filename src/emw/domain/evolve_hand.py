"""How the facts of people's hands change the records."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from emw.domain import facts as f
from emw.domain.hand import HandLimit, Priority, TerritoryStop, Wiring
from emw.domain.model import Halt, Record

if TYPE_CHECKING:
    from emw.domain.state import State


def _limited(_: State, x: f.LimitedByHand) -> tuple[Record, ...]:
    return (HandLimit(evse_id=x.evse_id, max_a=x.max_a, until=x.until, at=x.at, by=x.actor, reason=x.reason),)


def _priority(_: State, x: f.PrioritySet) -> tuple[Record, ...]:
    return (Priority(evse_id=x.evse_id, priority=x.priority, at=x.at, by=x.actor, reason=x.reason),)


def _wired(_: State, x: f.EvseWired) -> tuple[Record, ...]:
    return (Wiring(evse_id=x.evse_id, wiring=x.wiring, at=x.at, by=x.actor),)


def _stop(_: State, x: f.TerritoryStopped | f.TerritoryResumed) -> tuple[Record, ...]:
    return (
        TerritoryStop(
            territory_id=x.territory_id,
            stopped=isinstance(x, f.TerritoryStopped),
            at=x.at,
            by=x.actor,
            reason=x.reason,
        ),
    )


def _halt(_: State, x: f.DispatchHalted | f.DispatchResumed) -> tuple[Record, ...]:
    return (Halt(halted=isinstance(x, f.DispatchHalted), at=x.at, by=x.actor, reason=x.reason),)


EVOLVE_HAND: Final[dict[type[Any], Callable[[State, Any], tuple[Record, ...]]]] = {
    f.DispatchHalted: _halt,
    f.DispatchResumed: _halt,
    f.LimitedByHand: _limited,
    f.PrioritySet: _priority,
    f.EvseWired: _wired,
    f.TerritoryStopped: _stop,
    f.TerritoryResumed: _stop,
}
