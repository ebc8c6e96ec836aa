"""Reports on events, made when they are due and delivered to their VTN.

Which reports there are follows from the events in force, as requests do: nothing is remembered but what was told.
A report that would say something else after its event was changed is corrected by a PUT under the id the VTN gave it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import structlog

from emw.domain import facts as f
from emw.domain.model import RequestState
from emw.domain.signals import LIMITS, VTN_PREFIX, GridReport, GridSignal
from emw.grid.openadr3.asked import Due, Plan, Span, dues, ended
from emw.grid.openadr3.client import V301, Trouble, VtnClient, VtnFailed
from emw.grid.openadr3.settings import VtnSettings
from emw.grid.openadr3.telling import AGGREGATED, Figures, body_of, state_of, summed
from emw.service.errors import Unavailable
from emw.service.grid_outbox import Delivery, GridOutbox, Later, Taken, Unwanted
from emw.service.ledger import Ledger
from emw.service.meter import Meter
from emw.service.ports import Clock
from emw.service.signals import Signals
from emw.service.wake import woken
from emw.service.what_if import MOST_HOURS, Oracle

log = structlog.get_logger()
NEAR: Final = timedelta(seconds=60)
"""A territory is metered so long before its first interval begins."""
LONGEST_S: Final = 600.0
CONTROLS: Final = ("CONTROL_", "DISPATCH_", "SIMPLE", "IMPORT_CAPACITY_LIMIT")
_plan = msgspec.json.Decoder(Plan)


class Reporter:
    """The reports of one VEN: made from what was metered and from what is foreseen, and delivered to its VTN."""

    def __init__(
        self,
        settings: VtnSettings,
        client: VtnClient,
        ledger: Ledger,
        signals: Signals,
        meter: Meter,
        oracle: Oracle,
        outbox: GridOutbox,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._state = ledger.state
        self._signals = signals
        self._meter = meter
        self._oracle = oracle
        self._outbox = outbox
        self._link = VtnReports(settings, client)
        self._clock = clock
        self._piece = timedelta(seconds=settings.report_s)
        self._wake = asyncio.Event()
        self._plans: dict[str, tuple[str, Plan]] = {}
        self._made: dict[str, tuple[int, datetime | None]] = {}
        """Per event: of which version, and up to when, what was due has been told."""
        ledger.listen(self._committed)

    async def run(self) -> None:
        """Make what is due, and deliver it, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._outbox.serve(self._settings.source_id, self._link))
            while True:
                try:
                    wait_s = await self.turn()
                except Unavailable as error:
                    log.warning("reporter.not_written", vtn=self._settings.name, why=error.detail)
                    wait_s = 1.0
                await woken(self._wake, self._clock, wait_s)

    async def turn(self) -> float:
        """Make what is due now; returns how long until there is something to do again, s."""
        now = self._clock.now()
        known = [(s, p) for s in self._in_force() if (p := self.plan_of(s)) is not None]
        near = {t for _, plan in known for t in self._metered(plan, now)}
        self._meter.watch(self._settings.source_id, near)
        times: list[datetime] = []
        for signal, plan in known:
            times += [t for s in plan.spans for t in (s.start - NEAR, s.start, s.end) if t > now][:1]
            made = await self._make(signal, plan, now)
            times += [] if made is None else [made]
        self._made = {s.event_id: self._made[s.event_id] for s, _ in known}
        ahead = min(times, default=None)
        return LONGEST_S if ahead is None else min((ahead - now).total_seconds(), LONGEST_S)

    async def finish(self, event_id: str) -> None:
        """An event is about to end before its time: what is wanted of the part that was is told now."""
        signal = self._state.signals.get((self._settings.source_id, event_id))
        plan = None if signal is None else self.plan_of(signal)
        if signal is not None and plan is not None:
            now = self._clock.now()
            due, _ = dues(ended(plan, now), signal.first_seen_at, self._piece, None, now)
            await self._tell(signal, plan, due, now)

    def plan_of(self, signal: GridSignal) -> Plan | None:
        """What is wanted about an event; None: nothing."""
        if signal.asks is None:
            return None
        known = self._plans.get(signal.event_id)
        if known is None or known[0] is not signal.asks:
            known = self._plans[signal.event_id] = signal.asks, _plan.decode(signal.asks)
        return known[1]

    def _in_force(self) -> list[GridSignal]:
        return sorted(self._signals.of(self._settings.source_id), key=lambda s: s.event_id)

    def _metered(self, plan: Plan, now: datetime) -> set[str]:
        if not any(span.start - NEAR <= now < span.end for span in plan.spans):
            return set()
        return self._territories(plan)

    def _territories(self, plan: Plan) -> set[str]:
        """All that is to be metered for an event's reports, aggregated or not."""
        apart = {t for _, places in self._resources(plan, aggregate=False) for t in places}
        return apart | set(self._apart(plan.places))

    # --- what is due

    async def _make(self, signal: GridSignal, plan: Plan, now: datetime) -> datetime | None:
        """Tell what became due since the last look; returns when the next report will be due."""
        looked, upto = self._made.get(signal.event_id, (-1, None))
        since = upto if looked == signal.version else None
        due, ahead = dues(plan, signal.first_seen_at, self._piece, since, now)
        await self._tell(signal, plan, [d for d in due if self._is_news(signal, d)], now)
        self._made[signal.event_id] = (signal.version, now)
        return ahead

    async def _tell(self, signal: GridSignal, plan: Plan, due: Sequence[Due], now: datetime) -> None:
        if not due:
            return
        await self._meter.cut(self._territories(plan))
        facts: list[f.GridReportQueued] = []
        for d in due:
            body = await self._body(signal, plan, d, now)
            known = self._report(signal, d)
            if known is None or known.body != body:
                facts.append(self._queued(signal, d, body, now))
        await self._outbox.queue(facts)

    def _is_news(self, signal: GridSignal, due: Due) -> bool:
        """Whether a report has not been made since it was due, or its event has changed since it was made."""
        known = self._report(signal, due)
        return known is None or known.queued_at < max(due.at, signal.changed_at)

    def _report(self, signal: GridSignal, due: Due) -> GridReport | None:
        return self._state.grid_reports.get((signal.source_id, signal.event_id, due.name))

    def _queued(self, signal: GridSignal, due: Due, body: str, now: datetime) -> f.GridReportQueued:
        return f.GridReportQueued(
            at=now,
            actor="emw",
            source_id=signal.source_id,
            event_id=signal.event_id,
            name=due.name,
            program_id=signal.program_id,
            body=body,
        )

    # --- what it says

    async def _body(self, signal: GridSignal, plan: Plan, due: Due, now: datetime) -> str:
        told: dict[str, list[tuple[Span, Figures]]] = {}
        for resource, places in self._resources(plan, aggregate=due.ask.aggregate):
            if due.ask.historical:
                each = [await self._metered_over(signal, place, due.spans, now) for place in places]
            else:
                each = [self._expected(place, due.spans, now) for place in places]
            told[resource] = [(s, summed(parts)) for s, *parts in zip(due.spans, *each, strict=True)]
        return body_of(due.name, due.ask, signal.event_id, self._settings.ven_name, told)

    def _resources(self, plan: Plan, *, aggregate: bool) -> list[tuple[str, tuple[str, ...]]]:
        """Resources by name, and the territories they are the sum of. Nothing smaller: a driver is no resource."""
        places = self._apart(plan.places)
        if aggregate:
            return [(AGGREGATED, places)]
        named: list[tuple[str, tuple[str, ...]]] = [
            (name, (territory,))
            for name, territory in self._settings.resources.items()
            if not set(places).isdisjoint(self._state.path(territory))
        ]
        return named or [(place, (place,)) for place in places]

    def _apart(self, places: Sequence[str]) -> tuple[str, ...]:
        """Without those that lie under another one: nothing counts twice."""
        there = [p for p in places if p in self._state.territories]
        return tuple(p for p in there if not set(self._state.path(p)[1:]) & set(there))

    async def _metered_over(
        self, signal: GridSignal, place: str, spans: Sequence[Span], now: datetime
    ) -> list[Figures]:
        means = await self._meter.means(place, [(s.start, min(s.end, now)) for s in spans])
        found = []
        for span, mean in zip(spans, means, strict=True):
            known = (
                Figures()
                if mean is None
                else Figures(mean.load_kw, mean.baseline_kw, mean.peak_kw, mean.covered)
            )
            found.append(replace(known, state=self._operating(signal, place, span, known)))
        return found

    def _expected(self, place: str, spans: Sequence[Span], now: datetime) -> list[Figures]:
        """What can be foreseen, by the vehicles that are here now and those expected to come."""
        middles = [s.start + (s.end - s.start) / 2 for s in spans]
        hours = [max((m - now).total_seconds(), 0.0) / 3600 for m in middles]
        near = [h for h in hours if h <= MOST_HOURS]
        shed, load = self._oracle.expected(place, near)
        told = [
            Figures(x.both.kw, x.both.kw, x.both.kw, covered=1.0, forecast=True, available_kw=a.both.kw)
            for a, x in zip(shed, load, strict=True)
        ]
        foreseen = iter(told)
        return [next(foreseen) if h <= MOST_HOURS else Figures() for h in hours]

    def _operating(self, signal: GridSignal, place: str, span: Span, known: Figures) -> str:
        requests = [
            r
            for r in self._signals.requests_of(signal)
            if place in self._state.path(r.territory_id) or r.territory_id in self._state.path(place)
        ]
        curtailed = any(
            r.started_at is not None
            and r.started_at < span.end
            and (r.ended_at is None or r.ended_at > span.start)
            for r in requests
        )
        opted_out = any(
            r.cancelled_by is not None
            and not r.cancelled_by.startswith(VTN_PREFIX)
            and r.state is not RequestState.ACTIVE
            for r in requests
        )
        here = [
            s
            for s in self._signals.segments(signal)
            if s.start_at < span.end and (s.end_at is None or s.end_at > span.start)
        ]
        curtailed = curtailed or any(s.kind in LIMITS and s.why_not is None for s in here)
        error = any(s.why_not is not None and s.said.upper().startswith(CONTROLS) for s in here)
        return state_of(known, curtailed=curtailed, opted_out=opted_out, error=error and not curtailed)

    def _committed(self, _: int, facts: Sequence[f.Fact]) -> None:
        for fact in facts:
            if (
                isinstance(fact, f.SignalReceived | f.SignalEnded)
                and fact.source_id == self._settings.source_id
            ):
                self._wake.set()
            if isinstance(fact, f.SignalEnded):
                self._plans.pop(fact.event_id, None)


