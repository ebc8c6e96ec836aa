"""The books of requests: who takes part, what was asked, confirmed and measured, and the reports owed for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from emw.domain import facts as f
from emw.domain.model import Evse, Outcome, ReductionRequest, RequestState
from emw.engine.view import Shortfall, retold
from emw.service.customer_cap import beyond_cap
from emw.service.errors import Unavailable
from emw.service.ledger import Ledger
from emw.service.ports import Ids
from emw.service.settings import ServiceSettings
from emw.service.tally import Lines, Part, Row, Tally, as_told
from emw.service.telemetry import Telemetry
from emw.service.twins import METHOD, Twins

NOT_STARTED = "not started"
"""Why a request is short that no round has looked at yet (`evolve` says so)."""
CANCELLED = "cancelled before its start"
INSTANT = timedelta.resolution
NOT_YET = "commands wait for the next round (ramp, rhythm or the minimum gap between two changes)"


@dataclass(slots=True)
class _Book:
    """What has been metered of one request since its last interval ended."""

    start_at: datetime
    looked_at: datetime
    seconds: float = 0.0
    measured_kws: float = 0.0
    baseline_kws: float = 0.0
    load_kws: float = 0.0
    unmeasured: bool = False


class Accounts:
    """Keeps sums while requests run; facts come out of it."""

    def __init__(
        self, ledger: Ledger, telemetry: Telemetry, ids: Ids, settings: ServiceSettings, twins: Twins
    ) -> None:
        self._ledger = ledger
        self._twins = twins
        self._state = ledger.state
        self._telemetry = telemetry
        self._ids = ids
        self._most_per_customer = settings.most_evses_per_customer
        self._interval = timedelta(seconds=settings.report_interval_s)
        self._books: dict[str, _Book] = {}
        self._short: dict[str, Shortfall] = {}
        self._taking_part: dict[str, set[str]] = {}
        self._parts: dict[str, dict[str, int]] = {}
        """The number of the next part of each EVSE that took part in a request that is not over."""
        self._measured_kwh: defaultdict[str, dict[str, float]] = defaultdict(dict)
        """By request and EVSE, of parts that are not over."""
        # What has been tallied once has been reported as confirmed: before a crash, too.
        self._reported = {r.request_key for r in self._state.requests.values() if r.why_short != NOT_STARTED}
        self._settled: dict[str, asyncio.Event] = {}
        self._asked: dict[str, list[str]] = {}  # EVSEs that may still owe an answer, per request
        for key, evse_id in self._state.enrolments:
            self._taking_part.setdefault(key, set()).add(evse_id)
            self._asked.setdefault(key, []).append(evse_id)
        ledger.listen(self._committed)

    # --- who takes part

    def live_requests(self) -> list[ReductionRequest]:
        """Requests with something left to do, oldest first."""
        return [r for r in self._state.requests.values() if r.live]

    def enrol(self, request_key: str, evse_id: str, now: datetime) -> list[f.Fact]:
        """An EVSE gets a limit for a request; its first one makes it take part.

        Not in one that has closed in the same round: a ceiling may hold on to what was asked for its sake.
        """
        if not self._state.requests[request_key].live:
            return []
        self._asked.setdefault(request_key, []).append(evse_id)
        self._taking_part.setdefault(request_key, set()).add(evse_id)
        if (request_key, evse_id) in self._state.enrolments:
            return []
        return [self._enrolled(request_key, evse_id, now)]

    def inherit(self, evse_id: str, now: datetime) -> list[f.Fact]:
        """A vehicle comes before the limit of the one that left was lifted: it takes part from its first second.

        To be recorded together with the end of the other one's part, if that is still to be written.
        """
        limit = self._state.held(evse_id, now)
        if limit is None or limit.request_key is None:
            return []
        if self._state.requests[limit.request_key].state is not RequestState.ACTIVE:
            return []
        self._taking_part.setdefault(limit.request_key, set()).add(evse_id)
        return [self._enrolled(limit.request_key, evse_id, now)]

    def _enrolled(self, request_key: str, evse_id: str, now: datetime) -> f.Fact:
        part = self._parts.get(request_key, {}).get(evse_id, 0)
        return f.Enrolled(at=now, actor="emw", request_key=request_key, evse_id=evse_id, part=part)

    def leave(self, evse_id: str, why: str, now: datetime) -> list[f.Fact]:
        """An EVSE's part in every running request ends."""
        return [
            self._end(key, evse_id, why, now)
            for key, taking_part in sorted(self._taking_part.items())
            if evse_id in taking_part and (key, evse_id) in self._state.enrolments
        ]

    def _end(self, key: str, evse_id: str, why: str, now: datetime) -> f.Fact:
        self.took_part(key, evse_id, self._state.enrolments[key, evse_id].part)
        kwh = self._measured_kwh[key].get(evse_id, 0.0)
        return f.EnrolmentEnded(
            at=now, actor="emw", request_key=key, evse_id=evse_id, why=why, measured_kwh=round(kwh, 6)
        )

    def took_part(self, key: str, evse_id: str, part: int) -> None:
        """An EVSE's part in a request is over, said once or more. The next vehicle's there is the part after it."""
        if self._state.requests[key].live:
            parts = self._parts.setdefault(key, {})
            parts[evse_id] = max(parts.get(evse_id, 0), part + 1)

    def close(self, key: str, now: datetime) -> list[f.Fact]:
        """The last EVSE is free: every part ends, and the final report is owed."""
        # Who could not be enrolled (the store failed) has no part to end.
        taking_part = [
            e for e in sorted(self._taking_part.get(key, ())) if (key, e) in self._state.enrolments
        ]
        facts = [self._end(key, e, "request over", now) for e in taking_part]
        return facts + self._report(self._state.requests[key], "final", now)

    def _committed(self, _: int, facts: Sequence[f.Fact]) -> None:
        """Books are closed once it is durable that they are: what can't be written may be asked for again."""
        for fact in facts:
            if isinstance(fact, f.EnrolmentEnded):
                part = (fact.request_key, fact.evse_id)
                self._measured_kwh[fact.request_key].pop(fact.evse_id, None)
                if part not in self._state.enrolments:
                    self._taking_part.get(fact.request_key, set()).discard(fact.evse_id)
            elif isinstance(fact, f.RequestMoved) and not self._state.requests[fact.request_key].live:
                key = fact.request_key
                self._measured_kwh.pop(key, None)
                for book in (self._taking_part, self._parts, self._books, self._asked, self._short):
                    book.pop(key, None)
                self._release_waiters(key)

    def recall(self, key: str, kwh: Mapping[str, float]) -> None:
        """What EVSEs gave to a request that an earlier process metered, kWh."""
        given = self._measured_kwh[key]
        for evse_id in self._taking_part.get(key, set()) & set(kwh):
            given[evse_id] = given.get(evse_id, 0.0) + kwh[evse_id]

    def measured_kwh(self, evse_id: str) -> float:
        """What an EVSE has given so far to requests that still run, kWh."""
        return sum(self.part_kwh(r.request_key, evse_id) for r in self.live_requests())

    def part_kwh(self, key: str, evse_id: str) -> float:
        """What an EVSE has given so far in its present part of a request, kWh."""
        return self._measured_kwh.get(key, {}).get(evse_id, 0.0)

    # --- sums

    def evses_of(self, territory_id: str) -> list[Evse]:
        """The EVSEs under a territory."""
        node, state = territory_id, self._state
        inside: dict[str, bool] = {}
        found = []
        for evse in state.evses.values():
            where = evse.territory_id
            if where not in inside:
                inside[where] = node in state.path(where)
            if inside[where]:
                found.append(evse)
        return found

    def sums(self, request: ReductionRequest, now: datetime) -> Tally:
        """The request's sums at this instant."""
        return self._lines(request.territory_id, now).tally(request)

    def whole(self, territory_id: str, now: datetime) -> Part:
        """What the EVSEs under a territory add to the sums of any request, together."""
        return self._lines(territory_id, now).whole

    def _lines(self, territory_id: str, now: datetime) -> Lines:
        beyond = beyond_cap(self._state, self._most_per_customer, now)
        return Lines(self.evses_of(territory_id), self._state, self._telemetry, now, beyond)

    def why_short(self, key: str, short_kw: float) -> str:
        """Why `short_kw` of it are short, in words, as the last round left it."""
        request = self._state.requests[key]
        if request.held is not None:
            return request.held
        if key in self._short and request.state is RequestState.ACTIVE:
            return self._short[key].told(short_kw) or NOT_YET
        if request.state is RequestState.CANCELLED:
            return CANCELLED
        stopped = request.why_short == NOT_STARTED and request.state is not RequestState.PENDING
        return "dispatch is stopped" if stopped else retold(request.why_short or NOT_YET, short_kw)

    def note_shortfalls(self, shortfalls: Iterable[Shortfall], held_kw: Mapping[str, float]) -> None:
        """Remember what the last round could not place, and why; `held_kw` of each request waits for the governor."""
        for short in shortfalls:
            self._short[short.request_key] = short.with_held(held_kw.get(short.request_key, 0.0))

    def all_answered(self, key: str | None) -> bool:
        """Whether no EVSE of a request still owes an answer."""
        asked = self._asked.get(key or "", [])
        # Who has answered is dropped for good, so that each answer costs one look and not one a station.
        while asked:
            limit = self._state.limits.get(asked[-1])
            if limit is not None and limit.outcome is Outcome.PENDING and limit.max_a is not None:
                return False
            asked.pop()
        return True

    def _tallied(
        self, request: ReductionRequest, now: datetime, as_of: datetime | None = None
    ) -> f.RequestTallied:
        t = self.sums(request, as_of or now)
        return f.RequestTallied(
            at=now,
            actor="emw",
            request_key=request.request_key,
            available_kw=t.available_kw,
            confirmed_kw=t.confirmed_kw,
            pending_kw=t.pending_kw,
            refused_kw=t.refused_kw,
            short_kw=t.short_kw,
            measured_kw=t.measured_kw,
            why_short=self.why_short(request.request_key, t.short_kw) if t.short_kw > 0 else "",
        )

    def last_sums(self, key: str, now: datetime) -> list[f.Fact]:
        """The sums as a request leaves its active time, and its last, perhaps short, interval."""
        request = self._state.requests[key]
        if request.state is not RequestState.ACTIVE:
            return []
        over_at = now
        if request.end_at is not None and request.end_at <= now:
            # Limits that end with it held until then, however late it is now.
            over_at = request.end_at - INSTANT
        facts: list[f.Fact] = [self._tallied(request, now, over_at)]
        book = self._books.get(key)
        if book is not None:
            self._read(request, book, over_at)  # the last round may be half a minute ago
            if book.seconds > 0:
                facts.append(self._interval_fact(request, book, now, over_at))
        self._release_waiters(key)
        return facts

    def cut(self, key: str, now: datetime) -> list[f.Fact]:
        """What is asked changes here: the interval so far ends, and the next begins."""
        facts = self.last_sums(key, now)
        if key in self._books:
            self._books[key] = _Book(now, now)
        return facts

    async def look(self, requests: Sequence[ReductionRequest], now: datetime) -> None:
        """Meter the running requests, close intervals that are over, note that all stations have answered."""
        for seen in requests:
            request = self._state.requests[seen.request_key]
            if request.state is not RequestState.ACTIVE:
                continue
            key = request.request_key
            book = self._books.get(key)
            facts = self._meter(request, now)
            first = self.all_answered(key) and key not in self._reported
            if first:
                facts += [self._tallied(request, now), *self._report(request, "confirmed", now)]
            try:
                await self._ledger.record(*facts)
            except Unavailable:
                if book is not None:
                    self._books[key] = book  # the interval is not over before it is written
                raise
            if first:
                self._reported.add(key)
            if self.all_answered(request.request_key):
                self._release_waiters(request.request_key)

    def _meter(self, request: ReductionRequest, now: datetime) -> list[f.Fact]:
        key = request.request_key
        book = self._books.get(key)
        if book is None:
            self._books[key] = _Book(now, now)
            return []
        self._read(request, book, now)
        if now - book.start_at < self._interval:
            return []
        fact = self._interval_fact(request, book, now)
        self._books[key] = _Book(now, now)
        return [fact, self._tallied(request, now), *self._report(request, "interval", now)]

    def _read(self, request: ReductionRequest, book: _Book, now: datetime) -> None:
        """Enter what the meters show since they were last looked at."""
        lines = self._lines(request.territory_id, now)
        t = lines.tally(request)
        seconds = max((now - book.looked_at).total_seconds(), 0.0)
        book.looked_at = now
        book.seconds += seconds
        book.measured_kws += (t.measured_kw or 0.0) * seconds
        book.baseline_kws += t.baseline_kw * seconds
        book.load_kws += t.load_kw * seconds
        book.unmeasured = book.unmeasured or t.measured_kw is None
        self._meter_evses(request, lines, seconds, now)

    def _meter_evses(self, request: ReductionRequest, lines: Lines, seconds: float, now: datetime) -> None:
        """What each that takes part gave, as far as it counts in the sums; and what was believed of it meanwhile."""
        key = request.request_key
        evse_ids, believed_kw = lines.metered(self._taking_part.get(key, ()))
        given = self._measured_kwh[key]
        kwh = (believed_kw[:, 0] - believed_kw[:, 2]) * seconds / 3600
        for evse_id, given_kwh in zip(evse_ids, kwh.tolist(), strict=True):
            given[evse_id] = given.get(evse_id, 0.0) + given_kwh
        self._twins.add(evse_ids, now, seconds, believed_kw)

    def _interval_fact(
        self, request: ReductionRequest, book: _Book, now: datetime, as_of: datetime | None = None
    ) -> f.IntervalMeasured:
        span = book.seconds or 1.0
        confirmed = self.sums(request, as_of or now).confirmed_kw
        return f.IntervalMeasured(
            at=now,
            actor="emw",
            request_key=request.request_key,
            start_at=book.start_at,
            end_at=now,
            requested_kw=request.kw,
            confirmed_kw=confirmed,
            measured_kw=book.measured_kws / span,
            baseline_kw=book.baseline_kws / span,
            load_kw=book.load_kws / span,
            method=METHOD,
        )

    # --- waiting and reporting

    def told(
        self,
        request: ReductionRequest,
        now: datetime,
        intervals: Sequence[Row] = (),
        sums: Tally | None = None,
    ) -> Row:
        """A request as the grid sees it. `sums`: where the caller has them already; else every EVSE is asked."""
        t = sums or self.sums(request, now)
        return as_told(request, t, self.why_short(request.request_key, t.short_kw), intervals)

    async def answered(self, key: str) -> None:
        """Return once every station asked for this request has answered (the caller sets the deadline)."""
        if key not in self._state.requests or not self._state.requests[key].live:
            return
        await self._settled.setdefault(key, asyncio.Event()).wait()

    def _release_waiters(self, key: str) -> None:
        event = self._settled.pop(key, None)
        if event is not None:
            event.set()

    def _report(self, request: ReductionRequest, kind: str, now: datetime) -> list[f.Fact]:
        iso = self._state.isos.get(request.iso_id)
        if iso is None or iso.access_url is None:
            return []
        body = msgspec.json.encode({"kind": kind, "at": now, **self.told(request, now)}).decode()
        return [
            f.ReportQueued(
                at=now,
                actor="emw",
                report_id=self._ids.new("re"),
                iso_id=iso.iso_id,
                request_key=request.request_key,
                kind=kind,
                body=body,
            )
        ]
