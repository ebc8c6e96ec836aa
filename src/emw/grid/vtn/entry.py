"""One stored object as it is told, and when an event is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from emw.domain.vtn import VtnKind, VtnObject
from emw.grid.openadr3.schedule import schedule_of
from emw.grid.openadr3.times import LAST, BadTime, span_of
from emw.grid.openadr3.wire import Event, Period, event_of

PRIVATE: Final = "_programID"
"""What a report remembers of its event's program, for the filter; not told."""
EVER: Final = datetime(1, 1, 2, tzinfo=UTC)
_encode: Final = msgspec.json.Encoder().encode


class Entry:
    """One version of an object. Never changed: another version is another entry."""

    __slots__ = ("_told", "body", "record")

    def __init__(self, record: VtnObject) -> None:
        self.record = record
        self.body: dict[str, Any] = msgspec.json.decode(record.body)
        self._told: dict[tuple[str, ...], bytes] = {}

    @property
    def kind(self) -> VtnKind:
        """Its type."""
        return self.record.kind

    @property
    def owner(self) -> str | None:
        """The client whose object it is; None: a program or an event, which are the operator's."""
        found: str | None = self.body.get("clientID")
        return found

    @property
    def program_id(self) -> str | None:
        """The program it belongs to, if any."""
        if self.kind is VtnKind.PROGRAM:
            return self.record.object_id
        found: str | None = self.body.get("programID") or self.body.get(PRIVATE)
        return found

    def as_told(self, targets: Sequence[str]) -> dict[str, Any]:
        """The object as a reader sees it: `targets` are those it may see."""
        r = self.record
        told: dict[str, Any] = {
            "id": r.object_id,
            "createdDateTime": r.created_at,
            "modificationDateTime": r.modified_at,
            "objectType": str(r.kind),
            **self.body,
        }
        told.pop(PRIVATE, None)
        if told.get("targets"):
            told["targets"] = list(targets)
        return told

    def told(self, targets: Sequence[str]) -> bytes:
        """The same as JSON; made once for each choice of targets."""
        key = tuple(targets)
        known = self._told.get(key)
        if known is None:
            known = self._told[key] = _encode(self.as_told(targets))
        return known


def ends_at(entry: Entry, program: Entry | None) -> datetime | None:
    """When an event is over; None: never, or nobody can tell."""
    event = event_of({**entry.body, "id": entry.record.object_id})
    if not isinstance(event, Event):
        return None
    whole, event.duration = event.duration, None
    default = msgspec.convert(program.body.get("intervalPeriod") if program else None, Period | None)
    schedule = schedule_of(
        event, first_seen=entry.record.created_at, since=EVER, until=LAST, draw=0.0, default=default
    )
    if schedule.failed:
        return None
    if not schedule.slots:
        return entry.record.modified_at  # it lasts no time: a cancel
    last: datetime | None = EVER
    for slot in schedule.slots:
        last = None if last is None or slot.end is None else max(last, slot.end)
    if whole is None:
        return last
    try:
        span = span_of(whole)
    except BadTime:
        return None
    return last if span.empty else span.after(min(s.start for s in schedule.slots))
