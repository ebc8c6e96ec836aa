"""emw before another CSMS, killed with -9 while that CSMS is away: no transaction is lost, and each is told once."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.acceptance.driver import Server
from tests.ports import free_port
from tests.simulator.ocpp.central import central_system

SECRET = "of-the-csms"


class Stubborn:
    """A station that says a message again until it is answered, over as many connections as it takes."""

    def __init__(self, server: Server, secret: str) -> None:
        self.url = f"ws://127.0.0.1:{server.port}/ocpp/e0"
        self.headers = {"Authorization": "Basic " + base64.b64encode(f"e0:{secret}".encode()).decode()}
        self.socket: Any = None
        self.said = 0

    async def call(self, action: str, **body: Any) -> Any:
        async with asyncio.timeout(60):
            while True:
                try:
                    if self.socket is None:
                        self.socket = await connect(
                            self.url,
                            additional_headers=self.headers,
                            subprotocols=["ocpp1.6"],  # type: ignore[list-item]
                            compression=None,
                        )
                    self.said += 1
                    named = str(self.said)
                    await self.socket.send(json.dumps([2, named, action, body]))
                    return await self._answer(named)
                except (OSError, ConnectionClosed, InvalidStatus, TimeoutError):
                    self.socket = None
                    await asyncio.sleep(0.1)

    async def _answer(self, named: str) -> Any:
        while True:
            frame = json.loads(await self.socket.recv())
            if frame[0] == 2:
                answer: dict[str, Any] = {"status": "Rejected"}
                if frame[2] == "GetConfiguration":
                    answer = {"configurationKey": []}
                await self.socket.send(json.dumps([3, frame[1], answer]))
            elif frame[1] == named:
                assert frame[0] == 3, frame
                return frame[2]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def test_P1_after_kill_9_what_was_answered_for_the_csms_is_told_to_it(tmp_path: Path) -> None:
    port = free_port()
    settings = tmp_path / "emw.toml"
    settings.write_text(
        f"""
        [ocpp]
        territory = "East"
        [ocpp.proxy]
        url = "ws://127.0.0.1:{port}/{{stationID}}"
        password = "{SECRET}"
        hold_seconds = 0.2
        """
    )
    server = Server(tmp_path, EMW_CONFIG=str(settings))
    await asyncio.to_thread(server.start)
    try:
        await asyncio.to_thread(server.control.post, "/territories", {"territoryID": "East"})
        added = await asyncio.to_thread(server.control.post, "/stations", {"stationID": "e0"})
        station = Stubborn(server, added["secret"])
        async with central_system("ocpp1.6", {"e0": SECRET}, port):
            await station.call("BootNotification", chargePointModel="M", chargePointVendor="V")
            await station.call("StatusNotification", connectorId=1, errorCode="NoError", status="Available")
        numbers = []
        for stay in range(2):
            began = {"connectorId": 1, "idTag": "tag", "meterStart": 100 * stay, "timestamp": now()}
            told = await station.call("StartTransaction", **began)
            numbers.append(told["transactionId"])
            await asyncio.to_thread(server.kill)  # right after the answer
            await asyncio.to_thread(server.start)
            ended = {"transactionId": numbers[-1], "meterStop": 100 * stay + 50, "timestamp": now()}
            await station.call("StopTransaction", **ended)
        await asyncio.to_thread(server.kill)
        async with central_system("ocpp1.6", {"e0": SECRET}, port) as central:
            await asyncio.to_thread(server.start)
            await station.call("Heartbeat")
            await central.until("StopTransaction", 2)
            starts = [body["meterStart"] for body in central.said("StartTransaction")]
            stops = [
                (str(body["transactionId"]), body["meterStop"]) for body in central.said("StopTransaction")
            ]
            assert starts == [0, 100]
            assert stops == [(t, 100 * n + 50) for n, t in enumerate(central.transactions)]
            assert len(set(numbers)) == 2
    finally:
        await asyncio.to_thread(server.kill)
