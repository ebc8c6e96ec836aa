"""One dispatch round for one territory tree: what it sees and the time in, a plan out. Pure and deterministic.

The order of thought: requests live and die by the clock; then, from the leaves of the tree to its root, each node's
shed (the largest request that names it; what its children shed counts) and each node's ceiling are shared over the
EVSEs under it; then the difference between the limits wanted and the limits in force becomes orders: changes,
renewals, releases along the ramp.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from emw.domain.model import Cause, ReductionRequest, RequestState
from emw.engine.allocate import Flexible, allocate
from emw.engine.orders import Wanted, gives, orders_of
from emw.engine.view import EvseView, Plan, Rules, Shortfall, View


def decide(view: View, now: datetime, rules: Rules) -> Plan:
    """What to do now in this tree. The same view and time twice propose the same; nothing new once it is done."""
    moves, requests = _lives(view, now)
    active = [] if view.halted else [r for r in requests if r.state is RequestState.ACTIVE]
    wanted: dict[str, Wanted] = {}
    shortfalls: list[Shortfall] = []
    under = _under(view.evses)
    for node_id in _leaves_first(view):
        pool = under.get(node_id, ())
        here = [r for r in active if r.territory_id == node_id]
        if here:
            shortfalls += _shed(node_id, here, pool, wanted, now, rules)
        ceiling = view.territories[node_id].ceiling_kw
        if ceiling is not None and not view.halted:
            _hold_under(node_id, ceiling, pool, wanted, now)
    for node_id, node in view.territories.items():
        if node.ceiling_kw is not None and not view.halted:
            _mark_law(node.ceiling_kw, under.get(node_id, ()), wanted, now)
    orders, next_look = orders_of(view, wanted, now, rules)
    moves += _restored(view, requests, wanted, now)
    times = [t for r in requests for t in _next_times(r, now, rules)] + next_look
    times += _limits_end(view, now)
    return Plan(
        moves=tuple(moves),
        orders=tuple(orders),
        shortfalls=tuple(shortfalls),
        wake_at=min(times, default=None),
    )


def _lives(view: View, now: datetime) -> tuple[list[tuple[str, str]], list[ReductionRequest]]:
    """Requests as the clock leaves them: started, ended."""
    moves: list[tuple[str, str]] = []
    requests: list[ReductionRequest] = []
    for request in sorted(view.requests, key=lambda r: (r.received_at, r.request_key)):
        state = request.state
        if state is RequestState.PENDING and now >= request.start_at:
            state = RequestState.ACTIVE
            moves.append((request.request_key, state))
        if state is RequestState.ACTIVE and request.end_at is not None and now >= request.end_at:
            state = RequestState.RESTORING
            moves.append((request.request_key, state))
        requests.append(request if state is request.state else replace(request, state=state))
    return moves, requests


def _restored(
    view: View, requests: Iterable[ReductionRequest], wanted: Mapping[str, Wanted], now: datetime
) -> list[tuple[str, str]]:
    """Restoring requests whose last limit is gone, or serves another request now, are closed."""
    held = {
        e.limit.request_key
        for e in view.evses
        if e.limit is not None and e.limit.in_force(now) and e.evse_id not in wanted
    }
    return [
        (r.request_key, RequestState.CLOSED)
        for r in requests
        if r.state is RequestState.RESTORING and r.request_key not in held
    ]


def _leaves_first(view: View) -> list[str]:
    """The tree's nodes, children before parents, ids in order."""
    children: dict[str | None, list[str]] = {}
    for node in sorted(view.territories.values(), key=lambda t: t.territory_id):
        if node.territory_id != view.root:
            children.setdefault(node.parent_id, []).append(node.territory_id)
    order: list[str] = []
    stack = [view.root]
    while stack:
        node_id = stack.pop()
        order.append(node_id)
        stack.extend(children.get(node_id, ()))
    return order[::-1]


def _under(evses: Sequence[EvseView]) -> dict[str, list[EvseView]]:
    """The EVSEs under each node, in order of id."""
    under: dict[str, list[EvseView]] = {}
    for evse in sorted(evses, key=lambda e: e.evse_id):
        for node_id in evse.path:
            under.setdefault(node_id, []).append(evse)
    return under


