"""The same message twice, late, out of order, with other contents, eight at once (P5, F15, F17)."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from emw.domain import facts as f
from emw.domain.model import Outcome
from tests.doors.house import House, Told

REQUEST: dict[str, Any] = {"requestID": "R1", "territory": "East", "kW": 5, "durationMinutes": 30}
ASYNC = [(b"prefer", b"respond-async")]


def count(emw: House, kind: type[Any]) -> int:
    return sum(isinstance(fact, kind) for fact in emw.store.log)


async def ask(emw: House, **over: Any) -> Told:
    return await emw.call("/iso/decrease", {**REQUEST, **over}, token=emw.isos["grid"], headers=ASYNC)


# --- requests


async def test_F17_P5_the_same_request_again_is_the_same_request(emw: House) -> None:
    await emw.iso("grid", "East")
    first = await ask(emw)
    emw.clock.forward(60)
    again = await ask(emw)
    assert (first.status, again.status) == (202, 202)
    assert first.body["start"] == again.body["start"], "said a minute later it does not begin a minute later"
    reordered = await emw.call(
        "/iso/decrease", dict(reversed(REQUEST.items())), token=emw.isos["grid"], headers=ASYNC
    )
    assert reordered.status == 202
    as_float = await ask(emw, kW=5.0)
    assert as_float.status == 202
    assert count(emw, f.RequestReceived) == 1


OTHERS: dict[str, dict[str, Any]] = {
    "more": {"kW": 6},
    "a watt more": {"kW": 5.001},
    "a little more": {"kW": 5.000000001},
    "longer": {"durationMinutes": 31},
    "later": {"start": "2026-03-02T18:00:00Z"},
    "elsewhere": {"territory": "East-1"},
    "without an end": {"durationMinutes": None},
    "an end": {"durationMinutes": None, "end": "2026-03-02T19:00:00Z"},
}


@pytest.mark.parametrize("over", OTHERS.values(), ids=OTHERS.keys())
async def test_F17_the_same_id_with_other_contents_is_a_conflict(emw: House, over: dict[str, Any]) -> None:
    await emw.iso("grid", "East")
    await ask(emw)
    await emw.settled()
    before = emw.snapshot()
    told = await ask(emw, **over)
    assert (told.status, told.field) == (409, "requestID")
    assert emw.snapshot() == before


@pytest.mark.parametrize("alike", [True, False])
async def test_F17_of_eight_at_once_one_wins(emw: House, alike: bool) -> None:
    emw.store.slow_s = 0.01
    await emw.iso("grid", "East")
    told = await asyncio.gather(*(ask(emw, kW=5 if alike else 5 + n) for n in range(8)))
    statuses = sorted(t.status for t in told)
    assert statuses == ([202] * 8 if alike else [202] + [409] * 7)
    assert count(emw, f.RequestReceived) == 1


async def test_P1_F17_none_of_eight_is_told_yes_when_the_store_says_no(emw: House) -> None:
    from emw.service.errors import Unavailable

    await emw.iso("grid", "East")
    emw.store.slow_s = 0.02
    emw.store.fails = Unavailable("the disk is full", retry_after_s=5)
    told = await asyncio.gather(*(ask(emw) for _ in range(8)))
    assert {t.status for t in told} == {503}
    assert {int(t.headers["retry-after"]) for t in told} <= set(range(5, 11))
    assert not emw.headend.state.requests
    emw.store.fails = None
    assert (await ask(emw)).status == 202


async def test_P5_an_end_said_twice_is_true_once(emw: House) -> None:
    iso = await emw.iso("grid", "East")
    await ask(emw)
    told = await asyncio.gather(
        *(emw.post("/iso/returnToNormal", {"requestID": "R1"}, iso) for _ in range(8))
    )
    assert {t.status for t in told} == {200}
    assert count(emw, f.RequestCancelled) == 1
    over = {"closed", "cancelled"}
    await emw.until(lambda: str(emw.headend.state.requests["grid:R1"].state) in over)
    assert (await emw.post("/iso/returnToNormal", {"requestID": "R1"}, iso)).status == 200
    again = await ask(emw)
    assert again.status == 202
    assert again.body["state"] in over, "an id is never used again"
    assert count(emw, f.RequestReceived) == 1


# --- what stations say


async def test_P5_the_same_plug_in_twice_is_one_stay(emw: House) -> None:
    emw.store.slow_s = 0.01
    await emw.power_on("S1")
    body = {"evseID": "S1", "lineVoltage": 230, "evseMaxAmps": 32, "carMaxAmps": 16}
    told = await asyncio.gather(
        *(emw.post("/evse/plugIntoVehicle", body, emw.tokens["S1"]) for _ in range(8))
    )
    assert {t.status for t in told} == {200}
    assert len({t.body["sessionID"] for t in told}) == 1
    assert count(emw, f.SessionStarted) == 1


async def test_P5_another_car_is_another_stay(emw: House) -> None:
    one = await emw.plug_in("S1", carMaxAmps=16)
    other = await emw.plug_in("S1", carMaxAmps=20)
    assert one["sessionID"] != other["sessionID"]
    assert count(emw, f.SessionEnded) == 1
    assert len(emw.headend.state.sessions) == 1


@pytest.mark.parametrize("door", ["/evse/unplugged", "/evse/adjustedMaxAmps"])
async def test_P5_said_twice_it_is_true_once(emw: House, door: str) -> None:
    await emw.plug_in("S1")
    body: dict[str, Any] = {"evseID": "S1", **({"newMaxAmps": 20} if "adjusted" in door else {})}
    told = [await emw.post(door, body, emw.tokens["S1"]) for _ in range(5)]
    assert {t.status for t in told} == {200}
    assert count(emw, f.SessionEnded if "unplugged" in door else f.KnobTurned) == 1


async def test_P5_A3_a_power_off_said_twice_finds_its_token_dead(emw: House) -> None:
    await emw.plug_in("S1")
    told = [await emw.post("/evse/powerOff", {"evseID": "S1"}, emw.tokens["S1"]) for _ in range(3)]
    assert [t.status for t in told] == [200, 401, 401]
    assert count(emw, f.PoweredOff) == 1


async def limited(emw: House) -> dict[str, Any]:
    """A station that can't be called has heard of a limit in the answer to a heartbeat."""
    await emw.iso("grid", "East")
    await emw.plug_in("S1")
    await emw.heartbeat("S1", currentAmps=32)
    await ask(emw, kW=4)
    await emw.until(lambda: "S1" in emw.headend.state.limits)
    limit: dict[str, Any] = {}
    for _ in range(100):
        limit = (await emw.heartbeat("S1", currentAmps=32)).body.get("limit", {})
        if limit:
            break
        await asyncio.sleep(0.02)
    assert limit
    return limit


