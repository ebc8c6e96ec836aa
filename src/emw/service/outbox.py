"""Reports owed to grid operators: one queue per ISO, in order, tried with back-off and jitter until taken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from random import Random

import structlog

from emw.domain import facts as f
from emw.domain.model import Iso, Report
from emw.service.errors import Unavailable
from emw.service.faults import fault_point
from emw.service.ledger import Ledger
from emw.service.ports import Clock, ReportLink
from emw.service.settings import ServiceSettings
from emw.service.wake import woken

log = structlog.get_logger()


class Outbox:
    """Delivers reports; nothing else waits for it."""

    def __init__(
        self, ledger: Ledger, link: ReportLink, clock: Clock, chance: Random, settings: ServiceSettings
    ) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._link = link
        self._clock = clock
        self._chance = chance
        self._settings = settings
        self._wake: dict[str, asyncio.Event] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self.failed = 0
        ledger.listen(self._committed)

    def _committed(self, _: int, facts: Sequence[f.Fact]) -> None:
        for fact in facts:
            if isinstance(fact, f.ReportQueued | f.IsoConnected):
                self.wake(fact.iso_id)

    def wake(self, iso_id: str) -> None:
        """Something is owed to this ISO, or its URL changed."""
        event = self._wake.get(iso_id)
        if event is None:
            event = self._wake[iso_id] = asyncio.Event()
            if self._tasks is not None:
                self._tasks.create_task(self._serve(iso_id, event), name=f"reports {iso_id}")
        event.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for iso_id, event in sorted(self._wake.items()):
                tasks.create_task(self._serve(iso_id, event))
            for iso_id in sorted({r.iso_id for r in self._state.reports.values()}):
                self.wake(iso_id)
            await asyncio.Event().wait()

    async def _serve(self, iso_id: str, event: asyncio.Event) -> None:
        pause_s = 0.0
        while True:
            await woken(event, self._clock, pause_s or None)
            try:
                pause_s = await self._deliver_all(iso_id, pause_s)
            except Unavailable as error:
                log.warning("report.not_written", iso_id=iso_id, why=error.detail)
                pause_s = self._settings.report_retry_s

    async def _deliver_all(self, iso_id: str, pause_s: float) -> float:
        """Deliver what is owed, oldest first; returns how long to pause, s (0: nothing owed)."""
        settings = self._settings
        owed = sorted(
            (r for r in self._state.reports.values() if r.iso_id == iso_id),
            key=lambda r: (r.queued_at, r.report_id),
        )
        for report in owed:
            iso = self._state.isos[iso_id]
            now = self._clock.now()
            if now - report.queued_at > timedelta(seconds=settings.report_keep_s):
                await self._drop(report, "nobody took it in time")
                continue
            if iso.access_url is None or iso.revoked:
                await self._drop(report, "the ISO has no report URL any more")
                continue
            if not await self._try(iso, report):
                self.failed += 1
                pause_s = min(max(pause_s, settings.report_retry_s) * 2, settings.report_retry_most_s)
                return pause_s * (0.5 + self._chance.random() / 2)
            pause_s = 0.0
        return 0.0

    async def _try(self, iso: Iso, report: Report) -> bool:
        await self._ledger.settled()
        fault_point("report.before")
        if not await self._link.deliver(iso, report):
            return False
        now = self._clock.now()
        await self._ledger.record(
            f.ReportDelivered(at=now, actor=f"iso:{iso.iso_id}", report_id=report.report_id)
        )
        return True

    async def _drop(self, report: Report, why: str) -> None:
        now = self._clock.now()
        await self._ledger.record(
            f.ReportDropped(at=now, actor="emw", report_id=report.report_id, reason=why)
        )
