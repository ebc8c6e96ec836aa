"""From the limits wanted to orders: changes, renewals before a lease runs out, and the staged way back. Pure."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from emw.domain.model import Cause, Limit, RequestState
from emw.engine.columns import LEAST_KW, SMALL_A
from emw.engine.headroom import Headroom
from emw.engine.view import EvseView, Order, Rules, View
from emw.engine.wanted import Wanted

AGAIN = timedelta(seconds=5)
"""When to look again at what there was no room for."""


@dataclass(frozen=True, slots=True)
class _Held:
    """An EVSE under a limit in force that nobody wants any more, or that a staged return still needs."""

    evse: EvseView
    limit: Limit
    limit_a: float

    @property
    def rise_kw(self) -> float:
        """The load that comes back when it is let go."""
        return self.evse.rises_kw(self.limit_a)


def orders_of(
    view: View, wanted: Mapping[str, Wanted], now: datetime, rules: Rules
) -> tuple[list[Order], list[datetime]]:
    """The difference between what is wanted and what is in force, as orders, and when to look again."""
    orders: list[Order] = []
    look: list[datetime] = []
    free: list[_Held] = []
    headroom = Headroom(view, now)
    running = {r.request_key for r in view.requests if r.state is RequestState.ACTIVE and not view.halted}
    for e in sorted(view.evses, key=lambda x: x.evse_id):
        want = wanted.get(e.evse_id)
        if want is None:
            held = _held(e, now)
            # Who refuses is left alone for a while, but not longer than there is a request to be left alone by.
            if held is not None and (e.hears or (e.refuses and held.limit.request_key not in running)):
                free.append(held)
            continue
        end = _end(e, want)
        if end is not None and end <= now:
            continue
        if e.limit is not None and same_limit(e.limit.max_a, want.limit_a) and e.holds(now):
            until = _renewed(e, e.limit, want, now, rules)
            if until is not None:
                orders.append(_order(e, want, until, renewal=True))
            continue
        until = _until(e, want, now, rules)
        if e.next_change_at is not None and now < e.next_change_at and not want.law:
            look.append(e.next_change_at)
            orders += _lasting(e, want, until, now, rules)
            continue
        if not headroom.takes(e, want.limit_a):
            look.append(now + AGAIN)
            orders += _lasting(e, want, until, now, rules)
            continue
        # A ramp may hold what rises to a ceiling's share for long: first it is made to last, then it rises.
        orders += _lasting(e, want, until, now, rules) or [_order(e, want, until)]
    more, next_release = _releases(view, free, headroom, now, rules)
    orders += more
    orders += _holds(view, wanted, now, rules)
    return orders, look + next_release


def _order(e: EvseView, want: Wanted, until: datetime, *, renewal: bool = False) -> Order:
    return Order(
        evse_id=e.evse_id,
        limit_a=want.limit_a,
        until=until,
        cause=want.cause,
        request_key=want.request.request_key if want.request else None,
        node_id=want.node_id,
        line=want.line,
        would_draw_a=e.would_draw_a,
        asked_kw=e.gives_kw(want.limit_a),
        plugged_at=e.plugged_at,
        renewal=renewal,
        law=want.law,
    )


def _lasting(e: EvseView, want: Wanted, until: datetime, now: datetime, rules: Rules) -> list[Order]:
    """What waits to come up to a ceiling's share must not end before: the limit that stands gets its lease."""
    held = _held(e, now)
    if want.cause is not Cause.CEILING or held is None or held.limit_a > want.limit_a or not e.holds(now):
        return []
    if held.limit.ends_at - now >= _lease(want.cause, rules) / 2:
        return []
    return [_order(e, replace(want, limit_a=held.limit_a), until, renewal=True)]


def _lease(cause: Cause, rules: Rules) -> timedelta:
    return timedelta(seconds=_lease_s(cause, rules))


def _lease_s(cause: Cause, rules: Rules) -> float:
    return rules.ceiling_lease_s if cause is Cause.CEILING else rules.lease_s


def _renewed(e: EvseView, stands: Limit, want: Wanted, now: datetime, rules: Rules) -> datetime | None:
    """Until when a limit that stands as it is wanted is said again; None: it need not be. Hot: mostly it need not."""
    # A ceiling leant on it and does not any more: a shed's limit may not last that long (promise P3).
    leant_on = stands.cause is Cause.CEILING and want.cause is not Cause.CEILING
    soon_over = (stands.ends_at - now).total_seconds() < _lease_s(want.cause, rules) / 2
    if not (leant_on or soon_over):
        return None
    until = _until(e, want, now, rules)
    return until if (soon_over and stands.ends_at < until) or (leant_on and stands.until > until) else None