async def test_P5_a_command_is_told_again_until_it_is_confirmed_and_confirmed_once(emw: House) -> None:
    limit = await limited(emw)
    again = (await emw.heartbeat("S1", currentAmps=32)).body["limit"]
    assert again == limit, "the same command: same id, same amps, same end"
    body = {"evseID": "S1", "newMaxAmps": limit["maxAmps"], "commandID": limit["commandID"]}
    told = await asyncio.gather(
        *(emw.post("/evse/adjustedMaxAmps", body, emw.tokens["S1"]) for _ in range(8))
    )
    assert {t.status for t in told} == {200}
    answered = [x for x in emw.store.log if isinstance(x, f.CommandAnswered)]
    assert len(answered) == 1
    assert "limit" not in (await emw.heartbeat("S1", limitAmps=limit["maxAmps"])).body


async def test_P5_A5_a_confirmation_of_something_else_confirms_nothing(emw: House) -> None:
    limit = await limited(emw)
    await emw.plug_in("S2")
    await emw.settled()
    standing = emw.headend.state.limits["S1"]
    for who, command in (
        ("S1", "co_of-nobody"),
        ("S1", limit["commandID"] + " "),
        ("S1", limit["commandID"].upper()),
        ("S2", limit["commandID"]),
    ):
        body = {"evseID": who, "newMaxAmps": limit["maxAmps"], "commandID": command}
        assert (await emw.post("/evse/adjustedMaxAmps", body, emw.tokens[who])).status == 200
    assert emw.headend.state.limits["S1"] == standing
    assert standing.outcome is Outcome.PENDING
    assert emw.headend.state.evses["S1"].max_a == 32
    assert emw.headend.state.evses["S2"].max_a == 32, "and it turns no knob"


async def test_P11_a_confirmation_above_what_was_asked_is_none(emw: House) -> None:
    limit = await limited(emw)
    body = {"evseID": "S1", "newMaxAmps": limit["maxAmps"] + 5, "commandID": limit["commandID"]}
    assert (await emw.post("/evse/adjustedMaxAmps", body, emw.tokens["S1"])).status == 200
    assert emw.headend.state.limits["S1"].outcome is Outcome.REJECTED


# --- heartbeats out of time


def drawn(emw: House) -> float | None:
    reading = emw.headend.telemetry.live["S1"].reading
    return None if reading is None else reading.current_a


def at(emw: House, seconds: float) -> str:
    return (emw.clock.now() + timedelta(seconds=seconds)).isoformat()


