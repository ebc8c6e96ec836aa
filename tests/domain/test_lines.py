"""Which lines of the grid an EVSE loads: by its wiring, the phases in use, and what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from emw.domain.lines import LINES, WIRINGS, line_a_per_a, loaded
from emw.domain.model import Evse

ONE = Evse(
    evse_id="E1",
    station_id="E1",
    territory_id="East",
    model="M",
    line_voltage_v=230.0,
    phases=1,
    max_a=32.0,
    status="available",
    powered=True,
    online=True,
    powered_at=datetime(2026, 3, 2, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("wiring", "phases", "uses", "lines"),
    [
        ("L2", 1, None, "L2"),
        ("L2L3L1", 1, None, "L2"),
        ("L2L3L1", 2, None, "L2L3"),
        ("L2L3L1", 3, None, "L2L3L1"),
        ("L2L3L1", 1, "L2", "L3"),
        ("L2L3L1", 2, "L1L3", "L2L1"),
        ("L1L2", 1, None, "L1L2"),
        (None, 1, None, "L1L2L3"),
        (None, 3, None, "L1L2L3"),
        ("L2", 3, None, "L1L2L3"),
        ("L2", 1, "L3", "L1L2L3"),
    ],
)
def test_what_an_evse_loads(wiring: str | None, phases: int, uses: str | None, lines: str) -> None:
    assert "".join(loaded(replace(ONE, phases=phases, uses=uses), wiring)) == lines


def test_direct_current_is_drawn_from_all_lines_by_its_power() -> None:
    dc = replace(ONE, dc=True, line_voltage_v=400.0, max_a=125.0)
    assert loaded(dc, "L2L3L1") == ("L2", "L3", "L1")
    assert loaded(dc, None) == LINES
    assert line_a_per_a(dc) * 125.0 == pytest.approx(50.0 * 1.6)
    assert line_a_per_a(ONE) == 1.0


def test_every_wiring_names_each_line_once() -> None:
    assert len(WIRINGS) == 3 + 6 + 6
    assert {"L1", "L3L1", "L3L2L1"} < WIRINGS
    assert not {"", "L1L1", "L4", "l1"} & WIRINGS
