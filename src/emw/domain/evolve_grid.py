"""How the facts of grid signals change the records. Pure, like the rest of evolve."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from emw.domain import grid_facts as f
from emw.domain.model import Record, RequestState
from emw.domain.signals import GridCeiling, GridLink, GridSignal

if TYPE_CHECKING:
    from dataclasses import replace  # the same, and mypy knows each record's fields by it

    from emw.domain.state import State
else:
    from emw.domain.changed import replace


def _received(_: State, x: f.SignalReceived) -> tuple[Record, ...]:
    return (
        GridSignal(
            source_id=x.source_id,
            event_id=x.event_id,
            version=x.version,
            program_id=x.program_id,
            program=x.program,
            first_seen_at=x.first_seen_at,
            changed_at=x.at,
            draw=x.draw,
            precedence=x.precedence,
            segments=x.segments,
            body=x.body,
            name=x.name,
            priority=x.priority,
            notes=x.notes,
        ),
    )


def _ended(s: State, x: f.SignalEnded) -> tuple[Record, ...]:
    return (replace(s.signals[x.source_id, x.event_id], ended_at=x.at, why_ended=x.reason),)


def _link(_: State, x: f.GridLinkChanged) -> tuple[Record, ...]:
    return (
        GridLink(
            source_id=x.source_id,
            protocol=x.protocol,
            connected=x.connected,
            since_at=x.at,
            heard_at=x.heard_at,
            why=x.why,
        ),
    )


def _changed(s: State, x: f.RequestChanged) -> tuple[Record, ...]:
    request = s.requests[x.request_key]
    # requested = confirmed + pending + refused + short, always: what is more than is asked now is no longer told.
    confirmed = min(request.confirmed_kw, x.kw)
    pending = min(request.pending_kw, x.kw - confirmed)
    refused = min(request.refused_kw, x.kw - confirmed - pending)
    started = request.state is not RequestState.PENDING
    return (
        replace(
            request,
            kw=x.kw,
            start_at=request.start_at if started else x.start_at,
            end_at=x.end_at,
            open_ended=x.end_at is None,
            asked=x.asked or request.asked,
            confirmed_kw=confirmed,
            pending_kw=pending,
            refused_kw=refused,
            short_kw=x.kw - confirmed - pending - refused,
        ),
    )


def _ceiling(_: State, x: f.GridCeilingMoved) -> tuple[Record, ...]:
    return (GridCeiling(territory_id=x.territory_id, kw=x.kw, since_at=x.at, cause=x.cause),)


EVOLVE_GRID: Final[dict[type[Any], Callable[[State, Any], tuple[Record, ...]]]] = {
    f.SignalReceived: _received,
    f.SignalEnded: _ended,
    f.GridLinkChanged: _link,
    f.RequestChanged: _changed,
    f.GridCeilingMoved: _ceiling,
}
