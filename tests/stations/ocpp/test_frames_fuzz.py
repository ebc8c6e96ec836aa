"""Any frames in any order, by Hypothesis: each CALL is answered or the socket closes, and what is left is legal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from emw.stations.ocppj import Version
from tests.stations.ocpp.house import House, house
from tests.stations.ocpp.schemas import Judge
from tests.stations.ocpp.test_frames import ACTIONS

NAMES = [
    "connectorId", "evseId", "status", "connectorStatus", "errorCode", "timestamp", "idTag", "idToken", "type",
    "meterStart", "meterStop", "transactionId", "reason", "meterValue", "sampledValue", "value", "measurand",
    "phase", "unit", "unitOfMeasure", "multiplier", "context", "location", "eventType", "triggerReason", "seqNo",
    "transactionInfo", "chargingState", "evse", "id", "offline", "chargePointModel", "chargePointVendor",
    "chargingStation", "model", "vendorName", "vendorId", "transactionData",
]  # fmt: skip
WORDS = [
    "Available", "Charging", "Occupied", "Faulted", "Started", "Updated", "Ended", "MeterValuePeriodic", "Accepted",
    "2026-05-05T12:00:00Z", "yesterday", "9999-12-31T23:59:59+14:00", "Power.Active.Import", "L1", "kW", "Wh", "t1",
    "-1", "1e400", "NaN", "\x00", "\ud83d\ude00",
]  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, 2, -1, 999, 1001, 2**31, 2**63, -(2**63), 10**30])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=300)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=8),
    max_leaves=20,
)
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=10)

READING = {
    "timestamp": "2026-05-05T12:00:00Z",
    "sampledValue": [{"value": "7000", "measurand": "Power.Active.Import"}],
}
GOOD: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "ocpp1.6": [
        ("BootNotification", {"chargePointModel": "M", "chargePointVendor": "V"}),
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}),
        ("StartTransaction", {"connectorId": 1, "idTag": "t", "meterStart": 1, "timestamp": "2026-05-05T12:00:00Z"}),
        ("StopTransaction", {"transactionId": -1, "meterStop": 5, "timestamp": "2026-05-05T12:00:00Z"}),
        ("MeterValues", {"connectorId": 1, "meterValue": [READING]}),
    ],
    "ocpp2.1": [
        ("BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}),
        (
            "StatusNotification",
            {"timestamp": "2026-05-05T12:00:00Z", "evseId": 1, "connectorId": 1, "connectorStatus": "Occupied"},
        ),
        *(
            (
                "TransactionEvent",
                {
                    "eventType": kind,
                    "timestamp": "2026-05-05T12:00:00Z",
                    "triggerReason": "Trigger",
                    "seqNo": 0,
                    "transactionInfo": {"transactionId": "t1"},
                    "evse": {"id": 1},
                    "meterValue": [READING],
                },
            )
            for kind in ("Ended", "Updated", "Started")
        ),
    ],
}  # fmt: skip
GOOD["ocpp2.0.1"] = GOOD["ocpp2.1"]


def frames(version: str) -> st.SearchStrategy[bytes]:
    """One frame: right, nearly right, or anything."""
    named = st.text("abc1", min_size=1, max_size=5) | st.text(max_size=150) | st.just("-1")
    good = st.tuples(st.just(2), named, st.sampled_from(GOOD[version])).map(lambda x: [x[0], x[1], *x[2]])
    odd = st.tuples(st.just(2), named, st.sampled_from(ACTIONS[version]), BODIES).map(list)
    other = st.lists(st.sampled_from([2, 3, 4, 5, 6, 7, -1]) | VALUES, max_size=6)
    whole = (good | odd | other).map(lambda x: json.dumps(x).encode())
    nested = st.sampled_from(
        [b"[" * 5_000, b'[2,"n","Heartbeat",' + b'{"a":' * 2_000, b'[2,"l","Heartbeat",{}']
    )
    cut = st.tuples(whole, st.integers(0, 200)).map(lambda x: x[0][: x[1]])
    return whole | whole | cut | nested | st.binary(max_size=60)


class Wire:
    """A socket that keeps what it is told."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    def ping(self) -> None:
        return

    def close(self, code: int, reason: str) -> None:
        self.closed = True


async def say(h: House, version: Version, said: list[bytes]) -> Wire:
    """All of it over one connection, and then the socket is lost."""
    wire = Wire()
    connection = h.hub.open("CP1", version, wire, "test", proven=True, profile=1)
    for frame in said:
        if not wire.closed:
            connection.frame(frame)
    async with asyncio.timeout(60):
        while not (connection.idle or wire.closed):  # noqa: ASYNC110 - looks from outside
            await asyncio.sleep(0.001)
    connection.lost()
    return wire


def check(version: str, said: list[bytes], wire: Wire) -> None:
    """Every CALL that has a name was answered; every CALL of ours is as its schema says."""
    judge = Judge(version)
    asked: list[str] = []
    for frame in said:
        try:
            parts = json.loads(frame)
            if isinstance(parts, list) and len(parts) >= 4 and parts[0] == 2 and isinstance(parts[0], int):
                named = parts[1] if isinstance(parts[1], str) and len(parts[1]) <= 144 else "-1"
                asked.append(named)
        except (ValueError, RecursionError):
            continue
    results: list[str] = []
    errors: list[str] = []
    for frame in wire.sent:
        kind, named, *_ = json.loads(frame)
        if kind == 2:
            judge.hear(frame, from_emw=True)
        else:
            assert kind in {3, 4}
            (results if kind == 3 else errors).append(named)
    for named in set(asked) - {"-1"}:
        assert results.count(named) <= asked.count(named), (named, said, wire.sent)
        if not wire.closed:  # what is no CALL may have been refused under the same name
            assert results.count(named) + errors.count(named) >= asked.count(named), (named, said, wire.sent)


def legal(h: House) -> None:
    """What is left is what could be."""
    state = h.headend.state
    for evse in state.evses.values():
        assert evse.session_id is None or state.sessions[evse.session_id].evse_id == evse.evse_id
        assert evse.max_a > 0
    for key, transaction in state.transactions.items():
        assert key == (transaction.station_id, transaction.transaction_id)
        assert transaction.ended_at is None
    for reading in (live.reading for live in h.headend.telemetry.live.values()):
        assert reading is None or 0 <= reading.kw <= 30 * 22.08 * 1.001


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[asyncio.AbstractEventLoop, House]]:
    """One head-end for all examples, on a loop of its own."""
    loop = asyncio.new_event_loop()
    stack = AsyncExitStack()
    h = loop.run_until_complete(stack.enter_async_context(house(tmp_path)))
    loop.run_until_complete(h.enrol("CP1"))
    try:
        yield loop, h
    finally:
        loop.run_until_complete(stack.aclose())
        loop.close()


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
def test_A17_any_frames_in_any_order(version: str, world: tuple[asyncio.AbstractEventLoop, House]) -> None:
    loop, h = world

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(frames(version), max_size=12))
    def any_frames(said: list[bytes]) -> None:
        with capture_logs() as logs:
            wire = loop.run_until_complete(say(h, Version(version), said))
        assert [line for line in logs if line["event"] in {"ocpp.bug", "ocpp.socket"}] == []
        check(version, said, wire)
        legal(h)

    any_frames()
