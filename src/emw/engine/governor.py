"""The last gate before the wire: ramp, rhythm and minimum gap, whoever asks (promise P7).

Two locks on every node of an EVSE's path. *Ramp*: the load that commands let rise (or fall, unless it is an
emergency) within a minute stays under a share of the node's controllable load. *Rhythm*: the commanded load of a
node turns its direction at most `reversals` times in `rhythm_s`. And per EVSE one change per `gap_s`.
No I/O and no clock: `now` is seconds of any steady clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from emw.engine.view import Rules

MINUTE_S = 60.0
TURN_SHARE = 0.02
"""A move against the direction smaller than this share of the controllable load is a correction, not a turn."""
TINY_KW = 0.05
"""No node is so small that a turn of less than this would be felt."""
NOTHING_KW = 1e-6
"""A change of a milliwatt is none. Anything more counts: a fleet is many small ones."""


@dataclass(slots=True)
class _Way:
    """Where one node's commanded load went."""

    turns: deque[float] = field(default_factory=deque)  # when it turned, within the rhythm window
    level_kw: float = 0.0
    extreme_kw: float = 0.0
    direction: int = 0  # -1 falling, +1 rising, 0 not moved yet

    def move(self, delta_kw: float, now: float, turn_kw: float) -> None:
        """Book a change; against the direction it is a turn from `turn_kw` on."""
        self.level_kw += delta_kw
        if self.direction == 0:
            self.direction, self.extreme_kw = (1 if delta_kw > 0 else -1), self.level_kw
        elif (self.level_kw - self.extreme_kw) * self.direction >= 0:
            self.extreme_kw = self.level_kw
        elif abs(self.level_kw - self.extreme_kw) >= turn_kw:
            self.direction, self.extreme_kw = -self.direction, self.level_kw
            self.turns.append(now)


@dataclass(slots=True)
class _Node:
    """What one node's commanded load did lately."""

    moves: deque[tuple[float, float]] = field(default_factory=deque)  # (when, signed kW) of the last minute
    rose_kw: float = 0.0  # sums of `moves`, kept so that a round costs no more than its commands
    fell_kw: float = 0.0
    way: _Way = field(default_factory=_Way)
    sure: _Way | None = None  # the way without what may still be taken back; None: there is nothing such
    controllable_kw: float = 0.0


