"""One dispatch round for one territory tree: what it sees and the time in, a plan out. Pure and deterministic.

The order of thought: requests live and die by the clock; then, from the leaves of the tree to its root, each node's
shed (the largest request that names it; what its children shed counts) and each node's ceiling are shared over the
EVSEs under it; then the difference between the limits wanted and the limits in force becomes orders: changes,
renewals, releases along the ramp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from emw.domain.model import Cause, ReductionRequest, RequestState
from emw.engine.allocate import allocate
from emw.engine.orders import Wanted, orders_of
from emw.engine.share import flexible, shed
from emw.engine.view import EvseView, Plan, Rules, Shortfall, View


def decide(view: View, now: datetime, rules: Rules) -> Plan:
    """What to do now in this tree. The same view and time twice propose the same; nothing new once it is done."""
    moves, requests = _lives(view, now)
    active = [] if view.halted else [r for r in requests if r.state is RequestState.ACTIVE]
    wanted: dict[str, Wanted] = {}
    shortfalls: list[Shortfall] = []
    under = _under(view.evses)
    _by_hand(view, wanted, now, first=True)
    for node_id in _leaves_first(view):
        pool = under.get(node_id, ())
        here = [r for r in active if r.territory_id == node_id]
        if here:
            shortfalls += shed(view, node_id, here, pool, wanted, now, rules)
        ceiling = view.territories[node_id].ceiling_kw
        if ceiling is not None and not view.halted:
            _hold_under(node_id, ceiling, pool, wanted, now)
    _by_hand(view, wanted, now, first=False)
    for node_id in _leaves_first(view):
        ceiling = view.territories[node_id].ceiling_kw
        if ceiling is not None and not view.halted:
            _mark_law(ceiling, under.get(node_id, ()), wanted, now)
            _make_last(node_id, ceiling, under.get(node_id, ()), wanted, now)
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
        if request.held is not None:  # nobody is asked for anything before a second person has agreed
            if request.end_at is not None and now >= request.end_at:
                moves.append((request.request_key, RequestState.CANCELLED))
            requests.append(request)
            continue
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


def _by_hand(view: View, wanted: dict[str, Wanted], now: datetime, *, first: bool) -> None:
    """An operator's ceiling on a single EVSE. What it takes counts for every shed above, like any ceiling's.

    At first where no shed holds the EVSE lower already (that stands), at last as the bound of whatever was decided.
    """
    for e in view.evses:
        if e.by_hand_a is None or view.halted or not e.hears:
            continue
        if first and e.limit is not None and e.holds(now) and (e.limit.max_a or 0.0) < e.by_hand_a:
            continue
        want = wanted.get(e.evse_id)
        if want is None or want.limit_a > e.by_hand_a:
            wanted[e.evse_id] = Wanted(e.by_hand_a, Cause.OPERATOR, None, e.path[0])


def _hold_under(
    node_id: str, ceiling_kw: float, pool: Sequence[EvseView], wanted: dict[str, Wanted], now: datetime
) -> None:
    """Bring what the EVSEs under a node could draw below its ceiling; a law, so potential counts, not draw."""

    def could(e: EvseView) -> float:
        if not e.hears:
            return e.stands_a(now)  # it can't be told otherwise
        return e.drawn_a(_limit_of(wanted, e), e.potential_a)

    _share_under(node_id, ceiling_kw, pool, wanted, could)


def _mark_law(
    ceiling_kw: float, pool: Sequence[EvseView], wanted: Mapping[str, Wanted], now: datetime
) -> None:
    """Where a ceiling is broken as things stand, what brings the load below it is the law's: a shed, too."""
    over_kw = sum(e.kw_per_a * e.stands_a(now) for e in pool) - ceiling_kw
    for e in pool:
        want = wanted.get(e.evse_id)
        if over_kw <= 0:
            return
        if want is not None:
            falls_kw = e.kw_per_a * (e.stands_a(now) - e.drawn_a(want.limit_a, e.potential_a))
            if falls_kw > 0:
                want.law = True
                over_kw -= falls_kw


