"""Ceilings: what the EVSEs under a node may come to draw together, kW, and through each of its lines, A. Pure.

Each is one sum over EVSEs with one bound: kW per ampere times amps, or amps alone where an EVSE loads the line. So a
node of 160 A per phase has three more laws of the same kind as its kW, and all hold at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emw.domain.lines import LINES
from emw.domain.model import Territory
from emw.engine.view import EvseView

NEAR = 1e-9
"""Sums closer than this are equal, kW or A."""
Could = Callable[[EvseView], float]
"""What an EVSE could come to draw, A per phase."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """At most `most` under a node: kW, or A on one of its lines."""

    node_id: str
    most: float
    line: str | None = None

    def per_a(self, e: EvseView) -> float:
        """What an ampere of this EVSE adds to the sum: kW, or A on the line; 0 where it does not load it."""
        if self.line is None:
            return e.kw_per_a
        return e.line_a_per_a if self.line in e.lines else 0.0

    def on_it(self, pool: Sequence[EvseView]) -> Sequence[EvseView]:
        """Those of the node's EVSEs that add to the sum."""
        return pool if self.line is None else [e for e in pool if self.line in e.lines]

    def over(self, pool: Sequence[EvseView], could: Could) -> float:
        """How much the sum is above the ceiling."""
        return sum(self.per_a(e) * could(e) for e in pool) - self.most


def ceilings_of(node: Territory) -> list[Ceiling]:
    """The laws of one node; mostly none."""
    found = [] if node.ceiling_kw is None else [Ceiling(node.territory_id, node.ceiling_kw)]
    if node.ceiling_a is not None:
        found += [Ceiling(node.territory_id, node.ceiling_a, line) for line in LINES]
    return found
