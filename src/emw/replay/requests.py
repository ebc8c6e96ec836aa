"""The requests of a replay, as they stand in a file: a JSON list, or one object a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec


class BadRequests(ValueError):
    """The file can't be read; the message says which request and what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One decrease of the past (or of a past that might have been)."""

    request_id: str
    kw: float
    start: datetime
    end: datetime
    territory: str | None = None


class _Line(msgspec.Struct):
    start: datetime
    kw: float = msgspec.field(name="kW")
    end: datetime | None = None
    minutes: float | None = msgspec.field(name="durationMinutes", default=None)
    request_id: str | None = msgspec.field(name="requestID", default=None)
    territory: str | None = None


def read(path: Path) -> list[Asked]:
    """`requestID?, territory?, kW, start, end | durationMinutes` of each request, in order of start.

    Times carry a zone or an offset. Raises BadRequests.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadRequests(f"{path}: {error.strerror}") from error
    try:
        if raw.lstrip().startswith(b"["):
            lines = msgspec.json.decode(raw, type=list[_Line])
        else:
            lines = [msgspec.json.decode(x, type=_Line) for x in raw.splitlines() if x.strip()]
    except msgspec.MsgspecError as error:
        raise BadRequests(f"{path}: {error}") from error
    found = [_asked(number, line) for number, line in enumerate(lines, 1)]
    if not found:
        raise BadRequests(f"{path}: there is no request in it")
    if len({r.request_id for r in found}) < len(found):
        raise BadRequests(f"{path}: a requestID is there twice")
    return sorted(found, key=lambda r: (r.start, r.request_id))


def _asked(number: int, line: _Line) -> Asked:
    if line.start.tzinfo is None or (line.end is not None and line.end.tzinfo is None):
        raise BadRequests(
            f"request {number}: start and end need a time zone, as in 2019-06-03T17:00:00-07:00"
        )
    if (line.end is None) is (line.minutes is None):
        raise BadRequests(f"request {number}: give either end or durationMinutes")
    end = line.end or line.start + timedelta(minutes=line.minutes or 0)
    if end <= line.start or not line.kw > 0:
        raise BadRequests(f"request {number}: kW must be more than 0, and end after start")
    return Asked(
        request_id=line.request_id or f"replay-{number}",
        kw=line.kw,
        start=line.start,
        end=end,
        territory=line.territory,
    )


def window(requests: Sequence[Asked]) -> tuple[datetime, datetime]:
    """From an hour before the first request to four hours after the last: what a return may still touch."""
    return requests[0].start - timedelta(hours=1), max(r.end for r in requests) + timedelta(hours=4)
