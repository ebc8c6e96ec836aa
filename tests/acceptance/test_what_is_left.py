"""A whole run with real processes, and then a search of all that it left behind and sent out (A18, A21, P8)."""

from __future__ import annotations

import json
import stat
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.acceptance.driver import Server, Station, wait_for

PASSWORD = "correct horse battery staple 4711"
CUSTOMER, VEHICLE = "Mustermann-Erika-4711", "WVWZZZ1JZ3W386752"


class Receiver:
    """A grid operator's door for reports: keeps every byte."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.heard.append(f"{self.path}\n{self.headers}\n{body.decode()}")
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class Run:
    """Everybody does what they do: secrets by what they are, and everything that went out."""

    def __init__(self, folder: Path, level: str) -> None:
        self.server = Server(
            folder,
            EMW_LOG_LEVEL=level,
            EMW_DISPATCH_GAP_SECONDS="1",
            EMW_DISPATCH_REPORT_INTERVAL_SECONDS="5",
            EMW_OPERATOR_OPEN_METRICS="true",
        )
        self.log = folder / "stderr.txt"
        self.secrets: dict[str, str] = {}
        self.out: list[str] = []
        self.cookies: dict[str, str] = {}

    def operator(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.server.operator_port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", **self.cookies},
        )
        with urllib.request.urlopen(request, timeout=60) as told:  # noqa: S310
            for cookie in told.headers.get_all("Set-Cookie", []):
                self.secrets["cookie"] = cookie.partition("=")[2].partition(";")[0]
            answer: bytes = told.read()
            return answer

    def play(self) -> None:
        with self.log.open("w") as stderr:
            self.server.stderr = stderr
            self.server.start()
            stations, receiver = [], Receiver()
            try:
                self._set_up()
                stations = self._stations()
                self._event(stations, receiver)
                self.server.kill()  # what a crash leaves counts, too
                self.server.start()
                stations[0].beat()
                self.out.append(self.operator("/metrics").decode())
            finally:
                assert self.server.stop() == 0
                for station in stations:
                    self.out += [
                        json.dumps(said) for _, path, said in station.told if path != "authWithControl"
                    ]
                    station.close()
                self.out += receiver.heard
                receiver.close()

    def _set_up(self) -> None:
        control, secrets = self.server.control, self.secrets
        secrets["setup"] = str(self.server.ready["setup"]).partition("#")[2]
        self.operator("/api/v1/setup", {"token": secrets["setup"], "name": "ann", "password": PASSWORD})
        told = json.loads(self.operator("/api/v1/login", {"name": "ann", "password": PASSWORD}))
        secrets["password"], secrets["csrf"] = PASSWORD, told["csrfToken"]
        control.post("/territories", {"territoryID": "East"})
        secrets["iso"] = control.post("/isos", {"isoID": "grid", "territories": ["East"]})["token"]
        secrets["key"] = control.post("/tokens", {"name": "meter reading"})["key"]

    def _stations(self) -> list[Station]:
        stations = []
        for n in range(2):
            secret = self.server.control.post("/stations", {"stationID": f"evse-{n}", "customerID": CUSTOMER})
            self.secrets[f"station {n}"] = secret["secret"]
            station = Station(self.server, f"evse-{n}", secret["secret"])
            station.customer, station.vehicle = CUSTOMER, VEHICLE
            for boot in range(2):
                station.power_on()
                self.secrets[f"token {n} of boot {boot}"] = station.token
            station.plug_in()
            station.beat()
            stations.append(station)
        return stations

    def _event(self, stations: list[Station], receiver: Receiver) -> None:
        server, iso = self.server, self.secrets["iso"]
        told = server.post("/iso/connected", {"accessURL": receiver.url}, iso)[1]
        self.secrets["report"] = told["reportToken"]
        asked = {"requestID": "r1", "territory": "East", "kW": 5, "durationMinutes": 30}
        self.out.append(json.dumps(server.post("/iso/decrease", asked, iso)[1]))
        wait_for(lambda: all(s.limit_a is not None for s in stations), 60)
        for n, station in enumerate(stations):
            shown = {s.partition(" ")[2] for s in station.shown if s}
            self.secrets |= {f"control {n} {i}": s for i, s in enumerate(sorted(shown))}
        # Guesses, of which the log may tell, and not what was guessed.
        self.secrets["guess"] = "es_this-was-a-guess-of-somebody"
        server.post("/evse/powerOff", {"evseID": "evse-0"}, self.secrets["guess"])
        server.get("/iso/requests", self.secrets["guess"])
        self._until("interval", stations, receiver)
        time.sleep(1.1)
        stations[1].unplug()
        server.post("/iso/returnToNormal", {"requestID": "r1"}, iso)
        self._until("final", stations[:1], receiver)
        self.out.append(json.dumps(server.get("/iso/requests", iso)[1]))
        self.out.append(json.dumps(server.get("/iso/requests/r1", iso)[1]))
        self.out.append(self.operator("/metrics").decode())
        assert server.process is not None
        self.out.append(Path(f"/proc/{server.process.pid}/cmdline").read_text())

    def _until(self, kind: str, stations: list[Station], receiver: Receiver) -> None:
        """Wait for a kind of report; stations that are silent meanwhile would be offline."""

        def came() -> bool:
            for station in stations:
                station.beat()
            return any(f'"{kind}"' in heard for heard in receiver.heard)

        wait_for(came, 60)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run, with all that emw ever says."""
    made = Run(tmp_path_factory.mktemp("run"), "debug")
    made.play()
    return made


