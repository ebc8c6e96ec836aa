"""Who can be asked now, and why not: away, opted out, stopped by an operator, refusing, or has given enough."""

from __future__ import annotations

from collections.abc import Callable, Container
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from emw.domain.model import Evse, Outcome
from emw.domain.state import State
from emw.engine.turns import Turns
from emw.engine.view import REFUSING
from emw.service.customer_cap import WHY
from emw.service.settings import ServiceSettings

STOPPED = "stopped by an operator"
OPTED_OUT = "opted out"
DOUBTED = "its meter contradicts itself"
WORDS = {Outcome.REJECTED: REFUSING, Outcome.TIMED_OUT: "not answering", Outcome.OFFLINE: "not reachable"}


class Asking:
    """Remembers for a while who refused, and for a season who gave."""

    def __init__(self, state: State, settings: ServiceSettings) -> None:
        self._state = state
        self._rules = settings.rules
        self.turns = Turns(settings.season)
        self._refusals: dict[str, tuple[int, datetime, Outcome]] = {}
        self._by_driver: set[str] = set()
        self.away: Callable[[Evse], bool] = lambda _: False
        """Whether its station has to call before it can be told anything, and is not connected."""

    def note_outcome(self, evse_id: str, outcome: Outcome, now: datetime) -> None:
        """Who refuses is left alone for a while, longer each time; who obeys is forgiven."""
        if outcome is Outcome.APPLIED:
            self.forgive(evse_id)
            return
        count = self._refusals.get(evse_id, (0, now, outcome))[0] + 1
        wait_s = min(self._rules.retry_after_s * 2 ** (count - 1), self._rules.retry_most_s)
        self._refusals[evse_id] = (count, now + timedelta(seconds=wait_s), outcome)

    def forgive(self, evse_id: str) -> None:
        """A reboot or a new vehicle: a fresh start."""
        self._refusals.pop(evse_id, None)

    def note_opt_out(self, evse_id: str, *, by_driver: bool) -> None:
        """Who refused: a driver in person, who is let go in seconds, or somebody with a key, whom the governor holds as
        it holds everybody (promise P7). It counts for as long as the limit of then takes to end, so no start asks.
        """
        if by_driver:
            self._by_driver.add(evse_id)
        else:
            self._by_driver.discard(evse_id)

    def by_driver(self, evse_id: str) -> bool:
        """Whether the last opt-out was its driver's own."""
        return evse_id in self._by_driver

    def why_not(self, evse: Evse, now: datetime) -> str | None:
        """Why an EVSE can't be asked now; None when it can."""
        if not evse.powered or not evse.online:
            return "offline"
        if self.away(evse):
            return WORDS[Outcome.OFFLINE]  # what it agreed to before stands until it ends
        if not evse.can_limit:
            return "can't be limited"
        if evse.opted_out(now):
            return OPTED_OUT
        stops = self._state.stops
        if stops and not stops.keys().isdisjoint(self._state.path(evse.territory_id)):
            return STOPPED
        refusal = self._refusals.get(evse.evse_id)
        if refusal is not None and now < refusal[1]:
            return WORDS.get(refusal[2], REFUSING)
        limit = self._state.limits.get(evse.evse_id)
        if limit is not None and limit.outcome is Outcome.REJECTED and limit.in_force(now):
            retry_s = self._rules.retry_after_s
            if limit.answered_at is None or now - limit.answered_at < timedelta(seconds=retry_s):
                return REFUSING
        return None

    def why_spared(
        self, evse: Evse, live: AbstractSet[str], beyond: Container[str], now: datetime
    ) -> str | None:
        """Why it is spared: enough was given lately, or its customer has enough; not in the middle of a part.

        Even then, whose meter contradicts itself: nobody can tell what it gives, so others are asked.
        """
        if evse.doubted_at is not None:
            return DOUBTED
        why = WHY if evse.evse_id in beyond else self.turns.why_not(evse.evse_id, live, now)
        if why is None or any((key, evse.evse_id) in self._state.enrolments for key in live):
            return None
        return why
