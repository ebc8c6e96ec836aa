"""The limits that EVSEs should have after this round: what sheds and ceilings write, and orders are made of.

By EVSE id: `share` and `law` add to one mapping, node by node; who is not in it is to be free. No behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emw.domain.model import Cause, ReductionRequest
from emw.engine.view import EvseView


@dataclass(slots=True)
class Wanted:
    """The limit one EVSE should have after this round, A per phase, and which request or ceiling wants it."""

    limit_a: float
    cause: Cause
    request: ReductionRequest | None
    node_id: str
    line: str | None = None
    law: bool = False
    """A ceiling counts on it: what a shed takes need not be taken again, but then it must be taken now."""


def limit_of(wanted: Mapping[str, Wanted], e: EvseView) -> float | None:
    """The limit wanted for an EVSE, A; None: it is to be free."""
    want = wanted.get(e.evse_id)
    return None if want is None else want.limit_a
