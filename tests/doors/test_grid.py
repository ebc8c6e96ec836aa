"""What a grid operator and a station can rely on beyond one answer: whose report it is, to the end, and pauses."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from emw.domain.model import RequestState
from tests.doors.canary import canary
from tests.doors.house import House, house


async def test_A7_reports_show_the_token_that_connected_told_and_each_iso_has_its_own() -> None:
    async with house(networks=["127.0.0.0/8"]) as emw, canary("127.0.0.1") as grid:
        tokens = []
        for name in ("grid", "other"):
            iso = await emw.iso(name, "East")
            told = await emw.post("/iso/connected", {"accessURL": grid.url}, iso)
            tokens.append(told.body["reportToken"])
            again = await emw.post("/iso/connected", {"accessURL": grid.url}, iso)
            assert again.body["reportToken"] == tokens[-1]
            assert "reportToken" not in (await emw.post("/iso/connected", {}, iso)).body
            await emw.post("/iso/connected", {"accessURL": grid.url}, iso)
        assert len(set(tokens)) == 2
        await emw.decrease("grid", "R1", 3)  # nobody is there to ask, so all have answered
        await emw.until(lambda: grid.heard, 10.0)
        assert f"Bearer {tokens[0]}".encode() in grid.heard[0]
        assert all(tokens[1].encode() not in heard for heard in grid.heard)
        # A new token of the ISO's makes a new one of ours: what was told to a thief is worth nothing.
        renewed = await emw.headend.admin.add_iso("operator:test", "grid", ("East",), renew=True)
        told = await emw.post("/iso/connected", {"accessURL": grid.url}, renewed)
        assert told.body["reportToken"] not in tokens


async def test_what_a_grid_operator_says_in_the_url_is_refused_and_a_station_may_say_it_there() -> None:
    async with house() as emw:
        iso, secret = await emw.iso("grid", "East"), await emw.enrol("S1")
        asked = {"requestID": "R1", "territory": "East", "kW": 3}
        for told, field in (
            (await emw.post("/iso/decrease?durationMinutes=60", asked, iso), "durationMinutes"),
            (await emw.get("/iso/requests?st%61te=active&limit=1", iso), "state"),
            (await emw.get("/iso/requests/R1?intervals", iso), "intervals"),
        ):
            assert (told.status, told.body["field"]) == (400, field)
            assert told.body["detail"] == f"{field}: is not a parameter here; nothing is asked in the URL"
        assert not emw.headend.requests.of(None)
        assert (await emw.get("/iso/requests?", iso)).status == 200
        # Nothing that a station says is a filter: what is unknown there is left out, in the URL as in the body.
        assert (await emw.post("/evse/powerOn?site=3", emw.power_on_body("S1"), secret)).status == 200


async def test_a_field_that_a_grid_operator_misspelt_is_not_left_out() -> None:
    """Else a `durationMinuts` would be a shed without an end."""
    async with house() as emw:
        iso = await emw.iso("grid", "East")
        asked = {"requestID": "R1", "territory": "East", "kW": 3}
        for path, body, field in (
            ("/iso/decrease", {**asked, "durationMinuts": 60}, "durationMinuts"),
            ("/iso/returnToNormal", {"requestID": "R1", "at": "now"}, "at"),
            ("/iso/connected", {"accessUrl": "http://10.20.0.5"}, "accessUrl"),
        ):
            told = await emw.post(path, body, iso)
            assert (told.status, told.body["field"]) == (400, field)
            assert told.body["detail"] == f"{field}: is not a field here"
        assert not emw.headend.requests.of(None)


async def test_what_was_measured_after_the_last_round_is_in_the_last_interval() -> None:
    async with house() as emw:
        iso = await emw.iso("grid", "East")
        await emw.plug_in("S1")
        await emw.heartbeat("S1", currentAmps=32)
        await emw.decrease("grid", "R1", 3)
        state = emw.headend.state
        await emw.until(lambda: state.requests["grid:R1"].state is RequestState.ACTIVE, 10.0)
        await emw.until(lambda: "S1" in state.limits, 10.0)
        began = state.requests["grid:R1"].started_at
        emw.clock.forward(20)  # less than a round: nobody has looked since
        told = await emw.post("/iso/returnToNormal", {"requestID": "R1"}, iso)
        assert began is not None
        (interval,) = told.body["intervals"]
        start, end = (datetime.fromisoformat(interval[name]) for name in ("start", "end"))
        assert start - began < timedelta(seconds=1)
        assert end - start >= timedelta(seconds=20)
        assert interval["loadKW"] == pytest.approx(32 * 0.23, rel=0.01)


async def test_P12_a_station_that_holds_what_was_let_go_is_told_once_more() -> None:
    """An order that came late: it overtook its release, and would hold the car to the end of its lease."""
    async with house() as emw:
        iso = await emw.iso("grid", "East")
        await emw.plug_in("S1")
        await emw.heartbeat("S1", currentAmps=32)
        await emw.decrease("grid", "R1", 3)

        async def hears(limit_a: float | None) -> dict[str, Any] | None:
            emw.clock.forward(1)
            told = await emw.heartbeat("S1", currentAmps=limit_a or 32, limitAmps=limit_a)
            limit: dict[str, Any] | None = told.body.get("limit")
            return limit

        async def obeys(limit: dict[str, Any]) -> None:
            body = {"evseID": "S1", "newMaxAmps": limit["maxAmps"], "commandID": limit["commandID"]}
            await emw.post("/evse/adjustedMaxAmps", body, emw.tokens["S1"])

        await emw.until(lambda: "S1" in emw.headend.state.limits, 10.0)
        order = await hears(None)
        assert order is not None
        await obeys(order)
        emw.clock.forward(60)
        await emw.post("/iso/returnToNormal", {"requestID": "R1"}, iso)
        await emw.until(lambda: emw.headend.state.limits["S1"].max_a is None, 10.0)
        release = await hears(order["maxAmps"])
        assert release is not None
        assert release["maxAmps"] == 32
        await obeys(release)
        assert await hears(None) is None
        emw.clock.forward(20)
        again = await hears(order["maxAmps"])
        assert again is not None, "it went back to the older order"
        assert (again["commandID"], again["maxAmps"]) == (release["commandID"], 32)
        await obeys(again)
        emw.clock.forward(20)
        assert await hears(16) is None, "what it holds all the same is its own limit"


@pytest.mark.parametrize("may_pause", [True, False])
async def test_a_shed_pauses_only_who_says_that_it_may(may_pause: bool) -> None:
    async with house() as emw:
        await emw.iso("grid", "East")
        await emw.power_on("S1", mayPause=may_pause)
        await emw.plug_in("S1")
        await emw.heartbeat("S1", currentAmps=32)
        await emw.decrease("grid", "R1", 7.3)
        await emw.until(lambda: "S1" in emw.headend.state.limits, 10.0)
        limit = emw.headend.state.limits["S1"]
        assert limit.max_a == (0.0 if may_pause else 6.0)


async def test_P9_may_pause_is_true_or_false(emw: House) -> None:
    await emw.enrol("S1")
    for value in ("yes", 1, None):
        told = await emw.post("/evse/powerOn", emw.power_on_body("S1", mayPause=value), emw.secrets["S1"])
        assert (told.status, told.field) == (400, "mayPause")


async def test_P4_a_limit_said_again_is_never_above_a_knob_turned_down_since() -> None:
    """A station that was silent came back with a lower knob, and was told the old limit once more."""
    async with house() as emw:
        await emw.iso("grid", "East")
        await emw.plug_in("S1")
        await emw.heartbeat("S1", currentAmps=32)
        await emw.decrease("grid", "R1", 3)
        limits = emw.headend.state.limits
        await emw.until(lambda: "S1" in limits and limits["S1"].max_a is not None, 10.0)
        asked_a = limits["S1"].max_a
        assert asked_a is not None
        assert asked_a > 10
        body = emw.power_on_body("S1", evseMaxAmps=10)
        told = await emw.post("/evse/powerOn", body, emw.secrets["S1"])
        assert told.body["limit"]["maxAmps"] <= 10
        token = told.body["token"]
        beat = await emw.post(
            "/evse/plugInHeartBeat", emw.heartbeat_body("S1", evseMaxAmps=10, currentAmps=9), token
        )
        assert beat.body.get("limit", {"maxAmps": 0})["maxAmps"] <= 10


async def test_P5_a_plug_in_said_again_after_its_departure_is_the_same_stay() -> None:
    """Its first answer was lost; said again, its departure lay in the past, and it began a second session."""
    async with house() as emw:
        leaves = (emw.clock.now() + timedelta(seconds=10)).isoformat()
        first = await emw.plug_in("S1", departureTime=leaves)
        emw.clock.forward(27)
        assert (await emw.plug_in("S1", departureTime=leaves))["sessionID"] == first["sessionID"]
        emw.clock.forward(27)
        assert (await emw.plug_in("S1", departureTime=leaves))["sessionID"] == first["sessionID"]
        another = (emw.clock.now() + timedelta(hours=2)).isoformat()
        assert (await emw.plug_in("S1", departureTime=another))["sessionID"] != first["sessionID"]


async def test_a_request_cancelled_before_its_start_says_so(emw: House) -> None:
    iso = await emw.iso("grid", "East")
    start = (emw.clock.now() + timedelta(hours=2)).isoformat()
    await emw.decrease("grid", "R1", 3, start=start, durationMinutes=60)
    await emw.settled()
    for _ in range(2):
        told = await emw.post("/iso/returnToNormal", {"requestID": "R1"}, iso)
        assert (told.status, told.body["state"]) == (200, "cancelled")
        assert (told.body["shortKW"], told.body["whyShort"]) == (3, "cancelled before its start")


@pytest.mark.parametrize(
    ("path", "method", "content_type", "status", "title"),
    [
        ("/iso/nothing", "POST", "application/json", 404, "Not found"),
        ("/iso/decrease", "GET", None, 405, "Method not allowed"),
        ("/iso/decrease", "POST", "text/plain", 415, "Wrong media type"),
        ("/iso/decrease", "POST", "application/json", 400, "Bad input"),
    ],
)
async def test_a_refusal_is_called_what_it_is(
    emw: House, path: str, method: str, content_type: str | None, status: int, title: str
) -> None:
    iso = await emw.iso("grid", "East")
    told = await emw.call(path, {}, token=iso, method=method, content_type=content_type)
    assert (told.status, told.body["title"]) == (status, title)
