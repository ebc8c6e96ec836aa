"""Transactions: told twice, late, in any order, over a lost connection and a restart, they are true once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.stations.ocpp.foreign import stamp
from tests.stations.ocpp.house import EAST, House, house, until
from tests.stations.ocpp.plain import Plain, boot, meter, plain, start, stop

NEW = "ocpp2.0.1"


def session(h: House, evse_id: str = "CP1:1") -> str | None:
    return h.evse(evse_id).session_id


async def rows(h: House) -> list[dict[str, Any]]:
    return await h.headend.book.transactions("CP1", 100)


async def test_the_same_start_gets_the_same_number_and_one_session(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            at = it.now()
            first = await start(it, at=at)
            await until(lambda: session(h))
            before = session(h)
            assert await start(it, at=at) == first
            assert session(h) == before
            assert await stop(it, first) == {}
            await until(lambda: session(h) is None)
            assert await start(it, at=at) == first  # replayed after its end: history
            assert session(h) is None
            assert await stop(it, first, meter=9_999) == {}
            (row,) = await rows(h)
            assert (row["meter_start_wh"], row["meter_stop_wh"]) == (1000.0, 2000.0)
            ended = [r for r in await h.headend.store.query("sessions") if r["ended_at"]]
            assert [r["energy_kwh"] for r in ended] == [1.0]


async def test_what_is_told_late_is_history_and_moves_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            old = it.now() - timedelta(hours=5)
            number = await start(it, at=old)
            assert session(h) is None
            await stop(it, number, at=old + timedelta(hours=1), meter=8_000)
            assert session(h) is None
            (row,) = await rows(h)
            assert (row["started_at"], row["meter_stop_wh"]) == (old, 8000.0)


@pytest.mark.parametrize("number", [-1, 0, 4711])
async def test_an_end_without_a_begin_is_answered(number: int, tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            assert await stop(it, number) == {}
            assert await stop(it, number) == {}


async def test_a_reconnect_without_boot_keeps_transaction_and_session(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            number = await start(it)
            await until(lambda: session(h))
            before = session(h)
        async with plain(h, "CP1", secret) as it:
            assert await meter(it, 7000.0, number) == {}
            assert session(h) == before
            assert h.headend.telemetry.drawn_kw("CP1:1") == pytest.approx(7.0)
            await stop(it, number)
            await until(lambda: session(h) is None)


async def test_a_restart_keeps_transaction_and_session(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            number = await start(it)
            await until(lambda: session(h))
    async with house(tmp_path) as h, plain(h, "CP1", secret) as it:
        assert session(h)
        assert await meter(it, 7000.0, number) == {}
        assert h.headend.telemetry.drawn_kw("CP1:1") == pytest.approx(7.0)
        assert await stop(it, number) == {}
        await until(lambda: session(h) is None)
        (row,) = await rows(h)
        assert row["ended_at"] is not None


async def test_power_without_a_begin_is_a_session(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            await meter(it, 20.0)
            assert session(h) is None
            await meter(it, 7000.0)
            assert session(h)
            status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
            await it.call("StatusNotification", {**status, "status": "Charging", "timestamp": it.stamp()})
            await it.call("StatusNotification", {**status, "timestamp": it.stamp()})
            assert session(h) is None


async def test_readings_told_late_begin_no_session_after_its_end(tmp_path: Path) -> None:
    """After an outage a station tells the end first, and then the readings that it kept."""
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            number = await start(it)
            await until(lambda: session(h))
            kept = it.now() - timedelta(seconds=20)
            await stop(it, number, at=it.now() - timedelta(seconds=10))
            await until(lambda: session(h) is None)
            await meter(it, 7000.0, at=kept)
            assert session(h) is None
            await meter(it, 7000.0)
            await until(lambda: session(h))


async def test_a_transaction_that_only_readings_name_is_limited_by_its_number(tmp_path: Path) -> None:
    """Begun under another central system, or told to nobody: it runs, and it ends when its end is told."""
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            assert await meter(it, 7000.0, 4711) == {}
            await until(lambda: session(h))
            assert h.headend.telemetry.drawn_kw("CP1:1") == pytest.approx(7.0)
            body = {"requestID": "r1", "territory": EAST, "kW": 2.0, "durationMinutes": 30}
            await h.iso("POST", "/iso/decrease", body)
            await until(lambda: it.names("SetChargingProfile"))
            profile = it.names("SetChargingProfile")[0]["csChargingProfiles"]
            assert (profile["chargingProfilePurpose"], profile["transactionId"]) == ("TxProfile", 4711)
            await stop(it, 4711)
            await until(lambda: session(h) is None)
            (row,) = await rows(h)
            assert (row["transaction_id"], row["meter_start_wh"]) == ("4711", None)


async def test_readings_do_not_bring_back_a_transaction_that_is_over(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            number = await start(it)
            await until(lambda: session(h))
            await stop(it, number)
            await until(lambda: session(h) is None)
            for watts in (0.0, 0.0, 7000.0):
                assert await meter(it, watts, number) == {}
            (row,) = await rows(h)
            assert row["ended_at"] is not None
            assert h.hub.peer("CP1").plugs[1].transaction_id is None


@pytest.mark.parametrize("number", [-1, 0])
async def test_a_number_that_is_none_names_no_transaction(number: int, tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            assert await meter(it, 7000.0, number) == {}
            assert await rows(h) == []


async def test_the_next_transaction_ends_one_whose_end_was_lost(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            first = await start(it, meter=1000)
            await until(lambda: session(h))
            before = session(h)
            second = await start(it, meter=5000)
            assert first != second
            await until(lambda: session(h) not in {None, before})
            # The lost end comes after all: it is kept, and the session that runs is left alone.
            await stop(it, first, meter=4500)
            told = {row["transaction_id"]: row for row in await rows(h)}
            assert told[str(first)]["meter_stop_wh"] == 4500.0
            assert told[str(first)]["meter_start_wh"] == 1000.0
            assert told[str(second)]["ended_at"] is None
            assert session(h) not in {None, before}


async def test_every_connector_is_an_evse_of_its_own(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            for connector in (1, 2):
                await start(it, connector=connector, meter=connector)
            await until(lambda: session(h, "CP1:1") and session(h, "CP1:2"))
            assert {e.evse_id for e in h.headend.state.evses_of("CP1")} == {"CP1:1", "CP1:2"}
            await h.headend.admin.revoke_station("test", "CP1")
            assert session(h, "CP1:1") is None
            assert session(h, "CP1:2") is None
            assert not h.evse("CP1:2").powered


async def test_an_evse_never_takes_another_stations_name(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        await h.enrol("CP1:1")
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            said = {"chargePointModel": "M", "chargePointVendor": "V"}
            assert (await it.call("BootNotification", said))["status"] == "Accepted"
            status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
            assert (await it.call("StatusNotification", status))[0] == "PropertyConstraintViolation"
            assert "CP1:1" not in h.headend.state.evses


# --- 2.0.1


async def event(
    it: Plain, kind: str, seq: int, *, ago_s: float = 0.0, wh: float | None = None, **more: Any
) -> Any:
    at = stamp(it.now() - timedelta(seconds=ago_s))
    body: dict[str, Any] = {
        "eventType": kind,
        "timestamp": at,
        "triggerReason": "Trigger",
        "seqNo": seq,
        "transactionInfo": {"transactionId": "tx1"},
        "evse": {"id": 1, "connectorId": 1},
        **more,
    }
    if wh is not None:
        body["meterValue"] = [
            {"timestamp": at, "sampledValue": [{"value": wh, "context": "Transaction.Begin"}]}
        ]
    return await it.call("TransactionEvent", body)


async def test_2_0_1_a_token_is_answered_and_a_session_runs_from_begin_to_end(tmp_path: Path) -> None:
    async with house(tmp_path, accept_any_token=False, tokens=["good"]) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, NEW) as it:
            await boot(it)
            good, bad = ({"idToken": t, "type": "Central"} for t in ("good", "bad"))
            assert (await it.call("Authorize", {"idToken": good}))["idTokenInfo"]["status"] == "Accepted"
            assert (await it.call("Authorize", {"idToken": bad}))["idTokenInfo"]["status"] == "Invalid"
            told = await event(it, "Started", 0, wh=1000.0, idToken=bad)
            assert told["idTokenInfo"]["status"] == "Invalid"
            assert session(h) is None
            told = await event(it, "Updated", 1, idToken=good)
            assert told["idTokenInfo"]["status"] == "Accepted"
            await until(lambda: session(h))
            assert await event(it, "Ended", 2, wh=3000.0) == {}
            assert session(h) is None
            (row,) = await rows(h)
            assert (row["meter_start_wh"], row["meter_stop_wh"]) == (1000.0, 3000.0)


async def test_2_0_1_events_in_any_order_and_twice(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, NEW) as it:
            await boot(it)
            for _ in range(2):
                await event(it, "Ended", 9, ago_s=3600, wh=3000.0, offline=True)
                await event(it, "Updated", 5, ago_s=7200, offline=True)
                await event(it, "Started", 0, ago_s=10_800, wh=1000.0, offline=True)
            assert session(h) is None
            (row,) = await rows(h)
            assert (row["meter_start_wh"], row["meter_stop_wh"]) == (1000.0, 3000.0)
            assert (row["ended_at"] - row["started_at"]).total_seconds() == pytest.approx(7200, abs=1)


async def test_2_0_1_a_begin_told_late_and_a_reading_of_now_are_a_session(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, NEW) as it:
            await boot(it)
            await event(it, "Started", 0, ago_s=3600, wh=1000.0, offline=True)
            assert session(h) is None
            await event(it, "Updated", 1)
            await until(lambda: session(h))
