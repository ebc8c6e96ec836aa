"""The frozen picture that `decide` sees: the EVSEs that matter, what they would draw, whether they can be asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from emw.domain.hand import HandLimit, Priority
from emw.domain.lines import line_a_per_a, loaded
from emw.domain.model import Evse, Limit, ReductionRequest, RequestState, Session, Territory
from emw.domain.reach import floor_a
from emw.domain.state import State
from emw.engine.ceilings import ceilings_of
from emw.engine.governor import Governor
from emw.engine.learn import Belief
from emw.engine.view import EvseView, View
from emw.service.asking import OPTED_OUT, STOPPED, Asking
from emw.service.customer_cap import beyond_cap
from emw.service.learning import Learning, horizon_h
from emw.service.ports import Reading
from emw.service.settings import ServiceSettings
from emw.service.telemetry import Telemetry

PIECE = 2_000
"""So many EVSEs are looked at without letting anything else happen in between."""


class _Source(NamedTuple):
    """All that an EVSE's view is made of: while this is the same, the view is.

    Records are replaced when they change, so that comparing is mostly "is it the same object". What time alone changes
    is in here as it is now.
    """

    evse: Evse
    session: Session | None
    limit: Limit | None
    held: bool
    reading: Reading | None
    belief: tuple[str, Belief] | None
    why_not: str | None
    by_driver: bool
    spared: str | None
    gave: float
    """What its price is raised by for what it gave lately."""
    priority: Priority | None
    by_hand: HandLimit | None
    next_change: float | None
    path: tuple[str, ...]
    lines: tuple[str, ...]


class _Round(NamedTuple):
    """What the views of one round have in common."""

    now: datetime
    at: float
    """`now` as the governor has it."""
    live: frozenset[str]
    """Keys of the requests that are live."""
    beyond: frozenset[str]
    """EVSEs that are one too many for their customer."""
    everybody: bool
    """Whether every vehicle counts, or only what is limited already."""
    by_line: bool


class Picture:
    """Builds views; tells the governor what moved without a command."""

    def __init__(
        self, state: State, telemetry: Telemetry, governor: Governor, settings: ServiceSettings
    ) -> None:
        self._state = state
        self._telemetry = telemetry
        self._governor = governor
        self._most_per_customer = settings.most_evses_per_customer
        self.learning = Learning(state, telemetry)
        self.asking = Asking(state, settings)
        self._ended: dict[str, str] = {}
        self._made: dict[str, tuple[tuple[object, ...], EvseView]] = {}

    def weigh(self) -> dict[str, float]:
        """Tell the governor how much load there is, before anything is decided; per node, kW."""
        would_kw: defaultdict[str, float] = defaultdict(float)
        for evse in self._state.evses.values():
            would_kw[evse.territory_id] += evse.kw_per_a * self.would_a(evse)
        controllable = self._up(would_kw)
        self._governor.know(controllable)
        return controllable

    def look(self, root: str, now: datetime) -> Iterator[None]:
        """Learn from what the meters said, at most once a minute, and make what follows from it. In pieces.

        A view that is asked for next finds most of it made; what happens between two pieces it sees.
        """
        paths = {t: self._state.path(t) for t in self._state.territories if self._state.root(t) == root}
        requests = self._requests(paths)
        evses = self._state.evses
        here = [e for e in evses.values() if e.territory_id in paths]
        news = self.learning.look(root, here, paths, requests, now)
        if requests:
            news = self.learning.price(root, horizon_h(requests, now)) or news
        if not news:
            return
        this = self._round(paths, now, everybody=bool(requests))
        evse_ids = [e.evse_id for e in here]
        for first in range(0, len(evse_ids), PIECE):
            yield
            for evse_id in evse_ids[first : first + PIECE]:
                if evse_id in evses:
                    self._one(evses[evse_id], this)

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
        nodes = {t: self._node(t) for t in state.territories if state.root(t) == root}
        requests = [*self._requests(nodes), *what_if]
        if requests:
            self.learning.price(root, horizon_h(requests, now))
        this = self._round(nodes, now, everybody=everybody or bool(requests))
        governor, at = self._governor, this.at
        evses: list[EvseView] = []
        would_kw: defaultdict[str, float] = defaultdict(float)
        limited: set[str] = set()
        for evse in state.evses.values():
            if evse.territory_id not in nodes:
                continue
            one = self._one(evse, this)
            if one is None:
                continue
            evses.append(one)
            would_kw[evse.territory_id] += one.kw_per_a * one.would_draw_a
            if one.limit is not None and one.limit.in_force(now):
                limited.update(one.path)
        self._governor.know(self._up(would_kw))
        freed = {n for t in state.stops for n in state.path(t)}
        freed |= {n for n in nodes if not state.stops.keys().isdisjoint(state.path(n))}
        returning = any(r.state is RequestState.RESTORING for r in requests)
        return View(
            root=root,
            territories=nodes,
            evses=evses,
            requests=requests,
            halted=halted,
            may_rise_kw={
                n: governor.may_rise_kw(n, at, halted=halted or n in freed) for n in sorted(limited)
            },
            rose_kw={n: governor.rose_kw(n, at) for n in nodes},
            highest_kw=self.learning.highest_kw(root, now) if returning else {},
            doubt_kw=self.learning.doubt_kw(root),
        )

    def _round(self, nodes: Iterable[str], now: datetime, *, everybody: bool) -> _Round:
        state = self._state
        under = [self._node(n) for n in nodes]
        return _Round(
            now,
            now.timestamp(),
            frozenset(r.request_key for r in state.requests.values() if r.live),
            beyond_cap(state, self._most_per_customer, now),
            everybody or any(map(ceilings_of, under)),
            any(n.ceiling_a is not None for n in under),
        )

    def _up(self, kw: Mapping[str, float]) -> dict[str, float]:
        """From each node's own EVSEs to all that are under it, kW."""
        sums: defaultdict[str, float] = defaultdict(float)
        for territory_id, own_kw in kw.items():
            for node_id in self._state.path(territory_id):
                sums[node_id] += own_kw
        return sums

    def _node(self, territory_id: str) -> Territory:
        """A node with the ceiling that holds there now, whoever set it."""
        node = self._state.territories[territory_id]
        if territory_id not in self._state.grid_ceilings:
            return node
        return replace(node, ceiling_kw=self._state.ceiling_kw(territory_id))

    def _lines(self, evse: Evse) -> tuple[str, ...]:
        """The lines of the grid that it loads."""
        wired = self._state.wirings.get(evse.evse_id)
        return loaded(evse, None if wired is None else wired.wiring)

    def _one(self, evse: Evse, this: _Round) -> EvseView | None:
        """An EVSE as it is now; None where it doesn't count: no vehicle or nothing asked, and no limit. Hot."""
        state, asking, evse_id, now = self._state, self.asking, evse.evse_id, this.now
        limit = state.limits.get(evse_id)
        held = limit is not None and limit.in_force(now)
        session = state.session_of(evse)
        by_hand = state.hand_limits.get(evse_id)
        if by_hand is not None and not by_hand.in_force(now):
            by_hand = None
        if not held and (session is None or not (this.everybody or by_hand)):
            self._made.pop(evse_id, None)
            return None
        heard = self._telemetry.live.get(evse_id)
        why_not = asking.why_not(evse, now)
        next_change = self._governor.next_change(evse_id)
        source = (  # the fields of a `_Source`: to make one takes longer than to compare it
            evse,
            session,
            limit,
            held,
            None if heard is None else heard.reading,
            None if heard is None else heard.belief,
            why_not,
            why_not == OPTED_OUT and asking.by_driver(evse_id),
            None if why_not is not None else asking.why_spared(evse, this.live, this.beyond, now),
            asking.turns.price(evse_id, now),
            state.priorities.get(evse_id),
            by_hand,
            None if next_change is None or next_change <= this.at else next_change,
            state.path(evse.territory_id),
            self._lines(evse) if this.by_line else (),
        )
        made = self._made.get(evse_id)
        if made is not None and made[0] == source:
            return made[1]
        view = self._made_of(_Source(*source), now)
        self._made[evse_id] = (source, view)
        return view

    def _made_of(self, source: _Source, now: datetime) -> EvseView:
        """The view of an EVSE. Nothing in it but `source`: `now` is only when a limit was seen to be over."""
        evse, session, limit = source.evse, source.session, source.limit
        would_a, baseline_a, gap_a, price = self._telemetry.expected(evse, session)
        if limit is not None and not source.held and limit.max_a is not None:
            came_after = session is None or session.started_at >= limit.until
            if not came_after:
                self.ended(limit.command_id, evse, would_a, limit.max_a, now)
        by_hand, next_change = source.by_hand, source.next_change
        return EvseView(
            evse_id=evse.evse_id,
            path=source.path,
            kw_per_a=evse.kw_per_a,
            max_a=evse.max_a,
            would_draw_a=would_a,
            potential_a=0.0 if session is None else min(evse.max_a, session.car_max_a),
            floor_a=floor_a(evse, session),
            step_a=evse.step_a,
            may_pause=evse.may_pause,
            baseline_a=baseline_a,
            draw_a=None if session is None else self._telemetry.settled_a(evse, limit, now),
            gap_a=gap_a,
            price=None if price is None else price.dearer(source.gave),
            priority=1.0 if source.priority is None else source.priority.priority,
            plugged_at=None if session is None else session.started_at,
            why_not=source.why_not or source.spared,
            meter_counts=evse.online and evse.doubted_at is None,
            opted_out=source.spared is not None or source.why_not == OPTED_OUT,
            by_driver=source.by_driver,
            stopped=source.why_not == STOPPED,
            by_hand_a=None if by_hand is None else by_hand.max_a,
            by_hand_until=None if by_hand is None else by_hand.until,
            limit=limit,
            next_change_at=None if next_change is None else datetime.fromtimestamp(next_change, UTC),
            lines=source.lines,
            line_a_per_a=line_a_per_a(evse) if source.lines else 1.0,
        )

    def would_a(self, evse: Evse) -> float:
        """What is believed to be drawn there when nothing holds it, A per phase."""
        return self._telemetry.expected(evse, self._state.session_of(evse)).would_a

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
        self._governor.moved_by_itself(self._state.path(evse.territory_id), rise_kw, at.timestamp())
