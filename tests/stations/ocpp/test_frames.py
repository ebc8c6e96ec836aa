"""Frames that nobody should send: answered with a CALLERROR or a closed socket, and never more."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed

from tests.stations.ocpp.house import House, house, until
from tests.stations.ocpp.plain import boot, plain

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
ACTIONS = {
    "ocpp1.6": [
        "BootNotification", "Heartbeat", "StatusNotification", "Authorize", "StartTransaction", "StopTransaction",
        "MeterValues", "DataTransfer", "FirmwareStatusNotification", "Nothing",
    ],
    "ocpp2.0.1": [
        "BootNotification", "Heartbeat", "StatusNotification", "Authorize", "TransactionEvent", "MeterValues",
        "NotifyEVChargingNeeds", "NotifyReport", "DataTransfer", "Nothing",
    ],
}  # fmt: skip
ACTIONS["ocpp2.1"] = ACTIONS["ocpp2.0.1"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("NoSuchThing", {}, {"NotImplemented"}),
        ("BootNotification", {}, {"OccurrenceConstraintViolation", "OccurenceConstraintViolation"}),
        ("StatusNotification", {"connectorId": "one", "evseId": "one"}, {"TypeConstraintViolation"}),
        ("StatusNotification", {"connectorId": -1, "evseId": -1}, {"PropertyConstraintViolation"}),
        ("MeterValues", [], {"TypeConstraintViolation"}),
    ],
)
async def test_a_call_that_cant_be_taken_is_named(
    version: str, action: str, payload: Any, code: set[str], tmp_path: Path
) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, version) as it:
            told = await it.call(action, payload)
            assert told[0] in code
            assert (await it.call("Heartbeat", {}))["currentTime"]


async def test_a_frame_too_long_closes_and_one_in_parts_is_taken(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:

            async def parts() -> Any:
                for piece in ('[2,"p","Hea', 'rtbeat"', ",{}]"):
                    yield piece

            done = it._waiting["p"] = asyncio.get_running_loop().create_future()
            it.judge.hear('[2,"p","Heartbeat",{}]', from_emw=False)
            await it.socket.send(parts())
            assert (await asyncio.wait_for(done, 60))["currentTime"]
            await it.raw(json.dumps([2, "x", "DataTransfer", {"vendorId": "v", "data": "y" * 70_000}]))
            await asyncio.wait_for(it.socket.wait_closed(), 60)


async def test_bytes_close(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await it.socket.send(b"\x00\x01")
            await asyncio.wait_for(it.socket.wait_closed(), 60)
            assert it.socket.close_code == 1003


async def test_a_station_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            it.socket.transport.pause_reading()
            connection = h.hub.connected("CP1")
            assert connection is not None
            for _ in range(500):  # 30 MB: more than both kernels' buffers and ours take
                connection.send(b"[" + b" " * 60_000 + b"]")
            await until(lambda: h.hub.connected("CP1") is None)
            it.socket.transport.abort()


async def test_a_flood_is_slowed_down_but_not_what_belongs_to_charging(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            told = await asyncio.gather(*(it.call("Heartbeat", {}) for _ in range(60)))
            assert any(isinstance(t, tuple) and t[0] == "GenericError" for t in told)
            body = {
                "connectorId": 1,
                "meterValue": [{"timestamp": it.stamp(), "sampledValue": [{"value": "1"}]}],
            }
            for _ in range(200):
                assert await it.call("MeterValues", body) == {}


def mangled(rng: random.Random, actions: list[str]) -> bytes:
    """A frame as a broken station, or somebody else, might send it."""
    good = [
        2,
        str(rng.random()),
        rng.choice(actions),
        rng.choice(
            [
                {},
                {"connectorId": 1, "evseId": 1, "status": "Charging", "connectorStatus": "Occupied"},
                {"transactionId": -1, "meterStop": 5, "timestamp": "yesterday"},
                {"connectorId": 1, "idTag": "x" * 300, "meterStart": -5, "timestamp": "2026-01-01T00:00:00"},
                {
                    "connectorId": 1,
                    "evseId": 1,
                    "meterValue": [{"timestamp": "", "sampledValue": [{"value": "x"}]}],
                },
                {
                    "eventType": rng.choice(["Started", "Updated", "Ended", "Else"]),
                    "timestamp": "2026-01-01T00:00:00Z",
                    "triggerReason": "Trigger",
                    "seqNo": rng.choice([0, -1, 2**63 - 1]),
                    "transactionInfo": {"transactionId": rng.choice(["t", "", "\u0000", "x" * 255])},
                    "evse": {"id": rng.choice([0, 1, 999])},
                },
                {"chargingStation": {"model": "m", "vendorName": "v"}, "reason": "PowerUp"},
                {"idToken": {"idToken": "\ud800" if rng.random() < 0.1 else "a", "type": "Central"}},
            ]
        ),
    ]
    kind = rng.random()
    if kind < 0.4:
        return json.dumps(good).encode("utf-8", "surrogatepass")
    if kind < 0.5:
        return json.dumps([rng.choice([3, 4, 5, 6, 7]), "e1", *good[2:]]).encode("utf-8", "surrogatepass")
    text = bytearray(json.dumps(good).encode("utf-8", "surrogatepass"))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(text))
        if rng.random() < 0.5:
            text[at] = rng.randrange(256)
        else:
            del text[at]
    return bytes(text)


async def flood(h: House, version: str, secret: str, seed: int) -> int:
    """So many mangled frames of one connection after the other; how many were sent."""
    rng = random.Random(seed)
    sent = 0
    while sent < 400:
        async with plain(h, "CP1", secret, version) as it:
            with contextlib.suppress(ConnectionClosed):
                while sent < 400:
                    frame = mangled(rng, ACTIONS[version])
                    await it.raw(frame) if _is_text(frame) else await it.socket.send(frame, text=True)
                    sent += 1
            await asyncio.sleep(0)
    return sent


def _is_text(frame: bytes) -> bool:
    try:
        frame.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("version", VERSIONS)
async def test_A17_no_frame_is_more_than_refused(version: str, tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with house(tmp_path) as h:
            secret = await h.enrol("CP1")
            assert await flood(h, version, secret, seed=7) == 400
            async with plain(h, "CP1", secret, version) as it:
                assert (await boot(it))["status"] == "Accepted"
    assert [line for line in logs if line["event"] in {"ocpp.bug", "ocpp.socket"}] == []
