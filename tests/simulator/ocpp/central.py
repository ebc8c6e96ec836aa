"""A foreign central system: the package `ocpp` over `websockets`, and a judge that holds every frame of a station
against the Open Charge Alliance's own schemas.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import jsonschema_rs
import ocpp
from ocpp import routing, v16, v21, v201
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

Handler = TypeVar("Handler", bound=Callable[..., Any])
on: Callable[[str], Callable[[Handler], Handler]] = routing.on  # the package has no types

NOW = "2026-05-05T12:00:00Z"


@cache
def validator(version: str, name: str) -> jsonschema_rs.Validator:
    folder = {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}[version]
    path = Path(ocpp.__file__).parent / folder / "schemas" / f"{name}.json"
    return jsonschema_rs.validator_for(json.loads(path.read_text("utf-8-sig")))


class Judge:
    """Reads along one connection; `faults` is what a station should not have sent."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.faults: list[str] = []
        self.said: list[tuple[str, dict[str, Any]]] = []
        self._asked: dict[str, str] = {}
        self._flying: set[str] = set()

    def sent(self, text: str) -> None:
        frame = json.loads(text)
        if frame[0] == 2:
            self._asked[frame[1]] = frame[2]
        else:
            self._flying.discard(frame[1])

    def received(self, text: str) -> None:
        frame = json.loads(text)
        kind, named = frame[0], frame[1]
        old = self.version == "ocpp1.6"
        if kind == 2:
            if self._flying:
                self.faults.append(f"two calls on their way: {frame[2]}")
            self._flying.add(named)
            self.said.append((frame[2], frame[3]))
            self._check(frame[2] if old else f"{frame[2]}Request", frame[3])
        elif kind == 3:
            self._check(f"{self._asked.pop(named)}Response", frame[2])
        elif kind == 4:
            self._asked.pop(named, None)
            if len(frame) != 5 or len(frame[3]) > 255:
                self.faults.append(f"no CALLERROR: {text}")
        if len(named) > 36:
            self.faults.append(f"an id too long: {named}")

    def _check(self, name: str, payload: Any) -> None:
        # A decimal fraction of ten is none in binary: by this rule of the schemas 8.1 A are wrong as well.
        found = [
            e for e in validator(self.version, name).iter_errors(payload) if "multiple of" not in e.message
        ]
        self.faults += [f"{name}: {e.message} at {list(e.instance_path)}" for e in found]


class Ear:
    """A connection that the judge reads along; the rest goes to `websockets`."""

    def __init__(self, socket: ServerConnection, judge: Judge, muted: Callable[[], bool]) -> None:
        self._socket = socket
        self._judge = judge
        self._muted = muted

    async def recv(self) -> Any:
        while True:
            text = await self._socket.recv()
            self._judge.received(text if isinstance(text, str) else text.decode())
            if not self._muted():
                return text

    async def send(self, text: str) -> None:
        self._judge.sent(text)
        await self._socket.send(text)


class Central16(v16.ChargePoint):  # type: ignore[misc]
    """A central system of 1.6 that believes everything."""

    central: "Central"

    @on("BootNotification")
    def boot(self, **_: Any) -> Any:
        self.central.boots += 1
        return v16.call_result.BootNotification(
            current_time=NOW, interval=self.central.heartbeat_s, status=self.central.boot_status
        )

    @on("Heartbeat")
    def beat(self) -> Any:
        return v16.call_result.Heartbeat(current_time=NOW)

    @on("StatusNotification")
    def status(self, **_: Any) -> Any:
        return v16.call_result.StatusNotification()

    @on("Authorize")
    def authorize(self, id_tag: str) -> Any:
        return v16.call_result.Authorize(id_tag_info={"status": self.central.verdict})

    @on("StartTransaction")
    def began(self, **_: Any) -> Any:
        self.central.number += 1
        self.central.transactions.append(str(self.central.number))
        return v16.call_result.StartTransaction(
            transaction_id=self.central.number, id_tag_info={"status": "Accepted"}
        )

    @on("StopTransaction")
    def ended(self, **_: Any) -> Any:
        return v16.call_result.StopTransaction()

    @on("MeterValues")
    def meter(self, **_: Any) -> Any:
        return v16.call_result.MeterValues()


