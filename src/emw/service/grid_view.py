"""How grid systems stand, for people: what each adapter knows of its own, and what is in force because of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from emw.domain.signals import GridReport, GridSignal, Segment
from emw.service.headend import HeadEnd


@dataclass(slots=True)
class Standing:
    """How a VTN stands, for people: not facts, gone with the process."""

    polls: int = 0
    failures: int = 0
    polled_at: datetime | None = None
    heard_at: datetime | None = None
    next_at: datetime | None = None
    why: str | None = None
    trouble: str | None = None
    events: int = 0
    unreadable: list[tuple[str | None, str]] = field(default_factory=list)
    told_at: datetime | None = None
    """When a notification came last."""
    webhook: str | None = None
    """Why there is no subscription; None: there is one, or none is wanted."""
    mqtt: str | None = None
    """Why the broker is not listened to; likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSeen:
    """One grid system as its adapter sees it now. `webhook`, `mqtt`: whether they are wanted."""

    source_id: str
    name: str
    url: str
    protocol: str
    standing: Standing
    webhook: bool = False
    mqtt: bool = False


class GridSource(Protocol):
    """An adapter that can be asked how it stands."""

    def seen(self) -> GridSeen:
        """How it stands now."""
        ...


@dataclass(frozen=True, slots=True)
class Unserved:
    """Something that a grid system says and nothing is done about, and why."""

    signal: GridSignal
    segment: Segment


def unserved(headend: HeadEnd, now: datetime) -> list[Unserved]:
    """What is asked now or later and not served, soonest first. Each payload counts once, however often it comes."""
    found: dict[tuple[str, str, str, str | None, str | None], Unserved] = {}
    for signal in headend.state.signals.values():
        for s in headend.signals.segments(signal):
            if s.why_not is None or (s.end_at is not None and s.end_at <= now):
                continue
            key = (signal.source_id, signal.event_id, s.said, s.territory_id, s.why_not)
            known = found.get(key)
            if known is None or s.start_at < known.segment.start_at:
                found[key] = Unserved(signal, s)
    return sorted(found.values(), key=lambda u: (u.segment.start_at, u.signal.source_id, u.signal.event_id))


def events(headend: HeadEnd, source_id: str | None = None) -> list[GridSignal]:
    """Signals in force, soonest first; those that are over come last, the latest of them first."""
    now = headend.clock.now()

    def place(signal: GridSignal) -> tuple[bool, float, str, str]:
        segments = headend.signals.segments(signal)
        ahead = [s for s in segments if s.end_at is None or s.end_at > now]
        if ahead:
            return False, min(s.start_at for s in ahead).timestamp(), signal.source_id, signal.event_id
        last = max((s.end_at.timestamp() for s in segments if s.end_at is not None), default=0.0)
        return True, -last, signal.source_id, signal.event_id

    found = (s for s in headend.state.signals.values() if source_id is None or s.source_id == source_id)
    return sorted(found, key=place)


def reports_on(headend: HeadEnd, signal: GridSignal) -> list[GridReport]:
    """The reports on an event, by name."""
    key = (signal.source_id, signal.event_id)
    found = (r for r in headend.state.grid_reports.values() if (r.source_id, r.event_id) == key)
    return sorted(found, key=lambda r: r.name)
