"""The sums of a request at one instant: requested = confirmed + pending + refused + short, and what meters show.

Three truths, never mixed: issued (we asked), confirmed (the station agreed), measured (the meter shows it).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from emw.domain.model import Evse, Limit, Outcome, ReductionRequest, RequestState, Session
from emw.domain.reach import lowest_a
from emw.domain.state import State
from emw.service.telemetry import Live, Telemetry, expected_of


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
    load_kw: float


class Part(NamedTuple):
    """What one EVSE, or several, add to the sums of any request above them, kW."""

    available_kw: float = 0.0
    baseline_kw: float = 0.0
    load_kw: float = 0.0
    shed_kw: float = 0.0
    """As metered; negative where load rose."""
    meters: float = 0.0
    """How many meters stand behind `shed_kw`."""
    confirmed_kw: float = 0.0
    pending_kw: float = 0.0
    refused_kw: float = 0.0


BASELINE, LOAD, SHED, METERS = (
    Part._fields.index(name) for name in ("baseline_kw", "load_kw", "shed_kw", "meters")
)
STANDING, SEEN = 6, 4
"""How wide a line of `standing_of` is, and one of `seen_of`."""
DRAWN = 3
"""Where in the second it says what is drawn, kW."""

Row = dict[str, Any]
Figures = npt.NDArray[np.float64]
NO_LIMIT, AGREED, WAITING, REFUSED = 0.0, 1.0, 2.0, 3.0
"""What became of the limit on an EVSE."""


def standing_of(
    evse: Evse, session: Session | None, limit: Limit | None, now: datetime, *, counts: bool = True
) -> tuple[float, ...]:
    """What its records say of an EVSE, as far as its part needs it: a line of `parts_of`.

    kW/A; floor, A; whether what its meter says counts: it is heard, and does not contradict itself; whether what it
    gives may be called available (`counts`); what became of its limit; and at how many A that holds it.
    """
    online = evse.online
    believed = online and evse.doubted_at is None
    able = believed and counts and session is not None and not evse.opted_out(now)
    least_a = lowest_a(evse, session)
    if limit is None or session is None or not limit.in_force(now):
        return evse.kw_per_a, least_a, believed, able, NO_LIMIT, 0.0
    if online and limit.agreed(now):
        became, limit_a = AGREED, limit.answered_a
    else:
        waits = online and limit.outcome is Outcome.PENDING
        became, limit_a = WAITING if waits else REFUSED, limit.max_a
    return evse.kw_per_a, least_a, believed, able, became, np.inf if limit_a is None else limit_a


def seen_of(live: Live | None, evse: Evse, session: Session | None) -> tuple[float, ...]:
    """What its meter says and teaches: another line. A it would draw, its baseline's A, the gap; what it draws, kW."""
    would_a, baseline_a, gap_a, _ = expected_of(live, evse, session)
    reading = None if live is None or session is None else live.reading
    return would_a, baseline_a, gap_a, np.nan if reading is None else reading.kw


def parts_of(standing: Figures, seen: Figures) -> Figures:
    """The parts of many EVSEs at once: a line of `Part` each."""
    kw_per_a, floor_a, believed, able, became, limit_a = standing.T
    would_a, baseline_a, gap_a, drawn_kw = seen.T
    baseline_kw = kw_per_a * baseline_a
    # What its need would have ended by itself is no shed, whoever limits it meanwhile.
    fades_kw = kw_per_a * would_a - baseline_kw

    def gives_kw(at_most_a: Figures) -> Figures:
        """What a limit takes: what it would draw less what it is predicted to draw."""
        draws_a = np.minimum(would_a, np.maximum(at_most_a - gap_a, 0.0))
        given: Figures = np.maximum(kw_per_a * (would_a - draws_a) - fades_kw, 0.0)
        return given

    metered = ~np.isnan(drawn_kw)
    # Who was let go and draws what its twin no longer would gives back what was shed: that counts, too. And the meter
    # alone counts here: who is deaf gives nothing whatever it said (promise P11).
    counted = metered & (believed > 0) & ((became > 0) | (fades_kw > 0))
    given_kw = gives_kw(limit_a)
    parts: Figures = np.stack(
        (
            gives_kw(floor_a) * able,
            baseline_kw,
            np.where(metered, drawn_kw, baseline_kw),
            np.where(counted, baseline_kw - drawn_kw, 0.0),
            counted,
            given_kw * (became == AGREED),
            given_kw * (became == WAITING),
            given_kw * (became == REFUSED),
        ),
        axis=1,
    )
    return parts


