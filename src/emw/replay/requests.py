"""The requests of a replay, as they stand in a file: a JSON list, or one object a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """When it is over: where it was called off, then."""
    territory: str | None = None
    """A site; None: all of them."""
    until: datetime | None = None
    """The end that was asked for, where it was called off before."""


class _Line(msgspec.Struct):
    start: datetime
    kw: float = msgspec.field(name="kW")
    end: datetime | None = None
    minutes: float | None = msgspec.field(name="durationMinutes", default=None)
    cancelled: datetime | None = None
    request_id: str | None = msgspec.field(name="requestID", default=None)
    territory: str | None = None


def read(path: Path) -> list[Asked]:
    """`requestID?, territory?, kW, start, end | durationMinutes, cancelled?` of each request, in order of start.

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
    if any(at is not None and at.tzinfo is None for at in (line.start, line.end, line.cancelled)):
        raise BadRequests(f"request {number}: times need a time zone, as in 2019-06-03T17:00:00-07:00")
    if (line.end is None) is (line.minutes is None):
        raise BadRequests(f"request {number}: give either end or durationMinutes")
    end = line.end or line.start + timedelta(minutes=line.minutes or 0)
    if end <= line.start or not line.kw > 0:
        raise BadRequests(f"request {number}: kW must be more than 0, and end after start")
    if line.cancelled is not None and not line.start < line.cancelled < end:
        raise BadRequests(f"request {number}: cancelled must lie between start and end")
    return Asked(
        request_id=line.request_id or f"replay-{number}",
        kw=line.kw,
        start=line.start,
        end=line.cancelled or end,
        territory=line.territory,
        until=None if line.cancelled is None else end,
    )


def asked_at(requests: Sequence[Asked], at: datetime) -> dict[str | None, float]:
    """What is asked of each site then, and of all of them (None), kW: in one territory the largest leads."""
    largest: dict[str | None, float] = {}
    for r in requests:
        if r.start <= at < r.end:
            largest[r.territory] = max(largest.get(r.territory, 0.0), r.kw)
    return largest


def of_all(by_site: Mapping[str | None, float]) -> float:
    """The kW of all sites together: what a site sheds counts towards what is asked of all."""
    return max(by_site.get(None, 0.0), sum(kw for site, kw in by_site.items() if site is not None))


def could_of_all(asked_kw: Mapping[str | None, float], could_kw: Mapping[str, float]) -> float:
    """How much of what is asked could be shed, kW: one site can't give what is asked of another."""
    short_kw = sum(
        max(kw - could_kw.get(site, 0.0), 0.0) for site, kw in asked_kw.items() if site is not None
    )
    reach_kw = sum(kw for site, kw in could_kw.items() if None in asked_kw or site in asked_kw)
    return min(of_all(asked_kw) - short_kw, reach_kw)


def window(requests: Sequence[Asked]) -> tuple[datetime, datetime]:
    """From an hour before the first request to four hours after the last: what a return may still touch."""
    return requests[0].start - timedelta(hours=1), max(r.end for r in requests) + timedelta(hours=4)
