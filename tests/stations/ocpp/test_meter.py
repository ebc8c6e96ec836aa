"""Meter values in all the shapes that stations send: one reading."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.stations.ocpp import wire16, wire201
from emw.stations.ocpp.meter import NOTHING, Metered, MeterMemory, normalise
from emw.stations.ocpp.wire import MeterValue, Usual
from emw.stations.ocppj import Call, Conversation, Version

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def values(*samples: dict[str, Any], at: datetime = NOW) -> list[MeterValue]:
    return msgspec.convert([{"timestamp": at.isoformat(), "sampledValue": list(samples)}], list[MeterValue])


def s(value: Any, measurand: str | None = None, **more: Any) -> dict[str, Any]:
    return {"value": value, **({"measurand": measurand} if measurand else {}), **more}


def read(*samples: dict[str, Any], memory: MeterMemory = NOTHING, at: datetime = NOW) -> Metered | None:
    return normalise(values(*samples, at=at), memory, at, 230.0, 3)[0]


P, A, V = "Power.Active.Import", "Current.Import", "Voltage"


@pytest.mark.parametrize(
    ("samples", "watts"),
    [
        ([s("7400.5", P, unit="W")], 7400.5),
        ([s("7.4", P, unit="kW")], 7400.0),
        ([s(7.4, P, unitOfMeasure={"unit": "W", "multiplier": 3})], 7400.0),
        ([s("7400", P), s("99", P, phase="L1")], 7400.0),
        ([s("2000", P, phase="L1"), s("1000", P, phase="L2"), s("500", P, phase="L3")], 3500.0),
        ([s("2000", P, phase="L1-N"), s("1000", P, phase="L2-N")], 3000.0),
        ([s("10", A, phase="L1"), s("5", A, phase="L2"), s("0", A, phase="L3")], 3450.0),
        ([s("10", A, phase="L1"), s("235", V, phase="L1-N")], 2350.0),
        ([s("10", A, phase="L1"), s("400", V, phase="L1-L2")], 10 * 400 / 3**0.5),
        ([s("10", A)], 6900.0),
        ([s("10", A, phase="N")], 6900.0),
        ([s("6000", P, location="Outlet"), s("9000", P, location="Inlet")], 6000.0),
        ([s("9000", P, location="Inlet")], 9000.0),
        ([s("6000", P), s("8000", P, context="Transaction.Begin")], 6000.0),
        ([s("6000", P), s("7000", "Power.Offered"), s("80", "SoC", unit="Percent")], 6000.0),
        ([s("-20", P)], 0.0),
        ([s("7400", P, context="Trigger")], 7400.0),
        ([s("7400", P), s(None, V), {"measurand": A}], 7400.0),
    ],
)
def test_power(samples: list[dict[str, Any]], watts: float) -> None:
    got = read(*samples)
    assert got is not None
    assert got.live
    assert got.power_w == pytest.approx(watts)


@pytest.mark.parametrize(
    ("samples", "wh"),
    [
        ([s("1500")], 1500.0),
        ([s("1.5", unit="kWh")], 1500.0),
        ([s(1.5, unitOfMeasure={"unit": "kWh"})], 1500.0),
        ([s("500", phase="L1"), s("600", phase="L2"), s("400", phase="L3")], 1500.0),
        ([s("1500", context="Transaction.Begin")], 1500.0),
        ([{"value": "1500", "measurand": None}], 1500.0),
    ],
)
def test_energy(samples: list[dict[str, Any]], wh: float) -> None:
    got = read(*samples)
    assert got is not None
    assert got.energy_wh == pytest.approx(wh)
    assert got.power_w is None


@pytest.mark.parametrize(
    "samples",
    [
        [s("no number", P)],
        [s("nan", P)],
        [s("1e300", P)],
        [s("6000", P, context="Transaction.End")],
        [s("6000", "Power.Active.Export")],
        [s("6000", P, format="SignedData")],
        [s("6000", P, location="EV")],
        [],
    ],
)
def test_what_says_nothing_of_now(samples: list[dict[str, Any]]) -> None:
    got = read(*samples)
    assert got is None or not got.live or got.power_w is None


@pytest.mark.parametrize(("amps", "used"), [((16, 16, 16), 3), ((16, 0.2, 0), 1), ((2, 0, 0), None)])
def test_phases_in_use(amps: tuple[float, ...], used: int | None) -> None:
    got = read(*(s(a, A, phase=f"L{n}") for n, a in enumerate(amps, 1)))
    assert got is not None
    assert got.phases == used
    assert got.current_a == max(amps)


def test_a_meter_with_a_register_alone_shows_power_by_its_slope() -> None:
    memory = NOTHING
    shown = []
    for minute in range(4):
        at = NOW + timedelta(minutes=minute)
        got, memory = normalise(
            values(s(1000 + 120 * minute), at=at), memory, at, to_neutral_v=230.0, phases=3
        )
        assert got is not None
        shown.append(got.power_w)
    assert shown[0] is None
    assert shown[1:] == pytest.approx([7200.0] * 3)


@pytest.mark.parametrize(
    ("registers", "watts"),
    [
        # It leaps, and counts on: what lies before the leap is let go after a quarter of an hour.
        ([0, 100, 500_000, 500_100], [None, 6_000.0, None, None]),
        # It counts ten times too fast, as one that means Wh and says 10 Wh does.
        ([0, 1_000, 2_000], [None, None, None]),
        # A coarse one counts 100 Wh at a time, more than its EVSE draws, then nothing: no more than its step is wrong.
        ([0, 100, 100, 200], [None, 6_000.0, 0.0, 6_000.0]),
        # A step that can't be is spread over the time since the one before.
        ([0, 250, 250, 250], [None, None, 7_500.0, 0.0]),
    ],
)
def test_a_register_that_counts_faster_than_its_evse_draws_shows_no_power(
    registers: list[int], watts: list[float | None]
) -> None:
    memory, shown = NOTHING, []
    for minute, register in enumerate(registers):
        at = NOW + timedelta(minutes=minute)
        got, memory = normalise(values(s(register), at=at), memory, at, 230.0, 1, 3_680.0)
        shown.append(None if got is None else got.power_w)
    assert shown == pytest.approx(watts)


def test_a_power_of_nothing_is_not_believed_while_the_register_counts() -> None:
    memory = NOTHING
    shown = []
    for minute in range(4):
        at = NOW + timedelta(minutes=minute)
        told = values(s("0", P), s(1000 + 120 * minute), at=at)
        got, memory = normalise(told, memory, at, 230.0, 3)
        assert got is not None
        shown.append(got.power_w)
    assert shown == pytest.approx([0.0, 0.0, 7200.0, 7200.0])


def test_between_two_slopes_a_power_that_is_not_believed_is_none() -> None:
    """Every ten seconds a power of 0 while the register counts: it must not take the slope's place again."""
    memory = NOTHING
    shown = []
    for step in range(13):
        at = NOW + timedelta(seconds=10 * step)
        told = values(s("0", P), s(1000 + 20 * step), at=at)
        got, memory = normalise(told, memory, at, 230.0, 3)
        shown.append(None if got is None else got.power_w)
    assert shown[:6] == [0.0] * 6
    assert [w for w in shown[6:] if w is not None] == pytest.approx([7200.0] * 3)
    assert shown[7:9] == [None, None]


