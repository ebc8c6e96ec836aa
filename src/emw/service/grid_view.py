"""What grid systems say, for people: signals in force, what of them is not served and why, reports owed on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from emw.domain.signals import GridReport, GridSignal, Segment
from emw.service.headend import HeadEnd


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