class Central201(v201.ChargePoint):  # type: ignore[misc]
    """A central system of 2.0.1 that believes everything."""

    central: "Central"

    @on("BootNotification")
    def boot(self, **_: Any) -> Any:
        self.central.boots += 1
        return v201.call_result.BootNotification(
            current_time=NOW, interval=self.central.heartbeat_s, status=self.central.boot_status
        )

    @on("Heartbeat")
    def beat(self) -> Any:
        return v201.call_result.Heartbeat(current_time=NOW)

    @on("StatusNotification")
    def status(self, **_: Any) -> Any:
        return v201.call_result.StatusNotification()

    @on("Authorize")
    def authorize(self, **_: Any) -> Any:
        return v201.call_result.Authorize(id_token_info={"status": self.central.verdict})

    @on("TransactionEvent")
    def event(self, event_type: str, transaction_info: dict[str, Any], **_: Any) -> Any:
        if event_type == "Started":
            self.central.transactions.append(transaction_info["transaction_id"])
        return v201.call_result.TransactionEvent()

    @on("MeterValues")
    def meter(self, **_: Any) -> Any:
        return v201.call_result.MeterValues()

    @on("NotifyReport")
    def report(self, **_: Any) -> Any:
        return v201.call_result.NotifyReport()

    @on("ReportChargingProfiles")
    def profiles(self, **_: Any) -> Any:
        return v201.call_result.ReportChargingProfiles()


class Central21(Central201):
    """The same in 2.1: what both say alike, checked against the schemas of 2.1."""

    _call = v21.call
    _call_result = v21.call_result
    _ocpp_version = "2.1"


KINDS: dict[str, type[Any]] = {"ocpp1.6": Central16, "ocpp2.0.1": Central201, "ocpp2.1": Central21}


class Central:
    """A central system, what it heard, and how to ask. `muted`: hears and answers nothing."""

    def __init__(self, version: str, secrets: dict[str, str]) -> None:
        self.version = version
        self.secrets = dict(secrets)
        self.heartbeat_s = 300
        self.boot_status = "Accepted"
        self.verdict = "Accepted"
        self.muted = False
        self.boots = 0
        self.number = 0
        self.url = ""
        self.transactions: list[str] = []
        self.judges: dict[str, list[Judge]] = {}
        self.stations: dict[str, Any] = {}
        self.sockets: dict[str, ServerConnection] = {}
        self.refused = 0

    @property
    def words(self) -> ModuleType:
        """The CALLs of this version."""
        module: ModuleType = {"ocpp1.6": v16, "ocpp2.0.1": v201, "ocpp2.1": v21}[self.version].call
        return module

    def said(self, action: str, station: str = "e0") -> list[dict[str, Any]]:
        """What a station said under this name, over all its connections."""
        return [body for judge in self.judges.get(station, ()) for name, body in judge.said if name == action]

    async def until(self, action: str, count: int = 1, station: str = "e0", seconds: float = 60.0) -> Any:
        """Wait until a station has said something so often; the last one."""
        async with asyncio.timeout(seconds):
            while len(self.said(action, station)) < count:  # noqa: ASYNC110 - the package tells nobody
                await asyncio.sleep(0.005)
        return self.said(action, station)[-1]

    async def ask(self, name: str, **fields: Any) -> Any:
        """A CALL to the first station, and its answer; None where it was a CALLERROR."""
        return await self.stations["e0"].call(getattr(self.words, name)(**fields))

    @property
    def faults(self) -> list[str]:
        """What stations should not have sent, over all of them."""
        return [fault for judges in self.judges.values() for judge in judges for fault in judge.faults]

    async def connected(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        name = socket.request.path.rpartition("/")[2]
        judge = Judge(self.version)
        self.judges.setdefault(name, []).append(judge)
        station = KINDS[self.version](name, Ear(socket, judge, lambda: self.muted))
        station.central = self
        self.stations[name], self.sockets[name] = station, socket
        await station.start()

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        name = request.path.rpartition("/")[2]
        expected = base64.b64encode(f"{name}:{self.secrets.get(name)}".encode()).decode()
        if name not in self.secrets or request.headers.get("Authorization") != f"Basic {expected}":
            self.refused += 1
            return Response(401, "Unauthorized", Headers())
        return None


@asynccontextmanager
async def central_system(version: str, secrets: dict[str, str], port: int = 0) -> AsyncIterator[Central]:
    """A central system on a free port of loopback, or on this one."""
    central = Central(version, secrets)

    async def quietly(socket: ServerConnection) -> None:
        try:
            await central.connected(socket)
        except Exception as error:
            if (
                "close frame" not in str(error)
                and "received 100" not in str(error)
                and "sent 100" not in str(error)
            ):
                raise

    async with serve(
        quietly,
        "127.0.0.1",
        port,
        subprotocols=[Subprotocol(version)],
        process_request=central.check,
        close_timeout=0.2,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        central.url = f"ws://127.0.0.1:{port}/any/path"
        yield central
