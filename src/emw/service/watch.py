"""What happens because time passes: silent stations go offline, unanswered commands time out, telemetry is flushed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from emw.domain import facts as f
from emw.domain.model import Evse, Limit, Outcome
from emw.service.dispatch import Dispatch
from emw.service.errors import Fenced, Unavailable
from emw.service.ledger import Ledger
from emw.service.ports import Clock, Store
from emw.service.settings import ServiceSettings
from emw.service.telemetry import Telemetry
from emw.service.twins import Twins

log = structlog.get_logger()
UNANSWERED_INTERVALS = 2.5
"""A station that can't be called hears its command at its next heartbeat, and confirms it at once."""

REMEMBERS_EVERY = timedelta(minutes=5)
"""A crash loses what was learned since: by so much twins are believed to be nearer to their vehicles than they are."""


class _Again(NamedTuple):
    """When a release was said last that an EVSE has not heard, and how long until it is said again."""

    command_id: str
    said_at: datetime
    wait_s: float


class Watch:
    """Looks at every EVSE now and then."""

    def __init__(
        self,
        ledger: Ledger,
        telemetry: Telemetry,
        twins: Twins,
        dispatch: Dispatch,
        store: Store,
        clock: Clock,
        settings: ServiceSettings,
    ) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._telemetry = telemetry
        self._twins = twins
        self._dispatch = dispatch
        self._store = store
        self._clock = clock
        self._settings = settings
        self._silent_after = timedelta(seconds=settings.heartbeat_s * settings.offline_after_intervals)
        self._unanswered_after = timedelta(seconds=settings.heartbeat_s * UNANSWERED_INTERVALS)
        self._again: dict[str, _Again] = {}
        self.knows: Callable[[Evse], bool] = lambda _: False
        """Whether an EVSE of which nothing was heard is there all the same: some meter each quarter of an hour."""

    async def run(self) -> None:
        """Look until cancelled."""
        started_at = self._clock.now()
        while True:
            await self._clock.sleep(self._settings.heartbeat_s / 6)
            try:
                await self.look(self._clock.now(), started_at)
            except Unavailable as error:
                log.warning("watch.not_written", why=error.detail)

    async def look(self, now: datetime, started_at: datetime) -> None:
        """Offline: plugged in (only then there are heartbeats) and nothing heard for three intervals."""
        facts: list[f.Fact] = []
        woken: set[str] = set()
        again: list[str] = []
        for evse in self._state.evses.values():
            if not evse.powered or evse.session_id is None:
                continue
            live = self._telemetry.live.get(evse.evse_id)
            heard_at = live.heard_at if live is not None else started_at
            if evse.online and now - heard_at > self._silent_after and not self.knows(evse):
                facts.append(f.WentOffline(at=now, actor="emw", evse_id=evse.evse_id, last_heard_at=heard_at))
                woken.add(evse.territory_id)
        for limit in self._state.limits.values():
            waits = limit.outcome is Outcome.PENDING and (limit.in_force(now) or limit.max_a is None)
            # What an earlier process told is waited for from the start on: its station has to find the way back first.
            if waits and now - max(limit.issued_at, started_at) > self._unanswered_after:
                facts.append(self._timed_out(limit, now))
                woken.add(self._state.evses[limit.evse_id].territory_id)
            elif self._release_missed(limit, now):
                again.append(limit.evse_id)
        await self._ledger.record(*facts)
        for evse_id in again:
            self._dispatch.commands.resend(evse_id)
        for territory_id in sorted(woken):
            self._dispatch.wake(territory_id)

    def _timed_out(self, limit: Limit, now: datetime) -> f.Fact:
        self._dispatch.picture.asking.note_outcome(limit.evse_id, Outcome.TIMED_OUT, now)
        return f.CommandAnswered(
            at=now,
            actor="emw",
            command_id=limit.command_id,
            evse_id=limit.evse_id,
            outcome=Outcome.TIMED_OUT,
            reason="no answer",
            request_key=limit.request_key,
        )

    def _release_missed(self, limit: Limit, now: datetime) -> bool:
        """A release that did not arrive or was refused is said again, less and less often, as long as it is owed."""
        missed = limit.max_a is None and limit.outcome not in {Outcome.APPLIED, Outcome.PENDING}
        if not missed or not self._dispatch.commands.owes(limit, now):
            self._again.pop(limit.evse_id, None)
            return False
        rules = self._settings.rules
        again = self._again.get(limit.evse_id)
        if again is None or again.command_id != limit.command_id:
            again = _Again(limit.command_id, limit.answered_at or now, rules.gap_s)
        due = (now - again.said_at).total_seconds() >= again.wait_s
        if due:
            again = _Again(limit.command_id, now, min(2 * again.wait_s, rules.retry_most_s))
        self._again[limit.evse_id] = again
        return due

    async def flush(self) -> None:
        """Flush telemetry each second or group, and roll it up now and then, until cancelled.

        Raises Fenced once another has taken over, whether there is something to write or not: two at work are one too
        many, and who stood in the dark comes back to its place before a spare takes it.
        """
        rolled_at = remembered_at = self._clock.now()
        while True:
            await self._clock.sleep(self._settings.telemetry_flush_s)
            await self._telemetry.flush()
            await self._still_ours()
            now = self._clock.now()
            await self._twins.flush(now)
            if now - remembered_at >= REMEMBERS_EVERY:
                remembered_at = now
                await self.remember(now)
            if now - rolled_at >= timedelta(seconds=self._settings.roll_up_s):
                rolled_at = now
                try:
                    await self._store.roll_up(now)
                except Unavailable as error:
                    log.warning("telemetry.not_rolled_up", why=error.detail)

    async def _still_ours(self) -> None:
        try:
            await self._store.still_ours()
        except Fenced:
            raise
        except Unavailable as error:
            log.debug("store.away", why=error.detail)

    async def remember(self, now: datetime) -> None:
        """Write down what was learned and no meter will say again."""
        try:
            await self._store.keep_memories(self._dispatch.picture.learning.memories(now))
        except Unavailable as error:
            log.warning("learning.not_remembered", why=error.detail)
