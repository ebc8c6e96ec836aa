"""How the facts of grid signals change the records. Pure, like the rest of evolve."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from emw.domain import grid_facts as f
from emw.domain.evolve_vtn import EVOLVE_VTN
from emw.domain.model import Record, RequestState
from emw.domain.signals import GridCeiling, GridLink, GridReport, GridSignal, LoadInterval

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
            asks=x.asks,
        ),
    )


def _ended(s: State, x: f.SignalEnded) -> tuple[Record, ...]:
    told = (
        replace(r, closed_at=x.at)
        for r in s.grid_reports.values()
        if (r.source_id, r.event_id) == (x.source_id, x.event_id) and not r.owed
    )
    return (replace(s.signals[x.source_id, x.event_id], ended_at=x.at, why_ended=x.reason), *told)


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


def _metered(_: State, x: f.LoadMetered) -> tuple[Record, ...]:
    return (
        LoadInterval(
            territory_id=x.territory_id,
            start_at=x.start_at,
            end_at=x.end_at,
            load_kw=x.load_kw,
            baseline_kw=x.baseline_kw,
            peak_kw=x.peak_kw,
            metered_share=x.metered_share,
        ),
    )


def _queued(s: State, x: f.GridReportQueued) -> tuple[Record, ...]:
    known = s.grid_reports.get((x.source_id, x.event_id, x.name))
    return (
        GridReport(
            source_id=x.source_id,
            event_id=x.event_id,
            name=x.name,
            program_id=x.program_id,
            body=x.body,
            queued_at=x.at,
            report_id=None if known is None else known.report_id,
        ),
    )


def _delivered(s: State, x: f.GridReportDelivered) -> tuple[Record, ...]:
    report = s.grid_reports[x.source_id, x.event_id, x.name]
    told = replace(report, delivered_at=x.at, report_id=x.report_id)
    return (replace(told, closed_at=_closed(s, report, x)),)


def _dropped(s: State, x: f.GridReportDropped) -> tuple[Record, ...]:
    report = s.grid_reports[x.source_id, x.event_id, x.name]
    return (replace(report, dropped_at=x.at, reason=x.reason, closed_at=_closed(s, report, x)),)


def _closed(s: State, report: GridReport, x: f.GridReportDelivered | f.GridReportDropped) -> datetime | None:
    """A report of an event that is gone is never corrected."""
    return None if (report.source_id, report.event_id) in s.signals else x.at


EVOLVE_GRID: Final[dict[type[Any], Callable[[State, Any], tuple[Record, ...]]]] = {
    f.SignalReceived: _received,
    f.SignalEnded: _ended,
    f.GridLinkChanged: _link,
    f.RequestChanged: _changed,
    f.GridCeilingMoved: _ceiling,
    f.LoadMetered: _metered,
    f.GridReportQueued: _queued,
    f.GridReportDelivered: _delivered,
    f.GridReportDropped: _dropped,
    **EVOLVE_VTN,
}
