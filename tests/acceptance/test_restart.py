"""Promises P1 and P2 with real processes: kill -9, start again; what was acknowledged is there, the request bites."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.driver import Server, Station, wait_for

COUNT = 6


@pytest.fixture
def field(tmp_path: Path) -> Iterator[tuple[Server, list[Station], str]]:
    """A server with a territory, an ISO and a few plugged-in stations."""
    server = Server(tmp_path, EMW_DISPATCH_GAP_SECONDS="1")
    server.start()
    server.control.post("/territories", {"territoryID": "East"})
    token = server.control.post("/isos", {"isoID": "grid", "territories": ["East"]})["token"]
    stations = []
    for n in range(COUNT):
        secret = server.control.post("/stations", {"stationID": f"evse-{n}"})["secret"]
        stations.append(Station(server, f"evse-{n}", secret))
    for station in stations:
        station.power_on()
        station.plug_in()
        station.beat()
    yield server, stations, token
    if server.process is not None and server.process.poll() is None:
        server.stop()
    for station in stations:
        station.close()


def held_kw(stations: list[Station]) -> float:
    """What the limits keep from being drawn, by however few of them."""
    return sum(0.23 * (32.0 - s.limit_a) for s in stations if s.limit_a is not None)


@pytest.mark.alone
def test_P1_P2_after_kill_9_every_acknowledged_fact_is_there_once_and_the_request_bites_again(
    field: tuple[Server, list[Station], str],
) -> None:
    server, stations, token = field
    asked = {"requestID": "r1", "territory": "East", "kW": 20, "durationMinutes": 30}
    status, request = server.post("/iso/decrease", asked, token)
    assert status == 200
    assert request["confirmedKW"] == pytest.approx(20, abs=0.5)
    for round_number in range(3):
        for station in stations:
            station.unplug()
            station.plug_in()
        server.kill()  # right after the last answer
        for station in stations:
            station.limit_a = None  # they forget
        started = server.start()
        assert started < 10
        waited_s = server.waited_s
        bites_s = wait_for(lambda: held_kw(stations) > 19.5, 60)
        assert bites_s - (server.waited_s - waited_s) < 10
        status, request = server.get("/iso/requests/r1", token)
        assert (status, request["state"]) == (200, "active"), round_number
        parts = request["confirmedKW"] + request["pendingKW"] + request["refusedKW"] + request["shortKW"]
        assert parts == pytest.approx(request["requestedKW"], abs=1e-6)
    rows = server.control.get("/activity", kind="SessionStarted", limit=1000)["items"]
    recorded = [row["details"]["sessionID"] for row in rows]
    acknowledged = [s for station in stations for s in station.sessions]
    assert sorted(recorded) == sorted(acknowledged)
    assert len(set(recorded)) == len(recorded)


def test_P14_halt_frees_all_cars_and_resume_takes_them_back(field: tuple[Server, list[Station], str]) -> None:
    server, stations, token = field
    asked = {"requestID": "r1", "territory": "East", "kW": 20, "durationMinutes": 30}
    assert server.post("/iso/decrease", asked, token)[0] == 200
    assert all(s.limit_a is not None for s in stations)
    time.sleep(1.1)  # the minimum gap between two changes of a limit
    server.control.post("/halt", {"reason": "drill"})
    wait_for(lambda: all(s.limit_a is None for s in stations), 60)
    server.control.post("/resume", {"reason": "drill over"})
    time.sleep(1.1)
    wait_for(lambda: sum(s.limit_a is not None for s in stations) == COUNT, 60)


def test_a_clean_stop_is_quick_and_leaves_nothing_behind(field: tuple[Server, list[Station], str]) -> None:
    server, _, _ = field
    assert server.stop() == 0
    assert not (server.data / "control.sock").exists()
