"""How many EVSEs of one customer count: who forges plug-ins by the thousand moves no more than that (attack A10)."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from emw.domain.model import Evse
from emw.domain.state import State

WHY = "its customer has enough"


def beyond_cap(state: State, most: int | None, now: datetime) -> frozenset[str]:
    """EVSEs with a vehicle that are one too many for their customer: no shed is asked of them or promised from them.

    Who holds a limit keeps its place, then who was plugged in first. An EVSE without a customer belongs to nobody's
    count. `most` None: no cap.
    """
    if most is None:
        return frozenset()
    plugged: defaultdict[str, list[Evse]] = defaultdict(list)
    for evse in state.evses.values():
        customer = state.stations[evse.station_id].customer_id
        if customer and evse.session_id in state.sessions:
            plugged[customer].append(evse)

    def place(evse: Evse) -> tuple[bool, datetime, str]:
        return (
            state.held(evse.evse_id, now) is None,
            state.sessions[evse.session_id or ""].started_at,
            evse.evse_id,
        )

    return frozenset(
        evse.evse_id
        for evses in plugged.values()
        if len(evses) > most
        for evse in sorted(evses, key=place)[most:]
    )
