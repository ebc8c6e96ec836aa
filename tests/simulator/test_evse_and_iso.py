"""One station as a program, and the grid operator's client, over real sockets against stubs."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import aiohttp
import pytest

from emw.simulator.evse import BadOptions, EvseOptions, load_hardware, run
from emw.simulator.hardware import Car, SimulatedHardware
from emw.simulator.iso import IsoClient, IsoRefused, IsoUnreachable, ReportReceiver
from emw.simulator.ocpp.station import Ways
from emw.simulator.serving import Listener, Receive, Scope, Send, bearer_of, read_body, send_json
from tests.simulator.stub import StubServer

CAR = Car(max_a=16.0, need_kwh=20.0)


class Relay(SimulatedHardware):
    """Stands for a driver of real hardware: made without arguments."""

    made: list["Relay"] = []  # noqa: RUF012 - the test finds its hardware here

    def __init__(self) -> None:
        now = datetime.now(UTC)
        super().__init__(knob_a=32.0, voltage_v=230.0, now=now, rng=Random(1))
        self.plug(CAR, now)
        self.made.append(self)


@pytest.fixture
async def server() -> AsyncIterator[tuple[StubServer, str]]:
    stub = StubServer(heartbeat_s=1.0)
    async with Listener(stub.app) as listener:
        yield stub, listener.url


def options(url: str, **changes: Any) -> EvseOptions:
    given: dict[str, Any] = {
        "server_url": url,
        "evse_id": "e0",
        "secret": "secret-e0",
        "territory": "East",
        "poll_s": 0.05,
    }
    return EvseOptions(**(given | changes))


async def test_an_agent_runs_real_hardware_and_frees_the_car_when_it_stops(
    server: tuple[StubServer, str],
) -> None:
    stub, url = server
    stop = asyncio.Event()
    Relay.made.clear()
    agent = asyncio.create_task(run(options(url, hardware=f"{__name__}:Relay"), stop=stop))
    await stub.until("/evse/plugIntoVehicle")
    relay = Relay.made[0]
    assert (await stub.control("e0", "authWithControl", {"token": "mine"}, None))[0] == 200
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    order = {"commandID": "c1", "maxAmps": 8, "until": until}
    assert await stub.control("e0", "setMaxAmps", order, "mine") == (200, {"maxAmps": 8.0})
    assert relay.limit_a == 8.0
    relay.unplug(datetime.now(UTC))
    await stub.until("/evse/unplugged")
    stop.set()
    await agent
    assert relay.limit_a is None
    assert stub.count("/evse/powerOff") == 1


async def test_an_agent_says_when_it_is_heard_and_why_not(server: tuple[StubServer, str]) -> None:
    _, url = server
    told: asyncio.Queue[str | None] = asyncio.Queue()
    ways: tuple[tuple[dict[str, Any], str | None], ...] = (
        ({"secret": "wrong"}, "/evse/powerOn is refused, 401: no reason given"),
        ({"server_url": "http://127.0.0.1:1"}, "no answer: "),
        ({"server_url": "http://127.0.0.1:1", "ways": Ways()}, "no answer: "),
        ({}, None),
    )
    for changed, expected in ways:
        stop = asyncio.Event()
        agent = asyncio.create_task(
            run(options(url, behind_nat=True, **changed), stop=stop, tell=told.put_nowait)
        )
        async with asyncio.timeout(60):
            why = await told.get()
        assert why == expected or (why or "").startswith(expected or "heard")
        stop.set()
        await agent
        assert told.empty(), "the same is told once"


async def test_a_limit_of_an_agent_ends_when_the_server_is_dead(server: tuple[StubServer, str]) -> None:
    stub, url = server
    stop = asyncio.Event()
    agent = asyncio.create_task(run(options(url, behind_nat=True, car=CAR), stop=stop))
    await stub.until("/evse/plugIntoVehicle")
    assert stub.access_urls == {"e0": None}
    async with asyncio.timeout(60):
        while not stub.count("/evse/adjustedMaxAmps"):  # it comes with the answer to the next heartbeat
            until = (datetime.now(UTC) + timedelta(seconds=1.2)).isoformat()
            stub.limits["e0"] = {"commandID": "c1", "maxAmps": 8, "until": until}
            await asyncio.sleep(0.01)
    stub.limits.clear()
    assert stub.said("/evse/adjustedMaxAmps")[0]["newMaxAmps"] == 8.0
    beats = await stub.until("/evse/plugInHeartBeat", stub.count("/evse/plugInHeartBeat") + 2)
    assert beats[-1]["limitAmps"] is None
    stop.set()
    await agent


async def test_what_cannot_work_is_said_before_anything_starts() -> None:
    with pytest.raises(BadOptions, match="access_url"):
        await run(options("http://127.0.0.1:9", host="0.0.0.0"))
    with pytest.raises(BadOptions, match="no address of a server"):
        await run(options("127.0.0.1:9"))
    for path in ("no_such_module_here:Thing", "json", "json:JSONDecoder"):
        with pytest.raises(BadOptions, match="hardware"):
            load_hardware(path)


async def test_the_control_door_takes_small_posts_to_control_paths_only() -> None:
    stub = StubServer()
    async with Listener(stub.app) as server:
        stop = asyncio.Event()
        agent = asyncio.create_task(run(options(server.url), stop=stop))
        await stub.until("/evse/powerOn")
        door = stub.access_urls["e0"]
        calls: list[tuple[str, str, bytes, int]] = [
            ("GET", "/control/setMaxAmps", b"", 405),
            ("POST", "/other", b"", 404),
            ("POST", "/s/e0/control/setMaxAmps", b"", 404),
            ("POST", "/control/setMaxAmps", b"x" * 100_000, 413),
            ("POST", "/control/authWithControl", b"\xff{", 400),
        ]
        async with aiohttp.ClientSession() as http:
            for method, path, body, status in calls:
                async with http.request(method, f"{door}{path}", data=body) as response:
                    assert (path, response.status) == (path, status)
        stop.set()
        await agent


class StubGrid:
    """The server's side of the grid protocol; the request closes after it was looked at three times."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, Any], dict[str, str]]] = []
        self.looks = 0

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = json.loads(await read_body(receive) or b"{}")
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.heard.append((scope["method"], scope["path"], body, headers))
        status, answer = self.answer(scope["path"], body)
        if bearer_of(scope) != "key":
            status, answer = 401, {}
        await send_json(send, status, json.dumps(answer).encode())

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/iso/connected":
            return 200, {"serverTime": "2024-05-07T17:00:00Z", "territories": ["East"]}
        if path == "/iso/decrease" and body["kW"] < 0:
            return 400, {"title": "not a shed", "status": 400, "field": "kW"}
        if path == "/iso/requests":
            return 200, {"requests": [{"requestID": "r1"}]}
        if path == "/iso/requests/r1":
            self.looks += 1
            state = "closed" if self.looks >= 4 else "active"
            return 200, {"requestID": "r1", "state": state, "measuredKW": min(self.looks, 2)}
        return 200, {"requestID": body.get("requestID"), "state": "active"}


