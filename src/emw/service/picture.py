"""The frozen picture `decide` sees: the EVSEs that matter, what they would draw, whether they can be asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta

from emw.domain.model import Evse, Outcome, ReductionRequest, RequestState, Territory
from emw.domain.reach import floor_a
from emw.domain.state import State
from emw.engine.governor import Governor
from emw.engine.turns import Turns
from emw.engine.view import REFUSING, EvseView, View
from emw.service.customer_cap import WHY, beyond_cap
from emw.service.learning import Learning, horizon_h
from emw.service.ports import Clock
from emw.service.settings import ServiceSettings
from emw.service.telemetry import Telemetry

STOPPED = "stopped by an operator"
OPTED_OUT = "opted out"
DOUBTED = "its meter contradicts itself"
WORDS = {Outcome.REJECTED: REFUSING, Outcome.TIMED_OUT: "not answering", Outcome.OFFLINE: "not reachable"}


class Picture:
    """Builds views, and remembers for a while who refused."""

    def __init__(
        self, state: State, telemetry: Telemetry, governor: Governor, clock: Clock, settings: ServiceSettings
    ) -> None:
        self._state = state
        self._telemetry = telemetry
        self._governor = governor
        self._clock = clock
        self._rules = settings.rules
        self._most_per_customer = settings.most_evses_per_customer
        self.learning = Learning(state, telemetry)
        self.turns = Turns(settings.season)
        self._paths: dict[str, tuple[str, ...]] = {}
        self._refusals: dict[str, tuple[int, datetime, Outcome]] = {}
        self._ended: dict[str, str] = {}
        self._by_driver: set[str] = set()

    # --- the tree

    def path(self, territory_id: str) -> tuple[str, ...]:
        """The nodes above and including `territory_id`, nearest first."""
        path = self._paths.get(territory_id)
        if path is None:
            path = self._paths[territory_id] = self._state.path(territory_id)
        return path

    def root(self, territory_id: str) -> str:
        """The root of the tree a node hangs in."""
        path = self.path(territory_id)
        return path[-1] if path else territory_id

    def forget_paths(self) -> None:
        """The tree changed."""
        self._paths.clear()

    def under(self, territory_id: str) -> list[Evse]:
        """The EVSEs under a node."""
        return [e for e in self._state.evses.values() if territory_id in self.path(e.territory_id)]

    @staticmethod
    def seconds(now: datetime) -> float:
        """The governor's steady seconds."""
        return now.timestamp()

    # --- who can be asked

    def note_outcome(self, evse_id: str, outcome: Outcome, now: datetime) -> None:
        """Who refuses is left alone for a while, longer each time; who obeys is forgiven."""
        if outcome is Outcome.APPLIED:
            self._refusals.pop(evse_id, None)
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

    def why_not(self, evse: Evse, now: datetime) -> str | None:
        """Why an EVSE can't be asked now; None when it can."""
        if not evse.powered or not evse.online:
            return "offline"
        if not evse.can_limit:
            return "can't be limited"
        if evse.opted_out_until is not None and evse.opted_out_until > now:
            return OPTED_OUT
        if self._state.stops and not self._state.stops.keys().isdisjoint(self.path(evse.territory_id)):
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

    def _spared(
        self, evse: Evse, live: AbstractSet[str], beyond: Container[str], now: datetime
    ) -> str | None:
        """Why it is spared: enough was given lately, or its customer has enough; not in the middle of a part.

        From then on, too, whose meter contradicts itself: nobody can tell what it gives, so others are asked.
        """
        if evse.doubted_at is not None:
            return DOUBTED
        why = WHY if evse.evse_id in beyond else self.turns.why_not(evse.evse_id, live, now)
        if why is None or any((key, evse.evse_id) in self._state.enrolments for key in live):
            return None
        return why

    def _node(self, territory_id: str) -> Territory:
        """A node with the ceiling that holds there now, whoever set it."""
        node = self._state.territories[territory_id]
        if territory_id not in self._state.grid_ceilings:
            return node
        return replace(node, ceiling_kw=self._state.ceiling_kw(territory_id))

    # --- the view

    def weigh(self) -> dict[str, float]:
        """Tell the governor how much load there is, before anything is decided; per node, kW."""
        controllable: defaultdict[str, float] = defaultdict(float)
        for evse in self._state.evses.values():
            session = self._state.session_of(evse)
            for node_id in self.path(evse.territory_id):
                controllable[node_id] += evse.kw_per_a * self._telemetry.outlook(evse, session).would_a
        self._governor.know(controllable)
        return controllable

    def look(self, root: str, now: datetime) -> None:
        """Learn from what the meters said, at most once a minute."""
        paths = {t: self.path(t) for t in self._state.territories if self.root(t) == root}
        evses = (e for e in self._state.evses.values() if e.territory_id in paths)
        self.learning.look(root, evses, paths, self._requests(paths), now)

    def _requests(self, nodes: Container[str]) -> list[ReductionRequest]:
        return [r for r in self._state.requests.values() if r.live and r.territory_id in nodes]

    def view(
        self,
        root: str,
        now: datetime,
        *,
        halted: bool,
        what_if: Sequence[ReductionRequest] = (),
        everybody: bool = False,
    ) -> View:
        """One tree as it is now. Only EVSEs with a vehicle or with a limit count. `what_if`: requests to imagine."""
        state = self._state
        nodes = {t: self._node(t) for t in state.territories if self.root(t) == root}
        requests = [*self._requests(nodes), *what_if]
        if requests:
            self.learning.price(root, horizon_h(requests, now))
        evses: list[EvseView] = []
        controllable: defaultdict[str, float] = defaultdict(float)
        limited: set[str] = set()
        at = self.seconds(now)
        live = {r.request_key for r in state.requests.values() if r.live}
        beyond = beyond_cap(state, self._most_per_customer, now)
        wanted_at_all = everybody or bool(requests) or any(n.ceiling_kw is not None for n in nodes.values())
        for evse in state.evses.values():
            if evse.territory_id not in nodes:
                continue
            limit = state.limits.get(evse.evse_id)
            held = limit is not None and limit.in_force(now)
            session = state.session_of(evse)
            by_hand = state.hand_limits.get(evse.evse_id)
            if by_hand is not None and not by_hand.in_force(now):
                by_hand = None
            if not held and (session is None or not (wanted_at_all or by_hand)):
                continue
            would_a, baseline_a, gap_a, price = self._telemetry.outlook(evse, session)
            path, kw_per_a = self.path(evse.territory_id), evse.kw_per_a
            for node_id in path:
                controllable[node_id] += kw_per_a * would_a
            if held:
                limited.update(path)
            why_not = self.why_not(evse, now)
            spared = why_not is None and self._spared(evse, live, beyond, now)
            if spared:
                why_not = spared
            if price is not None:
                price = price.dearer(self.turns.price(evse.evse_id, now))
            said = state.priorities.get(evse.evse_id)
            next_change = self._governor.next_change(evse.evse_id)
            evses.append(
                EvseView(
                    evse_id=evse.evse_id,
                    path=path,
                    kw_per_a=kw_per_a,
                    max_a=evse.max_a,
                    would_draw_a=would_a,
                    potential_a=0.0 if session is None else min(evse.max_a, session.car_max_a),
                    floor_a=floor_a(evse, session),
                    step_a=evse.step_a,
                    may_pause=evse.may_pause,
                    baseline_a=baseline_a,
                    draw_a=None if session is None else self._telemetry.settled_a(evse, limit, now),
                    gap_a=gap_a,
                    price=price,
                    priority=1.0 if said is None else said.priority,
                    plugged_at=None if session is None else session.started_at,
                    why_not=why_not,
                    opted_out=bool(spared) or why_not == OPTED_OUT,
                    by_driver=why_not == OPTED_OUT and evse.evse_id in self._by_driver,
                    stopped=why_not == STOPPED,
                    by_hand_a=None if by_hand is None else by_hand.max_a,
                    by_hand_until=None if by_hand is None else by_hand.until,
                    limit=limit,
                    next_change_at=None
                    if next_change is None or next_change <= at
                    else now + timedelta(seconds=next_change - at),
                )
            )
            came_after = session is None or (limit is not None and session.started_at >= limit.until)
            if limit is not None and limit.max_a is not None and not held and not came_after:
                self.ended(limit.command_id, evse, would_a, limit.max_a, now)
        self._governor.know(controllable)
        freed = {n for t in state.stops for n in self.path(t)}
        freed |= {n for n in nodes if not state.stops.keys().isdisjoint(self.path(n))}
        returning = any(r.state is RequestState.RESTORING for r in requests)
        return View(
            root=root,
            territories=nodes,
            evses=evses,
            requests=requests,
            halted=halted,
            may_rise_kw={
                n: self._governor.may_rise_kw(n, at, halted=halted or n in freed) for n in sorted(limited)
            },
            rose_kw={n: self._governor.rose_kw(n, at) for n in nodes},
            may_fall_kw={n: self._governor.may_fall_kw(n, at) for n in nodes},
            highest_kw=self.learning.highest_kw(root, now) if returning else {},
            doubt_kw=self.learning.doubt_kw(root),
        )

    def all_ended(self, now: datetime) -> None:
        """At a start: limits that were over before are no news, and move nothing now."""
        for limit in self._state.limits.values():
            if limit.max_a is not None and not limit.in_force(now):
                self._ended[limit.evse_id] = limit.command_id

    def ended(self, command_id: str, evse: Evse, would_a: float, limit_a: float, at: datetime) -> None:
        """A limit that ended by itself moved load without a command: the ramp must know, once."""
        if self._ended.get(evse.evse_id) == command_id:
            return
        self._ended[evse.evse_id] = command_id
        rise_kw = evse.kw_per_a * max(would_a - limit_a, 0.0)
        self._governor.moved_by_itself(self.path(evse.territory_id), rise_kw, self.seconds(at))
