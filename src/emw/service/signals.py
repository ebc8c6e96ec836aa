"""Grid signals in force, and the reduction requests and ceilings that follow from them: one path for every protocol.

An adapter says what it heard (`received`, `ended`, `linked`); nothing it says edits a request. Whenever something
was heard, a step begins or a link is lost, what is owed is worked out again from all signals in force (`engine.owed`)
and the difference to the requests there are is recorded: opened, changed, cancelled. After a restart the same is done
from the same records, so a running request goes on and no load is let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import structlog

from emw.domain import facts as f
from emw.domain.model import ReductionRequest
from emw.domain.signals import GridSignal, Segment
from emw.engine.owed import Asked, ceilings_of, next_change, runs_of
from emw.service.accounts import Accounts
from emw.service.dispatch import Dispatch
from emw.service.errors import Unavailable
from emw.service.ledger import Ledger
from emw.service.owing import Owing
from emw.service.ports import Clock
from emw.service.requests import Requests
from emw.service.settings import ServiceSettings
from emw.service.wake import woken

log = structlog.get_logger()
TRACK_S = 30.0
"""How often a share of the baseline or a setpoint is worked out in kW again while it runs."""
OPEN_ENDED_S = 86_400.0
_segments = msgspec.json.Decoder(tuple[Segment, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An event as an adapter understands it now. `draw`: its lot for random starts, kept from its first version."""

    source_id: str
    event_id: str
    program_id: str
    program: str
    first_seen_at: datetime
    draw: float
    segments: tuple[Segment, ...]
    body: str
    precedence: int = 100
    name: str | None = None
    priority: int | None = None
    notes: tuple[str, ...] = ()
    asks: str | None = None
    """What its sender wants to be told about it, in the adapter's own words."""