async def test_a_grid_operator_asks_watches_and_ends() -> None:
    grid = StubGrid()
    async with Listener(grid.app) as server, IsoClient(server.url, "key") as iso:
        assert (await iso.connected("http://127.0.0.1:1"))["territories"] == ["East"]
        start = datetime(2024, 5, 7, 17, tzinfo=UTC)
        made = await iso.decrease("r1", "East", 300.0, start=start, duration_minutes=60, respond_async=True)
        assert made["state"] == "active"
        _, _, body, headers = grid.heard[-1]
        assert body == {
            "requestID": "r1",
            "territory": "East",
            "kW": 300.0,
            "start": "2024-05-07T17:00:00Z",
            "durationMinutes": 60,
        }
        assert headers["prefer"] == "respond-async"
        seen = [request["state"] async for request in iso.follow("r1", every_s=0.01)]
        assert seen == ["active", "active", "closed"], "only what changed is shown"
        assert await iso.list() == [{"requestID": "r1"}]
        assert (await iso.return_to_normal("r1"))["requestID"] == "r1"
        with pytest.raises(IsoRefused, match="not a shed") as refused:
            await iso.decrease("r2", "East", -1.0)
        assert (refused.value.status, refused.value.field) == (400, "kW")
        with pytest.raises(ValueError, match="no offset"):
            await iso.decrease("r3", "East", 1.0, start=start.replace(tzinfo=None))


async def test_a_server_that_is_not_there_is_said_so() -> None:
    async with IsoClient("http://127.0.0.1:9", "key") as iso:
        with pytest.raises(IsoUnreachable):
            await iso.get("r1")


async def test_reports_are_received_in_order() -> None:
    async with ReportReceiver() as reports, aiohttp.ClientSession() as http:
        for number in range(3):
            async with http.post(f"{reports.url}/reductionReport", json={"number": number}) as response:
                assert response.status == 200
        async with http.post(f"{reports.url}/reductionReport", data=b"[1]") as response:
            assert response.status == 400
        async with http.post(f"{reports.url}/other", json={}) as response:
            assert response.status == 404
        async with asyncio.timeout(60):
            assert [(await anext(reports))["number"] for _ in range(3)] == [0, 1, 2]