class VtnReports:
    """How a report reaches a VTN: POST once, then PUT; what may be there already is looked for by its name."""

    def __init__(self, settings: VtnSettings, client: VtnClient) -> None:
        self._settings = settings
        self._client = client

    async def deliver(self, report: GridReport, *, may_be_there: bool) -> Delivery:
        """Post or correct one report. Never raises."""
        try:
            return await self._deliver(report, may_be_there=may_be_there)
        except VtnFailed as error:
            if error.trouble in {Trouble.BAD_REQUEST, Trouble.NOT_FOUND, Trouble.CONFLICT}:
                return await self._refused(report, error)
            return Later(error.why, error.retry_after_s)

    async def _deliver(self, report: GridReport, *, may_be_there: bool) -> Delivery:
        body: dict[str, Any] = msgspec.json.decode(report.body)
        if await self._client.version() == V301:
            body = {"programID": report.program_id, **body}
        report_id = report.report_id
        if report_id is None and may_be_there:
            report_id = await self._there(report)
        if report_id is not None:
            try:
                await self._client.replace("/reports", report_id, body)
            except VtnFailed as error:
                if error.trouble is not Trouble.NOT_FOUND:
                    raise
            else:
                return Taken(report_id)
        try:
            made = await self._client.create("/reports", body)
        except VtnFailed as error:
            report_id = await self._there(report) if error.trouble is Trouble.CONFLICT else None
            if report_id is None:
                raise
            await self._client.replace("/reports", report_id, body)
            return Taken(report_id)
        named = made.get("id") if isinstance(made, dict) else None
        return Taken(str(named) if isinstance(named, str | int) else None)

    async def _there(self, report: GridReport) -> str | None:
        """The VTN's id of our report of this name; None: it has none, or does not let us look."""
        query = {"eventID": report.event_id, "clientName": self._settings.ven_name}
        try:
            listed = await self._client.listing("/reports", query)
        except VtnFailed as error:
            if error.trouble in {Trouble.FORBIDDEN, Trouble.NOT_FOUND, Trouble.BAD_REQUEST}:
                return None
            raise
        for found in listed:
            told = found if isinstance(found, dict) else {}
            mine = (told.get("eventID"), told.get("clientName"), told.get("reportName"))
            if mine == (report.event_id, self._settings.ven_name, report.name) and "id" in told:
                return str(told["id"])
        return None

    async def _refused(self, report: GridReport, error: VtnFailed) -> Delivery:
        """400, 404 and 409 are final; whether the event is gone or our words were wrong is news to a person."""
        try:
            event = await self._client.one("/events", report.event_id)
        except VtnFailed:
            event = report
        if event is None:
            return Unwanted("its event is gone from the VTN")
        return Unwanted(f"the VTN does not take it: {error.why}")
