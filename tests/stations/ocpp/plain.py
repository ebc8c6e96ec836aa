"""A station as bare frames: says exactly what a test wants; every frame of emw is judged by its schema."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.stations.ocpp.foreign import stamp
from tests.stations.ocpp.house import House
from tests.stations.ocpp.schemas import Judge

Answer = Callable[[str, dict[str, Any]], Any]
SILENT = object()
"""An answer that is none."""


class Refuse(Exception):
    """Answer with this CALLERROR."""


class Plain:
    """One connection. `answer(action, payload)` says what emw's CALLs get."""

    def __init__(self, house: House, socket: ClientConnection, version: str, answer: Answer | None) -> None:
        self.house = house
        self.socket = socket
        self.judge = Judge(version)
        self.answer = answer or polite
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.most_flying = 0
        self._flying = 0
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._next = 0
        self.listening = asyncio.create_task(self._listen())

    def now(self) -> datetime:
        return self.house.parts.clock.now()

    def stamp(self) -> str:
        return stamp(self.now())

    async def call(self, action: str, payload: dict[str, Any], named: str | None = None) -> Any:
        """Say something and wait for the answer: its payload, or (code, why) where it is refused."""
        self._next += 1
        named = named or f"c{self._next}"
        done = self._waiting[named] = asyncio.get_running_loop().create_future()
        await self.raw(json.dumps([2, named, action, payload]))
        async with asyncio.timeout(60):
            return await done

    async def raw(self, frame: str | bytes) -> None:
        with contextlib.suppress(json.JSONDecodeError, IndexError, KeyError, TypeError, UnicodeDecodeError):
            self.judge.hear(frame, from_emw=False)
        await self.socket.send(frame, text=True)

    def names(self, action: str) -> list[dict[str, Any]]:
        """The payloads of one action that emw has sent."""
        return [payload for name, payload in self.asked if name == action]

    async def _listen(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in self.socket:
                self.judge.hear(frame, from_emw=True)
                kind, named, *rest = json.loads(frame)
                if kind == 2:
                    self._flying += 1
                    self.most_flying = max(self.most_flying, self._flying)
                    self.asked.append((rest[0], rest[1]))
                    await self._reply(named, *rest)
                elif named in self._waiting:
                    self._waiting.pop(named).set_result(rest[0] if kind == 3 else (rest[0], rest[1]))

    async def _reply(self, named: str, action: str, payload: dict[str, Any]) -> None:
        try:
            told = self.answer(action, payload)
        except Refuse as refuse:
            frame = [4, named, str(refuse), "", {}]
        else:
            if told is SILENT:
                return
            frame = [3, named, told]
        self._flying -= 1
        await self.raw(json.dumps(frame))


def polite(action: str, payload: dict[str, Any]) -> Any:
    """What a station that can do all this says."""
    if action == "GetConfiguration":
        return {"configurationKey": []}
    if action == "GetVariables":
        return {
            "getVariableResult": [
                {"attributeStatus": "UnknownVariable", **asked} for asked in payload["getVariableData"]
            ]
        }
    if action == "SetVariables":
        return {"setVariableResult": [{"attributeStatus": "Accepted", **payload["setVariableData"][0]}]}
    if action == "GetCompositeSchedule":
        return {"status": "Rejected"}
    return {"status": "Accepted"}


@contextlib.asynccontextmanager
async def plain(
    house: House, station_id: str, secret: str | None, version: str = "ocpp1.6", answer: Answer | None = None
) -> AsyncGenerator[Plain, None]:
    """A connected bare station."""
    socket = await house.socket(station_id, secret, version)
    it = Plain(house, socket, version, answer)
    try:
        yield it
    finally:
        await socket.close()
        async with asyncio.timeout(60):
            await it.listening


async def boot(it: Plain, firmware: str = "1") -> Any:
    """Boot and show one connector."""
    if it.judge.version == "ocpp1.6":
        who = {"chargePointModel": "M", "chargePointVendor": "V", "firmwareVersion": firmware}
        told = await it.call("BootNotification", who)
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": it.stamp()}
    else:
        station = {"model": "M", "vendorName": "V", "firmwareVersion": firmware}
        told = await it.call("BootNotification", {"reason": "PowerUp", "chargingStation": station})
        status = {
            "evseId": 1,
            "connectorId": 1,
            "connectorStatus": "Available",
            "timestamp": it.stamp(),
        }
    await it.call("StatusNotification", status)
    return told


async def start(it: Plain, *, at: datetime | None = None, meter: int = 1000, connector: int = 1) -> int:
    """1.6: a transaction begins; its number."""
    told = await it.call(
        "StartTransaction",
        {
            "connectorId": connector,
            "idTag": "tag",
            "meterStart": meter,
            "timestamp": it.stamp() if at is None else stamp(at),
        },
    )
    assert told["idTagInfo"]["status"] == "Accepted"
    number: int = told["transactionId"]
    return number


async def stop(it: Plain, number: int, *, at: datetime | None = None, meter: int = 2000) -> Any:
    """1.6: a transaction ends."""
    when = it.stamp() if at is None else stamp(at)
    return await it.call("StopTransaction", {"transactionId": number, "meterStop": meter, "timestamp": when})


async def meter(it: Plain, watts: float, number: int | None = None, *, at: datetime | None = None) -> Any:
    """1.6: a reading."""
    sampled = [{"value": str(watts), "measurand": "Power.Active.Import", "unit": "W"}]
    body: dict[str, Any] = {
        "connectorId": 1,
        "meterValue": [{"timestamp": it.stamp() if at is None else stamp(at), "sampledValue": sampled}],
    }
    return await it.call("MeterValues", body if number is None else {**body, "transactionId": number})
