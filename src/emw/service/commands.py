"""The only way to the wire: what `decide` ordered is checked, let through, made durable, sent, and answered for.

Whoever asks, an order passes the last check (promise P4) and the governor (promise P7) here, then the ledger, then
goes. A command is absolute and keeps its id, so saying it again is harmless.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from emw.domain import facts as f
from emw.domain.model import UNHEARD, Cause, Evse, Limit, Outcome, Station
from emw.engine.governor import Governor
from emw.engine.view import Order
from emw.service.accounts import Accounts
from emw.service.errors import Unavailable
from emw.service.faults import fault_point
from emw.service.ledger import Ledger
from emw.service.picture import Picture
from emw.service.ports import Answer, Clock, Ids, StationLink
from emw.service.settings import ServiceSettings
from emw.service.telemetry import OBEYED_A

log = structlog.get_logger()
PIECE = 2_000
"""So many commands are issued without letting anything else happen in between."""
UNCONFIRMED = {Outcome.PENDING, *UNHEARD}
GREETINGS = 4
"""Greetings have a quarter of the room, and it is not the commands': ten thousand boots delay no event (fault F18)."""


class Commands:
    """Issues orders, sends them, and keeps what stations answer."""

    def __init__(
        self,
        ledger: Ledger,
        link: StationLink,
        picture: Picture,
        governor: Governor,
        accounts: Accounts,
        clock: Clock,
        ids: Ids,
        settings: ServiceSettings,
    ) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._link = link
        self._picture = picture
        self._governor = governor
        self._accounts = accounts
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._began_at = clock.now()
        self.sent = 0
        self.held = 0
        self.wake: Callable[[str], None] = lambda _: None
        self._tasks: asyncio.TaskGroup | None = None
        self._room = asyncio.Semaphore(settings.commands_in_flight)
        self._greetings = asyncio.Semaphore(max(settings.commands_in_flight // GREETINGS, 1))
        self._sending: dict[str, str] = {}  # EVSE to the command that is on its way: one at a time
        self._next: dict[str, Limit] = {}  # ... and the latest one that waits behind it
        self._unwritten: set[str] = set()  # EVSEs whose latest command is not durable yet
        self._said: dict[str, tuple[str, Outcome, float | None]] = {}  # the last answer recorded per EVSE
        self._say_again: set[str] = set()  # stations that can't be called and have lost what they confirmed

    def resume(self, tasks: asyncio.TaskGroup) -> None:
        """Limits in force are said again with their old ids: stations may have lost them while emw was away."""
        self._tasks = tasks
        now = self._clock.now()
        for limit in sorted(self._state.limits.values(), key=lambda x: x.evse_id):
            if self.owes(limit, now):
                if limit.outcome is not Outcome.APPLIED:
                    self._governor.said_late(limit.evse_id, now.timestamp())
                self.resend(limit.evse_id)

    async def issue(
        self, orders: Sequence[Order], now: datetime, goes_on: Callable[[], bool] = lambda: True
    ) -> Mapping[str, float]:
        """Check, book, write, send; returns what the governor held back of what each request was to get, kW.

        In pieces, so that a hundred thousand commands keep no heartbeat waiting, and the first do not wait for the
        last. Between them it is asked whether that `goes_on`.
        Raises Unavailable when the ledger can't write: then only releases went out.
        """
        held_kw: defaultdict[str, float] = defaultdict(float)
        failed: Unavailable | None = None
        for first in range(0, len(orders), PIECE):
            if first:
                now = self._clock.now()
                if not goes_on():
                    break
            try:
                await self._issue(orders[first : first + PIECE], now, held_kw)
            except Unavailable as error:
                failed = error  # what frees cars may be among the rest
        if failed is not None:
            raise failed
        return held_kw

    async def _issue(self, orders: Sequence[Order], now: datetime, held_kw: defaultdict[str, float]) -> None:
        facts: list[f.Fact] = []
        going: list[str] = []
        nodes: set[str] = set()
        releases: list[Limit] = []
        for order in orders:
            evse = self._state.evses.get(order.evse_id)
            if evse is None or self._is_late(order, evse) or not self._legal(order, evse, now):
                continue
            falls_kw = -self._moves_kw(order, evse, now)
            if not self._admitted(order, evse, -falls_kw, now):
                if order.request_key is not None and falls_kw > 0:
                    held_kw[order.request_key] += falls_kw
                continue
            before = self._state.limits.get(order.evse_id)
            # A limit that stands may serve the next request from now on: nothing moves, and its EVSE takes part there.
            serves = before is not None and before.request_key == order.request_key
            if order.request_key is not None and order.limit_a is not None and not (order.renewal and serves):
                facts += self._accounts.enrol(order.request_key, order.evse_id, now)
            path = self._state.path(evse.territory_id)
            nodes.update(path)
            command = self._command(order, path, now)
            facts.append(command)
            going.append(order.evse_id)
            if order.limit_a is None:
                releases.append(_as_limit(command))
        self._unwritten.update(going)
        try:
            await self._ledger.record(*facts)
        except Unavailable as error:
            # Failing is towards the driver: what frees a car goes out even when it can't be written.
            log.warning("dispatch.release_unwritten", releases=len(releases), why=error.detail)
            self._governor.taken_back(nodes)
            for limit in releases:
                self._start(limit)
            raise
        finally:
            self._unwritten.difference_update(going)
        self._governor.stands(nodes)
        for evse_id in going:
            self.resend(evse_id)

    def _command(self, order: Order, path: Sequence[str], now: datetime) -> f.CommandIssued:
        before = self._state.held(order.evse_id, now)
        return f.CommandIssued(
            at=now,
            actor="emw",
            command_id=self._ids.new("co"),
            evse_id=order.evse_id,
            max_a=order.limit_a,
            until=order.until,
            cause=order.cause,
            request_key=order.request_key,
            node_id=order.node_id,
            line=order.line,
            would_draw_a=order.would_draw_a,
            asked_kw=order.asked_kw,
            renewal=order.renewal,
            replaces_a=None if before is None else before.max_a,
            could_kw=() if order.renewal else self._governor.could_kw(path),
        )

    def _is_late(self, order: Order, evse: Evse) -> bool:
        """Whether the vehicle that it was meant for has left since; what lets go is never late."""
        session = self._state.session_of(evse)
        here_since = None if session is None else session.started_at
        return order.limit_a is not None and order.plugged_at != here_since

    def _legal(self, order: Order, evse: Evse, now: datetime) -> bool:
        """Promise P4 at the last step: 0 or floor to knob, with an end ahead and no further than the lease."""
        if order.limit_a is None:
            return True
        rules = self._settings.rules
        lease = timedelta(seconds=rules.ceiling_lease_s) if order.cause is Cause.CEILING else rules.hold
        in_range = order.limit_a == 0.0 or evse.floor_a <= order.limit_a <= evse.max_a + 1e-9
        in_time = now < order.until <= now + lease
        if not (in_range and in_time):
            log.error(
                "dispatch.illegal_order", evse_id=order.evse_id, limit_a=order.limit_a, until=str(order.until)
            )
        return in_range and in_time

    def _moves_kw(self, order: Order, evse: Evse, now: datetime) -> float:
        """By how much it makes load rise (or fall: less than 0), kW."""
        held = self._state.held(order.evse_id, now)
        before_a = order.would_draw_a
        if held is not None and held.max_a is not None:
            before_a = min(before_a, held.max_a)
        after_a = order.would_draw_a if order.limit_a is None else min(order.would_draw_a, order.limit_a)
        return evse.kw_per_a * (after_a - before_a)

    def _admitted(self, order: Order, evse: Evse, moves_kw: float, now: datetime) -> bool:
        """Promise P7 at the last step: ramp, rhythm, gap. A renewal moves nothing and is free."""
        if order.renewal:
            return True
        request = self._state.requests.get(order.request_key) if order.request_key else None
        why = self._governor.admit(
            order.evse_id,
            self._state.path(evse.territory_id),
            moves_kw,
            now.timestamp(),
            emergency=request is not None and request.emergency,
            law=order.law,
            halt=order.cause is Cause.HALT,
            driver=order.driver,
        )
        if why is not None:
            self.held += 1
            log.debug("dispatch.held", evse_id=order.evse_id, why=why)
        return why is None

    def resend(self, evse_id: str) -> None:
        """Say the last command of an EVSE (again): same id, absolute, so harmless."""
        self._say_again.add(evse_id)
        if evse_id in self._unwritten:
            return  # it goes out once it is durable
        limit = self._state.limits.get(evse_id)
        if limit is not None and self._sending.get(evse_id) != limit.command_id:
            self._start(limit)

    def _start(self, limit: Limit) -> None:
        """Two commands on their way to one EVSE could arrive in the wrong order: the later one waits."""
        if self._tasks is None:
            return
        if limit.evse_id in self._sending:
            self._next[limit.evse_id] = limit
            return
        self._sending[limit.evse_id] = limit.command_id
        self._tasks.create_task(self._send_in_turn(limit))

    async def _send_in_turn(self, first: Limit) -> None:
        evse_id, limit = first.evse_id, first
        try:
            while True:
                await self._send(limit)
                if evse_id not in self._next:
                    return
                limit = self._next.pop(evse_id)
                self._sending[evse_id] = limit.command_id
        finally:
            self._sending.pop(evse_id, None)

    async def _send(self, limit: Limit) -> None:
        try:
            evse = self._state.evses.get(limit.evse_id)
            station = self._state.stations.get(evse.station_id) if evse else None
            if evse is None or station is None:
                return
            if not evse.powered:
                answer = Answer(Outcome.OFFLINE, reason="powered off")
            else:
                async with self._room:
                    fault_point("command.before")
                    told = _under_knob(limit, evse)
                    answer = await self._say(station, evse, told)
                    self.sent += 1
                    fault_point("command.sent")
            if answer.outcome is not Outcome.PENDING:
                await self._answered(limit, answer, "emw")
        except Unavailable as error:
            log.warning("dispatch.answer_not_written", evse_id=limit.evse_id, why=error.detail)

    async def _say(self, station: Station, evse: Evse, told: Limit) -> Answer:
        """Over the station's wire. A fault of ours there is this one station's: all others are commanded on."""
        try:
            return await self._link.send(station, evse, told, self._clock.now())
        except Exception:
            log.exception("dispatch.not_sent", evse_id=evse.evse_id, command_id=told.command_id)
            return Answer(Outcome.OFFLINE, reason="a fault of emw while it was sent; it is in its log")

    async def greet(self, evse_id: str) -> None:
        """A station (re)booted: give it our token, then what it should hold."""
        evse = self._state.evses[evse_id]
        station = self._state.stations.get(evse.station_id)
        if station is None or station.access_url is None:
            return
        async with self._greetings:
            await self._link.greet(station)
        if self._state.held(evse.evse_id, self._clock.now()) is not None:
            self.resend(evse.evse_id)

    async def told(self, evse_id: str, command_id: str, answer: Answer, actor: str) -> None:
        """What became of a command, by the station's own word: it was PENDING when it was sent, or answered late."""
        limit = self._state.limits.get(evse_id)
        if limit is None or limit.command_id != command_id:
            await self._ledger.settled()
            return  # late: a newer command stands; what it went to shows in its heartbeats
        self._say_again.discard(evse_id)
        if _says_again(limit, answer):
            await self._ledger.settled()
            return
        await self._answered(limit, answer, actor)

    async def _answered(self, limit: Limit, answer: Answer, actor: str) -> None:
        outcome, reason = answer.outcome, answer.reason
        went_to = answer.answered_a
        asked_a = went_to if limit.max_a is None else limit.max_a
        above_a = (went_to or 0.0) - (asked_a or 0.0)
        if outcome is Outcome.APPLIED and above_a > OBEYED_A / 10:
            outcome, reason = Outcome.REJECTED, f"went to {went_to:g} A instead of {asked_a:g} A"
        now = self._clock.now()
        stands = self._state.limits.get(limit.evse_id)
        same = stands is not None and stands.command_id == limit.command_id
        if same and stands is not None and outcome in UNHEARD and self._says_nothing(stands):
            return
        self._picture.asking.note_outcome(limit.evse_id, outcome, now)
        self._say_again.discard(limit.evse_id)
        # One that has been replaced meanwhile may be answered again: its row in the log is there already.
        known = stands if same and stands is not None else limit
        news = (limit.command_id, outcome, answer.answered_a)
        again = not same and self._said.get(limit.evse_id) == news
        if not again and not _says_again(known, replace(answer, outcome=outcome)):
            await self._ledger.record(
                f.CommandAnswered(
                    at=now,
                    actor=actor,
                    command_id=limit.command_id,
                    evse_id=limit.evse_id,
                    outcome=outcome,
                    answered_a=answer.answered_a,
                    reason=reason,
                    request_key=limit.request_key,
                )
            )
            self._said[limit.evse_id] = news
        evse = self._state.evses.get(limit.evse_id)
        if evse is not None and (
            outcome is not Outcome.APPLIED or self._accounts.all_answered(limit.request_key)
        ):
            self.wake(evse.territory_id)

    def _says_nothing(self, stands: Limit) -> bool:
        """Whether it says nothing of what a station holds that it can't be told again.

        It has agreed before. Or an earlier process told it and was killed before the answer: until it calls it may well
        hold it.
        """
        evse = self._state.evses[stands.evse_id]
        told_before = stands.outcome is Outcome.PENDING and stands.issued_at < self._began_at
        return stands.outcome is Outcome.APPLIED or (told_before and self._picture.asking.away(evse))

    def limit_to_tell(self, evse_id: str, *, rebooted: bool = False) -> Limit | None:
        """What a station should hear in an answer: a command it has not confirmed, or one a reboot made it forget."""
        limit = self._state.limits.get(evse_id)
        if limit is None or evse_id in self._unwritten:
            return None
        now = self._clock.now()
        evse = self._state.evses[evse_id]
        limit = _under_knob(limit, evse)
        if rebooted:
            return limit if limit.in_force(now) else None
        if self._state.stations[evse.station_id].access_url is not None:
            # This one is called. Where that failed, it hears of it in an answer, like one that can't be.
            refused = limit.max_a is None and limit.outcome is Outcome.REJECTED
            return limit if (refused or limit.outcome in UNHEARD) and self.owes(limit, now) else None
        unconfirmed = limit.outcome in UNCONFIRMED or evse_id in self._say_again
        return limit if unconfirmed and (limit.in_force(now) or limit.max_a is None) else None

    def owes(self, limit: Limit, now: datetime) -> bool:
        """Whether a station has to hear of it: it is in force, or lifts what may hold yet, a ceiling's for a day."""
        if limit.max_a is not None:
            return limit.in_force(now)
        return limit.outcome is not Outcome.APPLIED and now - limit.issued_at < self._settings.rules.longest


def _says_again(limit: Limit, answer: Answer) -> bool:
    """Whether an answer says what is known of a command already."""
    same = answer.outcome in UNHEARD or limit.answered_a == answer.answered_a
    return limit.outcome is answer.outcome and same


def _under_knob(limit: Limit, evse: Evse) -> Limit:
    """The limit as it may be said now: the knob may have been turned down since it was issued (promise P4)."""
    if limit.max_a is None or limit.max_a <= evse.max_a:
        return limit
    return replace(limit, max_a=evse.max_a)


def _as_limit(command: f.CommandIssued) -> Limit:
    return Limit(
        evse_id=command.evse_id,
        command_id=command.command_id,
        max_a=command.max_a,
        until=command.until,
        cause=command.cause,
        issued_at=command.at,
        request_key=command.request_key,
    )
