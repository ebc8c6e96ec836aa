"""One task per territory tree: decide, commit, act, observe, decide again.

`decide` proposes, the governor lets through, the ledger makes it durable, then it goes to the stations; what they
answer comes back as facts and wakes the tree. Overlapping requests always meet in one tree, so one task sees all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog

from emw.domain import facts as f
from emw.domain.model import Cause, Evse, Limit, Outcome, RequestState
from emw.engine.decide import decide
from emw.engine.governor import Governor
from emw.engine.view import Order, Plan
from emw.service.accounts import Accounts
from emw.service.errors import Unavailable
from emw.service.faults import fault_point
from emw.service.ledger import Ledger
from emw.service.picture import Picture
from emw.service.ports import Answer, Clock, Ids, StationLink
from emw.service.settings import ServiceSettings
from emw.service.tally import curtailed_kw
from emw.service.telemetry import OBEYED_A, Telemetry

log = structlog.get_logger()
BREATH_S = 0.05
"""Rounds of one tree follow each other no faster than this: what comes in between is decided together."""


class _Tree:
    """One territory tree's task: what wakes it and who waits for its next round."""

    __slots__ = ("asked", "changed", "done", "wake")

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.changed = asyncio.Condition()
        self.asked = 0
        self.done = 0


class Dispatch:
    """Owns what goes out to stations, and the books of what came of it."""

    def __init__(
        self,
        ledger: Ledger,
        telemetry: Telemetry,
        link: StationLink,
        clock: Clock,
        ids: Ids,
        settings: ServiceSettings,
        accounts: Accounts,
    ) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._telemetry = telemetry
        self._link = link
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._accounts = accounts
        self.governor = Governor(settings.rules)
        self.picture = Picture(ledger.state, telemetry, self.governor, clock, settings)
        self.rounds = 0
        self.held = 0
        self.sent = 0
        self._trees: dict[str, _Tree] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._room = asyncio.Semaphore(settings.commands_in_flight)
        self._sending: set[str] = set()
        self._say_again: set[str] = set()  # stations that can't be called and have lost what they confirmed
        self._stop_now = False

    # --- life

    async def run(self) -> None:
        """Work until cancelled: carries on what an earlier process left, then one task per tree."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._resume()
            for root in sorted({self.picture.root(t) for t in self._state.territories}):
                self.wake(root)
            await asyncio.Event().wait()

    def _resume(self) -> None:
        """Limits in force are said again with their old ids: absolute, so harmless, and stations may have lost them."""
        now = self._clock.now()
        for limit in sorted(self._state.limits.values(), key=lambda x: x.evse_id):
            released = limit.max_a is None and limit.outcome is Outcome.PENDING
            if limit.in_force(now) or (released and now - limit.issued_at < self._settings.rules.lease):
                self.resend(limit.evse_id)

    def wake(self, territory_id: str) -> None:
        """Something changed under this node: look again soon."""
        root = self.picture.root(territory_id)
        tree = self._trees.get(root)
        if tree is None:
            tree = self._trees[root] = _Tree()
            if self._tasks is not None:
                self._tasks.create_task(self._run_tree(root, tree), name=f"dispatch {root}")
        tree.asked += 1
        tree.wake.set()

    def wake_all(self) -> None:
        """Look again everywhere."""
        self.picture.forget_paths()
        for root in sorted({self.picture.root(t) for t in self._state.territories}):
            self.wake(root)

    def halt(self, *, on: bool) -> None:
        """Stop all dispatch now, before anything is written; every car is freed along the ramp."""
        self._stop_now = on
        self.wake_all()

    @property
    def halted(self) -> bool:
        """Whether dispatch is stopped."""
        return self._stop_now or self._state.halted

    async def _run_tree(self, root: str, tree: _Tree) -> None:
        wait_s = 0.0
        while True:
            try:
                async with asyncio.timeout(self._clock.loop_seconds(wait_s)):
                    await tree.wake.wait()
            except TimeoutError:
                pass
            tree.wake.clear()
            asked = tree.asked
            wait_s = await self._round(root)
            async with tree.changed:
                tree.done = asked
                tree.changed.notify_all()
            await asyncio.sleep(BREATH_S)

    async def next_round(self, territory_id: str) -> None:
        """Return when a round that began after this call is through: decided, durable, on its way."""
        self.wake(territory_id)
        tree = self._trees[self.picture.root(territory_id)]
        asked = tree.asked
        async with tree.changed:
            await tree.changed.wait_for(lambda: tree.done >= asked)

    # --- one round

    async def _round(self, root: str) -> float:
        """Decide once and carry it out; returns how long the tree may sleep, s."""
        now = self._clock.now()
        view = self.picture.view(root, now, halted=self.halted)
        if not view.requests and not view.evses:
            return self._settings.rules.round_s
        plan = decide(view, now, self._settings.rules)
        self.rounds += 1
        try:
            await self._live_on(plan, now)
            await self._issue(plan, now)
        except Unavailable as error:
            log.warning("dispatch.not_written", root=root, why=error.detail)
            return 1.0
        self._accounts.note_shortfalls(plan.shortfalls)
        await self._accounts.look(view.requests, self._clock.now())
        wake_at = plan.wake_at
        if wake_at is None:
            return self._settings.rules.round_s
        return max(0.0, min((wake_at - self._clock.now()).total_seconds(), self._settings.rules.round_s))

    async def _live_on(self, plan: Plan, now: datetime) -> None:
        """Record what the clock did to requests."""
        for key, state in plan.moves:
            move = RequestState(state)
            facts: list[f.Fact] = []
            if move is RequestState.RESTORING:
                facts += self._accounts.last_sums(key, now)
            facts.append(f.RequestMoved(at=now, actor="emw", request_key=key, state=move))
            if move is RequestState.CLOSED:
                facts += self._accounts.close(key, now)
            await self._ledger.record(*facts)

    async def _issue(self, plan: Plan, now: datetime) -> None:
        """The only way to the wire: every order passes the governor and the last check, then the ledger, then goes."""
        facts: list[f.Fact] = []
        going: list[str] = []
        releases: list[Limit] = []
        for order in plan.orders:
            evse = self._state.evses.get(order.evse_id)
            if evse is None or not self._legal(order, evse, now) or not self._admitted(order, evse, now):
                continue
            if order.request_key is not None and order.limit_a is not None and not order.renewal:
                facts += self._accounts.enrol(order.request_key, order.evse_id, now)
            command = f.CommandIssued(
                at=now,
                actor="emw",
                command_id=self._ids.new("co"),
                evse_id=order.evse_id,
                max_a=order.limit_a,
                until=order.until,
                cause=Cause(order.cause),
                request_key=order.request_key,
                node_id=order.node_id,
                would_draw_a=order.would_draw_a,
                asked_kw=order.asked_kw,
                renewal=order.renewal,
            )
            facts.append(command)
            going.append(order.evse_id)
            if order.limit_a is None:
                releases.append(_as_limit(command))
        try:
            await self._ledger.record(*facts)
        except Unavailable as error:
            # Failing is towards the driver: what frees a car goes out even when it can't be written.
            log.warning("dispatch.release_unwritten", releases=len(releases), why=error.detail)
            for limit in releases:
                self._start(limit)
            raise
        for evse_id in going:
            self.resend(evse_id)

    def _legal(self, order: Order, evse: Evse, now: datetime) -> bool:
        """Promise P4 at the last step: 0 or floor to knob, with an end ahead and no further than the lease."""
        if order.limit_a is None:
            return True
        rules = self._settings.rules
        lease = rules.ceiling_lease_s if order.cause == Cause.CEILING else max(rules.lease_s, 3_600.0)
        in_range = order.limit_a == 0.0 or evse.floor_a <= order.limit_a <= evse.max_a + 1e-9
        in_time = now < order.until <= now + timedelta(seconds=lease)
        if not (in_range and in_time):
            log.error("dispatch.illegal_order", evse_id=order.evse_id, limit_a=order.limit_a, until=str(order.until))
        return in_range and in_time

    def _admitted(self, order: Order, evse: Evse, now: datetime) -> bool:
        """Promise P7 at the last step: ramp, rhythm, gap. A renewal moves nothing and is free."""
        if order.renewal:
            return True
        limit = self._state.limits.get(order.evse_id)
        before_a = order.would_draw_a
        if limit is not None and limit.in_force(now) and limit.max_a is not None:
            before_a = min(before_a, limit.max_a)
        after_a = order.would_draw_a if order.limit_a is None else min(order.would_draw_a, order.limit_a)
        request = self._state.requests.get(order.request_key) if order.request_key else None
        held = self.governor.admit(
            order.evse_id,
            self.picture.path(evse.territory_id),
            evse.kw_per_a * (after_a - before_a),
            self.picture.seconds(now),
            emergency=request is not None and request.emergency,
            law=order.cause == Cause.CEILING,
        )
        if held is not None:
            self.held += 1
            log.debug("dispatch.held", evse_id=order.evse_id, why=held.why)
        return held is None

    # --- sending

    def resend(self, evse_id: str) -> None:
        """Say the last command of an EVSE (again): same id, absolute, so harmless."""
        self._say_again.add(evse_id)
        limit = self._state.limits.get(evse_id)
        if limit is not None and limit.command_id not in self._sending:
            self._start(limit)

    def _start(self, limit: Limit) -> None:
        if self._tasks is not None:
            self._sending.add(limit.command_id)
            self._tasks.create_task(self._send(limit))

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
                    answer = await self._link.send(station, evse, limit, self._clock.now())
                    self.sent += 1
                    fault_point("command.sent")
            if answer.outcome is not Outcome.PENDING:
                await self._answered(limit, answer, "emw")
        except Unavailable as error:
            log.warning("dispatch.answer_not_written", evse_id=limit.evse_id, why=error.detail)
        finally:
            self._sending.discard(limit.command_id)

    async def confirmed(self, evse_id: str, command_id: str, new_max_a: float, actor: str) -> None:
        """A station confirms a command by itself (it has no `accessURL`, or answered late)."""
        limit = self._state.limits.get(evse_id)
        if limit is None or limit.command_id != command_id:
            await self._ledger.settled()
            return  # late: a newer command stands; what it went to shows in its heartbeats
        if limit.outcome is Outcome.APPLIED and limit.answered_a == new_max_a:
            await self._ledger.settled()
            return
        await self._answered(limit, Answer(Outcome.APPLIED, new_max_a), actor)

    async def _answered(self, limit: Limit, answer: Answer, actor: str) -> None:
        outcome, reason = answer.outcome, answer.reason
        if outcome is Outcome.APPLIED and limit.max_a is not None and answer.answered_a is not None:
            if answer.answered_a > limit.max_a + OBEYED_A / 10:
                outcome = Outcome.REJECTED
                reason = f"went to {answer.answered_a:g} A instead of {limit.max_a:g} A"
        now = self._clock.now()
        self.picture.note_outcome(limit.evse_id, outcome, now)
        self._say_again.discard(limit.evse_id)
        stands = self._state.limits.get(limit.evse_id)
        same = stands is not None and stands.command_id == limit.command_id
        if not (same and stands and stands.outcome is outcome and stands.answered_a == answer.answered_a):
            await self._ledger.record(
                f.CommandAnswered(
                    at=now,
                    actor=actor,
                    command_id=limit.command_id,
                    evse_id=limit.evse_id,
                    outcome=outcome,
                    answered_a=answer.answered_a,
                    reason=reason,
                )
            )
        evse = self._state.evses.get(limit.evse_id)
        if evse is not None and (outcome is not Outcome.APPLIED or self._accounts.all_answered(limit.request_key)):
            self.wake(evse.territory_id)

    def limit_to_tell(self, evse_id: str, *, rebooted: bool = False) -> Limit | None:
        """What a station should hear in an answer: a command it has not confirmed, or one a reboot made it forget."""
        limit = self._state.limits.get(evse_id)
        if limit is None:
            return None
        now = self._clock.now()
        if rebooted:
            return limit if limit.in_force(now) else None
        evse = self._state.evses[evse_id]
        if self._state.stations[evse.station_id].access_url is not None:
            return None  # this one is called
        unconfirmed = limit.outcome is Outcome.PENDING and (limit.in_force(now) or limit.max_a is None)
        return limit if unconfirmed or (limit.in_force(now) and evse_id in self._say_again) else None

    # --- what intake tells

    def powered_on(self, evse_id: str) -> None:
        """A station (re)booted: greet it, say what it should hold, look again."""
        self.governor.forget(evse_id)
        self.picture.forgive(evse_id)
        evse = self._state.evses[evse_id]
        if self._tasks is not None:
            self._tasks.create_task(self._greet(evse))
        self.wake(evse.territory_id)

    async def _greet(self, evse: Evse) -> None:
        station = self._state.stations.get(evse.station_id)
        if station is None or station.access_url is None:
            return
        async with self._room:
            await self._link.greet(station)
        limit = self._state.limits.get(evse.evse_id)
        if limit is not None and limit.in_force(self._clock.now()):
            self.resend(evse.evse_id)

    async def joined(self, evse_id: str) -> None:
        """A vehicle came. Where something runs, the answer to its station waits for the round that takes it in."""
        evse = self._state.evses[evse_id]
        self.picture.forgive(evse_id)
        path = self.picture.path(evse.territory_id)
        runs = any(self._state.territories[n].ceiling_kw is not None for n in path) or any(
            r.state is RequestState.ACTIVE and r.territory_id in path for r in self._accounts.live_requests()
        )
        if not runs:
            return
        try:
            async with asyncio.timeout(1.0):
                await self.next_round(evse.territory_id)
        except TimeoutError:
            log.warning("dispatch.join_slow", evse_id=evse_id)

    def leaves(self, evse_id: str, why: str, now: datetime) -> list[f.Fact]:
        """The facts that end an EVSE's part in whatever runs. Its limit ends with its session."""
        facts = self._accounts.leave(evse_id, why, now)
        limit = self._state.limits.get(evse_id)
        if limit is not None and limit.in_force(now) and limit.cause is not Cause.CEILING:
            # Nothing of this session's limit may meet the next car; the station is told so at once.
            self.governor.forget(evse_id)
        return facts

    def curtailed_kw(self, evses: Iterable[Evse]) -> float:
        """What the limits in force take from these EVSEs' load now, kW (for the console)."""
        now = self._clock.now()
        total = 0.0
        for evse in evses:
            limit = self._state.limits.get(evse.evse_id)
            if limit is not None and limit.in_force(now) and evse.session_id in self._state.sessions:
                would_a = self._telemetry.would_draw_a(evse, self._state.sessions[evse.session_id])
                total += curtailed_kw(evse, limit, would_a, limit.max_a)
        return total


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
