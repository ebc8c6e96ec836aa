"""The grid's side of things over the API: connections, events as a timeline, what is not served and why."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, get
from litestar.params import QueryParameter
from msgspec import Meta

from emw.domain.signals import GridReport, GridSignal, Segment
from emw.service.grid_standing import GridSeen
from emw.service.grid_view import Unserved, events, reports_on, unserved
from emw.service.headend import HeadEnd
from emw.web.auth import viewer
from emw.web.given import Limited, Offset, TheHeadEnd, settled
from emw.web.wire import Out, Page, told, whole

Source = Annotated[str | None, QueryParameter(name="sourceID", max_length=64)]


class UnreadableOut(Out):
    """An event of the VTN that emw can't read."""

    event_id: str | None
    why: str


class NotifiedOut(Out):
    """What became of our own VTN's notifications since the start. `muted`: callbacks that are called no more."""

    delivered: int
    dropped: int
    muted: int


class ConnectionOut(Out):
    """A VTN. `connected` None: not known yet. `notifications`: webhook and MQTT, where they are wanted.

    `notified`: how the subscribers of our own VTN are told; null: it is somebody else's.
    """

    source_id: str
    name: str
    url: str
    protocol: str
    connected: bool | None
    since: datetime | None
    why: Annotated[str | None, Meta(description="What is wrong, in words.")]
    polled_at: datetime | None
    heard_at: datetime | None
    next_poll_at: datetime | None
    polls: int
    failures: int
    events: int
    reports_owed: int
    notifications: dict[str, str]
    notified_at: datetime | None
    notified: NotifiedOut | None
    unreadable: list[UnreadableOut]


class SegmentOut(Out):
    """A stretch of an event, [start, end): what it asks of which territory, or why nothing is done about it."""

    start: datetime
    end: datetime | None
    kind: str
    value: float | None
    territory: str | None
    said: Annotated[str, Meta(description="The payload in the grid's words.")]
    why_not: str | None


class GridReportOut(Out):
    """A report on an event."""

    name: str
    queued_at: datetime
    delivered_at: datetime | None
    dropped_at: datetime | None
    reason: str | None


class GridEventOut(Out):
    """An event in force, ahead, or over and still at its VTN."""

    source_id: str
    event_id: str
    name: str | None
    program: str
    priority: int | None
    version: int
    first_seen_at: datetime
    changed_at: datetime
    segments: list[SegmentOut]
    notes: list[str]
    request_keys: list[str]
    reports: list[GridReportOut]


class UnservedOut(Out):
    """A payload that nothing is done about."""

    source_id: str
    event_id: str
    name: str | None
    program: str
    said: str
    territory: str | None
    start: datetime
    end: datetime | None
    why: str


class Grid(Controller):
    """What grid systems say, and how they can be heard."""

    path = "/grid"
    tags = ("Grid signals",)

    @get("/connections", guards=[viewer], summary="The VTNs, and whether they can be heard")
    async def connections(self, headend: TheHeadEnd) -> Page[ConnectionOut]:
        """By name. `heardAt` is the last complete listing."""
        await settled(headend)
        seen = sorted((source.seen() for source in headend.grids), key=lambda s: s.name)
        items = [_connection(headend, s) for s in seen]
        return whole(items)

    @get("/events", guards=[viewer], summary="Events as a timeline")
    async def events(
        self, headend: TheHeadEnd, source_id: Source = None, limit: Limited = 100, offset: Offset = 0
    ) -> Page[GridEventOut]:
        """Soonest first; those that are over and still at their VTN come last."""
        await settled(headend)
        found = events(headend, source_id)
        items = [_event(headend, s) for s in found[offset : offset + limit]]
        return Page(items=items, total=len(found), limit=limit, offset=offset)

    @get("/unserved", guards=[viewer], summary="Payloads that nothing is done about, and why")
    async def unserved(
        self, headend: TheHeadEnd, limit: Limited = 100, offset: Offset = 0
    ) -> Page[UnservedOut]:
        """Of now and later, soonest first."""
        await settled(headend)
        found = unserved(headend, headend.clock.now())
        items = [_unserved(u) for u in found[offset : offset + limit]]
        return Page(items=items, total=len(found), limit=limit, offset=offset)


def _connection(headend: HeadEnd, seen: GridSeen) -> ConnectionOut:
    link, standing = headend.state.grid_links.get(seen.source_id), seen.standing
    notifications: dict[str, str] = {}
    for name, wanted, why in (
        ("webhook", seen.webhook, standing.webhook),
        ("mqtt", seen.mqtt, standing.mqtt),
    ):
        if wanted:
            notifications[name] = why or "listening"
    return ConnectionOut(
        source_id=seen.source_id,
        name=seen.name,
        url=seen.url,
        protocol=seen.protocol if link is None else link.protocol,
        connected=None if link is None else link.connected,
        since=None if link is None else link.since_at,
        why=standing.why or (None if link is None else link.why),
        polled_at=standing.polled_at,
        heard_at=standing.heard_at or (None if link is None else link.heard_at),
        next_poll_at=standing.next_at,
        polls=standing.polls,
        failures=standing.failures,
        events=standing.events,
        reports_owed=len(headend.grid_reports.owed_to(seen.source_id)),
        notifications=notifications,
        notified_at=standing.told_at,
        notified=None if standing.notified is None else told(standing.notified(), NotifiedOut),
        unreadable=[UnreadableOut(event_id=e, why=w) for e, w in standing.unreadable],
    )


def _segment(s: Segment) -> SegmentOut:
    return SegmentOut(
        start=s.start_at,
        end=s.end_at,
        kind=str(s.kind),
        value=s.value,
        territory=s.territory_id,
        said=s.said,
        why_not=s.why_not,
    )


def _report(r: GridReport) -> GridReportOut:
    return GridReportOut(
        name=r.name,
        queued_at=r.queued_at,
        delivered_at=r.delivered_at,
        dropped_at=r.dropped_at,
        reason=r.reason,
    )


def _event(headend: HeadEnd, signal: GridSignal) -> GridEventOut:
    return GridEventOut(
        **_named(signal),
        priority=signal.priority,
        version=signal.version,
        first_seen_at=signal.first_seen_at,
        changed_at=signal.changed_at,
        segments=[_segment(s) for s in headend.signals.segments(signal)],
        notes=list(signal.notes),
        request_keys=[r.request_key for r in headend.signals.requests_of(signal)],
        reports=[_report(r) for r in reports_on(headend, signal)],
    )


def _named(signal: GridSignal) -> dict[str, Any]:
    return {
        "source_id": signal.source_id,
        "event_id": signal.event_id,
        "name": signal.name,
        "program": signal.program,
    }


def _unserved(u: Unserved) -> UnservedOut:
    s = u.segment
    return UnservedOut(
        **_named(u.signal),
        said=s.said,
        territory=s.territory_id,
        start=s.start_at,
        end=s.end_at,
        why=s.why_not or "",
    )
