"""What moved load before a crash counts after it: ramp, rhythm and gap are promises to the grid, not to us."""

from __future__ import annotations

import heapq
from collections.abc import Container, Mapping, Sequence
from datetime import datetime, timedelta

from emw.domain import facts as f
from emw.domain.model import Limit
from emw.domain.state import State
from emw.engine.governor import Governor
from emw.service.picture import Picture
from emw.service.ports import Recent

LATELY = timedelta(minutes=30)
"""A limit that ended by itself before that turned no load that still counts."""


def recall(
    recent: Sequence[Recent], state: State, picture: Picture, governor: Governor, now: datetime
) -> None:
    """Tell the governor what the last commands moved, in their order, and which of their limits ended by themselves."""
    could_kw = picture.weigh()
    older = _older(recent, state, now)
    held: dict[str, f.CommandIssued | Limit] = {limit.evse_id: limit for limit in older}
    empty = held.keys() - _occupied(recent, state)
    ends = [(limit.until, limit.evse_id) for limit in older]
    heapq.heapify(ends)

    def ended(until: datetime) -> None:
        while ends and ends[0][0] <= until:
            _end(state, picture, held, empty, *heapq.heappop(ends))

    for fact in recent:
        evse = state.evses.get(fact.evse_id)
        if evse is None:
            continue
        ended(fact.at)
        # Where nobody stands no load comes back when a limit ends; the next car may have come before that.
        if isinstance(fact, f.SessionEnded):
            empty.add(fact.evse_id)
            continue
        if isinstance(fact, f.SessionStarted):
            empty.discard(fact.evse_id)
            continue
        held[fact.evse_id] = fact
        if fact.max_a is not None:
            heapq.heappush(ends, (fact.until, fact.evse_id))
        if fact.renewal:
            continue
        would_a = fact.would_draw_a
        before_a = would_a if fact.replaces_a is None else min(would_a, fact.replaces_a)
        after_a = would_a if fact.max_a is None else min(would_a, fact.max_a)
        governor.recall(
            fact.evse_id,
            state.path(evse.territory_id),
            evse.kw_per_a * (after_a - before_a),
            fact.at.timestamp(),
            fact.could_kw,
        )
    ended(now)
    governor.know(could_kw)
    picture.all_ended(now)


def _older(recent: Sequence[Recent], state: State, now: datetime) -> list[Limit]:
    """Limits that ended lately and were set before the log's end begins: a ceiling's lasts an hour and longer."""
    known = {fact.command_id for fact in recent if isinstance(fact, f.CommandIssued)}
    return [
        limit
        for limit in state.limits.values()
        if limit.max_a is not None
        and now - LATELY < limit.until <= now
        and limit.command_id not in known
        and limit.evse_id in state.evses
    ]


def _occupied(recent: Sequence[Recent], state: State) -> set[str]:
    """Where a vehicle stood when the log's end begins: as it is now, but for what came and left since."""
    here = {evse.evse_id for evse in state.evses.values() if evse.session_id is not None}
    for fact in reversed(recent):
        if isinstance(fact, f.SessionStarted):
            here.discard(fact.evse_id)
        elif isinstance(fact, f.SessionEnded):
            here.add(fact.evse_id)
    return here


def _end(
    state: State,
    picture: Picture,
    held: Mapping[str, f.CommandIssued | Limit],
    empty: Container[str],
    at: datetime,
    evse_id: str,
) -> None:
    """A limit ended by itself before the crash: its load was back, without a command."""
    command, evse = held.get(evse_id), state.evses[evse_id]
    if command is None or command.until != at or command.max_a is None or evse_id in empty:
        return
    picture.ended(command.command_id, evse, command.would_draw_a, command.max_a, at)
