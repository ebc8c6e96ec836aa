"""What the grid (or an operator in its stead) asks: requests in, checked and made durable, and how they stand.

An ISO sees its own requests in its own territories; everything else is not there. The same id again is the same
request; with other contents it is a conflict.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from emw.domain import facts as f
from emw.domain.model import Iso, ReductionRequest, RequestState
from emw.service.accounts import Accounts
from emw.service.caution import Caution
from emw.service.dispatch import Dispatch
from emw.service.errors import BadInput, Conflict, Forbidden, NotFound
from emw.service.ledger import Ledger
from emw.service.ports import Clock, Store
from emw.service.settings import ServiceSettings
from emw.service.tally import Part, as_told, recorded, summed

OPERATOR = "operator"
"""The name under which an operator's own requests stand where an ISO's id would."""
PAST = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decrease:
    """A grid operator's wish: `kw` below baseline in a territory."""

    request_id: str
    territory_id: str
    kw: float
    start_at: datetime | None = None
    end_at: datetime | None = None
    minutes: float | None = None
    emergency: bool = True


class Requests:
    """Takes, cancels and tells requests."""

    def __init__(
        self,
        ledger: Ledger,
        accounts: Accounts,
        dispatch: Dispatch,
        store: Store,
        clock: Clock,
        settings: ServiceSettings,
    ) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._accounts = accounts
        self._dispatch = dispatch
        self._store = store
        self._clock = clock
        self._settings = settings
        self.caution = Caution(ledger.state, settings)

    # --- ISO

    async def connected(self, iso: Iso, access_url: str | None) -> tuple[datetime, list[str]]:
        """An ISO says hello and where its reports go; it hears which territories it may name."""
        now = self._clock.now()
        if iso.access_url != access_url or iso.connected_at is None:
            fact = f.IsoConnected(at=now, actor=f"iso:{iso.iso_id}", iso_id=iso.iso_id, access_url=access_url)
            await self._ledger.record(fact)
        return now, self.territories_of(iso)

    def territories_of(self, iso: Iso) -> list[str]:
        """Every node an ISO may name: its own and what is under them."""
        return sorted(t for t in self._state.territories if self._may_name(iso, t))

    def _may_name(self, iso: Iso, territory_id: str) -> bool:
        return not set(iso.territories).isdisjoint(self._state.path(territory_id))

    # --- asking

    async def decrease(
        self, iso_id: str, asked: Decrease, *, actor: str, iso: Iso | None = None
    ) -> ReductionRequest:
        """Take a request: durable when this returns; the territory is awake. Said twice, it is one."""
        key = f"{iso_id}:{asked.request_id}"
        said = _canonical(asked)
        known = self._state.requests.get(key)
        if known is not None:
            if known.asked != said:
                raise Conflict("this requestID stands for another request; take a new one", field="requestID")
            await self._ledger.settled()
            return known
        now = self._clock.now()
        if asked.territory_id not in self._state.territories or (
            iso is not None and not self._may_name(iso, asked.territory_id)
        ):
            raise NotFound(f"territory {asked.territory_id!r} is not one of yours", field="territory")
        start_at, end_at = self._times(asked, now)
        self.caution.room_for_one(actor)
        fact = f.RequestReceived(
            at=now,
            actor=actor,
            request_key=key,
            iso_id=iso_id,
            request_id=asked.request_id,
            territory_id=asked.territory_id,
            kw=asked.kw,
            start_at=start_at,
            end_at=end_at,
            emergency=asked.emergency,
            asked=said,
            held=self.caution.why_hold(actor, asked.kw, now),
        )
        await self._ledger.record(fact)
        self._dispatch.wake(asked.territory_id)
        return self._state.requests[key]

    def _times(self, asked: Decrease, now: datetime) -> tuple[datetime, datetime | None]:
        settings = self._settings
        if not 0 < asked.kw <= settings.max_request_kw:
            raise BadInput("kW", f"must be more than 0 and at most {settings.max_request_kw:.12g}")
        if asked.end_at is not None and asked.minutes is not None:
            raise BadInput("end", "give either end or durationMinutes, not both")
        start_at = asked.start_at or now
        if start_at > now + timedelta(seconds=settings.max_ahead_s):
            raise BadInput("start", f"is more than {settings.max_ahead_s / 86_400:g} days ahead")
        end_at = asked.end_at
        if asked.minutes is not None:
            if not 0 < asked.minutes * 60 <= settings.max_request_s:
                raise BadInput(
                    "durationMinutes", f"must be more than 0 and at most {settings.max_request_s / 60:.12g}"
                )
            end_at = start_at + timedelta(minutes=asked.minutes)
        if end_at is not None:
            if end_at <= start_at:  # minutes may be less than a time can tell apart
                raise BadInput("end" if asked.minutes is None else "durationMinutes", "must be after start")
            if end_at <= now:
                raise BadInput("end" if asked.minutes is None else "start", "this request is already over")
            if end_at - start_at > timedelta(seconds=settings.max_request_s):
                raise BadInput("end", f"a request may last at most {settings.max_request_s / 86_400:g} days")
        elif start_at < now - PAST:
            raise BadInput("start", "is in the past")
        return start_at, end_at

    async def wait_answered(self, key: str) -> None:
        """Wait until every station has answered, 5 s at most."""
        request = self._state.requests[key]
        if (
            request.state in {RequestState.PENDING, RequestState.ACTIVE}
            and request.start_at <= self._clock.now()
            and request.held is None
        ):
            try:
                async with asyncio.timeout(self._settings.decrease_wait_s):
                    await self._accounts.answered(key)
            except TimeoutError:
                return

    async def confirm(
        self, request: ReductionRequest, *, actor: str, reason: str | None = None
    ) -> ReductionRequest:
        """A second person agrees to a request that waits for one. Said twice by the same, it is true once."""
        if request.confirmed_by == actor:
            await self._ledger.settled()
            return request
        if request.held is None or not request.live:
            raise Conflict("this request does not wait for a second person")
        if request.asked_by == actor:
            raise Forbidden("who asked for a request can't be the second person who agrees to it")
        await self._ledger.record(
            f.RequestConfirmed(
                at=self._clock.now(), actor=actor, request_key=request.request_key, reason=reason
            )
        )
        self._dispatch.wake(request.territory_id)
        return self._state.requests[request.request_key]

    async def return_to_normal(
        self, iso_id: str, request_id: str, *, actor: str, reason: str | None = None
    ) -> ReductionRequest:
        """End a request now: its cars are freed along the ramp. Said twice, it is true once."""
        request = self.own(iso_id, request_id)
        if request.state in {RequestState.PENDING, RequestState.ACTIVE}:
            await self._ledger.record(*self.cancelled(request, self._clock.now(), actor, reason))
            self._dispatch.wake(request.territory_id)
        else:
            await self._ledger.settled()
        return self._state.requests[request.request_key]

    def cancelled(
        self, request: ReductionRequest, now: datetime, actor: str, reason: str | None
    ) -> list[f.Fact]:
        """The facts that end a request before its time, its last sums first."""
        end = f.RequestCancelled(
            at=now, actor=actor, request_key=request.request_key, iso_id=request.iso_id, reason=reason
        )
        return [*self._accounts.last_sums(request.request_key, now), end]

    # --- telling

    def own(self, iso_id: str, request_id: str) -> ReductionRequest:
        """A request of this ISO; another's is not there."""
        request = self._state.requests.get(f"{iso_id}:{request_id}")
        if request is None:
            raise NotFound(f"there is no request {request_id!r}", field="requestID")
        return request

    async def told(self, request: ReductionRequest) -> dict[str, Any]:
        """The request with its intervals. What is told is durable."""
        await self._ledger.settled()
        rows = await self._store.query("intervals", request_key=request.request_key)
        intervals = [
            {
                "start": r["start_at"],
                "end": r["end_at"],
                "requestedKW": round(r["requested_kw"], 3),
                "confirmedKW": round(r["confirmed_kw"], 3),
                "measuredKW": None if r["measured_kw"] is None else round(r["measured_kw"], 3),
                "baselineKW": None if r["baseline_kw"] is None else round(r["baseline_kw"], 3),
                "loadKW": None if r["load_kw"] is None else round(r["load_kw"], 3),
                "method": r["method"],
            }
            for r in sorted(rows, key=lambda r: r["start_at"])
        ]
        current = self._state.requests[request.request_key]
        return self._accounts.told(current, self._clock.now(), intervals)

    def of(self, iso_id: str | None = None) -> list[ReductionRequest]:
        """Requests of one ISO (or all), newest first."""
        found = [r for r in self._state.requests.values() if iso_id is None or r.iso_id == iso_id]
        return sorted(found, key=lambda r: (r.received_at, r.request_key), reverse=True)

    def told_briefly(self, request: ReductionRequest, whole: Part | None = None) -> dict[str, Any]:
        """The request without its intervals. `whole`: the sums of its territory, where the caller keeps them.

        One that is over is told from its record: a list of a thousand must not sum up the fleet a thousand times.
        """
        if not request.live:
            return as_told(request, recorded(request), request.why_short)
        sums = None if whole is None else summed(request, whole)
        return self._accounts.told(request, self._clock.now(), sums=sums)


def _canonical(asked: Decrease) -> str:
    """What was asked, as text: the same words again are the same request."""
    said = {
        "territory": asked.territory_id,
        "kW": asked.kw,
        "start": asked.start_at,
        "end": asked.end_at,
        "durationMinutes": asked.minutes,
    }
    return msgspec.json.encode({k: v for k, v in said.items() if v is not None}).decode()
