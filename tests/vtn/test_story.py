"""A grid operator without a VTN: the `openadr3` package posts an event over real sockets, real stations drop.

The package is the foreign reader, as business logic and as a VEN: what it can't read, we said wrong.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from openadr3.api import OpenADRClient
from openadr3.auth import fetch_token

from tests.acceptance.driver import Server, Station

COUNT = 4
KW = COUNT * 230 * 32 / 1000
SPEC = Path(__file__).parents[1] / "grid/specs/openadr/3.1.0/openadr3.yaml"
SERVER = """{enabled = true, report_minutes = 1, target = [{target = "feeder-17", territory = "East"}]}"""


def until(holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until something holds; returns it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


class Field:
    """A server with its VTN, stations that charge, and the package's clients."""

    def __init__(self, server: Server, stations: list[Station]) -> None:
        self.server = server
        self.stations = stations
        self.base = f"{server.url}/openadr3/3.1.0"

    def client(self, name: str, role: str) -> OpenADRClient:
        told = self.server.control.post("/vtn/clients", {"clientID": name, "role": role})
        token = fetch_token(self.base, name, told["clientSecret"])
        return OpenADRClient(self.base, token, spec_path=SPEC)

    def load_kw(self) -> float:
        return sum(float(s.beat_body()["currentAmps"]) * 230 / 1000 for s in self.stations)

    def vtn(self, **more: Any) -> dict[str, Any]:
        """The worked mapping of the protocol's notes: so many kW less in feeder-17, from now on."""
        return {
            "eventName": "shed",
            "priority": 1,
            "targets": ["feeder-17"],
            "intervalPeriod": {"start": "0001-01-01T00:00:00Z", "duration": "PT1H"},
            "payloadDescriptors": [
                {
                    "objectType": "EVENT_PAYLOAD_DESCRIPTOR",
                    "payloadType": "DISPATCH_SETPOINT_RELATIVE",
                    "units": "KW",
                }
            ],
            "reportDescriptors": [
                {
                    "payloadType": kind,
                    "readingType": "MEAN",
                    "units": "KW",
                    "aggregate": True,
                    "frequency": 1,
                    "repeat": -1,
                }
                for kind in ("DEMAND", "BASELINE")
            ],
            "intervals": [{"id": 0, "payloads": [{"type": "DISPATCH_SETPOINT_RELATIVE", "values": [-10.0]}]}],
            **more,
        }


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    server = Server(tmp_path, EMW_DISPATCH_GAP_SECONDS="1", EMW_OPENADR_SERVER=SERVER)
    server.start()
    server.control.post("/territories", {"territoryID": "East"})
    stations = []
    for n in range(COUNT):
        secret = server.control.post("/stations", {"stationID": f"evse-{n}"})["secret"]
        stations.append(Station(server, f"evse-{n}", secret))
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.5):
            for station in stations:
                with contextlib.suppress(OSError, HTTPException):  # the server may just be dead
                    station.beat()

    for station in stations:
        station.power_on()
        station.plug_in()
        station.beat()
    beating = threading.Thread(target=beat)
    beating.start()
    yield Field(server, stations)
    over.set()
    beating.join()
    server.stop()
    for station in stations:
        station.close()


def test_P2_an_event_posted_by_business_logic_moves_load_over_a_kill_and_is_reported_on(field: Field) -> None:
    assert field.load_kw() == pytest.approx(KW)
    with field.client("utility", "bl") as utility, field.client("site", "ven") as site:
        program = utility.create_program({"programName": "Shed"}).json()
        made = utility.create_event({"programID": program["id"], **field.vtn()})
        assert made.status_code == 201, made.text
        event_id = made.json()["id"]
        until(lambda: field.load_kw() <= KW - 9.5)
        assert field.load_kw() >= KW - 14
        asked = field.server.control.get("/requests")["items"]
        assert [(r["requestID"], r["isoID"], r["requestedKW"]) for r in asked] == [
            (event_id, "vtn:own", 10.0)
        ]
        # What the package makes of what we say.
        event = utility.event(event_id)
        assert (event.targets, event.priority) == (["feeder-17"], 1)
        # The site sees the program, and the event once business logic has granted it the target.
        assert [p.id for p in site.programs()] == [p.id for p in utility.programs()] == [program["id"]]
        assert site.events() == []
        ven = utility.create_ven(
            {
                "objectType": "BL_VEN_REQUEST",
                "clientID": "site",
                "venName": "site",
                "targets": ["feeder-17"],
            }
        )
        assert ven.status_code == 201, ven.text
        assert [e.id for e in site.events(targets="feeder-17")] == [event_id]
        assert [v.ven_name for v in site.vens()] == ["site"]
        # Killed in mid-event: the stations forget, the event, the token and the request are there.
        field.server.kill()
        for station in field.stations:
            station.limit_a = None
        field.server.start()
        until(lambda: field.load_kw() <= KW - 9.5)
        assert utility.get_event_by_id(event_id).json() == made.json()
        # A change and a cancel follow within seconds.
        more = field.vtn(
            intervals=[{"id": 0, "payloads": [{"type": "DISPATCH_SETPOINT_RELATIVE", "values": [-20]}]}]
        )
        assert utility.update_event(event_id, {"programID": program["id"], **more}).status_code == 200
        until(lambda: field.load_kw() <= KW - 19.5)
        assert utility.delete_event(event_id).status_code == 200
        until(lambda: field.load_kw() >= KW - 1)
        # What was reported while it ran stays, and the package reads it.
        reports = until(lambda: utility.reports(eventID=event_id))
        assert {r.client_id for r in reports} == {"emw"}
        assert site.reports() == []
