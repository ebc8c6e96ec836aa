"""What an operator sets by hand: one EVSE's ceiling or priority, sheds stopped under a node, an own request changed.

A hand limit is a ceiling like any other: `decide` puts it into the round, the governor lets it through, and it ends
by itself. A stop is a wish above all wishes: nobody under the node is asked for a shed until it is resumed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from emw.domain import facts as f
from emw.domain.hand import HandLimit, Priority, TerritoryStop
from emw.domain.model import ReductionRequest, RequestState
from emw.domain.reach import lowest_a
from emw.service.accounts import Accounts
from emw.service.dispatch import Dispatch
from emw.service.errors import BadInput, Conflict, NotFound
from emw.service.ledger import Ledger
from emw.service.ports import Clock
from emw.service.requests import OPERATOR, Requests
from emw.service.settings import ServiceSettings

MOST_MINUTES: Final = 24 * 60.0
"""The longest that a hand may hold an EVSE: what is forgotten is over tomorrow."""


PRIORITIES: Final = (0.1, 10.0)
"""Least and most. A bound, because a request must still find what it asks for."""


class ByHand:
    """Limits, priorities, stops, changes."""

    def __init__(
        self,
        ledger: Ledger,
        dispatch: Dispatch,
        accounts: Accounts,
        requests: Requests,
        clock: Clock,
        settings: ServiceSettings,
    ) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._dispatch = dispatch
        self._accounts = accounts
        self._requests = requests
        self._clock = clock
        self._settings = settings

    async def limit(
        self, actor: str, evse_id: str, max_a: float | None, minutes: float, reason: str
    ) -> HandLimit | None:
        """Hold an EVSE at `max_a` (A per phase) for so many minutes; with None let it go."""
        evse = self._state.evses.get(evse_id)
        if evse is None:
            raise NotFound(f"there is no EVSE {evse_id!r}", field="evseID")
        if not 0 < minutes <= MOST_MINUTES:
            raise BadInput("minutes", f"must be more than 0 and at most {MOST_MINUTES:g}")
        if max_a is not None:
            if not (max_a == lowest_a(evse, None) or evse.floor_a <= max_a <= evse.max_a):
                pause = "0, or " if evse.may_pause else ""
                raise BadInput("maxAmps", f"must be {pause}between {evse.floor_a:g} and {evse.max_a:g}")
            if not evse.can_limit:
                raise Conflict(f"EVSE {evse_id!r} can't be limited")
        now = self._clock.now()
        until = now if max_a is None else now + timedelta(minutes=minutes)
        await self._ledger.record(
            f.LimitedByHand(at=now, actor=actor, evse_id=evse_id, max_a=max_a, until=until, reason=reason)
        )
        self._dispatch.wake(evse.territory_id)
        return self._state.hand_limits.get(evse_id)

    async def prefer(self, actor: str, evse_id: str, priority: float, reason: str) -> Priority:
        """What is missed at this EVSE counts `priority` times; 1 takes it back. It orders drivers and frees nobody."""
        evse = self._state.evses.get(evse_id)
        if evse is None:
            raise NotFound(f"there is no EVSE {evse_id!r}", field="evseID")
        least, most = PRIORITIES
        if not least <= priority <= most:
            raise BadInput("priority", f"must be between {least:g} and {most:g}")
        fact = f.PrioritySet(
            at=self._clock.now(), actor=actor, evse_id=evse_id, priority=priority, reason=reason
        )
        await self._ledger.record(fact)
        self._dispatch.wake(evse.territory_id)
        return Priority(evse_id=evse_id, priority=priority, at=fact.at, by=actor, reason=reason)

    async def stop(self, actor: str, territory_id: str, reason: str | None) -> TerritoryStop:
        """Sheds stop under a node: its cars are freed along the ramp. Said twice, it is true once."""
        self._known(territory_id)
        if territory_id not in self._state.stops:
            await self._ledger.record(
                f.TerritoryStopped(
                    at=self._clock.now(), actor=actor, territory_id=territory_id, reason=reason
                )
            )
        self._dispatch.wake(territory_id)
        return self._state.stops[territory_id]

    async def resume(self, actor: str, territory_id: str, reason: str | None) -> None:
        """Sheds may reach the EVSEs under a node again."""
        self._known(territory_id)
        if territory_id in self._state.stops:
            await self._ledger.record(
                f.TerritoryResumed(
                    at=self._clock.now(), actor=actor, territory_id=territory_id, reason=reason
                )
            )
        self._dispatch.wake(territory_id)

    def _known(self, territory_id: str) -> None:
        if territory_id not in self._state.territories:
            raise NotFound(f"there is no territory {territory_id!r}", field="territory")

    async def change(
        self,
        actor: str,
        request: ReductionRequest,
        *,
        kw: float | None = None,
        start_at: datetime | None = None,
        end_at: datetime | None = None,
        reason: str | None = None,
    ) -> ReductionRequest:
        """Another kW, start or end for an operator's own request; what is None stays. A grid's is the grid's."""
        if request.iso_id != OPERATOR:
            raise Conflict(f"this request is {request.iso_id}'s: it can be ended here, but not changed")
        if request.state not in {RequestState.PENDING, RequestState.ACTIVE}:
            raise Conflict("this request is over")
        now, most_s = self._clock.now(), self._settings.max_request_s
        new_kw = request.kw if kw is None else kw
        if not 0 < new_kw <= self._settings.max_request_kw:
            raise BadInput("kW", f"must be more than 0 and at most {self._settings.max_request_kw:.12g}")
        if new_kw > self._requests.caution.most_kw(request):
            raise Conflict("this much more needs a second person: ask for it as another request", field="kW")
        running = request.state is RequestState.ACTIVE
        if start_at is not None and running:
            raise BadInput("start", "it has begun already")
        start = start_at or request.start_at
        if start > now + timedelta(seconds=self._settings.max_ahead_s):
            raise BadInput("start", f"is more than {self._settings.max_ahead_s / 86_400:g} days ahead")
        end = end_at or request.end_at
        if end is not None and not max(start, now) < end <= start + timedelta(seconds=most_s):
            raise BadInput("end", f"must be after start, ahead, and at most {most_s / 86_400:g} days later")
        if (new_kw, start, end) != (request.kw, request.start_at, request.end_at):
            cut = self._accounts.cut(request.request_key, now) if running and new_kw != request.kw else []
            await self._ledger.record(
                *cut,
                f.RequestChanged(
                    at=now,
                    actor=actor,
                    request_key=request.request_key,
                    kw=new_kw,
                    start_at=start,
                    end_at=end,
                    asked=request.asked,
                    reason=reason,
                ),
            )
            self._dispatch.wake(request.territory_id)
        return self._state.requests[request.request_key]
