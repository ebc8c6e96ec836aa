"""What if: a preview asks nobody and says who would give what; a forecast has a band; bad questions are told so."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from emw.domain.people import Role
from tests.web.world import dispatched, stations, world


async def test_a_preview_is_what_dispatch_would_do_and_does_nothing() -> None:
    async with world() as w:
        await stations(w, [f"E{n}" for n in range(10)])
        me = await w.log_in("opa")
        asked = {"territory": "East", "kW": 10.0, "durationMinutes": 30}
        told = (await w.call("POST", "/api/v1/preview", asked, headers=me)).json
        assert told["shedKW"] == 10.0
        assert told["shortKW"] == 0.0
        assert sum(e["givesKW"] for e in told["evses"]) >= 10.0
        assert all(6.0 <= e["limitAmps"] < e["drawAmps"] for e in told["evses"])
        assert told["available"]["lowKW"] <= told["available"]["kW"] <= told["available"]["highKW"]
        assert not w.headend.state.requests
        assert not w.headend.state.limits
        await w.call("POST", "/api/v1/requests", {**asked, "requestID": "R1"}, headers=me)
        await dispatched(w)
        limits = {e: x.max_a for e, x in w.headend.state.limits.items()}
        assert limits == {e["evseID"]: e["limitAmps"] for e in told["evses"]}


async def test_more_than_there_is_is_short_and_says_why() -> None:
    async with world() as w:
        await stations(w, ["E1", "E2"])
        key = await w.key(Role.VIEWER)
        told = (await w.call("POST", "/api/v1/preview", {"territory": "East", "kW": 500.0}, key=key)).json
        assert told["shortKW"] > 490
        assert "at floor" in told["whyShort"]
        assert told["chance"] == 0.0


async def test_a_later_start_is_forecast_and_no_start_beyond_a_day() -> None:
    async with world() as w:
        await stations(w, [f"E{n}" for n in range(10)])
        key = await w.key(Role.VIEWER)
        asked = {"territory": "East", "kW": 25.0, "durationMinutes": 30}
        soon = (await w.call("POST", "/api/v1/preview", asked, key=key)).json
        start = w.clock.now() + timedelta(hours=6)
        told = (await w.call("POST", "/api/v1/preview", asked | {"start": start.isoformat()}, key=key)).json
        assert soon["shedKW"] == 25.0
        assert soon["atStart"] == soon["available"]
        assert 0 <= told["atStart"]["lowKW"] < told["atStart"]["kW"] < soon["available"]["kW"]
        assert told["shedKW"] == pytest.approx(told["atStart"]["kW"], abs=0.002)  # fewer than are asked for
        assert told["shedKW"] + told["shortKW"] == pytest.approx(25.0)
        assert "expected to charge then" in told["whyShort"]
        assert told["missedKWh"] < soon["missedKWh"] or soon["missedKWh"] == 0
        far = {"start": (w.clock.now() + timedelta(hours=25)).isoformat()}
        refused = await w.call("POST", "/api/v1/preview", asked | far, key=key)
        assert (refused.status, refused.json["field"]) == (400, "start")


async def test_for_a_later_start_who_is_held_only_until_then_gives_as_if_free() -> None:
    async with world() as w:
        await stations(w, [f"E{n}" for n in range(10)])
        me = await w.log_in("opa")
        start = (w.clock.now() + timedelta(hours=1)).isoformat()
        asked = {"territory": "East", "kW": 10.0, "durationMinutes": 30}
        free = (await w.call("POST", "/api/v1/preview", {**asked, "start": start}, headers=me)).json
        now = {"territory": "East", "kW": 40.0, "requestID": "R1"}
        for minutes, the_same in ((30, True), (240, False)):
            runs = {**now, "requestID": f"R{minutes}", "durationMinutes": minutes}
            made = await w.call("POST", "/api/v1/requests", runs, headers=me)
            assert made.status == 201
            await asyncio.sleep(0.3)
            told = (await w.call("POST", "/api/v1/preview", {**asked, "start": start}, headers=me)).json
            assert (told["evses"] == free["evses"]) is the_same


async def test_a_forecast_has_a_band_for_each_hour() -> None:
    async with world() as w:
        await stations(w, ["E1", "E2"])
        key = await w.key(Role.VIEWER)
        told = (await w.call("GET", "/api/v1/territories/East/forecast?hours=0&hours=2", key=key)).json
        assert told["hours"][0]["kW"] > told["hours"][1]["kW"] > 0
        assert told["basis"] == "vehicles plugged in now"
        assert [h["at"] for h in told["hours"]] == sorted(h["at"] for h in told["hours"])
        assert all(h["lowKW"] <= h["kW"] <= h["highKW"] for h in told["hours"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "/api/v1/preview", {"territory": "Nowhere", "kW": 1.0}, 404, "territory"),
        ("POST", "/api/v1/preview", {"territory": "East", "kW": -1.0}, 400, "kW"),
        (
            "POST",
            "/api/v1/preview",
            {"territory": "East", "kW": 1.0, "durationMinutes": 1e6},
            400,
            "durationMinutes",
        ),
        ("GET", "/api/v1/territories/Nowhere/forecast", None, 404, "territory"),
        ("GET", "/api/v1/territories/East/forecast?hours=-1", None, 400, "hours"),
        ("GET", "/api/v1/territories/East/forecast?hours=1000", None, 400, "hours"),
    ],
)
async def test_P9_a_bad_question_is_told_its_field(
    method: str, path: str, body: dict[str, object] | None, status: int, field: str
) -> None:
    async with world() as w:
        await stations(w, ["E1"])
        key = await w.key(Role.VIEWER)
        told = await w.call(method, path, body, key=key)
        assert told.status == status, told.body
        assert told.json["field"] == field
