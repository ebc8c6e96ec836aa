"""One task per territory tree: decide, commit, act, observe, decide again.

`decide` proposes, the governor lets through, the ledger makes it durable, then it goes to the stations; what they
answer comes back as facts and wakes the tree. Overlapping requests always meet in one tree, so one task sees all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import structlog

from emw.domain import facts as f
from emw.domain.model import Cause, RequestState
from emw.engine.decide import decide
from emw.engine.governor import Governor
from emw.engine.view import Plan
from emw.service.accounts import Accounts
from emw.service.commands import Commands
from emw.service.errors import Unavailable
from emw.service.ledger import Ledger
from emw.service.picture import Picture
from emw.service.ports import Clock, Ids, StationLink
from emw.service.settings import ServiceSettings
from emw.service.telemetry import Telemetry
from emw.service.wake import woken

log = structlog.get_logger()
BREATH_S = 0.05
"""Rounds of one tree follow each other no faster than this: what comes in between is decided together."""
REST = 3.0
"""Where thinking takes time, a tree rests so many times as long: heartbeats must get through beside a large one."""


class _Tree:
    """One territory tree's task: what wakes it and who waits for its next round."""

    __slots__ = ("asked", "changed", "done", "slow_joins", "wake")

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.changed = asyncio.Condition()
        self.asked = 0
        self.done = 0
        self.slow_joins = 0
        """Vehicles whose stations were answered before a round had taken them in."""


