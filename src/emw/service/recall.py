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
    would_a = _believed_next(recent, state, picture)
    ends = [(limit.until, limit.evse_id) for limit in older]
    heapq.heapify(ends)

    def ended(until: datetime) -> None:
        while ends and ends[0][0] <= until:
            _end(state, picture, held, would_a, empty, *heapq.heappop(ends))

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
        free_a = fact.would_draw_a
        before_a = free_a if fact.replaces_a is None else min(free_a, fact.replaces_a)
        after_a = free_a if fact.max_a is None else min(free_a, fact.max_a)
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


def _believed_next(recent: Sequence[Recent], state: State, picture: Picture) -> dict[str, float]:
    """What each command's vehicle was believed to draw, A, when it was looked at next: by its next command, or now.

    Where that is more than was believed as it was issued, so much came back when the limit ended: else the next command
    would take away what had never come back. Nothing is said where the vehicle has left since.
    """
    found: dict[str, float] = {}
    next_a = {
        evse.evse_id: picture.would_a(evse) for evse in state.evses.values() if evse.session_id is not None
    }
    for limit in state.limits.values():
        session = state.session_of(state.evses[limit.evse_id]) if limit.evse_id in next_a else None
        if session is not None and session.started_at <= limit.issued_at:
            found[limit.command_id] = next_a[limit.evse_id]
    for fact in reversed(recent):
        if not isinstance(fact, f.CommandIssued):
            next_a.pop(fact.evse_id, None)
            continue
        if fact.evse_id in next_a:
            found[fact.command_id] = next_a[fact.evse_id]
        next_a[fact.evse_id] = fact.would_draw_a
    return found


def _end(
    state: State,
    picture: Picture,
    held: Mapping[str, f.CommandIssued | Limit],
    would_a: Mapping[str, float],
    empty: Container[str],
    at: datetime,
    evse_id: str,
) -> None:
    """A limit ended by itself before the crash: its load was back, without a command."""
    command, evse = held.get(evse_id), state.evses[evse_id]
    if command is None or command.until != at or command.max_a is None or evse_id in empty:
        return
    free_a = max(would_a.get(command.command_id, 0.0), command.would_draw_a)
    picture.ended(command.command_id, evse, free_a, command.max_a, at)
