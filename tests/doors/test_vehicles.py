"""What a vehicle takes at most may change while it stands there: its station says so in a heartbeat."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from emw.domain import facts as f
from tests.doors.house import House, house


def told(emw: House) -> list[f.VehicleTold]:
    return [fact for fact in emw.store.log if isinstance(fact, f.VehicleTold)]


async def beat(emw: House, name: str, **over: Any) -> None:
    """A heartbeat, and its station obeys the limit in the answer."""
    emw.clock.forward(1)
    answer = (await emw.heartbeat(name, **over)).body
    if "limit" in answer:
        limit = answer["limit"]
        said = {"evseID": name, "newMaxAmps": limit["maxAmps"], "commandID": limit["commandID"]}
        assert (await emw.post("/evse/adjustedMaxAmps", said, emw.tokens[name])).status == 200
    await emw.settled()


async def request(emw: House) -> dict[str, Any]:
    answer: dict[str, Any] = (await emw.get("/iso/requests/R1", emw.isos["grid"])).body
    return answer


async def test_a_vehicle_that_says_it_takes_less_is_asked_for_no_more_than_that(emw: House) -> None:
    await emw.iso("grid", "East")
    for name in ("S1", "S2"):
        await emw.plug_in(name)
        await beat(emw, name, currentAmps=32)
    assert (await emw.decrease("grid", "R1", kw=11.04)).status == 202  # all but 8 A of each, at 230 V
    await emw.settled()
    for name in ("S1", "S2"):
        await beat(emw, name, currentAmps=32)
    before = await request(emw)
    assert before["confirmedKW"] == 11.04

    await beat(emw, "S1", currentAmps=8, limitAmps=8, carMaxAmps=16)
    await emw.until(lambda: told(emw))
    await emw.settled()
    session_id = emw.headend.state.evses["S1"].session_id
    assert [(x.session_id, x.car_max_a, x.actor) for x in told(emw)] == [(session_id, 16, "station:S1")]
    after = await request(emw)
    assert after["availableKW"] == round(before["availableKW"] - 16 * 0.23, 3)
    assert after["confirmedKW"] <= after["availableKW"]
    assert after["shortKW"] > 0

    await beat(emw, "S1", currentAmps=8, limitAmps=8, carMaxAmps=32)
    await emw.until(lambda: len(told(emw)) == 2)
    await emw.settled()
    assert (await request(emw))["availableKW"] == before["availableKW"]


async def test_what_is_said_again_rounded_or_late_is_no_news(emw: House) -> None:
    await emw.plug_in("S1")
    await beat(emw, "S1", carMaxAmps=32)
    late = emw.clock.now().isoformat()
    await beat(emw, "S1", carMaxAmps=31.95)
    await beat(emw, "S1", carMaxAmps=32.04)
    await beat(emw, "S1", carMaxAmps=10, timestamp=late)
    assert told(emw) == []


async def test_P5_a_plug_in_said_twice_is_one_stay_whatever_the_vehicle_said_meanwhile(emw: House) -> None:
    await emw.plug_in("S1")
    session_id = emw.headend.state.evses["S1"].session_id
    await beat(emw, "S1", carMaxAmps=16)
    assert len(told(emw)) == 1
    await emw.plug_in("S1")
    assert emw.headend.state.evses["S1"].session_id == session_id
    session = emw.headend.state.sessions[session_id or ""]
    assert session.car_max_a == 16


async def test_P5_so_it_is_after_a_restart_between_the_two() -> None:
    async with house() as emw:
        session_id = (await emw.plug_in("S1"))["sessionID"]
        await beat(emw, "S1", carMaxAmps=16)
        store, tokens = emw.store, emw.tokens
    async with house(store=store) as emw:
        emw.tokens |= tokens
        emw.clock.forward(5)
        assert (await emw.plug_in("S1"))["sessionID"] == session_id


async def test_a_plug_in_of_another_vehicle_is_another_stay_where_the_station_was_not_heard_since(
    emw: House,
) -> None:
    first = await emw.plug_in("S1")
    emw.clock.forward(600)
    assert (await emw.plug_in("S1", carMaxAmps=16))["sessionID"] != first["sessionID"]


async def test_the_next_vehicle_says_for_itself(emw: House) -> None:
    await emw.plug_in("S1")
    await beat(emw, "S1", carMaxAmps=16)
    await emw.post("/evse/unplugged", {"evseID": "S1"}, emw.tokens["S1"])
    emw.clock.forward(61)
    await emw.plug_in("S1", carMaxAmps=20)
    session = emw.headend.state.session_of(emw.headend.state.evses["S1"])
    assert session is not None
    assert session.car_max_a == 20
    assert len(told(emw)) == 1


async def test_P5_what_a_station_says_late_of_the_vehicle_before_is_no_word_of_the_next(emw: House) -> None:
    await emw.plug_in("S1")
    await beat(emw, "S1")
    emw.clock.forward(30)
    late = emw.clock.now().isoformat()
    emw.clock.forward(31)
    await emw.post("/evse/unplugged", {"evseID": "S1"}, emw.tokens["S1"])
    await emw.plug_in("S1", carMaxAmps=20)
    session_id = emw.headend.state.evses["S1"].session_id
    await beat(emw, "S1", timestamp=late, carMaxAmps=32, currentAmps=32)
    assert told(emw) == []
    assert emw.headend.telemetry.drawn_kw("S1") is None
    await emw.plug_in("S1", carMaxAmps=20)
    assert emw.headend.state.evses["S1"].session_id == session_id


async def test_P5_what_a_clock_that_runs_ahead_said_before_the_vehicle_left_shows_no_other(
    emw: House,
) -> None:
    """A heartbeat that came a second time, just after the vehicle had gone, was dated a minute and a half later."""
    await emw.plug_in("S1")
    ahead = timedelta(seconds=98)
    at = ""
    for _ in range(2):
        emw.clock.forward(60)
        at = (emw.clock.now() + ahead).isoformat()
        await emw.heartbeat("S1", timestamp=at)
    emw.clock.forward(2)
    await emw.post("/evse/unplugged", {"evseID": "S1"}, emw.tokens["S1"])
    emw.clock.forward(5)
    await emw.heartbeat("S1", timestamp=at)
    assert emw.headend.state.evses["S1"].session_id is None
    emw.clock.forward(60)  # it has heard of no vehicle, and one is there
    await emw.heartbeat("S1", timestamp=(emw.clock.now() + ahead).isoformat())
    assert emw.headend.state.evses["S1"].session_id is not None


async def test_P5_what_a_station_says_late_as_it_comes_back_is_no_news(emw: House) -> None:
    await emw.plug_in("S1")
    late = emw.clock.now().isoformat()
    await beat(emw, "S1")
    emw.clock.forward(600)
    evses = emw.headend.state.evses
    await emw.until(lambda: not evses["S1"].online)
    await beat(emw, "S1", timestamp=late, evseMaxAmps=16, carMaxAmps=10)
    assert evses["S1"].online
    assert evses["S1"].max_a == 32
    assert told(emw) == []
