"""The simulated EVSE: cars that behave like cars, limits that end by themselves, and every way of being
wrong.
"""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from emw.simulator.hardware import Car, Faults, Refused, SimulatedHardware

T0 = datetime(2019, 7, 24, 16, 0, tzinfo=UTC)
HUNGRY = Car(max_a=32.0, need_kwh=100.0)


def minutes(count: float) -> datetime:
    return T0 + timedelta(minutes=count)


def evse(**changes: Any) -> SimulatedHardware:
    given: dict[str, Any] = {"knob_a": 32.0, "voltage_v": 208.0, "now": T0, "rng": Random(1), "noise": 0.0}
    return SimulatedHardware(**(given | changes))


def test_free_car_draws_its_maximum_and_the_meter_counts_it() -> None:
    hardware = evse()
    hardware.plug(Car(max_a=16.0, need_kwh=100.0), T0)
    reading = hardware.read(minutes(60))
    assert reading.current_a == 16.0
    assert reading.energy_kwh == pytest.approx(0.208 * 16.0)
    assert reading.limit_a is None


def test_power_of_three_phases_counts_each_phase() -> None:
    hardware = evse(voltage_v=230.0, phases=3)
    hardware.plug(Car(max_a=16.0, need_kwh=100.0), T0)
    hardware.advance(minutes(1))
    assert hardware.load_kw == pytest.approx(11.04)


@pytest.mark.parametrize(
    ("limit_a", "gap_a", "car_a", "drawn_a"),
    [
        (10.0, 0.0, 32.0, 10.0),
        (10.0, 1.5, 32.0, 8.5),
        (20.0, 1.5, 16.0, 16.0),  # the trap: a cut above what the car takes sheds nothing
        (6.0, 2.0, 32.0, 4.0),
        (0.0, 0.0, 32.0, 0.0),
    ],
)
def test_a_limited_car_takes_a_little_less_than_offered(
    limit_a: float, gap_a: float, car_a: float, drawn_a: float
) -> None:
    hardware = evse()
    hardware.plug(Car(max_a=car_a, need_kwh=100.0, gap_a=gap_a), T0)
    assert hardware.set_limit(limit_a, minutes(60), T0) == limit_a
    assert hardware.read(minutes(1)).current_a == drawn_a


def test_a_full_car_takes_nothing_and_never_more_than_it_needs() -> None:
    hardware = evse()
    hardware.plug(Car(max_a=32.0, need_kwh=5.0, taper_kwh=2.0), T0)
    draws = []
    for minute in range(240):
        hardware.advance(minutes(minute))
        draws.append(hardware.draw_a)
    assert hardware.energy_kwh == pytest.approx(5.0)
    assert hardware.draw_a == 0.0
    assert draws == sorted(draws, reverse=True), "near full a car takes less and less"
    assert any(0.0 < draw < 30.0 for draw in draws)


def test_the_size_of_the_steps_changes_little() -> None:
    coarse, fine = evse(), evse()
    for hardware in (coarse, fine):
        hardware.plug(Car(max_a=32.0, need_kwh=9.0, taper_kwh=2.0), T0)
        hardware.set_limit(13.0, minutes(31.5), T0)
    for second in range(0, 3600, 7):
        fine.advance(T0 + timedelta(seconds=second))
    fine.advance(minutes(60))
    coarse.advance(minutes(60))
    assert coarse.energy_kwh == pytest.approx(fine.energy_kwh, abs=0.01)


def test_a_limit_ends_by_itself_at_its_time() -> None:
    hardware = evse()
    hardware.plug(HUNGRY, T0)
    hardware.set_limit(6.0, minutes(30), T0)
    hardware.advance(minutes(60))
    assert hardware.limit_a is None
    assert hardware.energy_kwh == pytest.approx(0.208 * (6.0 + 32.0) / 2)


@pytest.mark.parametrize("skew_minutes", [-20, -5, 0, 5, 20])
def test_a_limit_ends_by_the_stations_own_clock(skew_minutes: int) -> None:
    hardware = evse(faults=Faults(clock_skew=timedelta(minutes=skew_minutes)))
    hardware.plug(HUNGRY, T0)
    hardware.set_limit(6.0, minutes(30), T0)
    assert hardware.read(T0).at == minutes(skew_minutes)
    hardware.advance(minutes(30 - skew_minutes) - timedelta(seconds=1))
    assert hardware.draw_a == 6.0
    hardware.advance(minutes(30 - skew_minutes))
    assert hardware.draw_a == 32.0


