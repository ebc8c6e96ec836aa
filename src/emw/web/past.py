"""The hours of the live page that nobody watched: what the store kept of them, and what was asked then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from emw.domain.state import State
from emw.web.board import Board

Point = tuple[datetime, float, float | None, float | None, float | None]
"""When; load, load without limits, target and what could be shed, kW."""
HALF_INTERVAL: Final = timedelta(minutes=2.5)


def unwatched(state: State, board: Board, at: datetime, load_kw: float, shed_kw: float | None) -> Point:
    """The point in the middle of five minutes, `at`.

    `shed_kw`: how much more those who were held are believed to have drawn without that; None where nobody was. Then
    there is no baseline to tell: who was let go may still draw what he was kept from before.
    """
    # On the way back cars are limited still, and of those nothing is kept.
    back = any(
        r.ended_at is not None
        and r.ended_at <= at + HALF_INTERVAL
        and (r.closed_at is None or at - HALF_INTERVAL <= r.closed_at)
        for r in state.requests.values()
    )
    wanted = board.wanted(
        r
        for r in state.requests.values()
        if r.started_at is not None and r.started_at <= at and (r.ended_at is None or at < r.ended_at)
    )
    asked_kw = sum(kw for n, kw in wanted.items() if state.territories[n].parent_id not in wanted)
    if back or shed_kw is None:
        return at, round(load_kw, 2), None, None, None
    baseline_kw = load_kw + shed_kw
    target_kw = round(max(baseline_kw - asked_kw, 0.0), 2) if asked_kw else None
    return at, round(load_kw, 2), round(baseline_kw, 2), target_kw, None
