"""The activity log over the API: pages, and whole downloads as CSV or JSON lines."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Stream

from emw.domain.facts import FACTS
from emw.service.errors import BadInput
from emw.service.headend import HeadEnd
from emw.web.auth import viewer
from emw.web.given import EvseQuery, Limited, Since, Text, TheHeadEnd, TheTongue, Until, aware, settled
from emw.web.log_words import activity_of
from emw.web.tongue import Tongue
from emw.web.wire import ActivityOut, Out

PAGE: Final = 1_000
COLUMNS: Final = ("seq", "at", "actor", "kind", "text", "details")
Short = Annotated[str | None, QueryParameter(max_length=255)]


class ActivityPage(Out):
    """One page of the log, newest first; `nextBeforeSeq` continues it, None: that was all."""

    items: list[ActivityOut]
    limit: int
    next_before_seq: int | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows are wanted; None filters nothing."""

    kind: str | None
    evse_id: str | None
    request_key: str | None
    iso_id: str | None
    territory_id: str | None
    actor: str | None
    since: datetime | None
    until: datetime | None
    text: str | None

    def parameters(self) -> dict[str, Any]:
        """As the store's question takes them."""
        return {n: getattr(self, n) for n in self.__slots__ if getattr(self, n) is not None}


def asked_of(
    kind: Short = None,
    evse_id: EvseQuery = None,
    request_key: Annotated[str | None, QueryParameter(name="requestKey", max_length=255)] = None,
    iso_id: Annotated[str | None, QueryParameter(name="isoID", max_length=64)] = None,
    territory: Short = None,
    actor: Short = None,
    since: Since = None,
    until: Until = None,
    text: Text = None,
) -> Asked:
    """The filters of a call, checked."""
    if kind is not None and kind not in FACTS:
        raise BadInput("kind", f"is none of {', '.join(sorted(FACTS))}")
    return Asked(
        kind,
        evse_id,
        request_key,
        iso_id,
        territory,
        actor,
        aware(since, "since"),
        aware(until, "until"),
        text,
    )


TheAsked = NamedDependency[Asked]


class Activity(Controller):
    """The activity log."""

    tags = ("Activity log",)

    @get("/activity", guards=[viewer], summary="The activity log, newest first")
    async def page(
        self,
        headend: TheHeadEnd,
        asked: TheAsked,
        tongue: TheTongue,
        before_seq: Annotated[int | None, QueryParameter(name="beforeSeq", ge=0, le=2**62)] = None,
        limit: Limited = 100,
    ) -> ActivityPage:
        """Every fact with when, who, what kind, what it means in words (Accept-Language), and its fields."""
        await settled(headend)
        items = await _page(headend, asked, before_seq, limit, tongue)
        more = len(items) == limit
        return ActivityPage(items=items, limit=limit, next_before_seq=items[-1].seq if more else None)

    @get("/activity.csv", guards=[viewer], summary="The log as CSV", media_type="text/csv")
    async def as_csv(
        self,
        headend: TheHeadEnd,
        asked: TheAsked,
        tongue: TheTongue,
        limit: Annotated[int, QueryParameter(ge=1, le=10_000_000)] = 100_000,
    ) -> Stream:
        """Newest first. Cells that a spreadsheet would take for a formula are quoted."""
        await settled(headend)
        return await _download(_csv(headend, asked, limit, tongue), "text/csv", "activity.csv")

    @get("/activity.jsonl", guards=[viewer], summary="The log as JSON lines", media_type="application/jsonl")
    async def as_lines(
        self,
        headend: TheHeadEnd,
        asked: TheAsked,
        tongue: TheTongue,
        limit: Annotated[int, QueryParameter(ge=1, le=10_000_000)] = 100_000,
    ) -> Stream:
        """Newest first, one object a line."""
        await settled(headend)
        return await _download(_lines(headend, asked, limit, tongue), "application/jsonl", "activity.jsonl")


async def _page(
    headend: HeadEnd, asked: Asked, before_seq: int | None, limit: int, tongue: Tongue
) -> list[ActivityOut]:
    more = {} if before_seq is None else {"before_seq": before_seq}
    rows = await headend.store.query("activity", limit=limit, **asked.parameters(), **more)
    return [activity_of(row, tongue) for row in rows]


async def _pages(
    headend: HeadEnd, asked: Asked, limit: int, tongue: Tongue
) -> AsyncGenerator[list[ActivityOut], None]:
    """The log in pieces: a download of millions of rows is never in memory as a whole."""
    before: int | None = None
    while limit > 0:
        items = await _page(headend, asked, before, min(PAGE, limit), tongue)
        if items:
            yield items
        if len(items) < min(PAGE, limit):
            return
        limit -= len(items)
        before = items[-1].seq


async def _csv(headend: HeadEnd, asked: Asked, limit: int, tongue: Tongue) -> AsyncGenerator[str, None]:
    head = ",".join(COLUMNS) + "\r\n"
    async for items in _pages(headend, asked, limit, tongue):
        file = io.StringIO()
        file.write(head)
        head = ""
        writer = csv.writer(file)
        for x in items:
            details = msgspec.json.encode(x.details).decode()
            writer.writerow((x.seq, x.at.isoformat(), *(cell(t) for t in (x.actor, x.kind, x.text, details))))
        yield file.getvalue()
    if head:
        yield head


async def _lines(headend: HeadEnd, asked: Asked, limit: int, tongue: Tongue) -> AsyncGenerator[bytes, None]:
    async for items in _pages(headend, asked, limit, tongue):
        yield b"".join(msgspec.json.encode(x) + b"\n" for x in items)


def cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula (safety A13)."""
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


async def _download(body: AsyncGenerator[Any, None], media: str, name: str) -> Stream:
    """The first piece is there before the answer begins: what was asked wrongly can still be refused."""
    first = await anext(body, None)

    async def pieces() -> AsyncGenerator[Any, None]:
        if first is not None:
            yield first
        async for piece in body:
            yield piece

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(pieces(), media_type=media, headers=headers)
