"""The lines of the grid, L1, L2 and L3, and which of them an EVSE loads. Pure.

A node's ceiling in A holds on each line by itself. Which line lies on an EVSE's terminal L1, L2 or L3 only the
electrician knows: single-phase EVSEs are spread over the lines, and three-phase ones are turned ("L2L3L1"), because a
single-phase vehicle loads terminal L1 alone.

    wiring      a car on one phase loads    on three
    L2          L2                          -
    L2L3L1      L2                          L1 L2 L3
    L1L2        L1 L2                       -            between two lines: its current flows through both
    not known   L1 L2 L3                    L1 L2 L3     any of them may be the one, so each counts it in full
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from typing import Final

from emw.domain.model import Evse

LINES: Final = ("L1", "L2", "L3")
WIRINGS: Final = frozenset("".join(lines) for n in (1, 2, 3) for lines in permutations(LINES, n))

DC_LINE_A_PER_KW: Final = 1.6
"""What a kW of direct current takes from each of three lines at 230 V, a tenth of it lost as heat, A."""


def lines_of(text: str) -> tuple[str, ...]:
    """`L2L3L1` taken apart."""
    return tuple(text[i : i + 2] for i in range(0, len(text), 2))


def loaded(evse: Evse, wiring: str | None) -> tuple[str, ...]:
    """The lines that an EVSE's current may flow through; none is left out unless it is known to be idle."""
    return _loaded(wiring, evse.uses, evse.phases, evse.dc)


@lru_cache(maxsize=1024)
def _loaded(wiring: str | None, uses: str | None, phases: int, dc: bool) -> tuple[str, ...]:
    wired = lines_of(wiring or "")
    if dc or len(wired) == 2:
        return wired or LINES
    terminals = [LINES.index(t) for t in lines_of(uses)] if uses else list(range(phases))
    if terminals[-1] >= len(wired):
        return LINES  # not known, or its meter knows better than what was said
    return tuple(wired[t] for t in terminals)


def line_a_per_a(evse: Evse) -> float:
    """What an ampere of an EVSE's limit puts on each line that it loads, A. Direct current is told by its power."""
    return DC_LINE_A_PER_KW * evse.kw_per_a if evse.dc else 1.0
