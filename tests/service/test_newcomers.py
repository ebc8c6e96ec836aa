"""A vehicle that comes while a shed runs may be limited before anybody has seen what it draws."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from emw.service.intake import PlugIn
from emw.service.learning import Learning
from emw.service.ports import HeartBeat
from emw.service.requests import Decrease
from tests.service.test_shed import beat
from tests.web.world import stations, world


async def test_who_is_limited_at_first_sight_is_credited_by_what_others_draw_not_by_all_it_might() -> None:
    """All draw 20 A of the 32 A that they could: who comes is believed to be like them, until it is looked at."""
    *here, late = names = [f"E{n:02}" for n in range(12)]
    async with world() as w:
        headend = w.headend
        await stations(w, names)
        station = headend.state.stations[late]
        await headend.intake.unplugged(station, late, None)
        for _ in range(4):
            await beat(w, here)
        asked = Decrease(request_id="R1", territory_id="East", kw=25.0, minutes=60)
        await headend.requests.decrease("operator", asked, actor="operator:opa")
        for _ in range(4):
            await beat(w, here)

        def measured_kw() -> float:
            told = headend.accounts.sums(headend.state.requests["operator:R1"], w.clock.now()).measured_kw
            assert told is not None
            return told

        before_kw = measured_kw()
        car = PlugIn(line_voltage_v=230.0, evse_max_a=32.0, car_max_a=32.0)
        await headend.intake.plugged_in(station, late, car)
        limit = headend.state.limits[late]
        assert limit.max_a is not None
        assert limit.max_a < 20.0
        gives_kw = 0.23 * (20.0 - limit.max_a)
        assert limit.asked_kw == pytest.approx(gives_kw, abs=0.01)
        w.clock.at += timedelta(seconds=25)
        said = HeartBeat(
            at=w.clock.now(), voltage_v=230.0, current_a=limit.max_a, evse_max_a=32.0, car_max_a=32.0,
            limit_a=limit.max_a, energy_kwh=None,
        )  # fmt: skip
        await headend.intake.heartbeat(station, late, said)
        assert measured_kw() - before_kw == pytest.approx(gives_kw, abs=0.01)


async def test_what_was_metered_before_a_rise_is_no_gap_after_it_for_who_has_just_started_to_look() -> None:
    """After a restart: held at some amps, told one more; the meter's last word is of before.

    It looked like a vehicle that takes an ampere less than offered, and a ceiling gave that ampere to others.
    """
    async with world() as w:
        headend, name = w.headend, "E00"
        await stations(w, [name])
        asked = Decrease(request_id="R1", territory_id="East", kw=1.0, minutes=60)
        await headend.requests.decrease("operator", asked, actor="operator:opa")
        for _ in range(4):
            await beat(w, [name])
        state, now = headend.state, w.clock.now()
        limit, evse = state.limits[name], state.evses[name]
        assert limit.max_a is not None
        told_a = limit.max_a + 1.0
        state.limits[name] = replace(limit, max_a=told_a, answered_a=told_a, issued_at=now, answered_at=now)
        restarted = Learning(state, headend.telemetry)
        for seconds in (0, 6, 66):
            w.clock.at = now + timedelta(seconds=seconds)
            restarted.look("East", [evse], {}, [], w.clock.now())
            assert headend.telemetry.expected(evse, state.session_of(evse)).gap_a == 0.0
