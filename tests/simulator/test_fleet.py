"""A small fleet over real sockets, against a stub server."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from emw.cli import other_side as cli
from emw.simulator.clock import VirtualClock
from emw.simulator.fleet import Fleet
from emw.simulator.hardware import Car
from emw.simulator.identity import Identity
from emw.simulator.serving import Listener
from emw.simulator.sessions import Session
from emw.simulator.specs import FaultShares, StationSpec, specs_for
from tests.simulator.stub import StubServer

T0 = datetime(2019, 7, 24, 16, 0, tzinfo=UTC)
SPEED = 600.0


def specs(count: int) -> list[StationSpec]:
    names = [f"e{number}" for number in range(count)]
    return [
        StationSpec(identity=Identity(evse_id=name, secret=f"secret-{name}", territory="East"))
        for name in names
    ]


def stay(evse_id: str, start_min: float, end_min: float, **changes: Any) -> Session:
    given: dict[str, Any] = {
        "session_id": f"s-{evse_id}",
        "site": "East",
        "evse_id": evse_id,
        "plug": T0 + timedelta(minutes=start_min),
        "unplug": T0 + timedelta(minutes=end_min),
        "energy_kwh": 50.0,
        "max_a": 16.0,
    }
    return Session(**(given | changes))


@pytest.fixture
async def server() -> AsyncIterator[tuple[StubServer, str]]:
    stub = StubServer()
    async with Listener(stub.app) as listener:
        yield stub, listener.url


def fleet(url: str, stations: list[StationSpec], sessions: list[Session], **changes: Any) -> Fleet:
    clock = VirtualClock(T0, SPEED)
    return Fleet(url, stations, sessions, clock=clock, speed=SPEED, **changes)


async def test_a_fleet_says_why_some_are_not_heard(server: tuple[StubServer, str]) -> None:
    stub, url = server
    unknown = StationSpec(identity=Identity(evse_id="e9", secret="of-another", territory="East"))
    async with fleet(url, [*specs(2), unknown], []) as running:
        await stub.until("/evse/powerOn", 2)
        async with asyncio.timeout(60):
            while not running.troubles():  # noqa: ASYNC110 - a fleet has no event for it
                await asyncio.sleep(0.01)
        assert running.troubles() == [("/evse/powerOn is refused, 401: no reason given", 1)]


def test_what_a_fleet_tells_machines_is_one_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "Control", lambda *_, **__: None)
    monkeypatch.setattr(cli, "enrol", lambda _, planned: planned)
    cli.fleet(server="http://127.0.0.1:1", territory="East", stations=2, minutes=1e-4, as_json=True)
    assert json.loads(capsys.readouterr().out)["stations"] == 2


async def test_a_day_of_a_small_fleet(server: tuple[StubServer, str]) -> None:
    stub, url = server
    sessions = [stay(f"e{number}", number - 30, 15 + number) for number in range(10)]
    async with fleet(url, specs(10), sessions) as running:
        await stub.until("/evse/powerOn", 10)
        await stub.until("/evse/plugInHeartBeat", 60)
        stats = running.stats()
        await stub.until("/evse/unplugged", 10)
        assert running.stats().plugged == 0
    assert stub.count("/evse/powerOff") == 10
    assert stub.count("/evse/plugIntoVehicle") == 10
    assert stats.powered == stats.stations == 10
    assert stats.plugged == stats.charging == 10
    assert stats.load_kw == pytest.approx(10 * 16.0 * 0.208)
    assert stats.load_kw == stats.free_kw
    assert running.violations == []
    energy = {body["evseID"]: body["energyKWh"] for body in stub.said("/evse/unplugged")}
    assert energy["e0"] == pytest.approx(0.75 * 16.0 * 0.208, rel=0.05), "charging since before the start"


async def test_the_server_calls_a_station_and_the_load_falls(server: tuple[StubServer, str]) -> None:
    stub, url = server
    async with fleet(url, specs(2), [stay("e0", -10, 600)]) as running:
        await stub.until("/evse/plugIntoVehicle")
        assert (await stub.control("e0", "authWithControl", {"token": "mine"}, None))[0] == 200
        order = {"commandID": "c1", "maxAmps": 6, "until": (T0 + timedelta(hours=10)).isoformat()}
        assert (await stub.control("e0", "setMaxAmps", order, "wrong"))[0] == 401
        assert await stub.control("e0", "setMaxAmps", order, "mine") == (200, {"maxAmps": 6.0})
        stats = running.stats()
        assert (stats.limited, stats.commands) == (1, 1)
        assert stats.load_kw < stats.free_kw
        assert (await stub.control("e0", "setMaxAmps", order | {"commandID": "c2", "maxAmps": 3}, "mine"))[
            0
        ] == 400
        assert [one.rule for one in running.violations] == ["between 0 and the floor"]
        assert (await stub.control("e0", "returnToNormalAmps", {"commandID": "c3"}, "mine"))[0] == 200
        assert running.stats().limited == 0


async def test_behind_nat_commands_ride_in_answers(server: tuple[StubServer, str]) -> None:
    stub, url = server
    async with fleet(url, specs(3), [stay("e0", -10, 600)], nat_share=1.0) as running:
        await stub.until("/evse/plugInHeartBeat")
        assert set(stub.access_urls.values()) == {None}
        until = (T0 + timedelta(hours=10)).isoformat()
        stub.limits["e0"] = {"commandID": "c1", "maxAmps": 8.0, "until": until}
        said = await stub.until("/evse/adjustedMaxAmps")
        assert said == [{"evseID": "e0", "newMaxAmps": 8.0, "commandID": "c1"}]
        assert running.stats().limited == 1


async def test_dead_tokens_and_a_failing_server_lose_nothing(server: tuple[StubServer, str]) -> None:
    stub, url = server
    async with fleet(url, specs(5), [stay(f"e{number}", 5, 20) for number in range(5)]) as running:
        await stub.until("/evse/plugIntoVehicle", 5)
        stub.tokens.clear()
        stub.fails = 5
        await stub.until("/evse/unplugged", 5)
        assert running.stats().errors >= 5
    for evse_id in ("e0", "e4"):
        told = [path for path, body in stub.heard if body["evseID"] == evse_id]
        assert told.index("/evse/unplugged") > told.index("/evse/plugIntoVehicle")


async def test_a_lost_station_is_silent_both_ways(server: tuple[StubServer, str]) -> None:
    stub, url = server
    async with fleet(url, specs(1), [stay("e0", -10, 600)]) as running:
        await stub.until("/evse/plugInHeartBeat")
        running.cut(["e0"])
        await asyncio.sleep(0.05)
        heard = len(stub.heard)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await stub.control("e0", "setMaxAmps", {}, "any")
        assert len(stub.heard) == heard
        assert running.stats().lost == 1
        running.cut(["e0"], lost=False)
        await stub.until("/evse/plugInHeartBeat", stub.count("/evse/plugInHeartBeat") + 1)


async def test_a_rebooted_station_comes_back_with_its_vehicle(server: tuple[StubServer, str]) -> None:
    stub, url = server
    async with fleet(url, specs(1), []) as running:
        await stub.until("/evse/powerOn")
        running.plug("e0", Car(max_a=16.0, need_kwh=20.0))
        await stub.until("/evse/plugIntoVehicle")
        running.reboot("e0")
        said = await stub.until("/evse/powerOn", 2)
        assert said[-1]["status"] == "occupied"
        await stub.until("/evse/plugIntoVehicle", 2)
        running.turn_knob("e0", 10.0)
        await stub.until("/evse/plugInHeartBeat")
        assert running.hardware("e0").draw_a == 10.0
        running.unplug("e0")
        await stub.until("/evse/unplugged")
        assert running.stats().unserved_kwh > 0.0


async def test_faults_are_drawn_from_the_seed(server: tuple[StubServer, str]) -> None:
    _, url = server
    shares = FaultShares(deaf=0.3, slow=0.3, skewed=0.3)
    drawn = []
    for seed in (1, 1, 2):
        async with fleet(url, specs(30), [], faults=shares, seed=seed, goodbye=False) as running:
            drawn.append([running.hardware(f"e{number}").faults for number in range(30)])
    assert drawn[0] == drawn[1] != drawn[2]
    assert 3 <= sum(faults.deaf for faults in drawn[0]) <= 16


async def test_a_server_that_is_not_there_is_no_reason_to_fail() -> None:
    async with fleet("http://127.0.0.1:9", specs(3), [stay("e0", -10, 600)]) as running:
        await asyncio.sleep(0.2)
        stats = running.stats()
    assert stats.powered == 0
    assert stats.errors >= 1


def test_stations_are_made_for_enrolled_evses_only() -> None:
    made = specs_for([stay("e0", 0, 1), stay("e1", 0, 1), stay("e0", 2, 3)], {"e0": "one"})
    assert [spec.identity.evse_id for spec in made] == ["e0"]
    assert made[0].identity.territory == "East"
