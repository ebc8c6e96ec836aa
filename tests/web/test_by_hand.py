"""What an operator sets by hand: a limit on one EVSE, a territory stopped, a request changed, a station reset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from emw.domain.model import Cause, Limit, RequestState
from emw.domain.people import Role
from emw.service.ports import CallSeen, FrameSeen, StationSeen
from emw.web.app import WebSettings
from tests.web.world import START, World, stations, world

WHY = {"reason": "cable is hot"}


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - dispatch tells nobody
            await asyncio.sleep(0.01)


def held(w: World, evse_id: str) -> Limit | None:
    limit = w.headend.state.limits.get(evse_id)
    return limit if limit is not None and limit.in_force(w.clock.now()) else None


def held_a(w: World, evse_id: str) -> float | None:
    limit = held(w, evse_id)
    return None if limit is None else limit.max_a


async def test_a_limit_by_hand_is_a_command_like_any_other_and_ends_by_itself() -> None:
    async with world() as w:
        await stations(w, ["E1", "E2"])
        key = await w.key(Role.OPERATOR)
        told = await w.call("POST", "/api/v1/evses/E1/limit", {"maxAmps": 10, "minutes": 10, **WHY}, key=key)
        assert told.status == 200, told.body
        assert told.json["maxAmps"] == 10
        await until(lambda: held_a(w, "E1") == 10)
        limit = held(w, "E1")
        assert limit is not None
        assert (limit.cause, limit.request_key) == (Cause.OPERATOR, None)
        assert limit.until <= START + timedelta(minutes=10, seconds=1)
        assert held(w, "E2") is None
        one = (await w.call("GET", "/api/v1/evses/E1", key=key)).json
        assert one["explanation"].startswith("10 A until ")
        assert ": cable is hot; the station agreed" in one["explanation"]
        w.clock.at += timedelta(minutes=11)
        assert held(w, "E1") is None
        rows = (await w.call("GET", "/api/v1/activity?kind=LimitedByHand", key=key)).json["items"]
        assert rows[0]["actor"].startswith("key:")
        assert rows[0]["text"] == "E1 at most 10 A by hand: cable is hot"


async def test_a_limit_by_hand_is_lifted_by_hand_after_the_gap() -> None:
    async with world() as w:
        await stations(w, ["E1"])
        key = await w.key(Role.OPERATOR)
        await w.call("POST", "/api/v1/evses/E1/limit", {"maxAmps": 10, "minutes": 60, **WHY}, key=key)
        await until(lambda: held_a(w, "E1") == 10)
        told = await w.call("POST", "/api/v1/evses/E1/limit", {"maxAmps": None, **WHY}, key=key)
        assert told.json == {"maxAmps": None, "until": None}
        await asyncio.sleep(0.2)
        assert held_a(w, "E1") == 10  # the gap between two changes of one EVSE holds for people, too
        w.clock.at += timedelta(seconds=61)
        w.headend.dispatch.wake("East")
        await until(lambda: held(w, "E1") is None)


async def test_a_shed_counts_what_a_hand_took_and_never_lifts_it() -> None:
    async with world() as w:
        await stations(w, ["E1", "E2"])
        key = await w.key(Role.OPERATOR)
        await w.call("POST", "/api/v1/evses/E1/limit", {"maxAmps": 10, "minutes": 60, **WHY}, key=key)
        await until(lambda: held_a(w, "E1") == 10)
        # 2.3 kW are taken by hand; 1.15 more are asked of the other, and of neither what it must not give.
        await w.call(
            "POST", "/api/v1/requests", {"territory": "East", "kW": 3.45, "durationMinutes": 30}, key=key
        )
        await until(lambda: held_a(w, "E2") is not None)
        assert held_a(w, "E1") == 10
        assert held_a(w, "E2") == 15
        await until(lambda: w.headend.state.limits["E2"].answered_at is not None)
        told = (await w.call("GET", "/api/v1/requests", key=key)).json["items"][0]
        assert told["confirmedKW"] == pytest.approx(3.45)


@pytest.mark.parametrize(
    ("door", "body", "field"),
    [
        ("limit", {"maxAmps": 3, "minutes": 10, **WHY}, "maxAmps"),
        ("limit", {"maxAmps": 33, "minutes": 10, **WHY}, "maxAmps"),
        ("limit", {"maxAmps": 0, "minutes": 10, **WHY}, "maxAmps"),
        ("limit", {"maxAmps": 10, "minutes": 2_000, **WHY}, "minutes"),
        ("limit", {"maxAmps": 10, "minutes": 10}, "reason"),
        ("limit", {"maxAmps": 10, "minutes": 10, "reason": ""}, "reason"),
        ("priority", {"priority": 0, **WHY}, "priority"),
        ("priority", {"priority": 11, **WHY}, "priority"),
        ("priority", {"priority": 2}, "reason"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(door: str, body: dict[str, Any], field: str) -> None:
    async with world() as w:
        await stations(w, ["E1"])
        told = await w.call("POST", f"/api/v1/evses/E1/{door}", body, key=await w.key(Role.OPERATOR))
        assert told.status == 400
        assert field in told.json["detail"] or field == told.json.get("field")
        assert not w.headend.state.hand_limits
        assert not w.headend.state.priorities


async def test_who_counts_more_is_asked_for_less_and_it_stands_in_the_log() -> None:
    async with world() as w:
        await stations(w, ["E1", "E2"])
        key = await w.key(Role.OPERATOR)
        path = "/api/v1/evses/E2/priority"
        told = await w.call("POST", path, {"priority": 2, "reason": "the care service"}, key=key)
        assert told.status == 200, told.body
        assert told.json["priority"] == 2
        assert (await w.call("GET", "/api/v1/evses/E2", key=key)).json["priority"] == 2
        await w.call(
            "POST", "/api/v1/requests", {"territory": "East", "kW": 2.3, "durationMinutes": 30}, key=key
        )
        await until(lambda: held_a(w, "E1") is not None)
        assert held_a(w, "E2") is None  # at one level per unit of priority the other gives it all
        rows = (await w.call("GET", "/api/v1/activity?kind=PrioritySet", key=key)).json["items"]
        assert rows[0]["text"] == "E2 counts 2 times: the care service"
        await w.call("POST", path, {"priority": 1, "reason": "the care service moved"}, key=key)
        assert not w.headend.state.priorities


async def test_a_stopped_territory_is_let_go_and_others_are_asked_until_it_is_resumed() -> None:
    async with world() as w:
        await w.headend.admin.define_territory("test", "Zone")
        for name in ("East", "West"):
            await w.headend.admin.define_territory("test", name, parent_id="Zone")
        await stations(w, ["E1", "E2"], "East")
        await stations(w, ["W1", "W2"], "West")
        key = await w.key(Role.OPERATOR)
        asked = {"territory": "Zone", "kW": 4, "durationMinutes": 60}
        await w.call("POST", "/api/v1/requests", asked, key=key)
        await until(lambda: all(held(w, e) for e in ("E1", "E2", "W1", "W2")))
        told = await w.call("POST", "/api/v1/territories/East/stop", {"reason": "fire brigade"}, key=key)
        assert told.json["stopped"] is True
        w.clock.at += timedelta(seconds=61)
        w.headend.dispatch.wake("East")
        await until(lambda: held(w, "E1") is None and held(w, "E2") is None)
        assert w.headend.state.limits["E1"].cause is Cause.HALT
        await until(lambda: (held_a(w, "W1") or 32) + (held_a(w, "W2") or 32) <= 23)
        assert w.headend.state.requests[next(iter(w.headend.state.requests))].state is RequestState.ACTIVE
        again = await w.call("POST", "/api/v1/territories/East/stop", {}, key=key)
        assert again.json["reason"] == "fire brigade"
        await w.call("POST", "/api/v1/territories/East/resume", {}, key=key)
        assert not w.headend.state.stops
        await w.call("PATCH", f"/api/v1/requests/{next(iter(w.headend.state.requests))}", {"kW": 9}, key=key)
        w.clock.at += timedelta(seconds=61)
        w.headend.dispatch.wake("East")
        await until(lambda: held(w, "E1") is not None)
        assert (await w.call("POST", "/api/v1/territories/None/stop", {}, key=key)).status == 404


async def test_an_operators_request_can_be_changed_and_a_grids_can_not() -> None:
    async with world() as w:
        await stations(w, ["E1", "E2"])
        key = await w.key(Role.OPERATOR)
        asked = {"territory": "East", "kW": 2, "requestID": "R1", "durationMinutes": 60}
        await w.call("POST", "/api/v1/requests", asked, key=key)
        end = (START + timedelta(minutes=20)).isoformat()
        told = await w.call(
            "PATCH", "/api/v1/requests/operator:R1", {"kW": 3, "end": end, "reason": "less wind"}, key=key
        )
        assert told.status == 200, told.body
        assert (told.json["requestedKW"], told.json["end"][:16]) == (3, end[:16])
        parts = sum(told.json[k] for k in ("confirmedKW", "pendingKW", "refusedKW", "shortKW"))
        assert parts == pytest.approx(3)
        again = await w.call("POST", "/api/v1/requests", asked, key=key)
        assert again.json["requestedKW"] == 3  # the same words are the same request, whatever became of it
        past = (START - timedelta(minutes=1)).isoformat()
        for body in ({"end": past}, {"start": end}, {"kW": 0}, {"kWh": 3}):
            assert (await w.call("PATCH", "/api/v1/requests/operator:R1", body, key=key)).status == 400, body
        await w.headend.admin.add_iso("test", "grid", ("East",))
        viewer = await w.key(Role.VIEWER)
        assert (await w.call("PATCH", "/api/v1/requests/operator:R1", {"kW": 4}, key=viewer)).status == 403
        assert (await w.call("PATCH", "/api/v1/requests/operator:None", {"kW": 4}, key=key)).status == 404
        row = (await w.call("GET", "/api/v1/activity?kind=RequestChanged", key=key)).json["items"][0]
        assert row["text"] == "request operator:R1 asks for 3 kW now: less wind"


async def test_a_change_is_no_way_around_the_second_person() -> None:
    async with world() as w:
        await stations(w, ["E1", "E2"])
        object.__setattr__(w.headend.settings, "confirm_above_kw", 3.0)
        key = await w.key(Role.OPERATOR)
        asked = {"territory": "East", "kW": 2, "requestID": "R1", "durationMinutes": 60}
        await w.call("POST", "/api/v1/requests", asked, key=key)
        assert (await w.call("PATCH", "/api/v1/requests/operator:R1", {"kW": 3}, key=key)).status == 200
        told = await w.call("PATCH", "/api/v1/requests/operator:R1", {"kW": 3.5}, key=key)
        assert (told.status, told.json["field"]) == (409, "kW")
        assert w.headend.state.requests["operator:R1"].kw == 3


class OneStation:
    """The way to a station that answers a reset."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []

    def seen(self, station_id: str) -> StationSeen:
        return StationSeen(True, "ocpp1.6", None, None, None, None, None, None, None, None, {}, {})

    def frames(self, station_id: str) -> Sequence[FrameSeen]:
        return ()

    async def call(self, station_id: str, action: str, payload: Any) -> CallSeen:
        self.sent.append((station_id, action, payload))
        return CallSeen("answered", {"status": "Accepted"})


async def test_a_reset_is_what_the_protocol_allows() -> None:
    async with world(WebSettings()) as w:
        await stations(w, ["E1"])
        key = await w.key(Role.OPERATOR)
        told = await w.call("POST", "/api/v1/evses/E1/reset", WHY, key=key)
        assert told.status == 409
        assert "no reset" in told.json["detail"]
        link = w.headend.console = OneStation()
        station = w.headend.state.stations["E1"]
        object.__setattr__(station, "protocol", "ocpp")
        told = await w.call("POST", "/api/v1/evses/E1/reset", {"now": True, **WHY}, key=key)
        assert told.json == {"outcome": "answered", "status": "Accepted"}
        assert link.sent == [("E1", "Reset", {"type": "Hard"})]
        row = (await w.call("GET", "/api/v1/activity?kind=StationCalled", key=key)).json["items"][0]
        assert row["text"] == "Reset was sent to station E1 by hand: answered Accepted: cable is hot"
