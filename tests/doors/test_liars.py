"""False data from many at once: forged plug-ins count up to a cap, and what liars among the meters can move (A10)."""

from __future__ import annotations

import pytest

from emw.domain.facts import MeterDoubted, MeterTrusted
from emw.service.customer_cap import beyond_cap
from emw.service.settings import ServiceSettings
from tests.doors.house import House, house

CAP = 4


async def plugged(emw: House, name: str, **over: object) -> None:
    await emw.power_on(name, **over)
    await emw.plug_in(name)
    assert (await emw.heartbeat(name, currentAmps=30)).status == 200


async def test_A10_more_evses_of_one_customer_than_the_cap_give_nothing() -> None:
    settings = ServiceSettings(decrease_wait_s=1.0, most_evses_per_customer=CAP)
    async with house(settings=settings) as emw:
        for n in range(2):
            await plugged(emw, f"honest-{n}", customerID="honest")
        for n in range(10):
            await plugged(emw, f"forged-{n}", customerID="forger")
        # A forger's other names help nothing: a station belongs to the customer that it began with.
        await plugged(emw, "forged-9", customerID="another")
        await emw.iso("grid", "East")
        told = (await emw.decrease("grid", "R1", 1_000, durationMinutes=60)).body
        await emw.until(lambda: len(emw.headend.state.limits) >= 2 + CAP)
        await emw.settled()
        held = sorted(emw.headend.state.limits)
        assert held == sorted(["honest-0", "honest-1", *(f"forged-{n}" for n in range(CAP))])
        most_kw = (2 + CAP) * 0.23 * (30 - 6)
        assert told["availableKW"] == pytest.approx(most_kw, abs=0.01)
        beyond = beyond_cap(emw.headend.state, CAP, emw.clock.now())
        assert beyond == {f"forged-{n}" for n in range(CAP, 10)}
        # Who is inside stays inside while it is held; a place that gets free is taken.
        body = {"evseID": "honest-0"}
        assert (await emw.post("/evse/unplugged", body, emw.tokens["honest-0"])).status == 200
        assert (
            await emw.post("/evse/unplugged", {"evseID": "forged-0"}, emw.tokens["forged-0"])
        ).status == 200
        await emw.until(lambda: "forged-4" in emw.headend.state.limits)
        await emw.settled()
        assert "forged-5" not in emw.headend.state.limits


async def test_A10_without_a_cap_all_count() -> None:
    async with house() as emw:
        for n in range(6):
            await plugged(emw, f"S{n}")
        await emw.iso("grid", "East")
        await emw.decrease("grid", "R1", 1_000, durationMinutes=60)
        await emw.until(lambda: len(emw.headend.state.limits) == 6)


async def measured_kw(liars_say_a: float, *, draws_a: float) -> float:
    """What is told to the grid of a full shed by 40 stations, of which two say this much while nothing holds them."""
    async with house() as emw:
        names = [f"S{n:02d}" for n in range(40)]
        for n, name in enumerate(names):
            await emw.plug_in(name)
            said = liars_say_a if n < 2 else draws_a
            assert (await emw.heartbeat(name, currentAmps=said)).status == 200
        iso = await emw.iso("grid", "East")
        await emw.decrease("grid", "R1", 1_000, durationMinutes=60)
        await emw.until(lambda: len(emw.headend.state.limits) == len(names))
        await emw.settled()
        for name in names:
            limit = (await emw.heartbeat(name, currentAmps=draws_a)).body["limit"]
            confirmed = {"evseID": name, "newMaxAmps": limit["maxAmps"], "commandID": limit["commandID"]}
            assert (await emw.post("/evse/adjustedMaxAmps", confirmed, emw.tokens[name])).status == 200
        emw.clock.forward(30)
        for name in names:
            assert (await emw.heartbeat(name, currentAmps=6, limitAmps=6)).status == 200
        told = (await emw.get("/iso/requests/R1", iso)).body["measuredKW"]
        assert isinstance(told, float)
        return told


async def test_A10_meters_that_show_more_than_station_and_car_can_draw_move_no_shed() -> None:
    honest = await measured_kw(32, draws_a=32)
    assert honest == pytest.approx(40 * 0.23 * 26, rel=0.02)
    lied = await measured_kw(
        41, draws_a=32
    )  # within what a meter may err by, so it is taken, and cut at the knob
    assert abs(lied - honest) <= 0.01 * honest


async def test_A10_a_liar_below_its_knob_moves_no_more_than_its_own_station_could_draw() -> None:
    """Nothing tells a meter that shows 32 A from a car that takes 32 A: what holds is the bound per station."""
    honest = await measured_kw(16, draws_a=16)
    lied = await measured_kw(32, draws_a=16)
    assert 0 < lied - honest <= 2 * 0.23 * (32 - 16) * 1.02


async def test_A10_a_meter_whose_register_tells_another_tale_is_no_shed_until_it_agrees_again() -> None:
    """It shows twice what it draws and counts what it draws: it is logged, not asked, and not claimed."""
    async with house() as emw:
        names = ["liar", "S1", "S2"]
        for name in names:
            await emw.plug_in(name)
        got_kwh = 0.0

        async def minutes(count: int, *, liar_says_a: float, draws_a: float) -> None:
            nonlocal got_kwh
            for _ in range(count):
                emw.clock.forward(60)
                got_kwh += 0.23 * draws_a / 60
                for name in names:
                    said = {"energyKWh": round(got_kwh, 3), "currentAmps": draws_a}
                    if name == "liar":
                        said["currentAmps"] = liar_says_a
                    assert (await emw.heartbeat(name, **said)).status == 200

        await minutes(20, liar_says_a=32, draws_a=16)
        (fact,) = [x for x in emw.store.log if isinstance(x, MeterDoubted)]
        assert fact.evse_id == "liar"
        assert fact.register_kwh < fact.least_kwh
        iso = await emw.iso("grid", "East")
        told = (await emw.decrease("grid", "R1", 1_000, durationMinutes=60)).body
        assert told["availableKW"] == pytest.approx(2 * 0.23 * (16 - 6), abs=0.1)
        await emw.until(lambda: len(emw.headend.state.limits) == 2)
        assert sorted(emw.headend.state.limits) == ["S1", "S2"]
        await emw.power_on("liar")  # a reboot does not help
        assert emw.headend.state.evses["liar"].doubted_at is not None
        assert (await emw.post("/iso/returnToNormal", {"requestID": "R1"}, iso)).status == 200
        await minutes(90, liar_says_a=16, draws_a=16)
        assert emw.headend.state.evses["liar"].doubted_at is None
        assert [type(x) for x in emw.store.log if isinstance(x, MeterDoubted | MeterTrusted)] == [
            MeterDoubted,
            MeterTrusted,
        ]


async def test_A10_a_voltage_that_no_line_has_moves_nothing() -> None:
    async with house() as emw:
        await emw.plug_in("S1")
        for volts in (0, 1, 1_500):
            emw.clock.forward(60)
            assert (await emw.heartbeat("S1", currentAmps=10, lineVoltage=volts)).status == 200
            assert emw.headend.telemetry.drawn_kw("S1") == pytest.approx(2.3)
