"""Promise P7 from outside: how fast, how often and in which direction commands move the load under each node.

Kept apart from the governor on purpose: it reads the log only, and it remembers across kills.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from emw.domain import facts as f
from emw.domain.held import at_most_a
from emw.domain.lines import LINES, loaded
from emw.domain.model import Cause, Evse, Limit
from emw.domain.state import State
from emw.engine.view import Rules

TURN_SHARES = (0.02, 0.04, 0.08)
"""Less than such a share of the controllable load against the direction is a correction. What is a turn by one
measure alone may be a turn at another time by another; what breaks the promise breaks it by all."""
AFTER_CRASH = 0.7
TINY_KW = 0.05
"""The governor lets pass what nobody can feel."""


@dataclass(slots=True)
class Zigzag:
    """Where a load went, as far as moves count that are larger than a share of what can be moved."""

    share: float
    turns: deque[float] = field(default_factory=deque)
    direction: int = 0
    level_kw: float = 0.0
    extreme_kw: float = 0.0
    low_kw: float = 0.0
    high_kw: float = 0.0
    """Between these it has been since it stood still, as long as it has no direction."""
    moved_at_s: float = -1e9
    too_often_at_s: float = -1e9
    """When a command, and no law and no limit that ended by itself, last made one turn too many."""

    def moved(self, delta_kw: float, could_kw: float, at_s: float, rhythm_s: float) -> bool:
        """Book a move; whether it was a turn.

        A load that has stood still for a whole rhythm has no direction, until it has gone somewhere that counts.
        """
        if at_s - self.moved_at_s > rhythm_s:
            self.direction = 0
            self.low_kw = self.high_kw = self.level_kw
        self.moved_at_s = at_s
        self.level_kw += delta_kw
        counts_kw = max(self.share * could_kw, TINY_KW)
        if self.direction == 0:
            self.low_kw, self.high_kw = min(self.low_kw, self.level_kw), max(self.high_kw, self.level_kw)
            up, down = self.level_kw - self.low_kw >= counts_kw, self.high_kw - self.level_kw >= counts_kw
            self.direction, self.extreme_kw = (1 if up else -1 if down else 0), self.level_kw
        elif (self.level_kw - self.extreme_kw) * self.direction >= 0:
            self.extreme_kw = self.level_kw
        elif abs(self.level_kw - self.extreme_kw) >= counts_kw:
            self.direction, self.extreme_kw = -self.direction, self.level_kw
            self.turns.append(at_s)
            return True
        return False

    def lately(self, forget_s: float, since_s: float) -> int:
        """How many turns there were since then."""
        while self.turns and self.turns[0] <= forget_s:
            self.turns.popleft()
        return sum(1 for at_s in self.turns if at_s > since_s)


@dataclass(slots=True)
class _Node:
    rises: deque[tuple[float, float, str]] = field(default_factory=deque)
    could: deque[tuple[float, float]] = field(default_factory=deque)
    ways: tuple[Zigzag, ...] = field(default_factory=lambda: tuple(Zigzag(share) for share in TURN_SHARES))


class Motion:
    """Books every command that moves load."""

    def __init__(self, rules: Rules, fail: Callable[[str, str], None]) -> None:
        self.checked = 0
        self.crashed_at_s = -1e12
        """When the node last lost its memory, on the clock of the log."""
        self._rules = rules
        self._fail = fail
        self._nodes: defaultdict[str, _Node] = defaultdict(_Node)
        self._changed: dict[str, tuple[float, float | None]] = {}
        self._shadow: State | None = None
        self._ends: list[tuple[datetime, str, str]] = []
        self._due: list[tuple[datetime, str, str]] = []
        self._believed_a: dict[str, float] = {}
        """What was believed to be drawn without it when a limit ended, by command: emw looks at once, we later."""
        self.would_draw_a: Callable[[str], float] = lambda _: 0.0

    def shadow_is(self, shadow: State) -> None:
        """A new shadow after a start."""
        self._shadow = shadow

    def after(self, fact: f.Fact, shadow: State) -> None:
        """A reboot or the end of a session: what is said next is no second change."""
        self._shadow = shadow
        if isinstance(fact, f.PoweredOn | f.SessionEnded | f.SessionStarted):
            self._changed.pop(fact.evse_id, None)

    def tick(self, now: datetime) -> None:
        """Time passes: limits end by themselves, which emw learns at its next round.

        What an owner has taken back until then (a knob turned down, a plug pulled) was never a rise for anybody.
        """
        while self._due and self._due[0][0] <= now:
            _, evse_id, command_id = heapq.heappop(self._due)
            self._believed_a[command_id] = self.would_draw_a(evse_id)
        if self._shadow is not None:
            self._ended(now - timedelta(seconds=self._rules.round_s), self._shadow)

    def before(self, c: f.CommandIssued, shadow: State) -> None:
        """A command is durable; the shadow still has what it replaces."""
        self.checked += 1
        evse = shadow.evses[c.evse_id]
        limit = shadow.limits.get(c.evse_id)
        at_s = c.at.timestamp()
        before_a, after_a = _held(c, limit, c.at), _drawn(c, c.max_a)
        delta_kw = evse.kw_per_a * (after_a - before_a)
        law = delta_kw <= 0 and (c.cause is Cause.CEILING or self._ceiling_broken(c, shadow))
        self._ended(c.at, shadow)
        if c.max_a is not None:
            heapq.heappush(self._ends, (c.until, c.evse_id, c.command_id))
            heapq.heappush(self._due, (c.until, c.evse_id, c.command_id))
        if c.renewal:
            if limit is None or limit.max_a != c.max_a:
                self._fail("P7", f"a renewal that changes the amps of {limit}: {c}")
            return
        self._gap(c, at_s, law=law)
        path = shadow.path(evse.territory_id)
        could = self._could(shadow, set(path))
        for node_id in path:
            node = self._nodes[node_id]
            node.could.append((at_s, could[node_id]))
            while node.could[0][0] < at_s - self._rules.rhythm_s:
                node.could.popleft()
            if abs(delta_kw) > TINY_KW:
                self._ramp(node_id, node, c, delta_kw, at_s)
                # A halt is to free the cars whatever the rhythm says; it keeps the ramp.
                self._rhythm(node_id, node, c, delta_kw, at_s, law=law or c.cause is Cause.HALT)

    def _ceiling_broken(self, c: f.CommandIssued, shadow: State) -> bool:
        """Whether a ceiling above this EVSE is broken as things stand: then a shed under it is the law's, too."""
        evse = shadow.evses[c.evse_id]
        for node_id in shadow.path(evse.territory_id):
            node = shadow.territories[node_id]
            standing_kw, on_line_a = self._standing(node_id, shadow, c.at)
            if node.ceiling_kw is not None and standing_kw > node.ceiling_kw - 0.5:
                return True
            own_a = max(on_line_a[line] for line in _lines(evse, shadow))
            if node.ceiling_a is not None and own_a > node.ceiling_a - 0.5:
                return True
        return False

    def _standing(self, node_id: str, shadow: State, now: datetime) -> tuple[float, Mapping[str, float]]:
        """What could come to be drawn under a node as things stand, kW, and on each line as far as it is known, A."""
        kw, on_line_a = 0.0, dict.fromkeys(LINES, 0.0)
        for evse in shadow.evses.values():
            session = shadow.session_of(evse)
            if session is None or node_id not in shadow.path(evse.territory_id):
                continue
            limit = shadow.limits.get(evse.evse_id)
            could_a = min(evse.max_a, session.car_max_a)
            most_a = at_most_a(limit, now)
            if most_a is not None:
                could_a = min(could_a, most_a)
            kw += evse.kw_per_a * could_a
            for line in _lines(evse, shadow):
                on_line_a[line] += could_a
        return kw, on_line_a

    def _ended(self, now: datetime, shadow: State) -> None:
        """Limits that ended by themselves let load rise: nobody's fault, but a turn for what comes after."""
        while self._ends and self._ends[0][0] <= now:
            until, evse_id, command_id = heapq.heappop(self._ends)
            limit, evse = shadow.limits[evse_id], shadow.evses[evse_id]
            believed_a = self._believed_a.pop(command_id, None)
            would_a = self.would_draw_a(evse_id) if believed_a is None else believed_a
            if limit.command_id != command_id or limit.max_a is None:
                continue
            session = shadow.session_of(evse)
            if session is None or session.started_at >= until:
                continue  # nobody stood there when it ended
            rise_kw = evse.kw_per_a * max(would_a - limit.max_a, 0.0)
            for node_id in shadow.path(evse.territory_id):
                if rise_kw > TINY_KW and self._nodes[node_id].could:
                    self._rhythm(node_id, self._nodes[node_id], None, rise_kw, until.timestamp(), law=True)

    def _gap(self, c: f.CommandIssued, at_s: float, *, law: bool) -> None:
        last = self._changed.get(c.evse_id)
        if last is not None and last[1] == c.max_a:
            return
        if last is not None and at_s - last[0] < self._rules.gap_s - 1e-3 and not law:
            self._fail("P7", f"changed {at_s - last[0]:.3f} s after its last change (to {last[1]} A): {c}")
        self._changed[c.evse_id] = (at_s, c.max_a)

    def _ramp(self, node_id: str, node: _Node, c: f.CommandIssued, delta_kw: float, at_s: float) -> None:
        while node.rises and node.rises[0][0] <= at_s - 60.0:
            node.rises.popleft()
        if delta_kw <= 0:
            return
        node.rises.append((at_s, delta_kw, c.evse_id))
        rules = self._rules
        could_kw = max(kw for at, kw in node.could if at > at_s - 60.0)
        allowed = max(rules.restore_share_per_min * could_kw, rules.ramp_floor_kw_per_min)
        rose = sum(kw for _, kw, _ in node.rises)
        slack = TINY_KW * len(node.rises) + 0.02 * allowed
        if rose > allowed + slack and len({evse for _, _, evse in node.rises}) > 1:
            self._fail(
                "P7", f"{rose:.2f} kW rise within a minute under {node_id}, allowed {allowed:.2f}: {c}"
            )

    def _rhythm(
        self, node_id: str, node: _Node, c: f.CommandIssued | None, delta_kw: float, at_s: float, *, law: bool
    ) -> None:
        rhythm_s = self._rules.rhythm_s
        # Books kept over a crash are made again from the log, which does not say how much load there was to move:
        # they date small turns otherwise. Without a crash they must be right to the second.
        window_s = rhythm_s if at_s - self.crashed_at_s > 2 * rhythm_s else AFTER_CRASH * rhythm_s
        for way in node.ways:
            turned = way.moved(delta_kw, node.could[-1][1], at_s, rhythm_s)
            if turned and way.lately(at_s - rhythm_s, at_s - window_s) > self._rules.reversals and not law:
                way.too_often_at_s = at_s
        if all(way.too_often_at_s > at_s - 60.0 for way in node.ways):
            ago = "; ".join(", ".join(f"{at_s - t:.0f}" for t in way.turns) for way in node.ways)
            self._fail("P7", f"the load under {node_id} turned {ago} s ago: {c}")

    def _could(self, shadow: State, nodes: set[str]) -> Mapping[str, float]:
        """Controllable load per node: what its vehicles would draw."""
        could: defaultdict[str, float] = defaultdict(float)
        for evse in shadow.evses.values():
            if evse.session_id is None:
                continue
            for node_id in shadow.path(evse.territory_id):
                if node_id in nodes:
                    could[node_id] += evse.kw_per_a * self.would_draw_a(evse.evse_id)
        return could


def _lines(evse: Evse, shadow: State) -> tuple[str, ...]:
    """The lines that it loads, or may, as far as emw was told."""
    wired = shadow.wirings.get(evse.evse_id)
    return loaded(evse, None if wired is None else wired.wiring)


def _drawn(c: f.CommandIssued, limit_a: float | None) -> float:
    return c.would_draw_a if limit_a is None else min(c.would_draw_a, limit_a)


def _held(c: f.CommandIssued, limit: Limit | None, now: datetime) -> float:
    return _drawn(c, limit.max_a if limit is not None and limit.in_force(now) else None)
