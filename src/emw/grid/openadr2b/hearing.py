"""An event of 2.0b as a signal of ours, and whether emw takes part in it."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from emw.domain.signals import Segment
from emw.domain.state import State
from emw.grid.openadr2b.events import Told, meant
from emw.grid.openadr2b.opting import OUT, Able, Choice, choose, patient
from emw.grid.openadr3.settings import Meaning, VtnSettings
from emw.service.signals import Heard, Signals
from emw.service.tally import Part

AHEAD: Final = timedelta(days=8)


class Hearing:
    """Understands what one VTN says. What it decided before is read from the stored signals, also after a start."""

    def __init__(
        self,
        settings: VtnSettings,
        state: State,
        signals: Signals,
        sums: Callable[[str], Part],
        chance: Random,
        *,
        max_kw: float,
    ) -> None:
        """`sums`: of a territory, now. `max_kw`: the most that one request may be."""
        self.settings = settings
        self._state = state
        self._signals = signals
        self._sums = sums
        self._chance = chance
        self._max_kw = max_kw
        self._out_since: dict[str, datetime] = {}

    def understand(self, told: Told, now: datetime, ven_id: str | None) -> tuple[Heard | None, Choice]:
        """What an event says, and whether emw takes part."""
        settings = self.settings
        known = self._state.signals.get((settings.source_id, told.event_id))
        first_seen = now if known is None else known.first_seen_at
        draw = self._chance.uniform(-1.0, 1.0) if known is None else known.draw
        meaning = settings.meaning_of(told.market_context, told.market_context)
        found = meant(
            told,
            meaning,
            ven_id=ven_id,
            ven_name=settings.ven_name,
            first_seen=first_seen,
            until=now.astimezone(UTC) + AHEAD,
            draw=draw,
            territories=self._above,
            max_kw=self._max_kw,
        )
        if not found.slots and not found.failed and told.signals:
            return None, Choice(opt_in=True)
        choice = choose(found.segments, self._able, least_share=settings.opt_in_share, now=now)
        before = known is not None and not any(_is_declined(s) for s in self._signals.segments(known))
        opt_in, since = patient(before, choice, self._out_since.get(told.event_id), now)
        if since is None:
            self._out_since.pop(told.event_id, None)
        else:
            self._out_since[told.event_id] = since
        segments = found.segments if opt_in else tuple(map(_declined, found.segments))
        return self._heard_as(told, segments, found.notes, first_seen, draw, meaning), replace(
            choice, opt_in=opt_in
        )

    def _heard_as(
        self,
        told: Told,
        segments: tuple[Segment, ...],
        notes: tuple[str, ...],
        first_seen: datetime,
        draw: float,
        meaning: Meaning | None,
    ) -> Heard:
        return Heard(
            source_id=self.settings.source_id,
            event_id=told.event_id,
            program_id=told.market_context,
            program=told.market_context or "2.0b",
            first_seen_at=first_seen,
            draw=draw,
            segments=segments,
            body=told.body(),
            precedence=meaning.precedence if meaning else 100,
            name=told.comment,
            priority=told.priority,
            notes=notes,
        )

    def _above(self, territory_id: str) -> Container[str] | None:
        return self._state.path(territory_id) if territory_id in self._state.territories else None

    def _able(self, territory_id: str) -> Able:
        sums = self._sums(territory_id)
        return Able(sums.available_kw, sums.baseline_kw)


def _declined(segment: Segment) -> Segment:
    """A segment that is not served since emw is out. The text is the same while that lasts: a change is a fact."""
    return replace(segment, why_not=segment.why_not or f"{OUT}too little can be shed")


def _is_declined(segment: Segment) -> bool:
    return (segment.why_not or "").startswith(OUT)