def _flexible(evse: EvseView, draw_a: float) -> Flexible:
    current = evse.limit.max_a if evse.limit is not None else None
    return Flexible(
        evse_id=evse.evse_id,
        kw_per_a=evse.kw_per_a,
        draw_a=draw_a,
        max_a=evse.max_a,
        floor_a=evse.floor_a,
        step_a=evse.step_a,
        may_pause=evse.may_pause,
        gap_a=evse.gap_a,
        current_a=current,
    )


def _shed(
    node_id: str,
    here: Sequence[ReductionRequest],
    pool: Sequence[EvseView],
    wanted: dict[str, Wanted],
    now: datetime,
    rules: Rules,
) -> list[Shortfall]:
    """Share one node's shed; the largest request leads, the others are covered by it."""
    lead = max(here, key=lambda r: (r.kw, -r.received_at.timestamp(), r.request_key))
    askable = [e for e in pool if e.why_not is None]
    given = sum(gives(e, wanted.get(e.evse_id)) for e in askable)
    if not _keep(lead, askable, wanted, now, rules):
        fleet = [_flexible(e, e.drawn_a(_limit_of(wanted, e))) for e in askable]
        for share in allocate(fleet, max(lead.kw - given, 0.0)).shares:
            if share.limit_a is not None:
                wanted[share.evse_id] = Wanted(share.limit_a, Cause.SHED, lead, node_id)
    given = sum(gives(e, wanted.get(e.evse_id)) for e in askable)
    return [
        Shortfall(
            request_key=r.request_key, kw=max(r.kw - given, 0.0), why=_why_short(pool, wanted, r.kw - given)
        )
        for r in here
    ]


def _keep(
    lead: ReductionRequest,
    askable: Sequence[EvseView],
    wanted: dict[str, Wanted],
    now: datetime,
    rules: Rules,
) -> bool:
    """Keep the limits in force where they still give what is asked: a station bears few commands, not many.

    They are shared anew when they miss the target by more than the dead band or one step, or when an EVSE that
    draws more than the others are allowed has none yet (it has just joined).
    """
    kept: dict[str, Wanted] = {}
    given = 0.0
    step_kw = 0.0
    level_a = 0.0
    for e in askable:
        already = wanted.get(e.evse_id)
        if already is not None:
            given += gives(e, already)
            continue
        if e.limit is not None and e.limit.max_a is not None and e.limit.cause is Cause.SHED:
            held = Wanted(e.limit.max_a, Cause.SHED, lead, lead.territory_id)
            if e.holds(now) and e.limit.max_a <= e.max_a:
                kept[e.evse_id] = held
                given += gives(e, held)
                step_kw = max(step_kw, e.kw_per_a * e.step_a)
                level_a = max(level_a, e.limit.max_a)
    if not kept or abs(given - lead.kw) > max(rules.dead_band * lead.kw, step_kw):
        return False
    for e in askable:
        if e.evse_id not in kept and e.evse_id not in wanted and e.would_draw_a > level_a + e.step_a:
            return False
    wanted.update(kept)
    return True


def _hold_under(
    node_id: str, ceiling_kw: float, pool: Sequence[EvseView], wanted: dict[str, Wanted], now: datetime
) -> None:
    """Bring what the EVSEs under a node could draw below its ceiling; a law, so potential counts, not draw."""

    def could(e: EvseView) -> float:
        if e.why_not is not None and not e.opted_out:
            return _stands_a(e, now)  # it can't be told otherwise
        return e.drawn_a(_limit_of(wanted, e), e.potential_a)

    _share_under(node_id, ceiling_kw, pool, wanted, could)


def _stands_a(e: EvseView, now: datetime) -> float:
    """The most an EVSE could come to draw under the limit that it holds now, A."""
    held = e.limit.max_a if e.limit is not None and e.holds(now) else None
    return e.drawn_a(held, e.potential_a)


def _mark_law(
    ceiling_kw: float, pool: Sequence[EvseView], wanted: Mapping[str, Wanted], now: datetime
) -> None:
    """Where a ceiling is broken as things stand, what brings the load below it is the law's: a shed, too."""
    over_kw = sum(e.kw_per_a * _stands_a(e, now) for e in pool) - ceiling_kw
    for e in pool:
        want = wanted.get(e.evse_id)
        if over_kw <= 0:
            return
        if want is not None:
            falls_kw = e.kw_per_a * (_stands_a(e, now) - e.drawn_a(want.limit_a, e.potential_a))
            if falls_kw > 0:
                want.law = True
                over_kw -= falls_kw


