"""What if: a request that is imagined and not made, and what could be shed in the coming hours.

Both ask the engine the very question that dispatch asks it, over the same view; nothing is recorded or sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from emw.domain.model import ReductionRequest, RequestState
from emw.domain.state import State
from emw.engine.decide import decide
from emw.engine.forecast import Ahead, Forecast
from emw.engine.view import EvseView, Order, View
from emw.service.dispatch import Dispatch
from emw.service.errors import BadInput, NotFound
from emw.service.ports import Clock
from emw.service.settings import ServiceSettings

KEY = "what if"
HOURS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
MOST_HOURS = 24.0
SOON_H = 1 / 60
"""A start so soon is one now."""
FEWER = "fewer vehicles are expected to charge then"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """One EVSE that an imagined request would limit."""

    evse_id: str
    draw_a: float
    limit_a: float
    gives_kw: float
    missed_kwh: float | None
    """What its driver is expected to miss at departure; None: nothing is known of him yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What an imagined request would do."""

    territory_id: str
    kw: float
    minutes: float
    shed_kw: float
    short_kw: float
    why_short: str
    available: Forecast
    """What can be shed now."""
    at_start: Forecast
    """What can be shed when it starts."""
    at_end: Forecast
    """What can still be shed when it ends."""
    limited: tuple[Limited, ...]

    @property
    def missed_kwh(self) -> float:
        """What all drivers together are expected to miss: of those who still charge when it starts."""
        now_kw = self.available.here.kw
        stay = min(self.at_start.here.kw / now_kw, 1.0) if now_kw > 0 else 1.0
        return stay * sum(p.missed_kwh or 0.0 for p in self.limited)


class Oracle:
    """Answers what would happen."""

    def __init__(self, state: State, dispatch: Dispatch, clock: Clock, settings: ServiceSettings) -> None:
        self._state = state
        self._dispatch = dispatch
        self._clock = clock
        self._settings = settings

    def preview(
        self, territory_id: str, kw: float, minutes: float, start_at: datetime | None = None
    ) -> WhatIf:
        """Who would be limited to what if `kw` were asked of a territory now, on top of what runs.

        For a later start who gives what is told of the vehicles that are here now, without the requests that are over
        by then, and what it would shed as the forecast expects it.
        Raises NotFound, BadInput.
        """
        now = self._clock.now()
        imagined = self._imagined(territory_id, kw, minutes, now)
        root = self._root(territory_id)
        wait_h = 0.0 if start_at is None else max((start_at - now).total_seconds() / 3600, 0.0)
        if wait_h > MOST_HOURS:
            raise BadInput("start", f"must be within {MOST_HOURS:g} hours: no forecast reaches further")
        view = self._dispatch.picture.view(root, now, halted=self._dispatch.halted, what_if=[imagined])
        if start_at is not None and wait_h > SOON_H:
            view = _by_then(view, start_at)
        plan = decide(view, now, self._settings.rules)
        by_id = {e.evse_id: e for e in view.evses}
        orders = [o for o in plan.orders if o.request_key == KEY and o.limit_a is not None]
        short = next((s for s in plan.shortfalls if s.request_key == KEY), None)
        short_kw = kw if short is None else short.kw
        under = [e for e in view.evses if territory_id in e.path]
        hours = (0.0, wait_h, wait_h + minutes / 60)
        available, at_start, at_end = self._ahead(root, territory_id, under, hours)
        why_short = "dispatch is stopped" if short is None else short.told(short.kw)
        if wait_h > SOON_H:
            come_kw = 0.0 if short is None else at_start.to_come.kw
            short_kw, fewer_kw = max(short_kw - come_kw, 0.0), kw - at_start.both.kw
            if fewer_kw > short_kw:
                short_kw, why_short = fewer_kw, FEWER
            if short_kw <= 0:
                why_short = ""
        return WhatIf(
            territory_id=territory_id,
            kw=kw,
            minutes=minutes,
            shed_kw=kw - short_kw,
            short_kw=short_kw,
            why_short=why_short,
            available=available,
            at_start=at_start,
            at_end=at_end,
            limited=tuple(_limited(by_id[o.evse_id], o, minutes / 60) for o in orders),
        )

    def _imagined(self, territory_id: str, kw: float, minutes: float, now: datetime) -> ReductionRequest:
        most_min = self._settings.max_request_s / 60
        if not 0 < kw <= self._settings.max_request_kw:
            raise BadInput("kW", f"must be more than 0 and at most {self._settings.max_request_kw:g}")
        if not 0 < minutes <= most_min:
            raise BadInput("durationMinutes", f"must be more than 0 and at most {most_min:g}")
        return ReductionRequest(
            request_key=KEY,
            iso_id=KEY,
            request_id=KEY,
            territory_id=territory_id,
            kw=kw,
            start_at=now,
            end_at=now + timedelta(minutes=minutes),
            received_at=now,
            state=RequestState.ACTIVE,
        )

    def forecast(self, territory_id: str, hours: Sequence[float] = HOURS) -> tuple[datetime, list[Forecast]]:
        """What can be shed in a territory now and in so many hours.

        Raises NotFound, BadInput.
        """
        if not hours or not all(0 <= h <= MOST_HOURS for h in hours):
            raise BadInput("hours", f"each must be between 0 and {MOST_HOURS:g}")
        root, now = self._root(territory_id), self._clock.now()
        view = self._dispatch.picture.view(root, now, halted=False, everybody=True)
        under = [e for e in view.evses if territory_id in e.path]
        return now, self._ahead(root, territory_id, under, hours)

    def expected(self, territory_id: str, hours: Sequence[float]) -> tuple[list[Forecast], list[Forecast]]:
        """What can be shed in a territory in so many hours, and what is drawn then.

        Raises NotFound.
        """
        root, now = self._root(territory_id), self._clock.now()
        view = self._dispatch.picture.view(root, now, halted=False, everybody=True)
        under = [e for e in view.evses if territory_id in e.path]
        learning = self._dispatch.picture.learning
        draws_kw = {e.evse_id: e.kw_per_a * e.would_draw_a for e in under}
        here = learning.forecast(root, draws_kw, hours)
        _, to_come = learning.to_come(root, self._sites(territory_id), now, hours)
        return self._ahead(root, territory_id, under, hours), _paired(here, to_come)

    def _root(self, territory_id: str) -> str:
        if not self._state.path(territory_id):
            raise NotFound(f"there is no territory {territory_id!r}", field="territory")
        return self._state.root(territory_id)

    def _sites(self, territory_id: str) -> set[str]:
        """The nodes under a territory, and itself."""
        state = self._state
        return {t for t in state.territories if territory_id in state.path(t)}

    def _ahead(
        self, root: str, territory_id: str, evses: Sequence[EvseView], hours: Sequence[float]
    ) -> list[Forecast]:
        learning, now = self._dispatch.picture.learning, self._clock.now()
        gives_kw = {e.evse_id: _most_kw(e) for e in evses if e.why_not is None}
        here = learning.forecast(root, gives_kw, hours)
        to_come, _ = learning.to_come(root, self._sites(territory_id), now, hours)
        return _paired(here, to_come)


def _paired(here: Sequence[Ahead], to_come: Sequence[Ahead]) -> list[Forecast]:
    return [Forecast(here=h, to_come=c) for h, c in zip(here, to_come, strict=True)]


def _by_then(view: View, start_at: datetime) -> View:
    """The same vehicles at a later start: a request that is over by then holds nobody any more."""
    on = {
        r.request_key: r
        for r in view.requests
        if r.state in {RequestState.PENDING, RequestState.ACTIVE}
        and (r.end_at is None or r.end_at > start_at or r.request_key == KEY)
    }

    def freed(e: EvseView) -> EvseView:
        limit = e.limit
        if limit is None or limit.request_key is None or limit.request_key in on:
            return e._replace(next_change_at=None)
        return e._replace(limit=None, draw_a=None, baseline_a=None, next_change_at=None)

    return replace(view, requests=list(on.values()), evses=[freed(e) for e in view.evses])


def _most_kw(e: EvseView) -> float:
    """What an EVSE can give while its vehicle charges: all above its floor, or all where it may pause."""
    return e.kw_per_a * max(e.would_draw_a - e.lowest_a, 0.0)


def _limited(e: EvseView, order: Order, hours: float) -> Limited:
    gives_kw = max(order.asked_kw, 0.0)
    limit_a = 0.0 if order.limit_a is None else order.limit_a
    price = None if e.price is None else (e.price.floor if limit_a > 0 else e.price.pause)
    return Limited(
        evse_id=e.evse_id,
        draw_a=e.now_a(e.limit.max_a if e.limit is not None else None),
        limit_a=limit_a,
        gives_kw=gives_kw,
        missed_kwh=None if price is None else max(price, 0.0) * gives_kw * hours,
    )
