"""What was learned of vehicles outlives the process: a shed is counted after a restart as it was before."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import numpy as np
import pytest
from structlog.testing import capture_logs

from emw.engine.learn import Learner
from emw.engine.need import GROUPS
from emw.engine.past import Habits, Past
from emw.service.memory import LASTS, Known, read, written
from emw.service.ports import Memory
from emw.service.requests import Decrease
from emw.service.watch import REMEMBERS_EVERY
from emw.store import Disk
from tests.service.test_shed import beat
from tests.store.world import START
from tests.web.world import World, stations, world

KEY = "operator:R1"
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def measured_kw(w: World) -> float:
    told = w.headend.accounts.sums(w.headend.state.requests[KEY], w.clock.now()).measured_kw
    assert told is not None
    return told


def held(w: World) -> dict[str, float]:
    """The chance that each held vehicle would still charge."""
    live = w.headend.telemetry.live
    return {
        e: belief[1].alive
        for e in sorted(w.headend.state.limits)
        if (belief := live[e].belief) is not None and belief[1].alive < 1
    }


def limits(w: World) -> dict[str, float | None]:
    return {e: limit.max_a for e, limit in w.headend.state.limits.items()}


async def shed_for(
    minutes: int, names: list[str], disk: Disk
) -> tuple[datetime, float, dict[str, float], dict[str, float | None], dict[str, float]]:
    """A first life, in the middle of a request: its last minute, what it counted, what it believed, its limits, and
    the energy that it saw each vehicle take (kWh).
    """
    async with world(real=disk.reopen()) as w:
        await stations(w, names)
        for _ in range(11):
            await beat(w, names)
        asked = Decrease(request_id="R1", territory_id="East", kw=14.0, minutes=300)
        await w.headend.requests.decrease("operator", asked, actor="operator:opa")
        for _ in range(minutes):
            await beat(w, names)
        await w.headend.telemetry.flush()
        await w.headend.watch.remember(w.clock.now())
        now = w.clock.now()
        known = read(w.headend.dispatch.picture.learning.memories(now)[0], now)
        assert known is not None
        return now, measured_kw(w), held(w), limits(w), dict(known.got_kwh)


@pytest.mark.parametrize(("away", "off"), [(5 * SECOND, 0.01), (REMEMBERS_EVERY, 0.03)])
async def test_a_restart_in_the_middle_of_a_request_counts_the_shed_as_before(
    away: timedelta, off: float
) -> None:
    names, disk = [f"E{n}" for n in range(8)], Disk()
    at, before_kw, believed, limits_a, got_kwh = await shed_for(120, names, disk)
    assert len(believed) >= 3
    assert min(believed.values()) < 0.8
    async with world(real=disk.reopen(), people=False, at=at + away) as w:
        assert held(w) == pytest.approx(believed), "before anything is decided"
        assert measured_kw(w) == pytest.approx(before_kw)
        learning = w.headend.dispatch.picture.learning
        assert limits(w) == limits_a
        for _ in range(3):
            await beat(w, names)
        after, minutes = held(w), int((w.clock.now() - at) / MINUTE)
        now_a = limits(w)
        again = read(learning.memories(at)[0], at)
        assert again is not None
        assert sum(again.got_kwh.values()) > 30.0, "of two hours, not of three minutes"
        assert all(again.got_kwh[e] >= kwh > 0 for e, kwh in got_kwh.items()), "nothing of it is lost"
        assert again.peaks_kw["East"] == pytest.approx(0.98 * 8 * 4.6), "as metered before the request"
    _, _, unbroken, unbroken_a, _ = await shed_for(120 + minutes, names, Disk())
    assert after == pytest.approx(unbroken, abs=off), "it goes on fading"
    if away < MINUTE:
        assert now_a.keys() == unbroken_a.keys()
        assert None not in now_a.values(), "nobody is let go because emw was away"
        total_a, unbroken_total_a = (sum(a or 0.0 for a in each.values()) for each in (now_a, unbroken_a))
        assert total_a == pytest.approx(unbroken_total_a, abs=1.5), "nor asked"


async def test_without_a_memory_each_held_vehicle_is_taken_for_one_that_still_charges() -> None:
    """What was the rule before: so the test above can fail."""
    names, disk = [f"E{n}" for n in range(8)], Disk()
    at, before_kw, _, _, _ = await shed_for(120, names, disk)
    disk.connection.execute("DELETE FROM memories")
    async with world(real=disk.reopen(), people=False, at=at + 5 * SECOND) as w:
        assert measured_kw(w) > 1.15 * before_kw


async def test_a_clean_stop_writes_it_down() -> None:
    async with world() as w:
        await stations(w, ["E1"])
        for _ in range(3):
            await beat(w, ["E1"])
        kept: list[Memory] = []

        async def keep(memories: list[Memory]) -> None:
            kept.extend(memories)

        w.store.keep_memories = keep  # type: ignore[assignment, method-assign]
        await w.headend.close()
        assert [m.root for m in kept] == ["East"]


def test_what_is_old_says_nothing_of_single_vehicles_but_still_of_the_fleet() -> None:
    learner = Learner()
    learner.recall(
        habits := Habits(
            finished=np.arange(1.0, GROUPS + 1),
            finishes_expected=np.full(GROUPS, 2.0),
            left=np.array([[1.0, 2.0], [3.0, 4.0]]),
            leaves_expected=np.array([[5.0, 6.0], [7.0, 8.0]]),
            tapers=np.array([3.0, 5.0]),
        )
    )
    known = Known(learner.habits, {}, Past.nothing(0), {"one": 7.5}, {"East": 40.0})
    memory = written("East", known, START)
    for age in (LASTS, LASTS + SECOND):
        found = read(memory, START + age)
        assert found is not None
        np.testing.assert_array_equal(found.habits.left, habits.left)
        np.testing.assert_array_equal(found.habits.finished, habits.finished)
        np.testing.assert_array_equal(found.habits.tapers, habits.tapers)
        assert not found.take(["one"]).known.any()
        assert found.got_kwh == {"one": 7.5}, "no meter says it again"
        assert found.peaks_kw == ({"East": 40.0} if age <= LASTS else {})


EMPTY = msgspec.msgpack.encode({"habits": {}, "sessions": [], "past": {}, "got_kwh": {}, "peaks_kw": {}})


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x80", EMPTY])
def test_what_cannot_be_read_is_no_memory(body: bytes) -> None:
    with capture_logs() as logs:
        assert read(Memory("East", START, body), START) is None
    assert [line["event"] for line in logs] == ["learning.memory_not_readable"]


def test_habits_in_the_shape_of_another_version_are_no_memory() -> None:
    memory = written("East", Known(Learner().habits, {}, Past.nothing(0), {}, {}), START)
    body = msgspec.msgpack.decode(memory.body)
    body["habits"]["finished"] = [[1.0, 2.0]]
    assert read(Memory("East", START, msgspec.msgpack.encode(body)), START) is None