class Governor:
    """Keeps the books of what was let through, per node and per EVSE."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._nodes: dict[str, _Node] = {}
        self._last_change: dict[str, float] = {}

    def know(self, controllable_kw: Mapping[str, float]) -> None:
        """Tell how much load there is to control per node (kW of what would be drawn)."""
        for node_id, kw in controllable_kw.items():
            self._node(node_id).controllable_kw = kw

    def could_kw(self, path: Iterable[str]) -> tuple[float, ...]:
        """What it was told last of each of these nodes, kW."""
        return tuple(round(self._node(node_id).controllable_kw, 3) for node_id in path)

    def may_rise_kw(self, node_id: str, now: float, *, halted: bool = False) -> float:
        """How much the node's load may be let rise now, kW; 0 while the rhythm forbids another turn (not in a halt)."""
        node = self._node(node_id)
        if not (halted or self._may_turn(node, +1, now)):
            return 0.0
        return self._ramp_room(node, +1, now, self._rules.restore_share_per_min)

    def rose_kw(self, node_id: str, now: float) -> float:
        """How much of the node's load was let rise within the last minute, kW."""
        return self._moved(self._node(node_id), +1, now)

    def next_change(self, evse_id: str) -> float | None:
        """When this EVSE's limit may change again, on the caller's clock; None: it never did."""
        last = self._last_change.get(evse_id)
        return None if last is None else last + self._rules.gap_s

    def admit(
        self,
        evse_id: str,
        path: Iterable[str],
        delta_kw: float,
        now: float,
        *,
        emergency: bool,
        law: bool = False,
        halt: bool = False,
        driver: bool = False,
    ) -> str | None:
        """Let one change of `delta_kw` (positive: load may rise) through and book it (None), or say why it is held.

        What was let through counts at once, and is to be followed by `stands` or `taken_back`.
        A `law` (ceiling) is never held when it brings load down, drawn or possible: equipment comes first. A `halt`
        frees cars along the ramp and no rhythm holds it: it is the person who ends the back and forth (promise P14).
        So does a `driver` who opts out in person, for one EVSE, and it need not have rested: it is limited again no
        sooner than a gap from now, so that it can't be swung. The ramp holds them both, and both are booked.
        """
        rules = self._rules
        gap_over = self.next_change(evse_id)
        free = driver and delta_kw >= 0
        if gap_over is not None and now < gap_over - 1e-6 and not (law and delta_kw <= 0) and not free:
            return f"changed less than {rules.gap_s:g} s ago"
        nodes = [self._node(node_id) for node_id in path]
        way = 1 if delta_kw > 0 else -1
        if abs(delta_kw) > NOTHING_KW and not (law and way < 0):
            for node in nodes:
                if not (halt or free) and not self._may_turn(node, way, now, abs(delta_kw)):
                    return f"load has turned {rules.reversals} times in {rules.rhythm_s / 60:g} min"
                share = rules.restore_share_per_min if way > 0 else rules.shed_share_per_min
                bound = way > 0 or not emergency
                # One EVSE can't be split: an empty minute lets one through whatever its size.
                if (
                    bound
                    and abs(delta_kw) > self._ramp_room(node, way, now, share)
                    and self._moved(node, way, now) > NOTHING_KW
                ):
                    return "ramp: enough load has moved this minute"
        for node in nodes:
            if node.sure is None:
                node.sure = replace(node.way, turns=node.way.turns.copy())
            self._book(node, delta_kw, now, sure=False)
        self._last_change[evse_id] = now
        return None

    def stands(self, node_ids: Iterable[str]) -> None:
        """What was let through under these nodes is written: it goes out."""
        for node_id in node_ids:
            self._node(node_id).sure = None

    def taken_back(self, node_ids: Iterable[str]) -> None:
        """What was let through under these nodes was not written, and nobody was told. It was no turn.

        But it stays on the ramp, and its EVSEs rest: what frees a car goes out all the same, and nothing is tried again
        at once. A turn by such a release is dated when it is written in the end.
        """
        for node_id in node_ids:
            node = self._node(node_id)
            if node.sure is not None:
                node.way, node.sure = node.sure, None

    def recall(
        self, evse_id: str, path: Sequence[str], delta_kw: float, now: float, could_kw: Sequence[float] = ()
    ) -> None:
        """Book a change that went out before a restart, oldest first.

        `could_kw`: what there was to move then, as `could_kw` told it. By what there is now, a turn of then may be
        none, or one of another minute.
        """
        if len(could_kw) == len(path):  # else the tree has changed since
            self.know(dict(zip(path, could_kw, strict=True)))
        for node_id in path:
            self._book(self._node(node_id), delta_kw, now)
        self._last_change[evse_id] = now

    def said_late(self, evse_id: str, now: float) -> None:
        """A change of before may reach its station only now: it may be the last one for a while from now on."""
        self._last_change[evse_id] = now

    def moved_by_itself(self, path: Iterable[str], delta_kw: float, now: float) -> None:
        """Book a change that no command made (a limit that ended by itself), so that the ramp counts it."""
        for node_id in path:
            self._book(self._node(node_id), delta_kw, now)

    def forget(self, evse_id: str) -> None:
        """The station rebooted and holds no limit: what it is told next is no second change."""
        self._last_change.pop(evse_id, None)

    def _node(self, node_id: str) -> _Node:
        node = self._nodes.get(node_id)
        if node is None:
            node = self._nodes[node_id] = _Node()
        return node

    def _moved(self, node: _Node, way: int, now: float) -> float:
        while node.moves and node.moves[0][0] <= now - MINUTE_S:
            _, kw = node.moves.popleft()
            node.rose_kw -= max(kw, 0.0)
            node.fell_kw -= max(-kw, 0.0)
        if not node.moves:
            node.rose_kw = node.fell_kw = 0.0
        return node.rose_kw if way > 0 else node.fell_kw

    def _ramp_room(self, node: _Node, way: int, now: float, share: float) -> float:
        allowed = max(share * node.controllable_kw, self._rules.ramp_floor_kw_per_min)
        return max(0.0, allowed - self._moved(node, way, now))

    def _threshold(self, node: _Node) -> float:
        """A move against the direction that is smaller is no turn, kW."""
        return max(TURN_SHARE * node.controllable_kw, TINY_KW)

    def _may_turn(self, node: _Node, way: int, now: float, kw: float = 0.0) -> bool:
        went = node.way
        while went.turns and went.turns[0] <= now - self._rules.rhythm_s:
            went.turns.popleft()
        if went.direction in (0, way):
            return True
        # Small corrections pass as long as they stay, this one included, under the threshold that makes a turn.
        against = (went.level_kw - went.extreme_kw) * way + kw
        return len(went.turns) < self._rules.reversals or against < self._threshold(node) / 2

    def _book(self, node: _Node, delta_kw: float, now: float, *, sure: bool = True) -> None:
        if abs(delta_kw) <= 0:
            return
        node.moves.append((now, delta_kw))
        node.rose_kw += max(delta_kw, 0.0)
        node.fell_kw += max(-delta_kw, 0.0)
        turn_kw = self._threshold(node)
        node.way.move(delta_kw, now, turn_kw)
        if sure and node.sure is not None:
            node.sure.move(delta_kw, now, turn_kw)
