"""Fault F9: whatever the machine's clock does, no event is skipped, repeated or prolonged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.app.build import parts_of
from emw.app.clock import ClockWrong, SystemClock
from emw.app.config import Config
from emw.domain.facts import TerritoryDefined
from emw.domain.fold import apply
from emw.store import SqlStore

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Machine:
    """A wall clock that can be set, and a steady one that can't."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at
        self.steady_s = 1_000.0

    def passes(self, by: timedelta) -> None:
        self.at += by
        self.steady_s += by.total_seconds()

    def clock(self) -> SystemClock:
        return SystemClock(wall=lambda: self.at, steady=lambda: self.steady_s)


@given(
    leaps=st.lists(
        st.tuples(
            st.floats(0, 7200),
            st.sampled_from(
                [HOUR, -HOUR, timedelta(seconds=3), timedelta(days=-20_000), timedelta(days=400)]
            ),
        ),
        max_size=6,
    )
)
def test_F9_a_leap_of_the_machines_clock_moves_no_schedule(leaps: list[tuple[float, timedelta]]) -> None:
    machine = Machine()
    clock = machine.clock()
    passed = 0.0
    for seconds, leap in leaps:
        machine.passes(timedelta(seconds=seconds))
        passed += seconds
        machine.at += leap
        clock.compare()
        assert clock.now() == pytest.approx(NOON + timedelta(seconds=passed), abs=timedelta(milliseconds=1))
    told_s = sum((leap.total_seconds() for _, leap in leaps), 0.0)
    assert clock.off_s == pytest.approx(told_s if abs(told_s) > 2 else 0.0, abs=1e-3), "and it is alarmed"


def test_F9_small_drift_is_followed() -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(60):
        machine.passes(timedelta(minutes=1))
        machine.at += timedelta(seconds=0.1)
        clock.compare()
    assert abs(clock.now() - machine.at) < timedelta(milliseconds=1)
    assert clock.off_s == 0.0


def test_F9_time_goes_on_while_the_machine_sleeps() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.passes(3 * HOUR)  # both clocks count it; the event loop's would not
    clock.compare()
    assert clock.now() == NOON + 3 * HOUR


@pytest.mark.parametrize("back", [HOUR, timedelta(minutes=5), timedelta(hours=23)])
def test_F9_a_clock_set_back_before_a_start_does_not_turn_time_back(back: timedelta) -> None:
    machine = Machine(NOON - back)
    clock = machine.clock()
    clock.not_before(NOON)
    assert clock.now() == NOON
    assert clock.off_s == -back.total_seconds()


def test_F9_a_machine_that_wakes_in_1970_goes_on_from_the_log_until_it_knows_the_time() -> None:
    machine = Machine(datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC))
    clock = machine.clock()
    clock.not_before(NOON)
    machine.passes(timedelta(seconds=40))
    clock.compare()
    assert clock.now() == NOON + timedelta(seconds=40)
    machine.at = NOON + HOUR  # somebody tells it
    clock.compare()
    assert clock.now() == NOON + HOUR
    assert clock.off_s == 0.0
    machine.at += HOUR  # from then on a leap is a leap
    clock.compare()
    assert clock.now() == NOON + HOUR


def test_F9_a_log_from_far_ahead_is_refused_with_what_to_do() -> None:
    with pytest.raises(ClockWrong, match="set the clock"):
        Machine().clock().not_before(NOON + timedelta(days=30))


async def test_F9_a_start_reads_the_logs_newest_time(tmp_path: Path) -> None:
    ahead = datetime.now(UTC) + HOUR
    store = SqlStore(f"sqlite:///{tmp_path / 'emw.db'}")
    loaded = await store.load()
    assert loaded.newest_at is None
    fact = TerritoryDefined(
        at=ahead,
        actor="t",
        territory_id="East",
        parent_id=None,
        kind="zone",
        ceiling_kw=None,
        time_zone="UTC",
    )
    await store.commit([fact], apply(loaded.state, fact)[0])
    await store.close()
    async with parts_of(Config(data_dir=str(tmp_path))) as parts:
        assert parts.headend.clock.now() >= ahead
        assert parts.headend.clock_off_s() == pytest.approx(-3600, abs=60)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("America/Los_Angeles", (2026, 3, 8), 23),
        ("America/Los_Angeles", (2026, 11, 1), 25),
        ("Australia/Lord_Howe", (2026, 4, 5), 24.5),
    ],
)
def test_F9_a_day_has_as_many_hours_as_it_has(zone: str, day: tuple[int, int, int], hours: float) -> None:
    """Local words become UTC at the border; on emw's clock the day is as long as it is."""
    midnight = datetime(*day, tzinfo=ZoneInfo(zone))
    tomorrow = datetime(*day, tzinfo=ZoneInfo(zone)) + timedelta(days=1)  # the next local midnight
    machine = Machine(midnight.astimezone(UTC))
    clock = machine.clock()
    machine.passes(timedelta(hours=hours))
    assert clock.now() == tomorrow.astimezone(UTC)
