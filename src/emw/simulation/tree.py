"""The tree of a simulated world: where stations stand, which nodes have a ceiling, which line lies on which terminal.

Half of the worlds have ceilings in A beside those in kW. Their chances are dice of their own, and a world without them
knows of no wiring: it is the world that its seed always was.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Final

from emw.domain.lines import LINES
from emw.simulation.sites import Site

TREE: Final = (
    ("grid", None, "zone"),
    ("east", "grid", "utility"),
    ("west", "grid", "utility"),
    ("e1", "east", "feeder"),
    ("e2", "east", "feeder"),
    ("e1a", "e1", "site"),
    ("w1", "west", "feeder"),
    ("island", None, "zone"),
)
PLACES: Final = ("east", "e1", "e1a", "e1a", "e2", "e2", "west", "w1", "w1", "island")

_PARENT: Final = {node: parent for node, parent, _ in TREE}
_WIRINGS: Final = {
    # A voltage of 208 V lies between two lines; three phases are turned, as electricians do.
    (1, False): LINES,
    (1, True): ("L1L2", "L2L3", "L3L1"),
    (3, False): ("L1L2L3", "L2L3L1", "L3L1L2"),
}


def is_under(place: str, node: str) -> bool:
    """Whether a place is the node or lies somewhere below it."""
    above: str | None = place
    while above is not None and above != node:
        above = _PARENT[above]
    return above == node


def draw_ceilings_kw(sites: Iterable[Site], chance: Random) -> dict[str, float]:
    """What some nodes may draw, kW."""
    ceilings = {}
    for node in ("east", "e1", "w1", "island"):
        if chance.random() < 0.35:
            here = [s for s in sites if s.identity.territory.startswith(node[0])]
            full = sum(s.full_knob_a * s.hardware.kw_per_a for s in here)
            ceilings[node] = round(full * chance.uniform(0.2, 0.7), 1)
    return ceilings


def draw_ceilings_a(sites: Iterable[Site], chance: Random) -> dict[str, float]:
    """Wire the stations of every second world, and say what some of its nodes may draw on each line, A."""
    if chance.random() < 0.5:
        return {}
    for site in sites:
        wirings = _WIRINGS[site.phases, site.between_lines]
        site.wiring = chance.choice(wirings)
        site.wiring_told = chance.random() < 0.85
    ceilings = {}
    for node in ("east", "e1", "e1a", "e2", "w1", "island"):
        here = [s for s in sites if is_under(s.identity.territory, node)]
        fullest_a = max(sum(s.full_knob_a for s in here if line in s.lines) for line in LINES)
        if fullest_a > 0 and chance.random() < 0.5:
            ceilings[node] = round(fullest_a * chance.uniform(0.3, 0.8), 0)
    return ceilings
