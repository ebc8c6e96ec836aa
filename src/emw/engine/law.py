"""How a node's ceilings are kept: what is over is shared, marked as the law's, and made to last. Pure.

A law counts what could be drawn, not what is: nothing may rise above it in the next second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from emw.domain.model import Cause, Territory
from emw.engine.ceilings import NEAR, Ceiling, Could, ceilings_of
from emw.engine.evenly import evenly
from emw.engine.view import EvseView
from emw.engine.wanted import Wanted, limit_of

FULL_A = 0.5
"""A vehicle that would draw less is full, or has not begun."""


def hold_under(node: Territory, pool: Sequence[EvseView], wanted: dict[str, Wanted], now: datetime) -> None:
    """Bring what the EVSEs under a node could draw below its ceilings."""

    def could(e: EvseView) -> float:
        if not e.hears:
            return e.stands_a(now)  # it can't be told otherwise
        return e.drawn_a(limit_of(wanted, e), e.potential_a)

    def pressed(law: tuple[Ceiling, Sequence[EvseView]]) -> float:
        ceiling, on_it = law
        return ceiling.over(on_it, could) / max(ceiling.most, NEAR)

    laws = [(c, c.on_it(pool)) for c in ceilings_of(node)]
    if len(laws) > 1:
        # The hardest pressed first: what an EVSE on several lines gives to one of them, the others need not take again.
        laws.sort(key=pressed, reverse=True)
    for ceiling, on_it in laws:
        _share_under(ceiling, on_it, wanted, could)


def by_shed(evses: Sequence[EvseView], wanted: Mapping[str, Wanted]) -> None:
    """What a ceiling lowered of a shed's is the shed's, until it turns out which of it a ceiling can't do without.

    The next round would see it so: said at once, nobody is told twice.
    """
    for e in evses:
        want = wanted.get(e.evse_id)
        if want is None or want.request is None or want.cause is not Cause.CEILING or e.why_not is not None:
            continue
        if want.limit_a >= e.floor_a or e.may_pause:
            want.cause, want.line = Cause.SHED, None


def make_sure(node: Territory, pool: Sequence[EvseView], wanted: Mapping[str, Wanted], now: datetime) -> None:
    """Mark the limits that a node's ceilings count on, and make them last, whoever else wants them."""
    for ceiling in ceilings_of(node):
        on_it = ceiling.on_it(pool)
        _mark_law(ceiling, on_it, wanted, now)
        _make_last(ceiling, on_it, wanted, now)


def _mark_law(
    ceiling: Ceiling, pool: Sequence[EvseView], wanted: Mapping[str, Wanted], now: datetime
) -> None:
    """Where a ceiling is broken as things stand, what brings the load below it is the law's: a shed, too."""
    over = ceiling.over(pool, lambda e: e.stands_a(now))
    for e in pool:
        want = wanted.get(e.evse_id)
        if over <= 0:
            return
        if want is not None:
            falls = ceiling.per_a(e) * (e.stands_a(now) - e.drawn_a(want.limit_a, e.potential_a))
            if falls > 0:
                want.law = True
                over -= falls


def _make_last(
    ceiling: Ceiling, pool: Sequence[EvseView], wanted: Mapping[str, Wanted], now: datetime
) -> None:
    """Where a ceiling leans on what a shed takes, as many of those limits as it needs get the ceiling's lease.

    A shed ends by itself soon after emw is gone (promise P3), and the ceiling must not end with it (promise P12).
    As few as do it: who lasts already, then who brings most, and who would stand still for a day at the very last.
    """

    def left_a(e: EvseView) -> float:
        """What it could come to draw once every limit that may end has ended."""
        want = wanted.get(e.evse_id)
        if want is not None:
            return e.drawn_a(want.limit_a, e.potential_a) if lasts(want) else e.potential_a
        told = e.limit is not None and e.limit.cause is Cause.CEILING and e.why_not is not None
        return e.stands_a(now) if told else e.potential_a

    def lasts(want: Wanted) -> bool:
        return want.cause is Cause.CEILING

    def turn(found: tuple[EvseView, Wanted, float]) -> tuple[bool, bool, float, str]:
        e, want, keeps = found
        stands = e.limit is not None and e.limit.cause is Cause.CEILING and e.holds(now)
        return not stands, want.limit_a < e.floor_a, -keeps, e.evse_id

    over = ceiling.over(pool, left_a)
    able = [
        (e, want, ceiling.per_a(e) * (e.potential_a - e.drawn_a(want.limit_a, e.potential_a)))
        for e in pool
        if (want := wanted.get(e.evse_id)) is not None and not lasts(want)
    ]
    for _, want, keeps in sorted(able, key=turn):
        if over <= NEAR:
            return
        if keeps > 0:
            want.cause, want.node_id, want.line = Cause.CEILING, ceiling.node_id, ceiling.line
            over -= keeps


def _share_under(ceiling: Ceiling, pool: Sequence[EvseView], wanted: dict[str, Wanted], could: Could) -> None:
    over = ceiling.over(pool, could)
    if over <= 0:
        return
    # Opted out is a driver's wish; a ceiling is not one of the things a driver can refuse.
    bound = [e for e in pool if e.hears]
    over = _less_for_the_full(ceiling, bound, wanted, could, over)
    if over <= NEAR:
        return
    fleet = [e.flexible(could(e), ceiling.per_a(e)) for e in bound]
    step = max((ceiling.per_a(e) * e.step_a for e in bound), default=0.0)
    result = evenly(fleet, over)
    if result.short_kw > NEAR and any(not e.may_pause for e in bound):
        # At the floor and still over: equipment comes before a car that may not wake from a pause.
        result = evenly([e._replace(may_pause=True) for e in fleet], over + step)
    for share in result.shares:
        if share.limit_a is not None:
            _lower(ceiling, wanted, share.evse_id, share.limit_a)


def _less_for_the_full(
    ceiling: Ceiling, bound: Sequence[EvseView], wanted: dict[str, Wanted], could: Could, over: float
) -> float:
    """Who is full misses nothing at its floor, and the others need the room; returns what is over still."""
    for e in sorted(bound, key=lambda e: e.evse_id):
        if over <= NEAR:
            break
        if e.would_draw_a < FULL_A and could(e) > e.drawn_a(e.floor_a, e.potential_a) + NEAR:
            before_a = could(e)
            _lower(ceiling, wanted, e.evse_id, e.floor_a)
            over -= ceiling.per_a(e) * (before_a - could(e))
    return over


def _lower(ceiling: Ceiling, wanted: dict[str, Wanted], evse_id: str, limit_a: float) -> None:
    """A ceiling's limit; which request it serves besides stays."""
    want = wanted.get(evse_id)
    request = None if want is None else want.request
    wanted[evse_id] = Wanted(limit_a, Cause.CEILING, request, ceiling.node_id, line=ceiling.line)
