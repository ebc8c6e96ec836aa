"""What each ceiling leaves as things stand: nobody rises on the strength of a limit that is not in force yet. Pure."""

from __future__ import annotations

from datetime import datetime

from emw.engine.ceilings import NEAR, Ceiling, ceilings_of
from emw.engine.view import EvseView, View


class _Room:
    """What one ceiling leaves of what could come to be drawn: kW, or A on its line."""

    __slots__ = ("ceiling", "left")

    def __init__(self, ceiling: Ceiling) -> None:
        self.ceiling = ceiling
        self.left = ceiling.most


class Headroom:
    """The room under every ceiling of a tree, used up as limits rise.

    What falls in the same round makes no room: its command may be held, lost or refused.
    """

    def __init__(self, view: View, now: datetime) -> None:
        self._now = now
        self._rooms: dict[str, list[_Room]] = {}
        if view.halted:
            return
        for node_id, node in view.territories.items():
            rooms = [_Room(c) for c in ceilings_of(node)]
            if rooms:
                self._rooms[node_id] = rooms
        for e in view.evses if self._rooms else ():
            stands_a = e.stands_a(now)
            for room in self._over(e):
                room.left -= room.ceiling.per_a(e) * stands_a

    def _over(self, e: EvseView) -> list[_Room]:
        return [room for node_id in e.path for room in self._rooms.get(node_id, ())]

    def takes(self, e: EvseView, limit_a: float | None) -> bool:
        """Whether an EVSE may come to this limit (None: to no limit); its rise is booked if it may."""
        if not self._rooms:
            return True
        rise_a = e.drawn_a(limit_a, e.potential_a) - e.stands_a(self._now)
        if rise_a <= NEAR:
            return True
        rises = [(room, room.ceiling.per_a(e) * rise_a) for room in self._over(e)]
        if any(rise > NEAR and room.left < rise - NEAR for room, rise in rises):
            return False
        for room, rise in rises:
            room.left -= rise
        return True
