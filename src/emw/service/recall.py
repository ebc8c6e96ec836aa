"""What moved load before a crash counts after it: ramp, rhythm and gap are promises to the grid, not to us."""

from __future__ import annotations

import heapq
from collections.abc import Container, Mapping, Sequence
from datetime import datetime

from emw.domain import facts as f
from emw.domain.state import State
from emw.engine.governor import Governor
from emw.service.picture import Picture
from emw.service.ports import Recent


def recall(
    recent: Sequence[Recent], state: State, picture: Picture, governor: Governor, now: datetime
) -> None:
    """Tell the governor what the last commands moved, in their order, and which of their limits ended by themselves."""
    could_kw = picture.weigh()
    held: dict[str, f.CommandIssued] = {}
    empty: set[str] = set()
    ends: list[tuple[datetime, str]] = []

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


def _end(
    state: State,
    picture: Picture,
    held: Mapping[str, f.CommandIssued],
    empty: Container[str],
    at: datetime,
    evse_id: str,
) -> None:
    """A limit ended by itself before the crash: its load was back, without a command."""
    command, evse = held.get(evse_id), state.evses[evse_id]
    if command is None or command.until != at or command.max_a is None or evse_id in empty:
        return
    picture.ended(command.command_id, evse, command.would_draw_a, command.max_a, at)