def test_a_limit_to_the_end_of_time_does_not_break_the_model() -> None:
    hardware = evse(faults=Faults(clock_skew=timedelta(days=-1)))
    hardware.plug(HUNGRY, T0)
    hardware.set_limit(6.0, datetime.max.replace(tzinfo=UTC), T0)
    hardware.advance(minutes(60))
    assert hardware.draw_a == 6.0


def test_a_knob_turned_down_is_obeyed_at_once_and_above_it_nothing_is_set() -> None:
    hardware = evse()
    hardware.plug(HUNGRY, T0)
    hardware.set_limit(20.0, minutes(30), T0)
    hardware.turn_knob(12.0, minutes(1))
    assert hardware.draw_a == 12.0
    assert hardware.set_limit(20.0, minutes(30), minutes(2)) == 12.0


def test_a_reboot_forgets_the_limit_and_keeps_the_car() -> None:
    hardware = evse()
    hardware.plug(Car(max_a=32.0, need_kwh=8.0), T0)
    hardware.set_limit(6.0, minutes(60), T0)
    hardware.reboot(minutes(30), meter_restarts=True)
    assert hardware.draw_a == 32.0
    assert hardware.energy_kwh == 0.0
    assert hardware.missing_kwh == pytest.approx(8.0 - 0.5 * 6.0 * 0.208)


def test_unplugged_keeps_its_last_reading_and_a_new_car_starts_at_zero() -> None:
    hardware = evse()
    hardware.plug(HUNGRY, T0)
    hardware.unplug(minutes(30))
    reading = hardware.read(minutes(40))
    assert reading.vehicle is None
    assert reading.energy_kwh == pytest.approx(0.208 * 16.0)
    hardware.plug(HUNGRY, minutes(41))
    assert hardware.read(minutes(41)).energy_kwh == 0.0


def test_F13_a_slow_station_confirms_now_and_applies_later() -> None:
    hardware = evse(faults=Faults(slow_s=90.0))
    hardware.plug(HUNGRY, T0)
    assert hardware.set_limit(6.0, minutes(30), T0) == 6.0
    hardware.advance(minutes(1))
    assert hardware.draw_a == 32.0
    hardware.advance(minutes(2))
    assert hardware.draw_a == 6.0


def test_F13_a_deaf_station_says_yes_and_does_nothing() -> None:
    hardware = evse(faults=Faults(deaf=True))
    hardware.plug(HUNGRY, T0)
    assert hardware.set_limit(6.0, minutes(30), T0) == 6.0
    reading = hardware.read(minutes(1))
    assert (reading.current_a, reading.limit_a) == (32.0, None)


def test_F13_a_lying_station_reports_six_amps_and_draws_sixteen() -> None:
    hardware = evse(faults=Faults(lying=True))
    hardware.plug(Car(max_a=16.0, need_kwh=100.0), T0)
    assert hardware.set_limit(6.0, minutes(30), T0) == 6.0
    reading = hardware.read(minutes(1))
    assert (reading.current_a, reading.limit_a) == (16.0, 6.0)


def test_a_rejecting_station_refuses_limits_and_still_lets_go() -> None:
    hardware = evse(faults=Faults(rejecting=True))
    assert isinstance(hardware.set_limit(6.0, minutes(30), T0), Refused)
    assert hardware.clear_limit(T0) == 32.0


def test_a_paused_car_may_never_wake_until_it_is_unplugged() -> None:
    hardware = evse(faults=Faults(no_resume=True))
    hardware.plug(HUNGRY, T0)
    hardware.set_limit(6.0, minutes(10), T0)
    hardware.advance(minutes(11))
    assert hardware.draw_a == 32.0, "the floor is no pause"
    hardware.set_limit(0.0, minutes(20), minutes(11))
    hardware.advance(minutes(60))
    assert hardware.draw_a == 0.0
    hardware.unplug(minutes(61))
    hardware.plug(HUNGRY, minutes(62))
    assert hardware.draw_a == 32.0
