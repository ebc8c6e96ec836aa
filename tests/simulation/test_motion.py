"""The judge of promise P7 itself: it books what moved load, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from emw.domain import facts as f
from emw.domain.fold import apply
from emw.domain.model import Cause
from emw.domain.state import State
from emw.engine.view import Rules
from emw.simulation.motion import Motion
from tests.store.world import stations

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
UNTIL = START + timedelta(minutes=15)


@pytest.mark.parametrize(("next_min", "rose"), [(10, True), (16, False)])
def test_P7_a_limit_that_ends_where_nobody_stands_lets_nothing_rise(next_min: float, rose: bool) -> None:
    """Its car left; the next one was held by it, or came after its end and was never held."""

    def fail(promise: str, why: str) -> None:
        raise AssertionError((promise, why))

    motion, shadow = Motion(Rules(), fail), State()
    motion.would_draw_a = lambda _: 32.0
    evse_id = "E000000"

    def came(session_id: str, at: datetime) -> f.SessionStarted:
        return f.SessionStarted(
            at=at, actor="t", session_id=session_id, evse_id=evse_id,
            line_voltage_v=230.0, evse_max_a=32.0, car_max_a=32.0,
        )  # fmt: skip

    node = f.TerritoryDefined(
        at=START,
        actor="t",
        territory_id="West",
        parent_id=None,
        kind="site",
        ceiling_kw=None,
        time_zone="UTC",
    )
    for fact in [node, *stations(1), came("first", START)]:
        apply(shadow, fact)
    command = f.CommandIssued(
        at=START, actor="emw", command_id="co_1", evse_id=evse_id, max_a=6.0, until=UNTIL,
        cause=Cause.SHED, would_draw_a=32.0,
    )  # fmt: skip
    motion.before(command, shadow)
    gone = f.SessionEnded(
        at=START + timedelta(minutes=5), actor="t", session_id="first", evse_id=evse_id, reason="unplugged"
    )
    for fact in (command, gone, came("next", START + timedelta(minutes=next_min))):
        apply(shadow, fact)
        motion.after(fact, shadow)
    motion.tick(UNTIL + timedelta(minutes=5))
    assert motion._nodes["West"].ways[0].level_kw == pytest.approx(0.0 if rose else -0.23 * 26)
