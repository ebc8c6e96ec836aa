"""One node's shed: keep the limits that stand, ask the cheapest for more, give back to the dearest. Pure.

    error = asked - Σ (baseline - draw)    metered where a limit has settled, predicted where it is young

A station bears few commands, so nothing moves within the dead band, and what moves is only what closes the gap.
Where no driver's price is known the sharing is even (`evenly`), else cheapest first (`cheapest`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil, inf, sqrt

import numpy as np

from emw.domain.model import Cause, Limit, ReductionRequest, RequestState
from emw.engine.cheapest import cheapest
from emw.engine.columns import Floats
from emw.engine.evenly import evenly
from emw.engine.ladder import UNKNOWN, Allocation, Flexible
from emw.engine.relief import hand_on
from emw.engine.view import NAMED_KW, EvseView, Rules, Shortfall, View
from emw.engine.wanted import Wanted, limit_of

NEAR_KW = 1e-9
"""Sums closer than this are equal."""
WORTH_A = 0.25
"""A vehicle that could give less than this is not sent a command for it."""
SHALLOW = 0.75
"""Where a shed leaves more than this of what is drawn, most limits at its level would lie above the draw."""
NEXT_FEW = 10
"""So many drivers of nearly the same price are as good as one another, where one of them fits as a whole."""


def shed(
    view: View,
    node_id: str,
    here: Sequence[ReductionRequest],
    pool: Sequence[EvseView],
    wanted: dict[str, Wanted],
    now: datetime,
    rules: Rules,
) -> list[Shortfall]:
    """Bring what a node gives to its shed; the largest request leads, the others are covered by it.

    `wanted` holds what the nodes below want already, and is added to. Returns what is short of each request.
    """
    lead = max(here, key=lambda r: (r.kw, -r.received_at.timestamp(), r.request_key))
    askable = [e for e in pool if e.why_not is None]
    bounds = {evse_id: want for evse_id, want in wanted.items() if want.request is None}
    own = _kept(lead, node_id, here, pool, wanted, view, now)
    _join(lead, node_id, askable, wanted, now, rules)
    given_kw = _given(pool, wanted, now)
    error_kw = lead.kw - given_kw
    band_kw = _band_kw(view, lead, askable, own, rules)
    if view.hand_on:
        error_kw += _hand_on(askable, own, wanted, now, rules)
    if error_kw > band_kw:
        _ask(lead, node_id, error_kw, askable, wanted, now)
    elif error_kw < -band_kw:
        _give_back(lead, node_id, -error_kw, band_kw / 2, own, wanted, now)
    for evse_id, bound in bounds.items():
        want = wanted.get(evse_id)
        if want is None or want.limit_a > bound.limit_a:
            wanted[evse_id] = bound  # let go of by the shed, not by the ceiling below
    if view.hand_on or bounds or abs(error_kw) > band_kw:  # else nothing has changed since
        given_kw = _given(pool, wanted, now)
    return [shortfall(r, pool, wanted, r.kw - given_kw) for r in here]


def _given(pool: Iterable[EvseView], wanted: Mapping[str, Wanted], now: datetime) -> float:
    return sum(e.gives_kw(limit_of(wanted, e)) if e.why_not is None else e.stays_kw(now) for e in pool)


def _kept(
    lead: ReductionRequest,
    node_id: str,
    here: Sequence[ReductionRequest],
    pool: Sequence[EvseView],
    wanted: dict[str, Wanted],
    view: View,
    now: datetime,
) -> list[EvseView]:
    """The limits that stand are wanted still; returns the EVSEs under them that no node below speaks for.

    Those of this node's requests, and of requests that are over; of others' only as many as are needed here.
    """
    ours = {r.request_key for r in here}
    others = {
        r.request_key: r
        for r in view.requests
        if r.state is RequestState.ACTIVE and r.request_key not in ours
    }
    kept: list[EvseView] = []
    for foreign in (False, True) if others else (False,):
        missing_kw = lead.kw - _given(pool, wanted, now) if foreign else 0.0
        for e in pool:
            limit = e.limit
            if e.why_not is not None or limit is None or limit.max_a is None or not _sheds(limit):
                continue
            if e.potential_a <= 0:
                continue  # its vehicle has left: whoever comes next starts at the shed's level
            want = wanted.get(e.evse_id)
            if want is not None and (want.request is not None or want.limit_a <= limit.max_a):
                continue
            if (limit.request_key in others) is not foreign or (foreign and missing_kw <= NEAR_KW):
                continue
            if e.holds(now) and limit.max_a <= e.max_a:
                # What must not pause was paused for a ceiling's sake: a shed has its floor of it, and no more.
                kept_a = limit.max_a if e.may_pause else max(limit.max_a, e.floor_a)
                if foreign:
                    missing_kw -= e.gives_kw(kept_a)
                request = others.get(limit.request_key or "", lead) if foreign else lead
                wanted[e.evse_id] = Wanted(kept_a, Cause.SHED, request, node_id)
                kept.append(e)
    return kept


def _sheds(limit: Limit) -> bool:
    """A shed set it, or a ceiling lowered what a shed wanted, or it was lengthened for a staged return."""
    if limit.cause is Cause.CEILING:
        return limit.request_key is not None
    return limit.cause in {Cause.SHED, Cause.RESTORATION}


def _join(
    lead: ReductionRequest,
    node_id: str,
    askable: Sequence[EvseView],
    wanted: dict[str, Wanted],
    now: datetime,
    rules: Rules,
) -> None:
    """Who has come since the event began starts at its level: the part of what all want that all get."""
    young = [e for e in askable if _is_young(e, lead, wanted, now, rules)]
    if not young:
        return
    joins = {e.evse_id for e in young}
    others = [e for e in askable if e.evse_id not in joins]
    would_kw = sum((e.kw_per_a * e.would_draw_a for e in others), 0.0)
    if would_kw <= NEAR_KW:
        return
    level = 1 - min(lead.kw / would_kw, 1.0)
    draws_a = [e.would_draw_a for e in others if e.would_draw_a > 0]
    # What a joiner will draw is not known yet: a limit above what the others draw would shed nothing with most.
    typical_a = sum(draws_a) / len(draws_a) if level > SHALLOW else inf
    for e in young:
        most_a = e.potential_a if e.draw_a is None else e.would_draw_a
        steps = ceil((most_a * level - e.floor_a) / e.step_a - 1e-9)
        limit_a = e.floor_a + max(steps, 0) * e.step_a
        if limit_a < min(most_a, e.max_a, typical_a):
            wanted[e.evse_id] = Wanted(limit_a, Cause.SHED, lead, node_id)


def _is_young(
    e: EvseView, lead: ReductionRequest, wanted: Mapping[str, Wanted], now: datetime, rules: Rules
) -> bool:
    """A joiner that has not been told anything yet."""
    came = e.plugged_at
    if came is None or came <= lead.start_at or e.evse_id in wanted:
        return False
    told = e.limit is not None and e.limit.issued_at >= came
    return not told and now - came < timedelta(seconds=rules.young_s)


def _band_kw(
    view: View, lead: ReductionRequest, askable: Sequence[EvseView], own: Sequence[EvseView], rules: Rules
) -> float:
    """What is not worth a command: a part of the target, of the doubt, or less than a step."""
    if not own:
        return NEAR_KW
    step_kw = max(e.kw_per_a * e.step_a for e in own)
    share = len(askable) / max(len(view.evses), 1)
    doubt_kw = view.doubt_kw * sqrt(share)
    return max(rules.dead_band * lead.kw, rules.band_doubt * doubt_kw, step_kw)


def _waits(e: EvseView, now: datetime) -> bool:
    return e.next_change_at is not None and now < e.next_change_at


# --- more


def _ask(
    lead: ReductionRequest,
    node_id: str,
    error_kw: float,
    askable: Sequence[EvseView],
    wanted: dict[str, Wanted],
    now: datetime,
) -> None:
    """Who may change now first; then those who must wait for their minute, who are looked at again then."""
    for waiting in (False, True):
        able = [(e, e.now_a(limit_of(wanted, e))) for e in askable if _waits(e, now) is waiting]
        fleet = [e.flexible(draw_a) for e, draw_a in able if draw_a - e.lowest_a > WORTH_A]
        result = _shared(fleet, max(error_kw, 0.0))
        for share in result.shares:
            if share.limit_a is not None:
                wanted[share.evse_id] = Wanted(share.limit_a, Cause.SHED, lead, node_id)
        error_kw = result.short_kw
        if error_kw <= NEAR_KW:
            return


def _shared(fleet: Sequence[Flexible], kw: float) -> Allocation:
    return cheapest(fleet, kw) if any(e.price is not None for e in fleet) else evenly(fleet, kw)


# --- less


def _hold_price(e: EvseView) -> float:
    return e.priority * (e.price or UNKNOWN).hold


def _floor_price(e: EvseView) -> float:
    return e.priority * (e.price or UNKNOWN).floor


def _rises_kw(those: Sequence[EvseView], wanted: Mapping[str, Wanted]) -> Floats:
    """The load that comes back as each of these is let go, kW."""
    return np.array([e.rises_kw(wanted[e.evse_id].limit_a) for e in those])


def _give_back(
    lead: ReductionRequest,
    node_id: str,
    over_kw: float,
    near_kw: float,
    own: Sequence[EvseView],
    wanted: dict[str, Wanted],
    now: datetime,
) -> None:
    """Let go of the dearest, never of more than is too much; where no price is known, of all who are held, evenly.

    The last one is let go of part of the way, unless one of the next few comes within `near_kw` as a whole: whoever
    is let go of in parts is told twice.
    """
    # Who was just handed on is not held any more.
    able = [e for e in own if e.evse_id in wanted and not _waits(e, now)]
    if not any(e.price is not None for e in able):
        _raise_evenly(lead, node_id, over_kw, able, wanted)
        return
    dearest = sorted(able, key=lambda e: (-_hold_price(e), e.evse_id))
    rises_kw = _rises_kw(dearest, wanted).tolist()
    for n, (e, rise_kw) in enumerate(zip(dearest, rises_kw, strict=True)):
        if over_kw <= near_kw:
            return
        if rise_kw <= over_kw + near_kw:
            wanted.pop(e.evse_id)
            over_kw -= rise_kw
        else:
            few = range(n + 1, min(n + NEXT_FEW, len(dearest)))
            fit = next((m for m in few if abs(rises_kw[m] - over_kw) <= near_kw), None)
            if fit is not None:
                wanted.pop(dearest[fit].evse_id)
                return
            steps = int(over_kw / (e.kw_per_a * e.step_a) + 1e-9)
            limit_a = wanted[e.evse_id].limit_a
            raised_a = limit_a + steps * e.step_a
            if steps and e.floor_a <= limit_a and raised_a <= e.max_a:
                wanted[e.evse_id] = Wanted(raised_a, Cause.SHED, lead, node_id)
                return


def _raise_evenly(
    lead: ReductionRequest,
    node_id: str,
    over_kw: float,
    able: Sequence[EvseView],
    wanted: dict[str, Wanted],
) -> None:
    """Share what still has to be given anew among the held, each of whom gives no more than he does: none goes down."""
    fleet = []
    for e in able:
        limit_a, free = wanted[e.evse_id].limit_a, e.flexible(e.would_draw_a)
        paused = limit_a < e.floor_a
        fleet.append(free._replace(may_pause=paused, floor_a=e.floor_a if paused else limit_a))
    held_kw = float(_rises_kw(able, wanted).sum())
    for share in evenly(fleet, max(held_kw - over_kw, 0.0)).shares:
        if share.limit_a is None:
            wanted.pop(share.evse_id)
        else:
            wanted[share.evse_id] = Wanted(share.limit_a, Cause.SHED, lead, node_id)


def _hand_on(
    askable: Sequence[EvseView],
    own: Sequence[EvseView],
    wanted: dict[str, Wanted],
    now: datetime,
    rules: Rules,
) -> float:
    """Let go of some who have been held for long, where others who are free can do the same for less.

    Returns what they gave, kW: it is missing now, and the cheapest are asked for it.
    """
    priced = [e for e in askable if e.price is not None and not _waits(e, now)]
    long = timedelta(seconds=rules.hand_on_after_s)
    ours = {e.evse_id for e in own}
    those = [
        e for e in priced if e.evse_id in ours and e.limit is not None and now - e.limit.issued_at >= long
    ]
    free = [e for e in priced if e.evse_id not in wanted]
    rise_kw = _rises_kw(those, wanted)
    handed = hand_on(
        rise_kw,
        np.array([_hold_price(e) for e in those]),
        np.array([e.rises_kw(e.floor_a) for e in free]),
        np.array([_floor_price(e) for e in free]),
        rules.hand_on_share * sum(e.kw_per_a * e.would_draw_a for e in askable),
        rules.hand_on_margin,
    )
    for i in handed.tolist():
        wanted.pop(those[i].evse_id)
    return float(rise_kw[handed].sum())


# --- in words


def shortfall(
    request: ReductionRequest, pool: Sequence[EvseView], wanted: Mapping[str, Wanted], short_kw: float
) -> Shortfall:
    """What is short of a request, and in words what keeps the rest of the load from being asked."""
    key = request.request_key
    if short_kw <= 1e-6:
        return Shortfall(request_key=key, kw=max(short_kw, 0.0))
    spare_kw, parts = _kept_from(pool, wanted)
    if not pool:
        return Shortfall(request_key=key, kw=short_kw, why="no vehicle is charging here")
    if spare_kw > short_kw:
        why = "less than a step, or than is worth a command to every station"
        return Shortfall(request_key=key, kw=short_kw, why=why)
    return Shortfall(request_key=key, kw=short_kw, parts=tuple(parts) or ("nothing is being drawn",))


def _kept_from(pool: Sequence[EvseView], wanted: Mapping[str, Wanted]) -> tuple[float, list[str]]:
    """What could still be asked, kW, and what can't, kW with its reason."""
    spare_kw = 0.0
    kw: defaultdict[str, float] = defaultdict(float)
    for e in pool:
        if e.why_not is None:
            spare_kw += e.kw_per_a * (e.now_a(limit_of(wanted, e)) - e.lowest_a)
            kw["at floor"] += e.kw_per_a * min(e.would_draw_a, e.floor_a)
        else:
            kw[e.why_not] += e.kw_per_a * e.would_draw_a
    return spare_kw, [f"{value:.1f} kW {why}" for why, value in sorted(kw.items()) if value >= NAMED_KW]
