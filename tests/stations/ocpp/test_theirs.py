"""Profiles of a station's CSMS: what they allow, and what is left of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from emw.stations.ocpp.theirs import after_clear, after_set, after_update, cap_a, covered, is_free
from emw.stations.ocpp.traits import Purpose, Their

NOW = datetime(2026, 5, 5, 12, tzinfo=UTC)


def told(
    limit: float, *, unit: str = "A", number: int = 1, place: int = 1, level: int = 1, **more: Any
) -> bytes:
    schedule = {"chargingRateUnit": unit, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    body = {
        "chargingProfileId": number,
        "stackLevel": level,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
        **more,
    }
    return json.dumps({"connectorId": place, "csChargingProfiles": body}).encode()


def cap(held: tuple[Their, ...], purpose: Purpose = Purpose.TX, number: int = 1) -> float:
    return cap_a(covered(held, number, purpose, "7", NOW), 16.0, 0.69)


def test_the_lowest_that_ours_would_hide() -> None:
    held = after_set(after_set((), told(12.0)), told(9.0, number=2, place=0, level=2))
    assert cap(held) == 9.0
    assert cap(held, number=2) == 9.0, "0 is the whole station"
    assert cap(held, Purpose.STATION_MAX) == 16.0, "limits of other purposes hold beside it"


def test_power_is_counted_in_amps_of_the_evse() -> None:
    assert cap(after_set((), told(6_900.0, unit="W"))) == pytest.approx(10.0)


def test_one_that_is_over_or_of_another_transaction_counts_no_more() -> None:
    over = after_set((), told(9.0, validTo="2026-05-05T11:59:59Z"))
    other = after_set((), told(9.0, chargingProfilePurpose="TxProfile", transactionId=8))
    assert cap(over) == cap(other) == 16.0
    assert cap(after_set((), told(9.0, chargingProfilePurpose="TxProfile", transactionId=7))) == 9.0


@pytest.mark.parametrize(("unit", "limit", "amps"), [("A", 8.0, 8.0), ("W", 5_520.0, 8.0), ("A", -3.0, 0.0)])
@pytest.mark.parametrize("word", ["limit", "setpoint"])
def test_one_that_is_changed_in_place_counts_as_changed(
    word: str, unit: str, limit: float, amps: float
) -> None:
    held = after_set((), told(13.0 if unit == "A" else 8_970.0, unit=unit))
    changed = json.dumps({"chargingProfileId": 1, "scheduleUpdate": {word: limit}}).encode()
    assert cap(after_update(held, changed)) == pytest.approx(amps)
    assert cap(after_update(held, changed.replace(b": 1", b": 2", 1))) == pytest.approx(13.0)
    assert after_update(held, b'{"chargingProfileId": 1, "scheduleUpdate": {}}') == held
    assert after_update(held, b"{}") == held


@pytest.mark.parametrize("number", [1, 2])
def test_the_same_id_or_the_same_place_replaces(number: int) -> None:
    assert cap(after_set(after_set((), told(9.0)), told(12.0, number=number))) == 12.0


def test_clearing_by_id_takes_one_and_without_takes_ours_along() -> None:
    held = after_set(after_set((), told(12.0)), told(9.0, number=2, level=2))
    left, ours = after_clear(held, b'{"id":2}')
    assert (cap(left), ours) == (12.0, False)
    assert after_clear(held, b"{}") == ((), True)
    left, ours = after_clear(held, b'{"chargingProfileCriteria":{"stackLevel":1}}')
    assert ([t.number for t in left], ours) == ([2], True)
    assert after_clear(held, b'{"id":4011}') == (held, True), "an id that is none of theirs may be ours"


def test_a_level_that_is_taken_is_not_free() -> None:
    held = covered(after_set((), told(9.0, level=3)), 1, Purpose.TX, None, NOW)
    assert is_free(held, Purpose.TX_DEFAULT, 4)
    assert not is_free(held, Purpose.TX_DEFAULT, 3)
    assert is_free(held, Purpose.TX, 3)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"connectorId":"x"}', b"\xff"])
def test_what_cannot_be_read_changes_nothing(payload: bytes) -> None:
    held = after_set((), told(9.0))
    assert after_set(held, payload) == held
