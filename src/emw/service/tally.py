"""The sums of a request at one instant: requested = confirmed + pending + refused + short, and what meters show.

Three truths, never mixed: issued (we asked), confirmed (the station agreed), measured (the meter shows it).
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from emw.domain.model import Evse, Limit, Outcome, ReductionRequest, RequestState, Session
from emw.domain.state import State
from emw.service.telemetry import Live, Telemetry, outlook_of


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


def curtailed_a(would_a: float, limit_a: float | None, gap_a: float) -> float:
    """What a limit takes from an EVSE's load, A: what it would draw less what it is predicted to draw."""
    if limit_a is None:
        return 0.0
    draws_a = limit_a - gap_a
    return would_a if draws_a < 0 else would_a - draws_a if draws_a < would_a else 0.0


class Part(NamedTuple):
    """What one EVSE, or several, add to the sums of any request above them, kW."""

    available_kw: float
    baseline_kw: float
    load_kw: float
    shed_kw: float
    """As metered; negative where load rose."""
    meters: float
    """How many meters stand behind `shed_kw`."""
    confirmed_kw: float
    pending_kw: float
    refused_kw: float


NO_PART: Final = Part(0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0, 0.0)


def part_of(
    evse: Evse,
    session: Session | None,
    limit: Limit | None,
    live: Live | None,
    now: datetime,
    *,
    counts: bool = True,
) -> Part:
    """One EVSE's part. `counts`: whether what it could give may be called available. Hot."""
    if session is None:
        return NO_PART
    would_a, baseline_a, gap_a, _ = outlook_of(live, evse, session)
    drawn_kw = None if live is None or live.reading is None else live.reading.kw
    kw_per_a = evse.kw_per_a
    baseline_kw = kw_per_a * baseline_a
    online = evse.online
    # What its need would have ended by itself is no shed, whoever limits it meanwhile.
    fades_kw = kw_per_a * would_a - baseline_kw
    held = limit is not None and limit.in_force(now)
    available = shed = confirmed = pending = refused = 0.0
    meters = 0
    opted_out = evse.opted_out_until is not None and evse.opted_out_until > now
    if online and counts and not opted_out:
        floor_a = 0.0 if evse.may_pause else evse.floor_a
        available = max(kw_per_a * curtailed_a(would_a, floor_a, gap_a) - fades_kw, 0.0)
    # Who was let go and draws what its twin no longer would gives back what was shed: that counts, too.
    if drawn_kw is not None and online and (held or fades_kw > 0):
        # The meter alone counts here: who is deaf gives nothing whatever it said (promise P11).
        shed, meters = baseline_kw - drawn_kw, 1
    if held and limit is not None:
        waits = limit.outcome is Outcome.PENDING
        agreed = limit.outcome is Outcome.APPLIED or (waits and limit.answered_a is not None)
        told_a = limit.answered_a if agreed and online else limit.max_a
        gives = max(kw_per_a * curtailed_a(would_a, told_a, gap_a) - fades_kw, 0.0)
        if agreed and online:
            confirmed = gives
        elif waits and online:
            pending = gives
        else:
            refused = gives
    load_kw = baseline_kw if drawn_kw is None else drawn_kw
    return Part(available, baseline_kw, load_kw, shed, meters, confirmed, pending, refused)


def tally(
    request: ReductionRequest,
    evses: Iterable[Evse],
    state: State,
    telemetry: Telemetry,
    now: datetime,
    beyond: Container[str] = frozenset(),
) -> Tally:
    """Sum up over the EVSEs under the request's territory.

    `beyond`: EVSEs that are one too many for their customer; what they could give is not available.
    """
    sessions, limits, live = state.sessions, state.limits, telemetry.live
    parts = [
        part_of(
            evse,
            sessions.get(evse.session_id),
            limits.get(evse.evse_id),
            live.get(evse.evse_id),
            now,
            counts=evse.evse_id not in beyond,
        )
        for evse in evses
        if evse.session_id
    ]
    return summed(request, Part(*map(sum, zip(*parts, strict=True))) if parts else NO_PART)


def summed(request: ReductionRequest, whole: Part) -> Tally:
    """A request's sums from those of its EVSEs. Exact: the four parts make the whole to the last bit."""
    available, baseline, load = whole.available_kw, whole.baseline_kw, whole.load_kw
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
    given = min(whole.confirmed_kw, asked)
    waits = min(whole.pending_kw, asked - given)
    lost = min(whole.refused_kw, asked - given - waits)
    return Tally(
        available_kw=available,
        confirmed_kw=given,
        pending_kw=waits,
        refused_kw=lost,
        short_kw=max(asked - given - waits - lost, 0.0),
        excess_kw=max(whole.confirmed_kw + whole.pending_kw - asked, 0.0),
        measured_kw=whole.shed_kw if whole.meters else None,
        baseline_kw=baseline,
        load_kw=load,
    )
