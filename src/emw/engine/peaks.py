"""The highest load that each node would have had anyway: a return that stays below it makes no new peak. Pure.

From an hour before an event on, five-minute means are remembered: of the load as metered while nothing is asked, of
the estimated counterfactual while something is. The load may also always come up to what would be drawn now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

MEAN_OF = 5
"""Looks, a minute apart, per mean."""
NEAR = 1e-4
"""Part of a load: the last car of a fleet that stands still has room to the watt, whatever readings are off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """Rules of the return."""

    measured_part: float = 0.98
    """The load may come up to this part of one that was measured before the event..."""
    estimated_part: float = 0.93
    """... and to this part of one that was estimated during it."""
    lookback_min: float = 60.0
    """So long before the event a load counts."""
    patience_min: float = 45.0
    """After this the two parts above wear off, over as long again."""
    last_min: float = 180.0
    """After this whoever still waits is let go, step by step and whatever the load is."""
    step_part: float = 0.10
    """Of the shed may come back in one minute, less what comes by itself."""
    still_min: float = 5.0
    """Where so many come that nobody was let go for so long, somebody is: the way back must not last for ever."""

    def worn(self, waited_min: float) -> float:
        """Factor on a bound after so long a wait: at last what was measured counts in full."""
        part = min(max(waited_min / self.patience_min - 1, 0.0), 1.0)
        return 1 + (1 / self.measured_part - 1 + NEAR) * part


class Peaks:
    """Remembers the peaks of one tree's nodes. Minutes of any steady clock."""

    def __init__(self, rules: WayBack | None = None) -> None:
        self._rules = rules or WayBack()
        self._recent: deque[Mapping[str, float]] = deque(maxlen=MEAN_OF)
        self._means: deque[tuple[float, dict[str, float]]] = deque()
        self._would_kw: Mapping[str, float] = {}
        self._returning_since_min: float | None = None

    def watch(
        self,
        now_min: float,
        load_kw: Mapping[str, float],
        would_kw: Mapping[str, float],
        *,
        quiet: bool,
        returning: bool,
    ) -> None:
        """One look: load metered and load expected without requests, kW per node.

        `quiet`: nothing is asked and nobody held. `returning`: events are over, the last cars are being let go.
        """
        rules = self._rules
        self._would_kw = would_kw
        self._recent.append(load_kw if quiet else would_kw)
        part = rules.measured_part if quiet else rules.estimated_part
        if len(self._recent) == MEAN_OF:
            sums: dict[str, float] = {}
            for look in self._recent:
                for node_id, kw in look.items():
                    sums[node_id] = sums.get(node_id, 0.0) + kw
            self._means.append((now_min, {n: kw / MEAN_OF * part for n, kw in sums.items()}))
        if quiet:
            while self._means and self._means[0][0] < now_min - rules.lookback_min:
                self._means.popleft()
        if not returning:
            self._returning_since_min = None
        elif self._returning_since_min is None:
            self._returning_since_min = now_min

    def highest_kw(self, now_min: float) -> dict[str, float]:
        """Per node, what the load may come up to; nothing where no bound is known or patience is over."""
        rules, since_min = self._rules, self._returning_since_min
        if not self._means:
            return {}
        waited_min = 0.0 if since_min is None else now_min - since_min
        if waited_min > rules.last_min:
            return {}
        wears = rules.worn(waited_min)
        return {n: max(kw * wears, self._would_kw.get(n, 0.0)) for n, kw in self.seen_kw.items()}

    @property
    def seen_kw(self) -> dict[str, float]:
        """Per node, the highest mean remembered, as far as it counts."""
        found: dict[str, float] = {}
        for _, means in self._means:
            for node_id, kw in means.items():
                found[node_id] = max(found.get(node_id, 0.0), kw)
        return found

    def recall(self, now_min: float, seen_kw: dict[str, float]) -> None:
        """Before the first look: what an earlier process had seen."""
        if seen_kw:
            self._means.append((now_min, seen_kw))
