"""Stations that do not answer, meters that are silent or say what can't be: nothing is counted by them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from emw.domain.facts import CommandAnswered, Fact
from emw.domain.model import Outcome
from tests.stations.ocpp.house import House, house, until
from tests.stations.ocpp.plain import SILENT, Plain, boot, meter, plain, polite, stop
from tests.stations.ocpp.test_limits import BOTH, charging, decrease, last_id, limit, settled


def pass_time(h: House, seconds: float) -> None:
    """The clock goes on; looks at connections come as they would have meanwhile."""
    h.parts.clock._start_s += seconds
    connection = h.hub.connected("CP1")
    assert connection is not None
    h.hub.meters.look(connection)


def asked_for_meters(it: Plain) -> list[dict[str, Any]]:
    return [
        p for p in it.names("TriggerMessage") if p["requestedMessage"] in {"MeterValues", "TransactionEvent"}
    ]


def more_asked(it: Plain, before: int) -> bool:
    return len(asked_for_meters(it)) > before


@BOTH
async def test_a_silent_meter_is_asked_and_then_nothing_is_counted_by_it(
    version: str, tmp_path: Path
) -> None:
    async with house(tmp_path, sample_seconds=10) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, version) as it:
            await boot(it)
            await until(lambda: h.hub.peer("CP1").traits.sample_s == 10)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
            asked = len(asked_for_meters(it))
            pass_time(h, 15)
            assert h.hub.console.seen("CP1").troubles == {}
            pass_time(h, 10)
            await until(lambda: len(asked_for_meters(it)) == asked + 1)
            assert h.hub.console.seen("CP1").troubles == {"CP1:1": "its meter is silent"}
            held = limit(h)
            assert held is not None
            assert held.outcome is Outcome.APPLIED
            pass_time(h, 20)
            await until(settled(h, Outcome.REJECTED))
            found = limit(h)
            assert found is not None
            assert found.reason == "its meter is silent"
            # It may hold the limit all the same: at the end it is let go like all others, and at once.
            await h.iso("POST", "/iso/returnToNormal", {"requestID": "r1"})
            await until(lambda: it.names("ClearChargingProfile"))


async def test_a_meter_that_speaks_only_when_asked_is_not_silent(tmp_path: Path) -> None:
    """Some stop metering by themselves after an outage: as long as they tell when asked, their limit counts."""
    async with house(tmp_path, sample_seconds=10) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            await until(lambda: h.hub.peer("CP1").traits.sample_s == 10)
            number = int(await charging(it))
            await until(lambda: h.session("CP1:1"))
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
            for _ in range(3):
                asked = len(asked_for_meters(it))
                pass_time(h, 25)
                await until(partial(more_asked, it, asked))
                await meter(it, 4_000.0, number)
            held = limit(h)
            assert held is not None
            assert held.outcome is Outcome.APPLIED


@pytest.mark.parametrize("word", ["NotImplemented", "Rejected"])
async def test_2_0_1_a_meter_is_asked_alone_where_the_transaction_is_not_told(
    word: str, tmp_path: Path
) -> None:
    def answer(action: str, payload: dict[str, Any]) -> Any:
        if payload.get("requestedMessage") == "TransactionEvent":
            return {"status": word}
        return polite(action, payload)

    async with house(tmp_path, sample_seconds=50) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, "ocpp2.0.1", answer) as it:
            await boot(it)
            await until(lambda: h.hub.peer("CP1").traits.sample_s == 50)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            asked = len(asked_for_meters(it))
            pass_time(h, 125)
            both = ["TransactionEvent", "MeterValues"]
            await until(lambda: len(asked_for_meters(it)) == asked + 2)
            assert [p["requestedMessage"] for p in asked_for_meters(it)[asked:]] == both
            pass_time(h, 100)
            # What it can't do at all it is not asked again; what it would not do then, it is.
            again = both[1:] if word == "NotImplemented" else both
            await until(lambda: len(asked_for_meters(it)) == asked + 2 + len(again))
            assert [p["requestedMessage"] for p in asked_for_meters(it)[asked + 2 :]] == again
            assert {p["evse"]["id"] for p in asked_for_meters(it)} == {1}


async def test_a_reading_ends_the_silence(tmp_path: Path) -> None:
    async with house(tmp_path, sample_seconds=10) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            await until(lambda: h.hub.peer("CP1").traits.sample_s == 10)
            number = int(await charging(it))
            await until(lambda: h.session("CP1:1"))
            pass_time(h, 25)
            assert h.hub.console.seen("CP1").troubles
            await meter(it, 5_000.0, number)
            assert h.hub.console.seen("CP1").troubles == {}


async def test_who_meters_each_quarter_of_an_hour_has_not_gone_offline(tmp_path: Path) -> None:
    """Heartbeats of REST stations are told each minute; meters may be read as seldom as their operator wishes."""
    async with house(tmp_path, sample_seconds=900) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            await until(lambda: h.hub.peer("CP1").traits.sample_s == 900)
            await meter(it, 7_000.0, int(await charging(it)))

            async def is_online_after(seconds: float) -> bool:
                pass_time(h, seconds)
                await h.headend.watch.look(h.headend.clock.now(), h.headend.clock.now())
                return h.evse("CP1:1").online

            assert await is_online_after(850)
            assert await is_online_after(850)
            assert not await is_online_after(200)  # two readings are missing: now it is not known any more


@pytest.mark.parametrize("watts", [36_000_000.0, 1_999_999.0])
async def test_what_no_evse_can_draw_is_no_reading(watts: float, tmp_path: Path) -> None:
    """A register in Wh that says kWh, a power in W that says kW."""
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            number = int(await charging(it))
            await until(lambda: h.session("CP1:1"))
            await meter(it, 7_000.0, number)
            await meter(it, watts, number)
            reading = h.headend.telemetry.live["CP1:1"].reading
            assert reading is not None
            assert reading.kw == pytest.approx(7.0)
            assert "can't be" in h.hub.console.seen("CP1").troubles["CP1:1"]


async def test_a_register_that_leapt_is_no_load_and_its_standing_still_no_shed(tmp_path: Path) -> None:
    """A meter without power, whose register leaps by 1 kWh in a minute and then stands: 60 kW, and gone."""
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            number = await charging(it)
            await until(lambda: h.session("CP1:1"))
            for register_wh, shown_kw, odd in (
                (1_000, None, False),
                (1_120, 7.2, False),
                (2_240, 7.2, True),
                (2_240, 7.2, True),
            ):
                sampled = [{"value": str(register_wh), "unit": "Wh"}]
                body = {
                    "connectorId": 1,
                    "transactionId": int(number),
                    "meterValue": [{"timestamp": it.stamp(), "sampledValue": sampled}],
                }
                assert await it.call("MeterValues", body) == {}
                reading = h.headend.telemetry.live["CP1:1"].reading
                assert (None if reading is None else reading.kw) == (
                    None if shown_kw is None else pytest.approx(shown_kw, abs=0.05)
                )
                assert ("can't be" in h.hub.console.seen("CP1").troubles.get("CP1:1", "")) is odd
                pass_time(h, 60)


async def test_a_register_says_nothing_of_the_time_before_a_vehicle_came(tmp_path: Path) -> None:
    """A slope over the minutes without a vehicle would be the low draw of the next one."""
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:

            async def registers(number: str, *told_wh: int) -> None:
                for wh in told_wh:
                    sampled = [{"value": str(wh), "unit": "Wh"}]
                    body = {
                        "connectorId": 1,
                        "transactionId": int(number),
                        "meterValue": [{"timestamp": it.stamp(), "sampledValue": sampled}],
                    }
                    assert await it.call("MeterValues", body) == {}
                    pass_time(h, 60)

            await boot(it)
            number = await charging(it)
            await registers(number, 1_000, 1_120)
            await stop(it, int(number))
            pass_time(h, 300)
            number = await charging(it)
            await until(lambda: h.session("CP1:1"))
            await registers(number, 1_121)
            assert h.headend.telemetry.live["CP1:1"].reading is None
            await registers(number, 1_241)
            reading = h.headend.telemetry.live["CP1:1"].reading
            assert reading is not None
            assert reading.kw == pytest.approx(7.2, abs=0.05)


async def test_a_clock_that_is_off_is_shown(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            assert h.hub.console.seen("CP1").clock_behind_s is None
            it.now = lambda: h.parts.clock.now() - timedelta(seconds=400)  # type: ignore[method-assign]
            await boot(it)
            assert h.hub.console.seen("CP1").clock_behind_s == pytest.approx(400, abs=5)


async def test_A17_a_station_that_answers_nothing_is_pending_and_holds_nobody_up(tmp_path: Path) -> None:
    def silent(action: str, payload: dict[str, Any]) -> Any:
        return SILENT if action == "SetChargingProfile" else polite(action, payload)

    async with house(tmp_path) as h:
        secrets = {name: await h.enrol(name) for name in ("CP1", "CP2")}
        async with (
            plain(h, "CP1", secrets["CP1"], answer=silent) as dead,
            plain(h, "CP2", secrets["CP2"]) as good,
        ):
            for it in (dead, good):
                await boot(it)
                await charging(it)
            await until(lambda: all(h.session(f"CP{n}:1") for n in (1, 2)))
            asking = asyncio.create_task(decrease(h, 30.0))
            await until(lambda: (x := limit(h, "CP2:1")) is not None and x.outcome is Outcome.APPLIED, 20)
            assert (await asking)["pendingKW"] > 0
            assert dead.most_flying == 1
            connection = h.hub.connected("CP1")
            assert connection is not None
            # Its time is over: unknown, and not counted; its own calls are answered all the while.
            outcomes = answers_to(h, "CP1:1")
            h.hub.look(h.hub.loop.time() + 31)
            await until(lambda: outcomes == [Outcome.TIMED_OUT])
            assert await meter(dead, 7000.0) == {}
            # The late answer tells that the limit holds after all.
            await dead.raw(json.dumps([3, last_id(h), {"status": "Accepted"}]))
            await until(settled(h, Outcome.APPLIED))


def answers_to(h: House, evse_id: str) -> list[Outcome]:
    """What becomes of this EVSE's commands from now on; the dispatch may go on to the next one at once."""
    found: list[Outcome] = []

    def hear(_: int, facts: Sequence[Fact]) -> None:
        found.extend(x.outcome for x in facts if isinstance(x, CommandAnswered) and x.evse_id == evse_id)

    h.headend.ledger.listen(hear)
    return found