def _share_under(
    node_id: str,
    ceiling_kw: float,
    pool: Sequence[EvseView],
    wanted: dict[str, Wanted],
    could: Callable[[EvseView], float],
) -> None:
    over_kw = sum(e.kw_per_a * could(e) for e in pool) - ceiling_kw
    if over_kw <= 0:
        return
    # Opted out is a driver's wish; a ceiling is not one of the things a driver can refuse.
    bound = [e for e in pool if e.why_not is None or e.opted_out]
    step_kw = max((e.kw_per_a * e.step_a for e in bound), default=0.0)
    result = allocate([_flexible(e, could(e)) for e in bound], over_kw)
    if result.short_kw > 1e-9 and any(not e.may_pause for e in bound):
        # At the floor and still over: equipment comes before a car that may not wake from a pause.
        result = allocate([replace(_flexible(e, could(e)), may_pause=True) for e in bound], over_kw + step_kw)
    by_id = {e.evse_id: e for e in bound}
    for share in result.shares:
        if share.limit_a is not None:
            wanted[share.evse_id] = Wanted(
                share.limit_a, Cause.CEILING, _request(wanted, share.evse_id), node_id
            )
    _round_under(ceiling_kw, [by_id[i] for i in sorted(by_id)], pool, wanted, node_id, could)


def _round_under(
    ceiling_kw: float,
    bound: Sequence[EvseView],
    pool: Sequence[EvseView],
    wanted: dict[str, Wanted],
    node_id: str,
    could: Callable[[EvseView], float],
) -> None:
    """Sharing aims at the nearest step; a ceiling needs the one below."""
    for e in bound:
        over_kw = sum(x.kw_per_a * could(x) for x in pool) - ceiling_kw
        if over_kw <= 1e-9:
            return
        limit_a = _limit_of(wanted, e)
        if limit_a is not None and limit_a - e.step_a >= e.floor_a:
            wanted[e.evse_id] = Wanted(
                limit_a - e.step_a, Cause.CEILING, _request(wanted, e.evse_id), node_id
            )


def _limit_of(wanted: dict[str, Wanted], evse: EvseView) -> float | None:
    want = wanted.get(evse.evse_id)
    return None if want is None else want.limit_a


def _request(wanted: dict[str, Wanted], evse_id: str) -> ReductionRequest | None:
    want = wanted.get(evse_id)
    return None if want is None else want.request


def _why_short(pool: Sequence[EvseView], wanted: Mapping[str, Wanted], short_kw: float) -> str:
    """The shortfall in words: what keeps the rest of the load from being asked."""
    if short_kw <= 1e-6:
        return ""
    if not pool:
        return "no vehicle is charging here"
    spare_kw = 0.0
    for e in pool:
        if e.why_not is None:
            lowest_a = e.drawn_a(0.0 if e.may_pause else e.floor_a)
            want = wanted.get(e.evse_id)
            spare_kw += e.kw_per_a * (e.drawn_a(None if want is None else want.limit_a) - lowest_a)
    if spare_kw > short_kw:
        return "less than a step, or than is worth a command to every station"
    kw: defaultdict[str, float] = defaultdict(float)
    for e in pool:
        if e.why_not is None:
            kw["at floor"] += e.kw_per_a * min(e.would_draw_a, e.floor_a)
        else:
            kw[e.why_not] += e.kw_per_a * e.would_draw_a
    parts = [f"{value:.1f} kW {why}" for why, value in sorted(kw.items()) if value >= 0.05]
    return f"short {short_kw:.1f} kW: " + (", ".join(parts) if parts else "nothing is being drawn")


def _limits_end(view: View, now: datetime) -> list[datetime]:
    """When limits under a ceiling end by themselves: what kept it until then must be replaced at once."""
    ruled = {t for t, node in view.territories.items() if node.ceiling_kw is not None}
    return [
        e.limit.until
        for e in view.evses
        if e.limit is not None and e.limit.in_force(now) and not ruled.isdisjoint(e.path)
    ]


def _next_times(request: ReductionRequest, now: datetime, rules: Rules) -> list[datetime]:
    """When the clock alone will change something for a request."""
    times = [request.start_at] if request.state is RequestState.PENDING else []
    if request.state is RequestState.ACTIVE and request.end_at is not None:
        times += [request.end_at, request.end_at - timedelta(seconds=rules.hold_before_end_s)]
    if request.live and request.state is not RequestState.PENDING:
        times.append(now + timedelta(seconds=rules.round_s))
    return [t for t in times if t > now]
