"""A real server process and hand-driven stations over real sockets: what a test needs to kill and to look."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import IO, Any

from emw.app.config import Config
from emw.cli.control import Control
from tests.loop import waited_s
from tests.ports import free_port


class Server:
    """`emw serve` in a process of its own, on a folder that outlives it."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.data = folder / "d"
        self.port, self.operator_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "EMW_OUTGOING_NETWORKS": '["127.0.0.0/8"]',
            "EMW_STATIONS_HEARTBEAT_SECONDS": "2",
            **environment,
        }
        self.process: subprocess.Popen[str] | None = None
        self.stderr: IO[str] | None = None
        """Where it logs; None: where this test does."""
        self.ready: dict[str, Any] = {}
        """What it said when it was ready."""
        self.control = Control(Config(data_dir=str(self.data)), first=True)

    def start(self) -> float:
        """Start it; returns how long it took to serve, s, without what it waited for a processor."""
        began = time.monotonic()
        self.launch()
        self.ready = self.told()
        assert self.ready["ready"] is True
        return time.monotonic() - began - self.waited_s

    def launch(self, *options: str) -> None:
        """Start it, and don't wait until it serves."""
        command = [sys.executable, "-m", "emw", "serve", "--json", "--data-dir", str(self.data)]
        command += [
            *options,
            "--stations",
            f"127.0.0.1:{self.port}",
            "--operator",
            f"127.0.0.1:{self.operator_port}",
        ]
        self.process = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=self.stderr, text=True
        )

    def told(self) -> dict[str, Any]:
        """The next line it says; waits for it."""
        assert self.process is not None
        assert self.process.stdout is not None
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line

    @property
    def waited_s(self) -> float:
        """For how long it has waited for a processor since its start, s: others have the machine, too."""
        assert self.process is not None
        return waited_s(self.process.pid)

    def kill(self) -> None:
        """Kill -9: no goodbye."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close_pipe()

    def stop(self) -> int:
        """SIGTERM: a clean stop; returns its exit status."""
        assert self.process is not None
        self.process.terminate()
        status = self.process.wait(timeout=60)
        self.close_pipe()
        return status

    def close_pipe(self) -> None:
        """The process is gone: let go of what it said."""
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()

    def post(self, path: str, body: dict[str, Any], token: str) -> tuple[int, dict[str, Any]]:
        """POST JSON to the station plane."""
        return self._ask("POST", path, json.dumps(body).encode(), token)

    def get(self, path: str, token: str) -> tuple[int, dict[str, Any]]:
        """GET from the station plane."""
        return self._ask("GET", path, None, token)

    def _ask(self, method: str, path: str, body: bytes | None, token: str) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, body, headers, method=method)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")


class Station:
    """A station as simple as can be: remembers what it was told, can forget it."""

    def __init__(self, server: Server, evse_id: str, secret: str, *, territory: str = "East") -> None:
        self.server, self.evse_id, self.secret, self.territory = server, evse_id, secret, territory
        self.limit_a: float | None = None
        self.told: list[tuple[float, str, dict[str, Any]]] = []
        self.shown: list[str] = []
        """The credential that came with each call."""
        self.customer, self.vehicle = "c", ""
        self.token = ""
        self.sessions: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        Thread(target=self._http.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        station = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                path = self.path.rsplit("/", 1)[-1]
                station.told.append((time.monotonic(), path, said))
                station.shown.append(self.headers.get("Authorization", ""))
                answer: dict[str, Any] = {}
                if path == "setMaxAmps":
                    station.limit_a = said["maxAmps"]
                    answer = {"maxAmps": said["maxAmps"]}
                elif path == "returnToNormalAmps":
                    station.limit_a = None
                    answer = {"maxAmps": 32.0}
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        return Handler

    def power_on(self) -> None:
        """Introduce itself."""
        status, answer = self.server.post(
            "/evse/powerOn",
            {
                "evseID": self.evse_id,
                "evseModel": "test",
                "customerID": self.customer,
                "lineVoltage": 230,
                "status": "available",
                "location": {"territory": self.territory},
                "accessURL": f"http://127.0.0.1:{self._http.server_port}",
                "evseMaxAmps": 32,
            },
            self.secret,
        )
        assert status == 200, answer
        self.token = answer["token"]

    def plug_in(self) -> str:
        """A car comes; returns the acknowledged session."""
        status, answer = self.server.post(
            "/evse/plugIntoVehicle",
            {
                "evseID": self.evse_id,
                "lineVoltage": 230,
                "evseMaxAmps": 32,
                "carMaxAmps": 32,
                **({"vehicle": self.vehicle} if self.vehicle else {}),
            },
            self.token,
        )
        assert status == 200, answer
        self.sessions.append(answer["sessionID"])
        return str(answer["sessionID"])

    def unplug(self) -> None:
        """The car leaves."""
        status, answer = self.server.post(
            "/evse/unplugged", {"evseID": self.evse_id, "energyKWh": 1.0}, self.token
        )
        assert status == 200, answer
        self.limit_a = None

    def beat(self) -> tuple[int, dict[str, Any]]:
        """A heartbeat with what it really draws."""
        return self.server.post("/evse/plugInHeartBeat", self.beat_body(), self.token)

    def beat_body(self) -> dict[str, Any]:
        """What a heartbeat says now."""
        amps = 32.0 if self.limit_a is None else min(self.limit_a, 32.0)
        return {
            "evseID": self.evse_id,
            "timestamp": datetime.now(UTC).isoformat(),
            "lineVoltage": 230,
            "currentAmps": amps,
            "evseMaxAmps": 32,
            "carMaxAmps": 32,
            "limitAmps": self.limit_a,
        }

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()


def field(server: Server, count: int) -> tuple[list[Station], str]:
    """A territory, an ISO, and stations with a car."""
    server.control.post("/territories", {"territoryID": "East"})
    token = server.control.post("/isos", {"isoID": "grid", "territories": ["East"]})["token"]
    stations = []
    for n in range(count):
        secret = server.control.post("/stations", {"stationID": f"evse-{n}"})["secret"]
        stations.append(Station(server, f"evse-{n}", secret))
        stations[-1].power_on()
        stations[-1].plug_in()
        stations[-1].beat()
    return stations, token


def wait_for(what: Callable[[], bool], seconds: float) -> float:
    """Wait until it is true; returns how long it took. Fails after `seconds`."""
    began = time.monotonic()
    while not what():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.05)
    return time.monotonic() - began
