"""How each fact changes the records. Pure: reads the state, changes nothing, knows no clock.

One small function per kind of fact and one table that names them all; a test holds the table against the union.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from emw.domain import facts as f
from emw.domain.evolve_grid import EVOLVE_GRID
from emw.domain.evolve_hand import EVOLVE_HAND
from emw.domain.evolve_stations import EVOLVE_STATIONS
from emw.domain.held import agreed_before
from emw.domain.model import (
    UNHEARD,
    Enrolment,
    Iso,
    Limit,
    Outcome,
    Record,
    ReductionRequest,
    Report,
    RequestInterval,
    RequestState,
    Territory,
)
from emw.domain.people import ApiKey, Operator

if TYPE_CHECKING:
    from dataclasses import replace  # the same, and mypy knows each record's fields by it

    from emw.domain.state import State
else:
    from emw.domain.changed import replace


def evolve(state: State, fact: f.Fact) -> tuple[Record, ...]:
    """The records as `fact` leaves them. Pure: reads `state`, changes nothing, knows no clock."""
    return _EVOLVE[type(fact)](state, fact)


def _territory(_: State, x: f.TerritoryDefined) -> tuple[Record, ...]:
    return (
        Territory(
            territory_id=x.territory_id,
            parent_id=x.parent_id,
            kind=x.kind,
            ceiling_kw=x.ceiling_kw,
            ceiling_a=x.ceiling_a,
            time_zone=x.time_zone,
        ),
    )


def _iso_added(s: State, x: f.IsoAdded) -> tuple[Record, ...]:
    known = s.isos.get(x.iso_id)
    return (
        Iso(
            iso_id=x.iso_id,
            token_hash=x.token_hash,
            territories=x.territories,
            added_at=known.added_at if known else x.at,
            access_url=known.access_url if known else None,
            connected_at=known.connected_at if known else None,
            certificate=x.certificate,
        ),
    )


def _iso_revoked(s: State, x: f.IsoRevoked) -> tuple[Record, ...]:
    return (replace(s.isos[x.iso_id], revoked=True),)


def _operator_added(s: State, x: f.OperatorAdded) -> tuple[Record, ...]:
    known = s.operators.get(x.name)
    added_at = known.added_at if known else x.at
    return (Operator(name=x.name, password_hash=x.password_hash, role=x.role, added_at=added_at),)


def _operator_disabled(s: State, x: f.OperatorDisabled) -> tuple[Record, ...]:
    return (replace(s.operators[x.name], disabled=True),)


def _key_added(_: State, x: f.ApiKeyAdded) -> tuple[Record, ...]:
    return (
        ApiKey(
            key_id=x.key_id,
            name=x.name,
            key_hash=x.key_hash,
            role=x.role,
            added_at=x.at,
            added_by=x.actor,
            scopes=x.scopes,
            expires_at=x.expires_at,
        ),
    )


def _key_revoked(s: State, x: f.ApiKeyRevoked) -> tuple[Record, ...]:
    return (replace(s.api_keys[x.key_id], revoked=True),)


def _issued(s: State, x: f.CommandIssued) -> tuple[Record, ...]:
    before = s.limits.get(x.evse_id)
    # What the station agreed to goes on while it is asked for the same amps a little longer.
    agreed = before if x.renewal and before is not None and before.agreed(x.at) else None
    agreed_a, agreed_until = agreed_before(before, x.at)
    limit = Limit(
        evse_id=x.evse_id,
        command_id=x.command_id,
        max_a=x.max_a,
        until=x.until,
        cause=x.cause,
        issued_at=x.at,
        request_key=x.request_key,
        node_id=x.node_id,
        line=x.line,
        would_draw_a=x.would_draw_a,
        asked_kw=x.asked_kw,
        renewal=x.renewal,
        answered_a=agreed.answered_a if agreed else None,
        answered_at=agreed.answered_at if agreed else None,
        agreed_a=agreed_a,
        agreed_until=agreed_until,
    )
    request = s.requests.get(x.request_key) if x.request_key else None
    enrolment = s.enrolments.get((request.request_key, x.evse_id)) if request else None
    records: list[Record] = [limit]
    if request and not x.renewal:
        records.append(replace(request, commands=request.commands + 1))
    handed_over = before is not None and before.request_key != x.request_key
    if enrolment and x.max_a is not None and (handed_over or not x.renewal):
        records.append(replace(enrolment, asked_kw=x.asked_kw, commands=enrolment.commands + 1))
    return tuple(records)


def _answered(s: State, x: f.CommandAnswered) -> tuple[Record, ...]:
    limit = s.limits.get(x.evse_id)
    if limit is None or limit.command_id != x.command_id:
        return ()  # a later command has replaced it; the row in the log is all that is left to say
    unheard = x.outcome in UNHEARD
    if unheard and limit.agreed(x.at):
        return (replace(limit, outcome=x.outcome, reason=x.reason),)  # it holds on, as it agreed before
    answered = replace(
        limit,
        outcome=x.outcome,
        answered_a=x.answered_a,
        answered_at=x.at,
        reason=x.reason,
        agreed_a=limit.agreed_a if unheard else None,
        agreed_until=limit.agreed_until if unheard else None,
    )
    enrolment = s.enrolments.get((limit.request_key, x.evse_id)) if limit.request_key else None
    if enrolment is None or limit.max_a is None:
        return (answered,)
    kw = limit.asked_kw if x.outcome is Outcome.APPLIED else 0.0
    return (answered, replace(enrolment, confirmed_kw=kw))


def _iso_connected(s: State, x: f.IsoConnected) -> tuple[Record, ...]:
    return (replace(s.isos[x.iso_id], access_url=x.access_url, connected_at=x.at),)


def _received(_: State, x: f.RequestReceived) -> tuple[Record, ...]:
    return (
        ReductionRequest(
            request_key=x.request_key,
            iso_id=x.iso_id,
            request_id=x.request_id,
            territory_id=x.territory_id,
            kw=x.kw,
            start_at=x.start_at,
            end_at=x.end_at,
            open_ended=x.end_at is None,
            emergency=x.emergency,
            asked=x.asked,
            received_at=x.at,
            short_kw=x.kw,
            why_short="not started",
            asked_by=x.actor,
            held=x.held,
        ),
    )


def _confirmed(s: State, x: f.RequestConfirmed) -> tuple[Record, ...]:
    return (replace(s.requests[x.request_key], held=None, confirmed_by=x.actor),)


def _cancelled(s: State, x: f.RequestCancelled) -> tuple[Record, ...]:
    request = s.requests[x.request_key]
    if request.state is RequestState.PENDING:
        return (
            replace(
                request, state=RequestState.CANCELLED, cancelled_by=x.actor, ended_at=x.at, closed_at=x.at
            ),
        )
    return (replace(request, state=RequestState.RESTORING, cancelled_by=x.actor, ended_at=x.at),)


def _moved(s: State, x: f.RequestMoved) -> tuple[Record, ...]:
    request = s.requests[x.request_key]
    match x.state:
        case RequestState.ACTIVE:
            return (replace(request, state=x.state, started_at=x.at),)
        case RequestState.RESTORING:
            return (replace(request, state=x.state, ended_at=x.at),)
        case _:  # one that is cancelled before it began ends here, too
            return (replace(request, state=x.state, ended_at=request.ended_at or x.at, closed_at=x.at),)


def _tallied(s: State, x: f.RequestTallied) -> tuple[Record, ...]:
    return (
        replace(
            s.requests[x.request_key],
            available_kw=x.available_kw,
            confirmed_kw=x.confirmed_kw,
            pending_kw=x.pending_kw,
            refused_kw=x.refused_kw,
            short_kw=x.short_kw,
            measured_kw=x.measured_kw,
            why_short=x.why_short,
        ),
    )


def _enrolled(s: State, x: f.Enrolled) -> tuple[Record, ...]:
    request = s.requests[x.request_key]
    enrolment = Enrolment(request_key=x.request_key, evse_id=x.evse_id, joined_at=x.at, part=x.part)
    if x.part:
        return (enrolment,)  # the EVSE is counted already
    return (enrolment, replace(request, affected_evses=request.affected_evses + 1))


def _enrolment_ended(s: State, x: f.EnrolmentEnded) -> tuple[Record, ...]:
    enrolment = s.enrolments[x.request_key, x.evse_id]
    return (replace(enrolment, left_at=x.at, why_left=x.why, measured_kwh=x.measured_kwh),)


def _interval(_: State, x: f.IntervalMeasured) -> tuple[Record, ...]:
    return (
        RequestInterval(
            request_key=x.request_key,
            start_at=x.start_at,
            end_at=x.end_at,
            requested_kw=x.requested_kw,
            confirmed_kw=x.confirmed_kw,
            measured_kw=x.measured_kw,
            baseline_kw=x.baseline_kw,
            load_kw=x.load_kw,
            method=x.method,
        ),
    )


def _queued(_: State, x: f.ReportQueued) -> tuple[Record, ...]:
    return (
        Report(
            report_id=x.report_id,
            iso_id=x.iso_id,
            request_key=x.request_key,
            kind=x.kind,
            body=x.body,
            queued_at=x.at,
        ),
    )


def _delivered(s: State, x: f.ReportDelivered) -> tuple[Record, ...]:
    return (replace(s.reports[x.report_id], delivered_at=x.at),)


def _dropped(s: State, x: f.ReportDropped) -> tuple[Record, ...]:
    return (replace(s.reports[x.report_id], dropped_at=x.at, reason=x.reason),)


def _log_only(_: State, __: object) -> tuple[Record, ...]:
    return ()


_EVOLVE: Final[dict[type[f.Fact], Callable[[State, Any], tuple[Record, ...]]]] = {
    f.TerritoryDefined: _territory,
    f.IsoAdded: _iso_added,
    f.IsoRevoked: _iso_revoked,
    f.OperatorAdded: _operator_added,
    f.OperatorDisabled: _operator_disabled,
    **dict.fromkeys((f.LoggedIn, f.LoginRefused, f.SignedOn, f.LoginEnded, f.ServerStarted), _log_only),
    f.ApiKeyAdded: _key_added,
    f.ApiKeyRevoked: _key_revoked,
    f.CommandIssued: _issued,
    f.CommandAnswered: _answered,
    f.IsoConnected: _iso_connected,
    f.RequestReceived: _received,
    f.RequestCancelled: _cancelled,
    f.RequestConfirmed: _confirmed,
    f.RequestMoved: _moved,
    f.RequestTallied: _tallied,
    f.Enrolled: _enrolled,
    f.EnrolmentEnded: _enrolment_ended,
    f.IntervalMeasured: _interval,
    f.ReportQueued: _queued,
    f.ReportDelivered: _delivered,
    f.ReportDropped: _dropped,
    **EVOLVE_STATIONS,
    **EVOLVE_GRID,
    **EVOLVE_HAND,
}
