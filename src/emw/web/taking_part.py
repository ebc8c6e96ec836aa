"""Who takes part in a request: each part as it is on record, and beside it what is true now of those that go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from emw.domain.model import Limit
from emw.service.headend import HeadEnd
from emw.web.board import Board

Row = Mapping[str, Any]
By = Literal["evse", "joined", "left", "limit", "now", "gave"]
PAGE: Final = 100
FROM_BELOW: Final = frozenset({"evse", "joined"})
"""Orders that begin with the least where nobody says otherwise."""


class TakesPart(NamedTuple):
    """One EVSE's part in a request. A vehicle that follows another at the same EVSE is another part."""

    evse_id: str
    joined_at: datetime
    left_at: datetime | None
    why_left: str | None
    limit: Limit | None
    """What holds it now, for whatever cause; None: nothing does, or the part is over."""
    now_kw: float | None
    """What it is believed to give now; None: the part is over, or no meter tells."""
    gave_kwh: float
    """So far, or in all."""


class Page(NamedTuple):
    """Some of the parts, in an order."""

    rows: Sequence[TakesPart]
    number: int
    """From 1."""
    pages: int
    total: int


async def enrolments(headend: HeadEnd, key: str, limit: int, offset: int = 0) -> list[Row]:
    """The parts in the request `key` by EVSE, with what those that go on have given so far: a store knows that of
    those that are over.
    """
    rows = await headend.store.query("enrolments", request_key=key, limit=limit, offset=offset)
    given = headend.accounts.part_kwh
    return [{**r, "measured_kwh": given(key, r["evse_id"])} if r["left_at"] is None else r for r in rows]


def taking_part(board: Board, enrolled: Iterable[Row]) -> list[TakesPart]:
    """Parts as they stand now."""
    board.look()
    return [_part(board, row) for row in enrolled]


def _part(board: Board, row: Row) -> TakesPart:
    stands = board.rows.get(row["evse_id"]) if row["left_at"] is None else None
    return TakesPart(
        row["evse_id"],
        row["joined_at"],
        row["left_at"],
        row["why_left"],
        stands.limit if stands is not None and stands.limited else None,
        board.shed_kw(stands) if stands is not None else None,
        row["measured_kwh"],
    )


_ORDERS: Final[Mapping[By, Callable[[TakesPart], Any]]] = {
    "evse": lambda p: p.evse_id,
    "joined": lambda p: p.joined_at,
    "left": lambda p: p.left_at,
    "limit": lambda p: None if p.limit is None else p.limit.max_a,
    "now": lambda p: p.now_kw,
    "gave": lambda p: p.gave_kwh,
}


def page_of(parts: Sequence[TakesPart], by: By, number: int, *, up: bool) -> Page:
    """The parts of one page; what is not known comes last, whichever way. Beyond the last page it is the last one."""
    order = _ORDERS[by]
    known = [p for p in parts if order(p) is not None]
    known.sort(key=lambda p: (p.evse_id, p.joined_at))
    known.sort(key=order, reverse=not up)
    found = [*known, *(p for p in parts if order(p) is None)]
    pages = max(-(-len(found) // PAGE), 1)
    number = min(number, pages)
    return Page(found[(number - 1) * PAGE : number * PAGE], number, pages, len(found))
