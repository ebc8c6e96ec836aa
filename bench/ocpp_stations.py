"""The stations of the OCPP bench: raw clients that cost next to nothing, so that what is measured is the server."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from datetime import datetime
from typing import Any

KEY = base64.b64encode(b"0123456789abcdef").decode()


def sampled(at: str) -> list[dict[str, Any]]:
    """Six sampled values, as a three-phase station sends them."""
    told = [
        {"value": "7360.0", "measurand": "Power.Active.Import", "unit": "W"},
        {"value": "10.7", "measurand": "Current.Import", "phase": "L1", "unit": "A"},
        {"value": "10.6", "measurand": "Current.Import", "phase": "L2", "unit": "A"},
        {"value": "10.7", "measurand": "Current.Import", "phase": "L3", "unit": "A"},
        {"value": "230.1", "measurand": "Voltage", "phase": "L1-N", "unit": "V"},
        {"value": "12345", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
    ]
    return [{"timestamp": at, "sampledValue": told}]


def meter_values(at: datetime, transaction: int) -> bytes:
    """One MeterValues CALL."""
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"connectorId": 1, "transactionId": transaction, "meterValue": sampled(stamp)}
    return json.dumps([2, "19223201", "MeterValues", body], separators=(",", ":")).encode()


def masked(payload: bytes) -> bytes:
    """A client's text frame; its mask is zero, which changes nothing and is a mask all the same."""
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else struct.pack("!BBH", 0x81, 0xFE, size)
    return head + b"\x00\x00\x00\x00" + payload


class Station(asyncio.Protocol):
    """A raw client: shakes hands, then hands each text frame on."""

    def __init__(self, path: str, version: str) -> None:
        self.request = (
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {version}\r\n\r\n"
        ).encode()
        self.got = bytearray()
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.open.done():
            self.open.set_exception(ConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        got = self.got
        got += data
        if not self.open.done():
            end = got.find(b"\r\n\r\n")
            if end < 0:
                return
            if not got.startswith(b"HTTP/1.1 101"):
                self.open.set_exception(ConnectionError(bytes(got[:80]).decode()))
                return
            del got[: end + 4]
            self.open.set_result(None)
        while len(got) >= 2:
            size, start = got[1] & 0x7F, 2
            if size == 126:
                if len(got) < 4:
                    return
                size, start = struct.unpack_from("!H", got, 2)[0], 4
            if len(got) < start + size:
                return
            kind, payload = got[0] & 0x0F, bytes(got[start : start + size])
            del got[: start + size]
            if kind == 1:
                self.frame(payload)

    def frame(self, payload: bytes) -> None:
        """A text frame came."""

    def send(self, payload: bytes) -> None:
        self.transport.write(masked(payload))


class Metering(Station):
    """Always has one MeterValues waiting for its answer, each a second later than the one before."""

    def __init__(self, path: str, version: str, tally: list[int], frames: list[bytes]) -> None:
        super().__init__(path, version)
        self.tally = tally
        self.frames = frames
        self.number = 0
        self.going = False

    def frame(self, payload: bytes) -> None:
        if payload.startswith(b"[4"):
            raise SystemExit(f"refused: {payload[:200]!r}")
        if not self.number or (payload.startswith(b"[2") and b"MeterValues" not in payload):
            return  # answers to what came before, and emw's own questions, which stay unanswered here
        self.tally[0] += 1
        if self.going:
            self.go()

    def rest(self) -> None:
        """Send no more."""
        self.going = False

    def go(self) -> None:
        """Send the next."""
        self.going = True
        self.number += 1
        self.transport.write(self.frames[self.number % len(self.frames)])


class Obeying(Station):
    """Accepts every CALL."""

    def frame(self, payload: bytes) -> None:
        if payload.startswith(b"[2"):
            named = payload.split(b'"', 2)[1]
            self.send(b'[3,"%b",{"status":"Accepted"}]' % named)
