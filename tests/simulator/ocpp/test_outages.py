"""OCPP stations whose central system goes away, says no, or has them restart; over real sockets."""

import asyncio
from datetime import timedelta

import pytest

from emw.simulator.fleet import Fleet
from emw.simulator.ocpp.habits import Version, habits_of
from emw.simulator.ocpp.line import OcppLine
from tests.simulator.ocpp.bench import (
    CAR,
    SECRETS,
    VERSIONS,
    Limits,
    charging,
    fleet,
    metered,
    now_of,
    samples,
    specs,
    until,
)
from tests.simulator.ocpp.central import Central, central_system

pytestmark = pytest.mark.parametrize("version", VERSIONS)


async def minutes(running: Fleet, count: float) -> None:
    """Let virtual time pass."""
    end = now_of(running) + timedelta(minutes=count)
    await until(lambda: now_of(running) >= end)


def began(central: Central) -> int:
    return len(central.transactions)


def ended(central: Central, station: str = "e0") -> list[dict[str, object]]:
    if central.version == "ocpp1.6":
        return central.said("StopTransaction", station)
    return [one for one in central.said("TransactionEvent", station) if one["eventType"] == "Ended"]


async def test_what_happened_offline_is_told_later_in_its_order(version: Version) -> None:
    async with central_system(version, SECRETS) as central, fleet(central, specs(version)) as running:
        await central.until("BootNotification")
        running.cut(["e0"])
        await central.sockets["e0"].close()
        running.plug("e0", CAR)
        await minutes(running, 15)
        running.stats()
        assert running.hardware("e0").draw_a > 0, "nobody can be asked, and the car charges"
        running.unplug("e0")
        await minutes(running, 5)
        assert began(central) == 0
        running.cut(["e0"], lost=False)
        await until(lambda: ended(central))
        assert began(central) == 1
        if version is Version.V16:
            order = [name for judge in central.judges["e0"] for name, _ in judge.said]
            assert (
                order.index("StartTransaction") < order.index("MeterValues") < order.index("StopTransaction")
            )
            values = central.said("MeterValues")
            assert {one["transactionId"] for one in values} == {1}
            assert len(values) >= 10
            used = ended(central)[0]["meterStop"]
        else:
            events = central.said("TransactionEvent")
            assert [one["seqNo"] for one in events] == list(range(len(events)))
            assert all(one["offline"] for one in events)
            assert len(events) >= 10
            used = events[-1]["meterValue"][0]["sampledValue"][0]["value"]
        assert used == pytest.approx(15 / 60 * 32 * 208, rel=0.35)
        assert central.faults == []


async def test_a_central_system_that_comes_back_finds_its_station_and_the_limit(version: Version) -> None:
    async with central_system(version, SECRETS) as central, fleet(central, specs(version)) as running:
        limits = Limits(central, running)
        await charging(central, running)
        assert await limits.set(8.0, minutes=600) == "Accepted"
        await central.sockets["e0"].close()
        await until(lambda: central.boots == 2)
        assert running.hardware("e0").limit_a == 8.0
        await metered(central, 3)
        assert began(central) == 1, "the same transaction goes on"
        assert await limits.clear() == "Accepted"
        assert running.hardware("e0").limit_a is None
        assert central.faults == []


async def test_a_server_that_hangs_up_before_it_answers_is_dialled_again(version: Version) -> None:
    knocks = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal knocks
        knocks += 1
        writer.close()

    full = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    central = Central(version, SECRETS)
    central.url = f"ws://127.0.0.1:{full.sockets[0].getsockname()[1]}"
    async with full, fleet(central, specs(version)) as running:
        await until(lambda: knocks >= 2)
        assert running.stats().powered == 0


async def test_a_half_open_connection_is_noticed_and_given_up(version: Version) -> None:
    async with (
        central_system(version, SECRETS) as central,
        fleet(central, specs(version), patience_s=0.5) as running,
    ):
        await charging(central, running)
        central.muted = True
        await until(lambda: len(central.judges["e0"]) >= 2)
        central.muted = False
        await until(lambda: central.boots >= 2)
        await metered(central, 3)
        assert began(central) == 1


async def test_some_stations_come_back_without_booting(version: Version) -> None:
    stations = specs(version, habits=habits_of("no-boot"))
    async with central_system(version, SECRETS) as central, fleet(central, stations) as running:
        await charging(central, running)
        await central.sockets["e0"].close()
        await until(lambda: len(central.judges["e0"]) == 2)
        await metered(central, 3)
        await until(lambda: "StatusNotification" in {name for name, _ in central.judges["e0"][1].said})
        assert central.boots == 1


async def test_some_stations_never_meter_again_after_an_outage(version: Version) -> None:
    stations = specs(version, habits=habits_of("silent-meter"))
    async with central_system(version, SECRETS) as central, fleet(central, stations) as running:
        await charging(central, running)
        await central.sockets["e0"].close()
        await until(lambda: central.boots == 2)
        await minutes(running, 5)  # what was on its way is said again
        count = len(samples(central))
        await minutes(running, 30)
        assert len(samples(central)) == count
        assert running.hardware("e0").draw_a > 0


