"""2.x: what a vehicle needs becomes its session's; what others limit lowers what its EVSE can draw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from emw.domain.facts import NeedTold
from emw.domain.model import Outcome, Session
from emw.stations.ocpp.needs import Need, lowest_a, need_of
from emw.stations.ocpp.wire201 import ChargingNeeds, LimitSchedule
from tests.stations.ocpp.foreign import stamp
from tests.stations.ocpp.house import House, house, until
from tests.stations.ocpp.plain import Plain, boot, plain, polite
from tests.stations.ocpp.test_limits import charging, decrease, profile_of, settled

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
NEW = pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])


@pytest.mark.parametrize(
    ("said", "need"),
    [
        ({"acChargingParameters": {"energyAmount": 20_000}}, Need(20.0, None)),
        ({"dcChargingParameters": {"energyAmount": 5_000}}, Need(5.0, None)),
        ({"dcChargingParameters": {"evEnergyCapacity": 60_000, "stateOfCharge": 50}}, Need(30.0, None)),
        (
            {"dcChargingParameters": {"evEnergyCapacity": 60_000, "stateOfCharge": 50, "fullSoC": 80}},
            Need(18.0, None),
        ),
        ({"v2xChargingParameters": {"evTargetEnergyRequest": 12_500.0}}, Need(12.5, None)),
        ({"departureTime": "2026-05-04T15:00:00Z"}, Need(None, NOW + timedelta(hours=3))),
        ({"departureTime": "2026-05-04T11:00:00Z"}, Need(None, None)),
        ({"acChargingParameters": {"energyAmount": 0}}, Need(None, None)),
        ({"acChargingParameters": {"energyAmount": 2e9}}, Need(None, None)),
        ({}, Need(None, None)),
    ],
)
def test_what_a_vehicle_needs(said: dict[str, Any], need: Need) -> None:
    assert need_of(msgspec.convert(said, ChargingNeeds), NOW, 0.69) == need


@pytest.mark.parametrize(
    ("said", "kw_per_a", "range_a"),
    [
        ({"acChargingParameters": {"evMinCurrent": 10, "evMaxCurrent": 16}}, 0.69, (10.0, 16.0)),
        ({"acChargingParameters": {"evMinCurrent": 6, "evMaxCurrent": 32}}, 0.69, (None, 32.0)),
        ({"acChargingParameters": {"evMinCurrent": 20, "evMaxCurrent": 16}}, 0.69, (None, 16.0)),
        ({"acChargingParameters": {"evMinCurrent": 0, "evMaxCurrent": 0}}, 0.69, (None, None)),
        ({"acChargingParameters": {"evMaxCurrent": 32_000}}, 0.69, (None, None)),
        (
            {"dcChargingParameters": {"evMaxCurrent": 300, "evMaxVoltage": 450, "evMaxPower": 100_000}},
            0.4,
            (None, 250.0),
        ),
        ({"dcChargingParameters": {"evMaxCurrent": 300, "evMaxVoltage": 400}}, 0.4, (None, 300.0)),
        ({"v2xChargingParameters": {"minChargePower": 8_000, "maxChargePower": 40_000}}, 0.4, (20.0, 100.0)),
        (
            {"v2xChargingParameters": {f"maxChargePower{phase}": 3_680 for phase in ("", "_L2", "_L3")}},
            0.69,
            (None, 16.0),
        ),
    ],
)
def test_what_a_vehicle_can_take(
    said: dict[str, Any], kw_per_a: float, range_a: tuple[float | None, float | None]
) -> None:
    need = need_of(msgspec.convert(said, ChargingNeeds), NOW, kw_per_a)
    assert need[2:] == pytest.approx(range_a)


@NEW
@pytest.mark.parametrize("first", ["needs", "transaction"])
async def test_nothing_is_asked_that_a_vehicle_cant_do(version: str, first: str, tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, version) as it:

            async def takes(least: int, most: int) -> None:
                ac = {"energyAmount": 9_000, "evMinCurrent": least, "evMaxCurrent": most, "evMaxVoltage": 400}
                told = {"requestedEnergyTransfer": "AC_three_phase", "acChargingParameters": ac}
                await it.call("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": told})

            await boot(it)
            if first == "needs":
                await takes(10, 16)
                await charging(it)
            else:
                await charging(it)
                await takes(10, 16)
            await until(lambda: h.session("CP1:1"))
            session = session_of(h)
            assert (session.car_min_a, session.car_max_a) == (10.0, 16.0)
            # Three phases of 230 V: 16 A is all that it may draw, 10 A the least, so 6 A are all there is to shed.
            told = await decrease(h, 9.0)
            assert told["availableKW"] == pytest.approx(6 * 0.69, abs=0.1)
            assert told["shortKW"] == pytest.approx(9.0 - 6 * 0.69, abs=0.1)
            await until(settled(h, Outcome.APPLIED))
            _, schedule = profile_of(it.names("SetChargingProfile")[-1])
            assert schedule["chargingSchedulePeriod"][0]["limit"] == 10
            # The next vehicle has said nothing of the kind.
            await it.call(
                "TransactionEvent",
                {
                    "eventType": "Ended",
                    "timestamp": it.stamp(),
                    "triggerReason": "EVDeparted",
                    "seqNo": 1,
                    "transactionInfo": {"transactionId": "tx1"},
                },
            )
            await charging(it, "tx2")
            await until(lambda: h.session("CP1:1"))
            session = session_of(h)
            assert (session.car_min_a, session.car_max_a) == (None, 32.0)


async def test_a_vehicle_that_came_while_others_limited_takes_all_once_they_dont(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, "ocpp2.0.1") as it:
            await boot(it)
            schedule = {
                "id": 1,
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10}],
            }
            body = {"chargingLimit": {"chargingLimitSource": "EMS"}, "chargingSchedule": [schedule]}
            await it.call("NotifyChargingLimit", {**body, "evseId": 1})
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            await it.call("ClearedChargingLimit", {"chargingLimitSource": "EMS"})
            await until(lambda: h.evse("CP1:1").max_a == 32.0)
            assert session_of(h).car_max_a == 32.0


@pytest.mark.parametrize(
    ("schedules", "amps"),
    [
        ([{"chargingRateUnit": "A", "chargingSchedulePeriod": [{"limit": 16}, {"limit": 8.5}]}], 8.5),
        ([{"chargingRateUnit": "W", "chargingSchedulePeriod": [{"limit": 6900}]}], 10.0),
        ([{"chargingRateUnit": "A", "chargingSchedulePeriod": [{"limit": 0}]}], 0.1),
        ([{"chargingRateUnit": "A", "chargingSchedulePeriod": []}], None),
        ([], None),
    ],
)
def test_what_others_allow(schedules: list[dict[str, Any]], amps: float | None) -> None:
    assert lowest_a(msgspec.convert(schedules, list[LimitSchedule]), 0.69) == pytest.approx(amps)


def session_of(h: House) -> Session:
    session_id = h.session("CP1:1")
    assert session_id is not None
    return h.headend.state.sessions[session_id]


async def needs(it: Plain, leaves: datetime) -> Any:
    ac = {"energyAmount": 20_000, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 230}
    told = {
        "requestedEnergyTransfer": "AC_three_phase",
        "departureTime": stamp(leaves),
        "acChargingParameters": ac,
    }
    return await it.call("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": told})


@NEW
async def test_needs_become_the_sessions_and_the_answer_says_what_follows(
    version: str, tmp_path: Path
) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, version) as it:
            await boot(it)
            leaves = it.now().replace(microsecond=0) + timedelta(hours=3)
            none = "Rejected" if version == "ocpp2.0.1" else "NoChargingProfile"
            assert await needs(it, leaves) == {"status": none}  # before its transaction
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            session = session_of(h)
            assert (session.energy_requested_kwh, session.departure_at) == (20.0, leaves)
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
            before = len(it.names("SetChargingProfile"))
            later = leaves + timedelta(hours=1)
            assert await needs(it, later) == {"status": "Accepted"}
            await until(lambda: len(it.names("SetChargingProfile")) == before + 1)
            session = session_of(h)
            assert (session.departure_at, session.told_by_driver) == (later, False)
            # What its driver says himself stands above what the vehicle says.
            own: dict[str, Any] = {
                "energy_requested_kwh": 5.0,
                "departure_at": leaves,
                "session_id": session.session_id,
            }
            await h.headend.ledger.record(NeedTold(at=it.now(), actor="driver:x", evse_id="CP1:1", **own))
            await needs(it, later)
            session = session_of(h)
            assert (session.energy_requested_kwh, session.told_by_driver) == (5.0, True)


async def test_what_others_limit_lowers_what_an_evse_can_draw(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, "ocpp2.0.1") as it:

            async def limited(source: str, unit: str, limit: float, **more: Any) -> None:
                schedule = {
                    "id": 1,
                    "chargingRateUnit": unit,
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
                }
                body = {
                    "chargingLimit": {"chargingLimitSource": source},
                    "chargingSchedule": [schedule],
                    **more,
                }
                assert await it.call("NotifyChargingLimit", body) == {}

            await boot(it)
            assert h.evse("CP1:1").max_a == 32.0
            await limited("EMS", "W", 6_900.0, evseId=1)
            assert h.evse("CP1:1").max_a == pytest.approx(10.0)
            await limited("SO", "A", 8.0)
            assert h.evse("CP1:1").max_a == 8.0
            await it.call("NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "Other"}})
            await it.call("ClearedChargingLimit", {"chargingLimitSource": "SO"})
            assert h.evse("CP1:1").max_a == pytest.approx(10.0)
            await boot(it)
            await until(lambda: h.evse("CP1:1").max_a == 32.0)


async def test_2_1_priority_charging_is_an_opt_out_for_the_stay(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, "ocpp2.1") as it:

            async def priority(*, on: bool, transaction: str = "tx1") -> None:
                body = {"transactionId": transaction, "activated": on}
                assert await it.call("NotifyPriorityCharging", body) == {}

            await boot(it)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            await priority(on=True, transaction="another")
            await priority(on=False)
            assert h.evse("CP1:1").opted_out_until is None
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
            await priority(on=True)
            assert h.evse("CP1:1").opted_out_until is not None
            await until(lambda: it.names("ClearChargingProfile"))
            await priority(on=False)
            assert h.evse("CP1:1").opted_out_until is None
            # What a driver has said to us himself, the station does not take back.
            await h.headend.admin.opt_out("driver:x", "CP1:1", 60.0, "the driver")
            await priority(on=True)
            await priority(on=False)
            assert h.evse("CP1:1").opted_out_until is not None
            assert await it.call("PullDynamicScheduleUpdate", {"chargingProfileId": 1}) == {
                "status": "Rejected"
            }


async def test_the_composite_schedule_is_asked_after_each_limit(tmp_path: Path) -> None:
    shows = [32.0]

    def answer(action: str, payload: dict[str, Any]) -> Any:
        if action != "GetCompositeSchedule":
            return polite(action, payload)
        schedule = {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": shows[0]}],
            "duration": 60,
        }
        return {"status": "Accepted", "connectorId": 1, "chargingSchedule": schedule}

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, answer=answer) as it:
            await boot(it)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            await decrease(h)
            await until(lambda: h.hub.console.seen("CP1").troubles)
            assert "its schedule shows 32.0 A under a limit of" in h.hub.console.seen("CP1").troubles["CP1:1"]
            shows[0] = 6.0
            h.headend.book.say_again([h.evse("CP1:1")])
            await until(lambda: len(it.names("GetCompositeSchedule")) == 2)
            await until(lambda: not h.hub.console.seen("CP1").troubles)
            assert len(it.names("SetChargingProfile")) == 2
            # Nothing that ends within what is asked for: there are stations that never come back from that.
            assert {p["duration"] for p in it.names("GetCompositeSchedule")} == {10}
            held = h.headend.state.limits["CP1:1"]
            h.parts.clock._start_s += (held.until - it.now()).total_seconds() - 15
            h.headend.book.say_again([h.evse("CP1:1")])
            await until(lambda: len(it.names("SetChargingProfile")) == 3)
            await until(lambda: h.hub.peer("CP1").plugs[1].delivery.outcome is Outcome.APPLIED)  # type: ignore[union-attr]
            assert len(it.names("GetCompositeSchedule")) == 2