def test_a_power_that_is_not_believed_is_none_from_the_begin_of_the_next_transaction_on() -> None:
    """Its register begins at 0 again, or hours later: the meter is the same."""
    memory = MeterMemory(5_000.0, NOW, zeros=2)
    for begun in (NOW + timedelta(seconds=20), NOW + timedelta(hours=2)):
        for after_s, register, watts in ((0, 0, None), (10, 20, None), (40, 80, 7200.0)):
            at = begun + timedelta(seconds=after_s)
            got, memory = normalise(values(s("0", P), s(register), at=at), memory, at, 230.0, 3)
            assert got is not None
            assert got.power_w == (None if watts is None else pytest.approx(watts))
    later = NOW + timedelta(hours=2, minutes=2)
    got, memory = normalise(values(s("0", P), s(80), at=later), memory, later, 230.0, 3)
    assert got is not None
    assert got.power_w == 0.0  # the register stands still: now it is true


def test_of_several_moments_the_latest_counts_in_whatever_order() -> None:
    later = NOW + timedelta(minutes=1)
    told = values(s("7000", P), at=later) + values(s("3000", P))
    got, _ = normalise(told, NOTHING, later, 230.0, 3)
    assert got is not None
    assert (got.at, got.power_w) == (later, 7000.0)


SAMPLE = st.fixed_dictionaries(
    {"value": st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)},
    optional={
        "measurand": st.sampled_from([P, A, V, "Energy.Active.Import.Register", "SoC"]) | st.text(max_size=5),
        "phase": st.sampled_from(["L1", "L2", "L3", "N", "L1-N", "L1-L2"]) | st.text(max_size=3),
        "unit": st.sampled_from(["W", "kW", "Wh", "kWh", "A"]) | st.text(max_size=3),
        "context": st.sampled_from(["Sample.Periodic", "Transaction.Begin", "Trigger"]) | st.text(max_size=3),
        "location": st.sampled_from(["Outlet", "Inlet", "EV"]),
        "unitOfMeasure": st.fixed_dictionaries({}, optional={"multiplier": st.integers(-400, 400)}),
    },
)
EVENT = {
    "eventType": "Updated",
    "timestamp": NOW.isoformat(),
    "triggerReason": "MeterValuePeriodic",
    "seqNo": 1,
    "transactionInfo": {"transactionId": "t"},
}


