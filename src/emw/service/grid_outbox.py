"""Reports owed to grid systems on their events: kept until delivered, tried with back-off, the latest version wins.

What an ISO gets is in `outbox`. Here a report has a name at its grid system and may be corrected: of two versions
that wait, only the newer goes out, and one that was taken before is corrected by the id it was given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Protocol

import structlog

from emw.domain import facts as f
from emw.domain.signals import GridReport
from emw.service.errors import Unavailable
from emw.service.faults import fault_point
from emw.service.ledger import Ledger
from emw.service.ports import Clock
from emw.service.settings import ServiceSettings
from emw.service.wake import woken

log = structlog.get_logger()
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Taken:
    """The grid system has it, under this id of its own."""

    report_id: str | None


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The grid system will never take it; trying again is no use."""

    why: str


@dataclass(frozen=True, slots=True)
class Later:
    """Not now. `retry_after_s`: not before so long."""

    why: str
    retry_after_s: float | None = None


Delivery = Taken | Unwanted | Later


class GridReportLink(Protocol):
    """How a report reaches one grid system. Never raises."""

    async def deliver(self, report: GridReport, *, may_be_there: bool) -> Delivery:
        """Post or correct one report. `may_be_there`: an earlier try may have got through: look before posting."""
        ...


class GridOutbox:
    """Delivers reports on events; nothing else waits for it."""

    def __init__(self, ledger: Ledger, clock: Clock, chance: Random, settings: ServiceSettings) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._clock = clock
        self._chance = chance
        self._settings = settings
        self._links: dict[str, GridReportLink] = {}
        self._wake: dict[str, asyncio.Event] = {}
        self._tried: set[Key] = set()
        self._since = clock.now()
        self.failed = 0
        ledger.listen(self._committed)

    def owed_to(self, source_id: str) -> list[GridReport]:
        """What is owed to a grid system, oldest first."""
        owed = (r for r in self._state.grid_reports.values() if r.source_id == source_id and r.owed)
        return sorted(owed, key=lambda r: (r.queued_at, r.event_id, r.name))

    async def queue(self, reports: Sequence[f.GridReportQueued]) -> None:
        """Owe these; durable when this returns."""
        if reports:
            await self._ledger.record(*reports)

    async def serve(self, source_id: str, link: GridReportLink) -> None:
        """Deliver what is owed to one grid system, until cancelled."""
        self._links[source_id] = link
        event = self._wake[source_id] = asyncio.Event()
        pause_s = 0.0
        while True:
            pause_s = await self._turn(source_id, link, pause_s)
            await woken(event, self._clock, pause_s or None)

    async def forget(self, known: Sequence[str]) -> None:
        """Nobody will ever deliver what is owed to grid systems that are no longer configured."""
        now = self._clock.now()
        gone = [r for r in self._state.grid_reports.values() if r.owed and r.source_id not in known]
        facts = [_dropped(r, now, "its grid system is no longer configured") for r in gone]
        if facts:
            await self._ledger.record(*facts)

    async def _turn(self, source_id: str, link: GridReportLink, pause_s: float) -> float:
        try:
            return await self._deliver_all(source_id, link, pause_s)
        except Unavailable as error:
            log.warning("grid_report.not_written", source=source_id, why=error.detail)
            return self._settings.report_retry_s

    async def _deliver_all(self, source_id: str, link: GridReportLink, pause_s: float) -> float:
        """Deliver what is owed, oldest first; returns how long to pause, s (0: nothing owed)."""
        settings = self._settings
        for report in self.owed_to(source_id):
            now = self._clock.now()
            if now - report.queued_at > timedelta(seconds=settings.report_keep_s):
                await self._end(report, Unwanted("nobody took it in time"))
                continue
            came = await self._try(report, link)
            if isinstance(came, Later):
                self.failed += 1
                log.warning("grid_report.later", source=source_id, report=report.name, why=came.why)
                pause_s = min(max(pause_s, settings.report_retry_s / 2) * 2, settings.report_retry_most_s)
                jittered_s = pause_s * (0.5 + self._chance.random() / 2)
                return max(jittered_s, min(came.retry_after_s or 0.0, 3_600.0))
            await self._end(report, came)
            pause_s = 0.0
        return 0.0

    async def _try(self, report: GridReport, link: GridReportLink) -> Delivery:
        key = (report.source_id, report.event_id, report.name)
        may_be_there = key in self._tried or report.queued_at < self._since
        self._tried.add(key)
        await self._ledger.settled()
        fault_point("report.before")
        return await link.deliver(report, may_be_there=may_be_there)

    async def _end(self, report: GridReport, came: Taken | Unwanted) -> None:
        key = (report.source_id, report.event_id, report.name)
        self._tried.discard(key)
        if self._state.grid_reports.get(key) is not report:
            await self._superseded(report, came)
            return
        now = self._clock.now()
        if isinstance(came, Taken):
            await self._ledger.record(
                f.GridReportDelivered(
                    at=now,
                    actor=report.source_id,
                    source_id=report.source_id,
                    event_id=report.event_id,
                    name=report.name,
                    report_id=came.report_id,
                )
            )
        else:
            log.error("grid_report.dropped", source=report.source_id, report=report.name, why=came.why)
            await self._ledger.record(_dropped(report, now, came.why))

    async def _superseded(self, report: GridReport, came: Taken | Unwanted) -> None:
        """Another version was queued meanwhile: it goes out next, and has to look for the one that is there now."""
        key = (report.source_id, report.event_id, report.name)
        self._tried.add(key)
        self._wake[report.source_id].set()
        log.info("grid_report.superseded", source=report.source_id, report=report.name, came=str(came))

    def _committed(self, _: int, facts: Sequence[f.Fact]) -> None:
        for fact in facts:
            if isinstance(fact, f.GridReportQueued) and fact.source_id in self._wake:
                self._wake[fact.source_id].set()


def _dropped(report: GridReport, now: datetime, why: str) -> f.GridReportDropped:
    return f.GridReportDropped(
        at=now,
        actor="emw",
        source_id=report.source_id,
        event_id=report.event_id,
        name=report.name,
        reason=why,
    )
