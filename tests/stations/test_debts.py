"""What is owed to a CSMS: in order, bounded, transactions never dropped, numbers changed wherever they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.stations.debts import MOST_OWED, MOST_READINGS, Debts, Full, is_reading, renamed

START, STOP, METER = "StartTransaction", "StopTransaction", "MeterValues"


def owe(debts: Debts, action: str, body: Any, ours: str | None = None) -> bool:
    return debts.owe("s", action, json.dumps(body).encode(), ours) is not None


@given(st.lists(st.sampled_from([START, STOP, METER]), max_size=600))
def test_in_order_and_no_transaction_is_dropped_for_readings(actions: list[str]) -> None:
    debts = Debts()
    for number, action in enumerate(actions):
        assert owe(debts, action, {"n": number})
    numbers = [f.number for f in debts.frames]
    assert numbers == sorted(set(numbers))
    kept = [json.loads(f.payload)["n"] for f in debts.frames if f.action != METER]
    assert kept == [n for n, action in enumerate(actions) if action != METER]
    readings = [json.loads(f.payload)["n"] for f in debts.frames if f.action == METER]
    assert readings == [n for n, action in enumerate(actions) if action == METER][-MOST_READINGS:]
    assert [f.number for f in Debts(debts.frames).frames] == numbers


def test_where_there_is_no_room_a_transaction_is_refused_and_a_reading_is_not() -> None:
    debts = Debts()
    for number in range(MOST_OWED):
        owe(debts, START, number)
    with pytest.raises(Full):
        owe(debts, STOP, 0)
    assert owe(debts, METER, 1)
    debts.forget(debts.frames[0])
    debts.forget(debts.frames[0])
    assert owe(debts, STOP, 0)


def test_said_again_it_is_owed_once() -> None:
    debts = Debts()
    assert owe(debts, START, {"meterStart": 1}, "7")
    assert not owe(debts, START, {"meterStart": 1}, "7")
    debts.forget(debts.frames[0])
    debts.names["7"] = "1000"
    assert not owe(debts, START, {"meterStart": 1}, "7"), "it has been told, and has its number"


@pytest.mark.parametrize(
    ("action", "body", "reading"),
    [
        (METER, {}, True),
        ("StatusNotification", {}, True),
        ("TransactionEvent", {"eventType": "Updated", "triggerReason": "MeterValuePeriodic"}, True),
        ("TransactionEvent", {"eventType": "Updated", "triggerReason": "ChargingStateChanged"}, False),
        ("TransactionEvent", {"eventType": "Ended", "triggerReason": "MeterValuePeriodic"}, False),
        (STOP, {}, False),
        ("SecurityEventNotification", {}, False),
    ],
)
def test_what_the_next_one_says_better(action: str, body: dict[str, Any], reading: bool) -> None:
    assert is_reading(action, json.dumps(body).encode()) is reading


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ({"transactionId": 7}, {"transactionId": 1000}),
        ({"csChargingProfiles": {"transactionId": 7}}, {"csChargingProfiles": {"transactionId": 1000}}),
        ({"transactionId": 8}, None),
        ({"connectorId": 7}, None),
        ([7], None),
    ],
)
def test_the_number_for_the_other_side(body: Any, changed: Any) -> None:
    text = json.dumps(body).encode()
    got = renamed(text, {"7": "1000"})
    assert (got == text) if changed is None else json.loads(got) == changed


@given(st.binary(max_size=80))
def test_no_payload_raises(payload: bytes) -> None:
    assert renamed(payload, {"7": "8"}) is not None