def test_A18_no_secret_is_in_anything_that_a_run_leaves_behind(run: Run) -> None:
    left = {str(p): p.read_bytes() for p in run.server.data.rglob("*") if p.is_file()}
    assert {Path(name).name for name in left} >= {"emw.db", "server.key"}
    left["stderr"] = run.log.read_bytes()
    assert left["stderr"], "it logs something, or this test looks at nothing"
    assert len(run.secrets) >= 15
    for where, data in left.items():
        for what, secret in run.secrets.items():
            assert len(secret) >= 16, what
            assert secret.encode() not in data, f"{what} stands in {where}"
    key = (run.server.data / "server.key").read_bytes()
    for where, data in left.items():
        assert where.endswith("server.key") or key not in data, f"the server's key stands in {where}"


def test_A18_nor_in_what_it_sends_to_others_or_shows_of_itself(run: Run) -> None:
    for sent in run.out:
        for what, secret in run.secrets.items():
            if what == "report" and "reductionReport" in sent:
                continue  # its own
            assert secret not in sent, f"{what} is sent: {sent[:200]}"


def test_A18_A21_what_a_run_leaves_is_its_users_alone(run: Run) -> None:
    """Another account on this machine finds nothing open. (A stolen disk is for the disk's own encryption.)"""
    for path in (run.server.data, *run.server.data.rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, f"{path} is open to others"


def test_P8_no_driver_or_customer_is_named_in_anything_that_goes_out(run: Run) -> None:
    assert sum("reductionReport" in sent for sent in run.out) >= 3
    for sent in run.out:
        for who in (CUSTOMER, VEHICLE):
            assert who not in sent, sent[:300]


def test_P8_nor_in_the_log_as_it_is_usually_kept(run: Run) -> None:
    said = [json.loads(line) for line in run.log.read_text().splitlines() if line.startswith("{")]
    assert said
    for line in said:
        if line["level"] != "debug":
            assert CUSTOMER not in str(line), line
            assert VEHICLE not in str(line), line


def test_A21_who_did_what_stays_on_the_record_and_doctor_says_so(run: Run) -> None:
    server = run.server
    rows = server.control.get("/activity", limit=1000)["items"]
    actors = {row["actor"] for row in rows}
    assert {"iso:grid", "station:evse-0", "operator:local", "setup", "emw"} <= actors
    assert all(row["actor"] for row in rows)