@given(st.lists(SAMPLE, max_size=4), st.booleans())
def test_a_message_read_at_one_go_with_its_frame_says_what_it_says_part_by_part(
    samples: list[dict[str, Any]], v16: bool
) -> None:
    action, place = ("MeterValues", {"connectorId": 1}) if v16 else ("TransactionEvent", EVENT)
    usual = Usual(action, wire16.MeasuredValues if v16 else wire201.UsualEvent)
    kind = wire16.MeterValues if v16 else wire201.TransactionEvent
    moment = {"timestamp": NOW.isoformat(), "sampledValue": samples}
    frame = json.dumps([2, "19223201", action, {**place, "meterValue": [moment]}]).encode()
    whole = usual.read(frame)
    call = Conversation(Version.V16).receive(frame)
    assert isinstance(call, Call)
    if whole is None:
        return  # not as usual: it is read part by part
    said: Any = msgspec.json.decode(call.payload, type=kind)
    assert (whole.id, whole.action) == (call.id, call.action)
    assert whole.result(b"{}") == call.result(b"{}")
    assert normalise(whole.payload.meterValue, NOTHING, NOW, 230.0, 3) == normalise(
        said.meterValue, NOTHING, NOW, 230.0, 3
    )


def test_what_is_usual_is_read_at_one_go_and_nothing_else_is_taken_for_it() -> None:
    usual = Usual("MeterValues", wire16.MeasuredValues)
    sample = {
        "value": "7400.5",
        "measurand": P,
        "unit": "W",
        "context": "Sample.Periodic",
        "location": "Outlet",
    }
    body = {"connectorId": 1, "meterValue": [{"timestamp": "2026-05-04T12:00:00Z", "sampledValue": [sample]}]}
    assert usual.read(json.dumps([2, "1", "MeterValues", body]).encode()) is not None
    for frame in (
        [2, "MeterValues", "Heartbeat", body],
        [3, "1", {"MeterValues": 1}],
        [2, "1" * 145, "MeterValues", body],
        [2, "1", "MeterValues", {**body, "connectorId": -1}],
        [2, "1", "MeterValues"],
    ):
        assert usual.read(json.dumps(frame).encode()) is None


@given(st.lists(SAMPLE, max_size=8), st.lists(SAMPLE, max_size=8), st.integers(-10_000, 10_000))
def test_nothing_a_meter_says_raises_or_is_out_of_reason(
    first: list[dict[str, Any]], second: list[dict[str, Any]], seconds: int
) -> None:
    got, memory = normalise(values(*first), NOTHING, NOW, 230.0, 3)
    later = NOW + timedelta(seconds=seconds)
    again, _ = normalise(values(*second, at=later), memory, later, 230.0, 3)
    for reading in (got, again):
        if reading is not None and reading.power_w is not None:
            assert 0.0 <= reading.power_w <= 2_000_000.0
            assert reading.live
