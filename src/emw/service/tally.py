"""The sums of a request at one instant: requested = confirmed + pending + refused + short, and what meters show.

Three truths, never mixed: issued (we asked), confirmed (the station agreed), measured (the meter shows it).
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime

from emw.domain.model import Evse, Outcome, ReductionRequest, RequestState
from emw.domain.state import State
from emw.service.telemetry import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """kW, all ≥ 0 but measured (load may rise). `excess_kw` is what whole amps give beyond the request."""

    available_kw: float
    confirmed_kw: float
    pending_kw: float
    refused_kw: float
    short_kw: float
    excess_kw: float
    measured_kw: float | None
    baseline_kw: float
    load_kw: float | None


def curtailed_kw(evse: Evse, would_a: float, limit_a: float | None, gap_a: float) -> float:
    """What a limit takes from an EVSE's load, kW: what it would draw less what it is predicted to draw."""
    if limit_a is None:
        return 0.0
    return evse.kw_per_a * (would_a - min(would_a, max(limit_a - gap_a, 0.0)))


def tally(
    request: ReductionRequest,
    evses: Iterable[Evse],
    state: State,
    telemetry: Telemetry,
    now: datetime,
    beyond: Container[str] = frozenset(),
) -> Tally:
    """Sum up over the EVSEs under the request's territory. Exact: the four parts make the whole to the last bit.

    `beyond`: EVSEs that are one too many for their customer; what they could give is not available.
    """
    available = baseline = load = shed = 0.0
    confirmed = pending = refused = 0.0
    seen = False
    for evse in evses:
        session = state.sessions.get(evse.session_id) if evse.session_id else None
        if session is None:
            continue
        would_a, baseline_a, gap_a, _ = telemetry.outlook(evse, session)
        limit = state.limits.get(evse.evse_id)
        held = limit is not None and limit.in_force(now)
        drawn = telemetry.drawn_kw(evse.evse_id)
        baseline_kw = evse.kw_per_a * baseline_a
        baseline += baseline_kw
        load += baseline_kw if drawn is None else drawn
        floor_a = 0.0 if evse.may_pause else evse.floor_a
        # What its need would have ended by itself is no shed, whoever limits it meanwhile.
        fades_kw = evse.kw_per_a * would_a - baseline_kw
        may = evse.opted_out_until is None or evse.opted_out_until <= now
        if evse.online and may and evse.evse_id not in beyond:
            available += max(curtailed_kw(evse, would_a, floor_a, gap_a) - fades_kw, 0.0)
        # Who was let go and draws what its twin no longer would gives back what was shed: that counts, too.
        if drawn is not None and evse.online and (held or fades_kw > 0):
            # The meter alone counts here: who is deaf gives nothing whatever it said (promise P11).
            shed += baseline_kw - drawn
            seen = True
        if limit is None or not held:
            continue
        agreed = limit.outcome is Outcome.APPLIED or (
            limit.outcome is Outcome.PENDING and limit.answered_a is not None
        )
        if agreed and evse.online:
            confirmed += max(curtailed_kw(evse, would_a, limit.answered_a, gap_a) - fades_kw, 0.0)
        elif limit.outcome is Outcome.PENDING and evse.online:
            pending += max(curtailed_kw(evse, would_a, limit.max_a, gap_a) - fades_kw, 0.0)
        else:
            refused += max(curtailed_kw(evse, would_a, limit.max_a, gap_a) - fades_kw, 0.0)
    asked = request.kw
    if request.state is not RequestState.ACTIVE:
        # Before it starts nothing is confirmed, after its end nothing is owed: what it reached is in its record.
        return Tally(
            available_kw=available,
            confirmed_kw=request.confirmed_kw,
            pending_kw=request.pending_kw,
            refused_kw=request.refused_kw,
            short_kw=asked - request.confirmed_kw - request.pending_kw - request.refused_kw,
            excess_kw=0.0,
            measured_kw=request.measured_kw,
            baseline_kw=baseline,
            load_kw=load,
        )
    given = min(confirmed, asked)
    waits = min(pending, asked - given)
    lost = min(refused, asked - given - waits)
    return Tally(
        available_kw=available,
        confirmed_kw=given,
        pending_kw=waits,
        refused_kw=lost,
        short_kw=max(asked - given - waits - lost, 0.0),
        excess_kw=max(confirmed + pending - asked, 0.0),
        measured_kw=shed if seen else None,
        baseline_kw=baseline,
        load_kw=load,
    )