class Dispatch:
    """Decides, tree by tree; what it decides goes out through `commands`."""

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
        self._clock = clock
        self._settings = settings
        self._accounts = accounts
        self.governor = Governor(settings.rules)
        self.picture = Picture(ledger.state, telemetry, self.governor, settings)
        self.commands = Commands(ledger, link, self.picture, self.governor, accounts, clock, ids, settings)
        self.commands.wake = self.wake
        self.rounds = 0
        self.thought_s = 0.0
        """Time spent deciding, by `stopwatch`."""
        self.stopwatch: Callable[[], float] = lambda: 0.0
        """Steady seconds of the machine, not of the clock in force; stands still where nobody gives one."""
        self.rest = 0.0
        """A tree rests so many times as long as it thought; on virtual time thinking takes none."""
        self._trees: dict[str, _Tree] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._stop_now = False

    # --- life

    async def run(self) -> None:
        """Work until cancelled: carries on what an earlier process left, then one task per tree."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.commands.resume(tasks)
            self.wake_all()
            await asyncio.Event().wait()

    def wake(self, territory_id: str) -> None:
        """Something changed under this node: look again soon."""
        root = self._state.root(territory_id)
        tree = self._trees.get(root)
        if tree is None:
            tree = self._trees[root] = _Tree()
            if self._tasks is not None:
                self._tasks.create_task(self._run_tree(root, tree), name=f"dispatch {root}")
        tree.asked += 1
        tree.wake.set()

    def wake_all(self) -> None:
        """Look again everywhere."""
        for root in self._state.roots:
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
            await woken(tree.wake, self._clock, wait_s)
            asked = tree.asked
            thought_s = self.thought_s
            wait_s = await self._round(root)
            async with tree.changed:
                tree.done = asked
                tree.changed.notify_all()
            if tree.slow_joins:
                log.warning("dispatch.join_slow", root=root, vehicles=tree.slow_joins)
                tree.slow_joins = 0
            await asyncio.sleep(max(BREATH_S, self.rest * (self.thought_s - thought_s)))

    async def next_round(self, territory_id: str) -> None:
        """Return when a round that began after this call is through: decided, durable, on its way."""
        self.wake(territory_id)
        tree = self._trees[self._state.root(territory_id)]
        asked = tree.asked
        async with tree.changed:
            await tree.changed.wait_for(lambda: tree.done >= asked)

    # --- one round

    async def _round(self, root: str) -> float:
        """Decide once and carry it out; returns how long the tree may sleep, s."""
        rules, began_s = self._settings.rules, self.stopwatch()
        for _ in self.picture.look(root, self._clock.now()):
            await self._breath()
        now = self._clock.now()
        view = self.picture.view(root, now, halted=self.halted)
        if not view.requests and not view.evses:
            return rules.round_s
        await self._breath()
        hand_on = self.picture.learning.hand_on_due(root, now, rules.hand_on_every_s)
        plan = decide(replace(view, hand_on=hand_on), now, rules)
        self.rounds += 1
        self.thought_s += self.stopwatch() - began_s
        try:
            await self._live_on(plan, now)
            # Who asks while commands go out hears of this round.
            self._accounts.note_shortfalls(plan.shortfalls, {})
            held_kw = await self.commands.issue(plan.orders, now, lambda: self.halted == view.halted)
            self._accounts.note_shortfalls(plan.shortfalls, held_kw)
            await self._breath()
            await self._accounts.look(view.requests, self._clock.now())
        except Unavailable as error:
            log.warning("dispatch.not_written", root=root, why=error.detail)
            return 1.0
        wake_at = plan.wake_at
        if wake_at is None:
            return rules.round_s
        return max(0.0, min((wake_at - self._clock.now()).total_seconds(), rules.round_s))

    async def _breath(self) -> None:
        """Let what waits get through, in the middle of a thought about a large tree; that is no thinking."""
        if self.rest:
            began_s = self.stopwatch()
            await asyncio.sleep(0)
            self.thought_s -= self.stopwatch() - began_s

    async def _live_on(self, plan: Plan, now: datetime) -> None:
        """Record what the clock did to requests."""
        for key, move in plan.moves:
            facts: list[f.Fact] = []
            if move is RequestState.RESTORING:
                facts += self._accounts.last_sums(key, now)
            facts.append(f.RequestMoved(at=now, actor="emw", request_key=key, state=move))
            if move in {RequestState.CLOSED, RequestState.CANCELLED}:
                facts += self._accounts.close(key, now)
            await self._ledger.record(*facts)

    # --- what intake tells

    def afresh(self, evse_id: str) -> None:
        """A station (re)booted: what was asked of it before is nothing to it.

        To be said as soon as the live view knows: a round may ask it for something before the boot is written.
        """
        self.governor.forget(evse_id)
        self.picture.asking.forgive(evse_id)

    def powered_on(self, evse_id: str) -> None:
        """... and that is written: greet it, say what it should hold, look again."""
        evse = self._state.evses[evse_id]
        if self._tasks is not None:
            self._tasks.create_task(self.commands.greet(evse_id))
        self.wake(evse.territory_id)

    def others_a(self, territory_id: str) -> float | None:
        """What vehicles of this tree draw when nothing holds them, a mean in A; None: too few have been seen."""
        return self.picture.learning.others_a(self._state.root(territory_id))

    async def joined(self, evse_id: str) -> None:
        """A vehicle came. Where something runs, the answer to its station waits for the round that takes it in."""
        evse = self._state.evses[evse_id]
        self.picture.asking.forgive(evse_id)
        path = self._state.path(evse.territory_id)
        runs = any(self._state.ruled(n) for n in path) or any(
            r.state is RequestState.ACTIVE and r.territory_id in path for r in self._accounts.live_requests()
        )
        if not runs:
            return
        try:
            async with asyncio.timeout(1.0):
                await self.next_round(evse.territory_id)
        except TimeoutError:
            self._trees[self._state.root(evse.territory_id)].slow_joins += 1

    def inherits(self, evse_id: str, now: datetime) -> list[f.Fact]:
        """The facts that make a vehicle that comes part of what limits its EVSE already."""
        return self._accounts.inherit(evse_id, now)

    def leaves(self, evse_id: str, why: str, now: datetime, *, session_over: bool = True) -> list[f.Fact]:
        """The facts that end an EVSE's part in whatever runs. Its limit ends with its session.

        A driver who opts out stays: he is freed next, whenever his limit last changed, as the grid's ramp allows.
        """
        facts = self._accounts.leave(evse_id, why, now)
        held = self._state.held(evse_id, now)
        if session_over and held is not None and held.cause is not Cause.CEILING:
            # Nothing of this session's limit may meet the next car; the station is told so at once.
            self.governor.forget(evse_id)
        return facts