async def beat(emw: House, seconds: float, amps: float, **over: Any) -> None:
    told = await emw.heartbeat("S1", timestamp=at(emw, seconds), currentAmps=amps, **over)
    assert told.status == 200, told.raw


OUT_OF_TIME = {
    "a minute late": -60,
    "an hour late": -3_600,
    "a day old": -86_400,
    "a year old": -365 * 86_400,
    "of 1970": -56 * 365 * 86_400,
    "an hour ahead": 3_600,
    "a day ahead": 86_400,
    "a year ahead": 365 * 86_400,
}


@pytest.mark.parametrize("off_s", OUT_OF_TIME.values(), ids=OUT_OF_TIME.keys())
async def test_F15_a_heartbeat_out_of_time_changes_nothing(emw: House, off_s: float) -> None:
    await emw.plug_in("S1")
    await beat(emw, 0, 20)
    emw.clock.forward(30)
    await beat(emw, off_s, 3, evseMaxAmps=16)
    assert drawn(emw) == 20, "what it says is not what is drawn now"
    assert emw.headend.state.evses["S1"].max_a == 32, "and turns no knob"
    assert len(emw.headend.telemetry._buffer) + len(emw.store.readings) == 2, "it is kept, as late"
    emw.clock.forward(30)
    await beat(emw, 0, 18)
    assert drawn(emw) == 18, "the next in time counts again"


@pytest.mark.parametrize("skew_s", [-86_400, -3_600, 3_600, 86_400, 400 * 86_400])
async def test_F10_a_station_whose_clock_is_wrong_is_heard_nevertheless(emw: House, skew_s: float) -> None:
    await emw.plug_in("S1")
    for amps in (20, 19, 18):
        await beat(emw, skew_s, amps)
        assert drawn(emw) == amps
        reading = emw.headend.telemetry.live["S1"].reading
        assert reading is not None
        assert abs(reading.at - emw.clock.now()) < timedelta(seconds=5), "dated by arrival"
        emw.clock.forward(60)


@pytest.mark.parametrize("skew_s", [-86_400, 3_600, 86_400, 400 * 86_400])
async def test_F10_a_clock_that_is_set_right_is_believed(emw: House, skew_s: float) -> None:
    await emw.plug_in("S1")
    await beat(emw, skew_s, 20)
    emw.clock.forward(60)
    await beat(emw, skew_s, 19)
    emw.clock.forward(60)
    await beat(emw, 0, 18)
    assert drawn(emw) == 18


@pytest.mark.parametrize("skew_s", [-86_400, 3_600, 86_400])
async def test_F10_a_clock_that_goes_wrong_is_followed_once_it_is_seen_to_run(
    emw: House, skew_s: float
) -> None:
    await emw.plug_in("S1")
    await beat(emw, 0, 20)
    for amps in (15, 14, 13):
        emw.clock.forward(60)
        await beat(emw, skew_s, amps)
    assert drawn(emw) == 13


async def test_F15_in_whatever_order_they_come_the_latest_counts(emw: House) -> None:
    await emw.plug_in("S1")
    chance = random.Random(5)
    beats = [(-s, 6.0 + s / 5) for s in range(0, 100, 10)]
    start = emw.clock.now()
    for _ in range(3):
        emw.clock.forward(200)
        base = emw.clock.now()
        doubled = beats * 2
        chance.shuffle(doubled)
        for seconds, amps in doubled:
            when = base + timedelta(seconds=seconds)
            told = await emw.heartbeat("S1", timestamp=when.isoformat(), currentAmps=amps)
            assert told.status == 200
        assert drawn(emw) == 6.0
    assert isinstance(start, datetime)
    kept = [*emw.store.readings, *emw.headend.telemetry._buffer]
    assert len(kept) == 60


async def test_F15_of_one_second_the_reading_that_came_last_counts(emw: House) -> None:
    await emw.plug_in("S1")
    second = emw.clock.now().replace(microsecond=0).isoformat()
    for amps in (20, 9, 9):
        await emw.heartbeat("S1", timestamp=second, currentAmps=amps)
        assert drawn(emw) == amps
        emw.clock.forward(0.2)
    assert emw.headend.telemetry.late == 1, "the same once more is doubled"


async def test_A10_more_than_the_knob_gives_is_not_believed(emw: House) -> None:
    await emw.plug_in("S1")
    await emw.heartbeat("S1")
    before = emw.snapshot()
    told = await emw.heartbeat("S1", currentAmps=100)
    assert (told.status, told.field) == (400, "currentAmps")
    assert emw.snapshot() == before