class Lines:
    """EVSEs with a vehicle side by side: what each adds to the sums, and how sure its baseline is.

    `beyond`: EVSEs that are one too many for their customer; what they could give is not available.
    """

    __slots__ = ("doubt_kw", "evse_ids", "parts")

    def __init__(
        self,
        evses: Iterable[Evse],
        state: State,
        telemetry: Telemetry,
        now: datetime,
        beyond: Container[str] = frozenset(),
    ) -> None:
        live, limits = telemetry.live, state.limits
        plugged = [(e, s) for e in evses if (s := state.session_of(e)) is not None]
        self.evse_ids = [e.evse_id for e, _ in plugged]
        standing = np.array(
            [
                standing_of(e, s, limits.get(e.evse_id), now, counts=e.evse_id not in beyond)
                for e, s in plugged
            ]
        ).reshape(-1, STANDING)
        seen = np.array([seen_of(live.get(e.evse_id), e, s) for e, s in plugged]).reshape(-1, SEEN)
        self.parts = parts_of(standing, seen)
        """A line of `Part` each."""
        kw_per_a, would_a, baseline_a = standing[:, 0], seen[:, 0], seen[:, 1]
        self.doubt_kw: Figures = kw_per_a * np.sqrt(np.maximum(baseline_a * (would_a - baseline_a), 0.0))
        """Standard deviation of each baseline: either it would still draw `would_a` or nothing."""

    def metered(self, among: Container[str]) -> tuple[list[str], Figures]:
        """Those whose meter counts; a line each: baseline, its standard deviation, and load, kW."""
        counts = self.parts[:, METERS].tolist()
        rows = [n for n, evse_id in enumerate(self.evse_ids) if counts[n] and evse_id in among]
        columns = (self.parts[rows, BASELINE], self.doubt_kw[rows], self.parts[rows, LOAD])
        return [self.evse_ids[n] for n in rows], np.stack(columns, axis=1)

    def tally(self, request: ReductionRequest) -> Tally:
        """The sums of a request for whose territory these are all."""
        return summed(request, self.whole)

    @property
    def whole(self) -> Part:
        """All of them together."""
        return Part(*self.parts.sum(axis=0).tolist())


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


def recorded(request: ReductionRequest) -> Tally:
    """The last sums of a request that is over: they can't change any more."""
    return replace(summed(request, Part()), available_kw=request.available_kw)


def as_told(request: ReductionRequest, t: Tally, why_short: str | None, intervals: Sequence[Row] = ()) -> Row:
    """A request as the grid sees it: kW to the watt, and the four parts make the whole."""
    requested, confirmed = round(request.kw, 3), round(t.confirmed_kw, 3)
    pending, refused = round(t.pending_kw, 3), round(t.refused_kw, 3)
    short = round(requested - confirmed - pending - refused, 3) + 0.0  # never -0.0
    if short < 0:  # three roundings up: the largest part carries the watt
        confirmed, short = round(confirmed + short, 3), 0.0
    return {
        "requestID": request.request_id,
        "territory": request.territory_id,
        "state": str(request.state),
        "requestedKW": requested,
        "availableKW": round(t.available_kw, 3),
        "confirmedKW": confirmed,
        "pendingKW": pending,
        "refusedKW": refused,
        "shortKW": short,
        "excessKW": round(t.excess_kw, 3),
        "measuredKW": None if t.measured_kw is None else round(t.measured_kw, 3),
        "whyShort": why_short if short > 0 else None,
        "start": request.start_at,
        "end": request.end_at,
        "affectedEVSEs": request.affected_evses,
        "commands": request.commands,
        "intervals": list(intervals),
    }