def _make_last(
    node_id: str, ceiling_kw: float, pool: Sequence[EvseView], wanted: Mapping[str, Wanted], now: datetime
) -> None:
    """Where a ceiling leans on what a shed takes, as many of those limits as it needs get the ceiling's lease.

    A shed ends by itself soon after emw is gone (promise P3), and the ceiling must not end with it (promise P12).
    As few as do it: who lasts already, then who brings most, and who would stand still for a day at the very last.
    """

    def left_kw(e: EvseView) -> float:
        """What it could come to draw once every limit that may end has ended."""
        want = wanted.get(e.evse_id)
        if want is not None:
            return e.kw_per_a * (e.drawn_a(want.limit_a, e.potential_a) if lasts(want) else e.potential_a)
        told = e.limit is not None and e.limit.cause is Cause.CEILING and e.why_not is not None
        return e.kw_per_a * (e.stands_a(now) if told else e.potential_a)

    def lasts(want: Wanted) -> bool:
        return want.cause is Cause.CEILING

    def turn(found: tuple[EvseView, Wanted, float]) -> tuple[bool, bool, float, str]:
        e, want, keeps_kw = found
        stands = e.limit is not None and e.limit.cause is Cause.CEILING and e.holds(now)
        return not stands, want.limit_a < e.floor_a, -keeps_kw, e.evse_id

    over_kw = sum(left_kw(e) for e in pool) - ceiling_kw
    able = [
        (e, want, e.kw_per_a * (e.potential_a - e.drawn_a(want.limit_a, e.potential_a)))
        for e in pool
        if (want := wanted.get(e.evse_id)) is not None and not lasts(want)
    ]
    for _, want, keeps_kw in sorted(able, key=turn):
        if over_kw <= 1e-9:
            return
        if keeps_kw > 0:
            want.cause, want.node_id = Cause.CEILING, node_id
            over_kw -= keeps_kw


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
    bound = [e for e in pool if e.hears]
    step_kw = max((e.kw_per_a * e.step_a for e in bound), default=0.0)
    result = allocate([flexible(e, could(e)) for e in bound], over_kw)
    if result.short_kw > 1e-9 and any(not e.may_pause for e in bound):
        # At the floor and still over: equipment comes before a car that may not wake from a pause.
        result = allocate([replace(flexible(e, could(e)), may_pause=True) for e in bound], over_kw + step_kw)
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
    over_kw = sum(e.kw_per_a * could(e) for e in pool) - ceiling_kw
    for e in bound:
        if over_kw <= 1e-9:
            return
        limit_a = _limit_of(wanted, e)
        if limit_a is not None and limit_a - e.step_a >= e.floor_a:
            before_a = could(e)
            wanted[e.evse_id] = Wanted(
                limit_a - e.step_a, Cause.CEILING, _request(wanted, e.evse_id), node_id
            )
            over_kw -= e.kw_per_a * (before_a - could(e))


def _limit_of(wanted: dict[str, Wanted], evse: EvseView) -> float | None:
    want = wanted.get(evse.evse_id)
    return None if want is None else want.limit_a


def _request(wanted: dict[str, Wanted], evse_id: str) -> ReductionRequest | None:
    want = wanted.get(evse_id)
    return None if want is None else want.request


def _limits_end(view: View, now: datetime) -> list[datetime]:
    """When limits under a ceiling end by themselves: what kept it until then must be replaced at once."""
    ruled = {t for t, node in view.territories.items() if node.ceiling_kw is not None}
    return [
        e.limit.until
        for e in view.evses
        if e.limit is not None
        and e.limit.in_force(now)
        and (e.by_hand_a is not None or not ruled.isdisjoint(e.path))
    ]


def _next_times(request: ReductionRequest, now: datetime, rules: Rules) -> list[datetime]:
    """When the clock alone will change something for a request."""
    times = [request.start_at] if request.state is RequestState.PENDING else []
    if request.held is not None and request.end_at is not None:
        times.append(request.end_at)
    if request.state is RequestState.ACTIVE and request.end_at is not None:
        times += [request.end_at, request.end_at - timedelta(seconds=rules.hold_before_end_s)]
    if request.live and request.state is not RequestState.PENDING:
        times.append(now + timedelta(seconds=rules.round_s))
    return [t for t in times if t > now]