def _end(e: EvseView, want: Wanted) -> datetime | None:
    """When what wants the limit is over; None: that is open."""
    if want.cause is Cause.OPERATOR:
        return e.by_hand_until
    return want.request.end_at if want.request is not None and want.cause is Cause.SHED else None


def _until(e: EvseView, want: Wanted, now: datetime, rules: Rules) -> datetime:
    """When the limit ends by itself: at the event's end or the lease, whichever is first.

    Leases end spread out over their last fifth, so that a silent emw does not free all cars in one second.
    """
    lease = _lease(want.cause, rules)
    spread = 0.8 + 0.2 * lot(e.evse_id, "lease")
    until, end = now + lease * spread, _end(e, want)
    return min(until, end) if end is not None else until


def _releases(
    view: View, free: Sequence[_Held], headroom: Headroom, now: datetime, rules: Rules
) -> tuple[list[Order], list[datetime]]:
    """The staged way back: opted-out drivers first, then who brings no load, then those in need, along every ramp.

    Drivers of whom no more is known than of others go in an order drawn by lot, for each request anew.
    """
    room = _room(view, _rise_kw(free), rules)
    ramp_left: timedelta | None = None
    moved: set[str] = set()
    orders: list[Order] = []
    look: list[datetime] = []
    lots = {h.evse.evse_id: lot(h.evse.evse_id, h.limit.request_key or "") for h in free}
    for held in sorted(free, key=lambda h: (*_turn(h), lots[h.evse.evse_id], h.evse.evse_id)):
        e, limit, rise_kw = held.evse, held.limit, held.rise_kw
        fits = all(rise_kw <= room.get(n, rise_kw) or (n not in moved and room[n] > 0) for n in e.path)
        waits = e.next_change_at is not None and now < e.next_change_at
        if e.by_driver:  # a driver's word waits for the grid's own ramp alone, which the governor watches
            fits, waits = True, False
        if fits and not waits and headroom.takes(e, None):
            for node_id in e.path:
                if node_id in room:
                    room[node_id] = max(0.0, room[node_id] - rise_kw)
                    moved.add(node_id)
            orders.append(
                Order(
                    evse_id=e.evse_id,
                    limit_a=None,
                    until=now,
                    cause=Cause.HALT if view.halted or e.stopped else Cause.RESTORATION,
                    request_key=limit.request_key,
                    node_id=limit.node_id,
                    would_draw_a=e.would_draw_a,
                    asked_kw=0.0,
                    driver=e.by_driver,
                )
            )
            if e.by_driver:
                look.append(now + AGAIN)  # in case that it was held
            continue
        look.append(e.next_change_at if waits and e.next_change_at is not None else now + AGAIN)
        # What stands for a day because of a ceiling must not, once only the way back needs it.
        too_long = limit.cause is Cause.CEILING and limit.until - now > rules.hold
        ends_soon = limit.until - now < timedelta(seconds=rules.hold_before_end_s)
        # One above a knob turned down since holds nothing back, and may not be said again (promise P4).
        if held.limit_a <= e.max_a and not waits and (too_long or ends_soon):
            ramp_left = ramp_left or _ramp_left(view, free, rules)
            orders.append(_lengthen(held, now + ramp_left))
    return orders, look


def _turn(held: _Held) -> tuple[bool, bool, float]:
    """Whose turn it is to be let go, the least first."""
    price = held.evse.price
    return (
        not held.evse.opted_out,
        held.rise_kw > LEAST_KW,
        0.0 if price is None else -held.evse.priority * price.hold,
    )


def _return_kw_per_min(view: View, rules: Rules) -> dict[str, float]:
    """How fast load comes back under each node with a request: over `return_min`; small sheds faster than that."""
    found: dict[str, float] = {}
    for r in view.requests if not view.halted else ():
        per_min = max(r.kw / rules.return_min, rules.ramp_floor_kw_per_min)
        found[r.territory_id] = max(found.get(r.territory_id, 0.0), per_min)
    return found


def _rise_kw(held: Sequence[_Held]) -> dict[str, float]:
    """The load that comes back under each node once all of these are let go, kW."""
    rise: defaultdict[str, float] = defaultdict(float)
    for h in held:
        for node_id in h.evse.path:
            rise[node_id] += h.rise_kw
    return rise