async def test_a_reboot_ends_the_transaction_and_keeps_what_lies_in_flash(version: Version) -> None:
    async with central_system(version, SECRETS) as central, fleet(central, specs(version)) as running:
        limits = Limits(central, running)
        await charging(central, running)
        await limits.set(8.0)
        await limits.set(12.0, purpose="TxDefaultProfile", number=8)
        running.reboot("e0")
        await until(lambda: began(central) == 2)
        await until(lambda: ended(central))
        await until(lambda: running.stats().limited == 1)
        assert running.hardware("e0").limit_a == 12.0, (
            "the transaction's profile died with it, the default did not"
        )
        assert central.boots == 2
        assert central.faults == []


async def test_a_reset_is_answered_first(version: Version) -> None:
    async with central_system(version, SECRETS) as central, fleet(central, specs(version)) as running:
        await charging(central, running)
        kind = "Hard" if version is Version.V16 else "Immediate"
        assert (await central.ask("Reset", type=kind)).status == "Accepted"
        await until(lambda: central.boots == 2 and began(central) == 2 and ended(central))
        if version is Version.V16:
            assert ended(central)[0]["reason"] == "HardReset"
        else:
            assert central.said("BootNotification")[-1]["reason"] == "RemoteReset"
            assert (await central.ask("Reset", type="OnIdle")).status == "Scheduled"
            running.unplug("e0")
            await until(lambda: central.boots == 3)
        assert central.faults == []


async def test_a_station_waits_until_it_is_accepted(version: Version) -> None:
    async with central_system(version, SECRETS) as central, fleet(central, specs(version)) as running:
        central.boot_status = "Pending"
        running.reboot("e0", boots_s=1.0)
        await until(lambda: central.boots >= 3)
        asked = {name for name, _ in central.judges["e0"][-1].said}
        assert asked == {"BootNotification"}
        assert running.stats().powered == 0
        central.boot_status = "Accepted"
        await until(lambda: running.stats().powered == 1)


async def test_who_may_not_charge_gets_nothing_until_somebody_starts_it_from_afar(version: Version) -> None:
    async with central_system(version, SECRETS) as central, fleet(central, specs(version)) as running:
        central.verdict = "Invalid"
        await central.until("BootNotification")
        running.plug("e0", CAR)
        await central.until("Authorize")
        await until(lambda: running.stats().charging == 0)
        assert began(central) == 0
        start = (
            {"id_tag": "afar"}
            if version is Version.V16
            else {"id_token": {"idToken": "afar", "type": "Central"}, "remote_start_id": 5}
        )
        name = "RemoteStartTransaction" if version is Version.V16 else "RequestStartTransaction"
        assert (await central.ask(name, **start)).status == "Accepted"
        await until(lambda: began(central) == 1 and running.stats().charging == 1)
        assert (await central.ask(name, **start)).status == "Rejected"
        stop = "RemoteStopTransaction" if version is Version.V16 else "RequestStopTransaction"
        number = central.transactions[0]
        await metered(central)
        named = int(number) if version is Version.V16 else number
        assert (await central.ask(stop, transaction_id=named)).status == "Accepted"
        await until(lambda: ended(central) and running.stats().charging == 0)
        running.unplug("e0")
        central.verdict = "Accepted"
        running.plug("e0", CAR)
        await until(lambda: began(central) == 2 and running.stats().charging == 1)
        assert central.faults == []


async def test_a_wrong_secret_is_tried_with_patience_and_a_new_one_is_kept(version: Version) -> None:
    async with central_system(version, SECRETS) as central, fleet(central, specs(version)) as running:
        await central.until("BootNotification")
        fresh = "a-secret-of-twenty-characters"
        if version is Version.V16:
            assert (
                await central.ask("ChangeConfiguration", key="AuthorizationKey", value=fresh)
            ).status == "Accepted"
        else:
            change = {
                "attributeValue": fresh,
                "component": {"name": "SecurityCtrlr"},
                "variable": {"name": "BasicAuthPassword"},
            }
            results = await central.ask("SetVariables", set_variable_data=[change])
            assert results.set_variable_result[0]["attribute_status"] == "Accepted"
        await central.sockets["e0"].close()
        await until(lambda: central.refused >= 2)
        await until(lambda: running.stats().errors >= 2)  # the station hears of it after the central system
        central.secrets["e0"] = fresh
        await until(lambda: central.boots == 2)


async def test_nonsense_is_refused_and_changes_nothing(version: Version) -> None:
    async with central_system(version, SECRETS) as central, fleet(central, specs(version)) as running:
        await charging(central, running)
        line = running._members["e0"].line
        assert isinstance(line, OcppLine)
        now = now_of(running)
        for frame in (
            b"",
            b"[]",
            b"{}",
            b"[2]",
            b'[2,"a"]',
            b'[2,1,"Reset",{}]',
            b'[7,"a",1]',
            b"\xff",
            b"[" * 5000,
        ):
            answer = line.station.received(frame, now)
            assert answer is not None
            assert answer.startswith(b'[4,"')
        for action, payload in (
            ("SetChargingProfile", b"{}"), ("SetChargingProfile", b"[]"),
            ("Reset", b'{"type":5}'), ("Reset", b'{"type":"Never"}'), ("NoSuchAction", b"{}"), ("GetLog", b"{}"),
            ("TriggerMessage", b'{"requestedMessage":1}'),
        ):  # fmt: skip
            answer = line.station.received(b'[2,"x","%b",%b]' % (action.encode(), payload), now)
            assert answer is not None
            assert answer.startswith(b'[4,"x","'), answer
        assert line.station.received(b'[3,"not asked",{}]', now) is None
        assert running.stats().commands == 0
        await metered(central, 2)
        assert central.faults == []
