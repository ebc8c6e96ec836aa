"""What each ceiling leaves as things stand: nobody rises on the strength of a limit that is not in force yet. Pure."""

from __future__ import annotations

from datetime import datetime

from emw.engine.view import EvseView, View

NEAR_KW = 1e-9


class Headroom:
    """The room under every ceiling of a tree, kW of what could come to be drawn; used up as limits rise.

    What falls in the same round makes no room: its command may be held, lost or refused.
    """

    def __init__(self, view: View, now: datetime) -> None:
        self._now = now
        self._kw: dict[str, float] = {}
        if view.halted:
            return
        for node_id, node in view.territories.items():
            if node.ceiling_kw is not None:
                self._kw[node_id] = node.ceiling_kw
        for e in view.evses if self._kw else ():
            for node_id in e.path:
                if node_id in self._kw:
                    self._kw[node_id] -= e.kw_per_a * e.stands_a(now)

    def takes(self, e: EvseView, limit_a: float | None) -> bool:
        """Whether an EVSE may come to this limit (None: to no limit); its rise is booked if it may."""
        if not self._kw:
            return True
        rise_kw = e.kw_per_a * (e.drawn_a(limit_a, e.potential_a) - e.stands_a(self._now))
        ruled = [n for n in e.path if n in self._kw]
        if rise_kw <= NEAR_KW:
            return True
        if any(self._kw[n] < rise_kw - NEAR_KW for n in ruled):
            return False
        for node_id in ruled:
            self._kw[node_id] -= rise_kw
        return True
