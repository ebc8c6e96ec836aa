"""What waits for a second person before it may move load: much at once, and much to and fro (attacks A8, A9).

The governor bounds how fast load moves, whoever asks. This bounds what one credential may ask at all, so that a stolen
one is worth little: beyond it a request is taken, told as pending, and waits until a person agrees.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog

from emw.domain.model import ReductionRequest, RequestState
from emw.domain.state import State
from emw.service.errors import TooMany
from emw.service.settings import ServiceSettings

log = structlog.get_logger()
DAY = timedelta(days=1)
LATER_S = 60
"""When an asker with too many requests may try again."""


class Caution:
    """Looks at what an asker has asked already. An asker is an actor: an ISO, a VTN, a person, a key."""

    def __init__(self, state: State, settings: ServiceSettings) -> None:
        self._state = state
        self._settings = settings

    def why_hold(self, asker: str, kw: float, now: datetime, *, besides_kw: float = 0.0) -> str | None:
        """Why a request of this asker must wait for a second person; None: it need not.

        `besides_kw`: what the same message asks for beside it.
        """
        settings = self._settings
        most_kw, most_turned = settings.confirm_above_kw, settings.turned_kw_per_day
        if most_kw is None and most_turned is None:
            return None
        why = None
        own = [r for r in self._state.requests.values() if r.asked_by == asker]
        live_kw = sum(r.kw for r in own if r.live and r.confirmed_by is None and r.held is None)
        if most_kw is not None and live_kw + besides_kw + kw > most_kw:
            why = f"more than {most_kw:g} kW at once need a second person"
        elif most_turned is not None and _turned_kw(own, now) + 2 * (besides_kw + kw) > most_turned:
            why = f"more than {most_turned:g} kW moved to and fro in 24 hours need a second person"
        if why is not None:
            log.warning("request.held", asker=asker, kw=kw, why=why)
        return why

    def most_kw(self, request: ReductionRequest) -> float:
        """What a request may be raised to without a second person, kW."""
        most_kw = self._settings.confirm_above_kw
        if most_kw is None or request.held is not None:
            return self._settings.max_request_kw
        others_kw = sum(
            r.kw
            for r in self._state.requests.values()
            if r.asked_by == request.asked_by and r.live and r.confirmed_by is None and r is not request
        )
        return max(request.kw, most_kw - others_kw)

    def room_for_one(self, asker: str) -> None:
        """Raise TooMany where this asker has as many live requests as anybody may have."""
        most = self._settings.most_live_requests
        if sum(1 for r in self._state.requests.values() if r.live and r.asked_by == asker) >= most:
            raise TooMany(
                f"you have {most} live requests; end some, or wait until some are over", retry_after_s=LATER_S
            )


def _turned_kw(own: Iterable[ReductionRequest], now: datetime) -> float:
    """A day's kW times turns: each request turns load down once and up once, unless it never began."""
    return sum(
        2 * r.kw
        for r in own
        if r.state is not RequestState.CANCELLED
        and r.confirmed_by is None
        and r.held is None
        and (r.live or r.ended_at is None or now - r.ended_at < DAY)
    )
