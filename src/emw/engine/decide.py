"""One dispatch round for one territory tree: what it sees and the time in, a plan out. Pure and deterministic.

The order of thought: requests live and die by the clock; then, from the leaves of the tree to its root, each node's
shed (the largest request that names it; what its children shed counts) and each node's ceilings are shared over the
EVSEs under it; then the difference between the limits wanted and the limits in force becomes orders: changes,
renewals, releases along the ramp.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from emw.domain.model import Cause, ReductionRequest, RequestState
from emw.engine.ceilings import ceilings_of
from emw.engine.law import by_shed, hold_under, make_sure
from emw.engine.orders import orders_of
from emw.engine.share import shed
from emw.engine.view import EvseView, Plan, Rules, Shortfall, View
from emw.engine.wanted import Wanted


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
        if not view.halted:
            hold_under(view.territories[node_id], pool, wanted, now)
    _by_hand(view, wanted, now, first=False)
    by_shed(view.evses, wanted)
    for node_id in _leaves_first(view) if not view.halted else ():
        make_sure(view.territories[node_id], under.get(node_id, ()), wanted, now)
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


def _lives(view: View, now: datetime) -> tuple[list[tuple[str, RequestState]], list[ReductionRequest]]:
    """Requests as the clock leaves them: started, ended."""
    moves: list[tuple[str, RequestState]] = []
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
) -> list[tuple[str, RequestState]]:
    """Restoring requests whose last limit is gone, or serves another request now, are closed."""
    restoring = [r.request_key for r in requests if r.state is RequestState.RESTORING]
    if not restoring:
        return []
    held = {
        e.limit.request_key
        for e in view.evses
        if e.limit is not None and e.limit.in_force(now) and e.evse_id not in wanted
    }
    return [(key, RequestState.CLOSED) for key in restoring if key not in held]


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


def _limits_end(view: View, now: datetime) -> list[datetime]:
    """When limits under a ceiling end by themselves: what kept it until then must be replaced at once."""
    ruled = {t for t, node in view.territories.items() if ceilings_of(node)}
    return [
        e.limit.ends_at
        for e in view.evses
        if e.limit is not None
        and (e.by_hand_a is not None or not ruled.isdisjoint(e.path))
        and e.limit.in_force(now)
        and e.limit.ends_at > now
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