def _room(view: View, rise_kw: Mapping[str, float], rules: Rules) -> dict[str, float]:
    """How much each node's load may rise now: along its ramps, to no new peak. A halt knows only the grid ramp.

    The highest load is an estimate on the careful side. The last few, who bring no more than a grid can feel, don't
    wait for it: they could wait until its patience is over, for a peak that is none.
    """
    room = dict(view.may_rise_kw)
    for node_id, per_min in _return_kw_per_min(view, rules).items():
        if node_id in room:
            room[node_id] = min(room[node_id], max(per_min - view.rose_kw.get(node_id, 0.0), 0.0))
    if view.halted or not view.highest_kw:
        return room
    load: defaultdict[str, float] = defaultdict(float)
    for e in view.evses:
        limit_a = e.limit.max_a if e.limit is not None else None
        for node_id in e.path:
            load[node_id] += e.kw_per_a * e.now_a(limit_a)
    for node_id, highest_kw in view.highest_kw.items():
        if node_id in room and rise_kw.get(node_id, 0.0) > rules.ramp_floor_kw_per_min:
            room[node_id] = min(room[node_id], max(highest_kw - load[node_id], 0.0))
    return room


def _holds(
    view: View,
    wanted: Mapping[str, Wanted],
    now: datetime,
    rules: Rules,
) -> list[Order]:
    """Just before an event ends, lengthen the limits that a staged return still needs; else all rise in one second."""
    due: list[_Held] = []
    soon = timedelta(seconds=rules.hold_before_end_s)
    if not any(r.end_at is not None and r.end_at - now <= soon for r in view.requests):
        return []
    for e in view.evses:
        want, held = wanted.get(e.evse_id), _held(e, now)
        end = want.request.end_at if want and want.request else None
        if end is None or held is None or want is None or want.cause is not Cause.SHED:
            continue
        if end - now > soon or held.limit.until > end or e.why_not is not None:
            continue
        if same_limit(held.limit_a, want.limit_a):
            due.append(held)
    rise = _rise_kw(due)
    room = _room(view, rise, rules)
    tight = {n for n, kw in rise.items() if n in room and kw > room[n]}
    staged = [h for h in due if tight.intersection(h.evse.path)]
    until = now + min(_ramp_left(view, staged, rules) + soon, rules.hold)
    return [_lengthen(h, until) for h in sorted(staged, key=lambda h: h.evse.evse_id)]


def _held(e: EvseView, now: datetime) -> _Held | None:
    if e.limit is None or e.limit.max_a is None or not e.limit.in_force(now):
        return None
    return _Held(e, e.limit, e.limit.max_a)


def _lengthen(held: _Held, until: datetime) -> Order:
    """The same amps for longer: no load moves, so it counts as no change."""
    return Order(
        evse_id=held.evse.evse_id,
        limit_a=held.limit_a,
        until=until,
        cause=Cause.RESTORATION,
        request_key=held.limit.request_key,
        node_id=held.limit.node_id,
        would_draw_a=held.evse.would_draw_a,
        asked_kw=held.limit.asked_kw,
        plugged_at=held.evse.plugged_at,
        renewal=True,
    )


def _ramp_left(view: View, held: Sequence[_Held], rules: Rules) -> timedelta:
    """How long the staged return of these EVSEs takes at most, with a minute to spare, or its next piece."""
    rise = _rise_kw(held)
    load: defaultdict[str, float] = defaultdict(float)
    for e in view.evses:
        for node_id in e.path:
            load[node_id] += e.kw_per_a * e.would_draw_a
    per_min = {
        n: max(kw * rules.restore_share_per_min, rules.ramp_floor_kw_per_min) for n, kw in load.items()
    }
    for node_id, kw in _return_kw_per_min(view, rules).items():
        per_min[node_id] = min(per_min.get(node_id, kw), kw)
    minutes = max((kw / per_min[n] for n, kw in rise.items()), default=0.0)
    return min(timedelta(minutes=minutes + 1.0), rules.hold)


def same_limit(a: float | None, b: float | None) -> bool:
    """Whether two limits are the same to a station."""
    return a is not None and b is not None and abs(a - b) < SMALL_A


def lot(evse_id: str, salt: str) -> float:
    """A number in [0, 1) that belongs to this EVSE and salt: chance without dice, the same in every process."""
    digest = hashlib.blake2b(f"{salt}:{evse_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