class Signals:
    """Keeps what is owed equal to what is asked."""

    def __init__(
        self,
        ledger: Ledger,
        requests: Requests,
        accounts: Accounts,
        dispatch: Dispatch,
        clock: Clock,
        settings: ServiceSettings,
    ) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._dispatch = dispatch
        self._clock = clock
        self.open_ended_s: dict[str, float] = {}
        """Per source: how long what has no end is held once the source can't be heard."""
        self._wake = asyncio.Event()
        self._one = asyncio.Lock()
        self._decoded: dict[tuple[str, str], tuple[str, tuple[Segment, ...]]] = {}
        self._owing = Owing(ledger, requests, accounts, settings)
        ledger.listen(self._committed)

    # --- what adapters say

    async def received(self, heard: Sequence[Heard]) -> None:
        """Events as they are understood now: what is new or changed is recorded and followed."""
        facts = [fact for h in heard if (fact := self._fact(h)) is not None]
        if facts:
            await self._ledger.record(*facts)
            await self.follow()

    async def ended(self, source_id: str, event_ids: Mapping[str, str]) -> None:
        """Events that are no longer in force, and why."""
        now = self._clock.now()
        facts = [
            f.SignalEnded(at=now, actor=source_id, source_id=source_id, event_id=e, reason=why)
            for e, why in sorted(event_ids.items())
            if (source_id, e) in self._state.signals
        ]
        if facts:
            await self._ledger.record(*facts)
            await self.follow()

    async def linked(
        self,
        source_id: str,
        protocol: str,
        *,
        connected: bool,
        heard_at: datetime | None,
        why: str | None = None,
    ) -> None:
        """A source can be heard, or not: recorded when that is news."""
        known = self._state.grid_links.get(source_id)
        if known is not None and (known.connected, known.protocol) == (connected, protocol):
            return
        if not connected:
            log.error("grid.lost", source=source_id, why=why)
        await self._ledger.record(
            f.GridLinkChanged(
                at=self._clock.now(),
                actor=source_id,
                source_id=source_id,
                protocol=protocol,
                connected=connected,
                heard_at=heard_at,
                why=why,
            )
        )
        self._wake.set()

    def of(self, source_id: str) -> list[GridSignal]:
        """The signals of a source that are in force or ahead."""
        return [s for s in self._state.signals.values() if s.source_id == source_id]

    def segments(self, signal: GridSignal) -> tuple[Segment, ...]:
        """A signal's segments."""
        key = signal.source_id, signal.event_id
        known = self._decoded.get(key)
        if known is None or known[0] is not signal.segments:
            known = self._decoded[key] = signal.segments, _segments.decode(signal.segments)
        return known[1]

    def requests_of(self, signal: GridSignal) -> list[ReductionRequest]:
        """The requests that are or were there because of a signal."""
        return self._owing.of_event(signal.source_id, signal.event_id)

    def _fact(self, heard: Heard) -> f.SignalReceived | None:
        known = self._state.signals.get((heard.source_id, heard.event_id))
        segments = msgspec.json.encode(heard.segments).decode()
        version = 1
        if known is not None:
            said_anew = known.body != heard.body
            same = (known.segments, known.notes, known.precedence, known.program, known.asks)
            now_said = (segments, heard.notes, heard.precedence, heard.program, heard.asks)
            if not said_anew and same == now_said:
                return None
            version = known.version + said_anew
        return f.SignalReceived(
            at=self._clock.now(),
            actor=heard.source_id,
            source_id=heard.source_id,
            event_id=heard.event_id,
            version=version,
            program_id=heard.program_id,
            program=heard.program,
            first_seen_at=heard.first_seen_at,
            draw=heard.draw,
            precedence=heard.precedence,
            segments=segments,
            body=heard.body,
            name=heard.name,
            priority=heard.priority,
            notes=heard.notes,
            asks=heard.asks,
        )

    # --- what follows

    async def run(self) -> None:
        """Follow what time brings, until cancelled."""
        while True:
            try:
                await self._follow()
                wait_s = self._sleep_s()
            except Unavailable as error:
                log.warning("signals.not_written", why=error.detail)
                wait_s = 1.0
            await woken(self._wake, self._clock, wait_s)

    def _sleep_s(self) -> float:
        now, asked = self._clock.now(), self._asked()
        change = next_change(asked, now)
        most_s = TRACK_S if self._state.signals else 3_600.0
        return most_s if change is None else max(0.0, min((change - now).total_seconds(), most_s))

    def _asked(self) -> list[Asked]:
        return [
            Asked(
                key=(s.source_id, s.event_id),
                program_id=s.program_id,
                precedence=s.precedence,
                priority=s.priority,
                segments=self.segments(s),
                cut_at=self._cut_at(s.source_id),
            )
            for s in self._state.signals.values()
        ]

    def _cut_at(self, source_id: str) -> datetime | None:
        link = self._state.grid_links.get(source_id)
        if link is None or link.connected:
            return None
        return (link.heard_at or link.since_at) + timedelta(
            seconds=self.open_ended_s.get(source_id, OPEN_ENDED_S)
        )

    async def follow(self) -> None:
        """Make requests and ceilings what the signals in force say, now; what comes next is timed anew."""
        await self._follow()
        self._wake.set()

    async def _follow(self) -> None:
        async with self._one:
            now, asked = self._clock.now(), self._asked()
            facts, woken = self._owing.follow(runs_of(asked, now), now)
            more, also = self._ceilings_follow(asked, now)
            await self._ledger.record(*facts, *more)
        for territory_id in sorted(woken | also):
            self._dispatch.wake(territory_id)

    def _ceilings_follow(self, asked: Sequence[Asked], now: datetime) -> tuple[list[f.Fact], set[str]]:
        wanted, facts = ceilings_of(asked, now), []
        for place in sorted({*wanted, *self._state.grid_ceilings}):
            kw, cause = wanted.get(place, (None, None))
            known = self._state.grid_ceilings.get(place)
            if place in self._state.territories and kw != (known and known.kw):
                actor = (cause or (known and known.cause) or "emw").rpartition(":")[0] or "emw"
                facts.append(f.GridCeilingMoved(at=now, actor=actor, territory_id=place, kw=kw, cause=cause))
        return list(facts), {fact.territory_id for fact in facts}

    def _committed(self, _: int, facts: Sequence[f.Fact]) -> None:
        for fact in facts:
            if isinstance(fact, f.SignalEnded):
                self._decoded.pop((fact.source_id, fact.event_id), None)
