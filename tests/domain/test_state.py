"""The view in memory: what is put in and taken back leaves it as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from emw.domain.model import Evse
from emw.domain.state import State

FOUND = Evse(
    evse_id="E1:1",
    station_id="E1",
    territory_id="East",
    model="m",
    line_voltage_v=230.0,
    phases=1,
    max_a=32.0,
    status="available",
    powered=True,
    online=True,
    powered_at=datetime(2026, 3, 2, tzinfo=UTC),
)


def test_an_evse_that_is_taken_back_was_never_found() -> None:
    state = State()
    first = state.put(FOUND)
    second = state.put(replace(FOUND, evse_id="E1:2"))
    turned = state.put(replace(FOUND, max_a=16.0))
    state.undo([second, turned])
    assert state.evses_of("E1") == [FOUND]
    state.undo([first])
    assert state.evses_of("E1") == []
    again = [state.put(FOUND)]
    assert state.evses_of("E1") == [FOUND]
    state.undo(again)
    fresh = State()
    assert all(getattr(state, name) == getattr(fresh, name) for name in State.__slots__ if name != "_by_type")
