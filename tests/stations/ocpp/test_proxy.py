"""The proxy between a foreign charge point and a foreign central system, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from emw.domain.model import Outcome
from tests.ports import free_port
from tests.simulator.ocpp.central import Central, central_system
from tests.stations.ocpp.foreign import Foreign16, Foreign21, Foreign201, station
from tests.stations.ocpp.house import EAST, House, house, until

LOOPBACK = ("127.0.0.0/8",)
BOTH = pytest.mark.parametrize(
    ("kind", "version"), [(Foreign16, "ocpp1.6"), (Foreign201, "ocpp2.0.1")], ids=["1.6", "2.0.1"]
)
SECRET = "of-the-csms"


def before(central: Central, **more: Any) -> dict[str, Any]:
    url = central.url + "/{stationID}"
    return {"networks": LOOPBACK, "proxy": {"url": url, "password": SECRET, **more}}


async def decrease(h: House, named: str = "r1") -> dict[str, Any]:
    body = {"requestID": named, "territory": EAST, "kW": 4.0, "durationMinutes": 30}
    return await h.iso("POST", "/iso/decrease", body)


async def kw(h: House, it: Any) -> float:
    """What emw takes from a reading that is told now. The CSMS answers it, which may be before emw is through."""
    before = h.headend.telemetry.live["e0:1"].reading
    await it.meter()
    await until(lambda: h.headend.telemetry.live["e0:1"].reading is not before)
    return last_kw(h)


def last_kw(h: House) -> float:
    reading = h.headend.telemetry.live["e0:1"].reading
    assert reading is not None
    return reading.kw


def profile(version: str, amps: float, *, level: int = 1, number: int = 1) -> dict[str, Any]:
    """A limit of the CSMS's for every transaction, from long ago on."""
    schedule = {
        "charging_rate_unit": "A",
        "charging_schedule_period": [{"start_period": 0, "limit": amps}],
        "duration": 10**9,
        "start_schedule": "2026-01-01T00:00:00Z",
    }
    body = {
        "stack_level": level,
        "charging_profile_purpose": "TxDefaultProfile",
        "charging_profile_kind": "Absolute",
    }
    if version == "ocpp1.6":
        body |= {"charging_profile_id": number, "charging_schedule": schedule}
        return {"connector_id": 1, "cs_charging_profiles": body}
    body |= {"id": number, "charging_schedule": [{"id": 1, **schedule}]}
    return {"evse_id": 1, "charging_profile": body}


@BOTH
async def test_a_shed_in_the_middle_of_a_transaction_of_the_csms(
    kind: type[Any], version: str, tmp_path: Path
) -> None:
    async with (
        central_system(version, {"e0": SECRET}) as central,
        house(tmp_path, **before(central)) as h,
        station(kind, h, "e0", await h.enrol("e0")) as it,
    ):
        told = await it.boot()
        assert told.current_time == "2026-05-05T12:00:00Z", "the CSMS's own answer"
        await it.plug_in()
        number = central.transactions[-1]
        assert str(it.transaction) == number
        await until(lambda: h.session("e0:1") is not None)
        assert ("e0", number) in h.headend.state.transactions
        assert await kw(h, it) == pytest.approx(11.04)

        assert (await decrease(h))["confirmedKW"] >= 3.9
        assert h.headend.state.limits["e0:1"].outcome is Outcome.APPLIED
        assert await kw(h, it) <= 7.1

        # The CSMS asks in the meantime, and hears of its own CALL only.
        answer = await central.ask("TriggerMessage", requested_message="Heartbeat")
        assert answer is not None
        assert answer.status == "Accepted"

        # A clearing of all takes ours along: it comes back.
        sets, one = it.profiles.sets, it.clear

        def clear(number: int | None) -> bool:
            return one(number) if number is not None else it.profiles.held.clear() is None

        it.clear = clear
        answer = await central.ask("ClearChargingProfile", **clear_all(version))
        assert answer.status == "Accepted"
        await until(lambda: it.profiles.sets > sets)
        assert await kw(h, it) <= 7.1

        await h.iso("POST", "/iso/returnToNormal", {"requestID": "r1"})
        await until(lambda: it.amps() == 16.0)
        await it.unplug()
        await until(lambda: h.session("e0:1") is None)
        said = len(central.said("StopTransaction")) + sum(
            event["eventType"] == "Ended" for event in central.said("TransactionEvent")
        )
        assert said == 1
        assert central.faults == []
        assert central.boots == 1


def clear_all(version: str) -> dict[str, Any]:
    if version == "ocpp1.6":
        return {}
    return {"charging_profile_criteria": {"charging_profile_purpose": "TxProfile"}}


@BOTH
async def test_ours_never_allows_more_than_theirs(kind: type[Any], version: str, tmp_path: Path) -> None:
    async with (
        central_system(version, {"e0": SECRET}) as central,
        house(tmp_path, **before(central)) as h,
        station(kind, h, "e0", await h.enrol("e0")) as it,
    ):
        old = version == "ocpp1.6"
        it.configuration["ChargeProfileMaxStackLevel" if old else "SmartChargingCtrlr.ProfileStackLevel"] = (
            "9"
        )
        await it.boot()
        await until(lambda: h.hub.peer("e0").traits.max_stack == 9)
        await it.plug_in()
        await until(lambda: h.session("e0:1") is not None)
        await kw(h, it)
        await decrease(h)
        await until(lambda: h.headend.state.limits["e0:1"].outcome is Outcome.APPLIED)
        asked_a = h.headend.state.limits["e0:1"].max_a
        assert asked_a is not None
        assert asked_a > 7.0
        sets = it.profiles.sets
        answer = await central.ask("SetChargingProfile", **profile(version, 7.0))
        assert answer.status == "Accepted"
        # Ours lies on theirs and would hide it: it is said again, with their limit.
        await until(lambda: it.profiles.sets >= sets + 2)
        (own,) = [p for number, p in it.profiles.held.items() if number != 1]
        schedule = own["charging_schedule"]
        schedule = schedule[0] if isinstance(schedule, list) else schedule
        assert schedule["charging_schedule_period"][0]["limit"] == 7.0


async def test_what_a_csms_changes_in_place_counts_as_if_it_were_set(tmp_path: Path) -> None:
    """2.1: UpdateDynamicSchedule of its own profile, which ours would hide."""
    async with (
        central_system("ocpp2.1", {"e0": SECRET}) as central,
        house(tmp_path, **before(central)) as h,
        station(Foreign21, h, "e0", await h.enrol("e0")) as it,
    ):
        it.configuration["SmartChargingCtrlr.ProfileStackLevel"] = "9"
        await it.boot()
        await until(lambda: h.hub.peer("e0").traits.max_stack == 9)
        await it.plug_in()
        await until(lambda: h.session("e0:1") is not None)
        body = profile("ocpp2.1", 15.0)
        body["charging_profile"] |= {
            "charging_profile_kind": "Dynamic",
            "dyn_update_time": "2026-01-01T00:00:00Z",
        }
        assert (await central.ask("SetChargingProfile", **body)).status == "Accepted"
        await decrease(h)
        await until(lambda: h.headend.state.limits["e0:1"].outcome is Outcome.APPLIED)
        sets = it.profiles.sets
        update = {"charging_profile_id": 1, "schedule_update": {"limit": 6.5}}
        assert (await central.ask("UpdateDynamicSchedule", **update)).status == "Accepted"
        await until(lambda: it.profiles.sets > sets)
        (own,) = [p for number, p in it.profiles.held.items() if number != 1]
        assert own["charging_schedule"][0]["charging_schedule_period"][0]["limit"] == 6.5


async def test_configuration_stays_the_csms_own(tmp_path: Path) -> None:
    async with (
        central_system("ocpp1.6", {"e0": SECRET}) as central,
        house(tmp_path, **before(central)) as h,
        station(Foreign16, h, "e0", await h.enrol("e0")) as it,
    ):
        own = it.configuration = {"MeterValueSampleInterval": "30"}
        await it.boot()
        await until(lambda: h.hub.peer("e0").traits.asked)
        await until(lambda: it.calls)  # it is triggered after it was configured
        assert it.configuration is own
        assert own == {"MeterValueSampleInterval": "30"}
        assert h.hub.peer("e0").traits.sample_s == 30  # a meter silent for longer is silent here, too


async def test_what_the_station_came_with_is_passed_on(tmp_path: Path) -> None:
    async with (
        central_system("ocpp1.6", {}) as central,
        house(tmp_path, **before(central, password=None)) as h,
    ):
        central.secrets["e0"] = secret = await h.enrol("e0")
        async with station(Foreign16, h, "e0", secret) as it:
            assert (await it.boot()).status == "Accepted"
        assert central.refused == 0


async def test_only_chosen_stations_are_relayed(tmp_path: Path) -> None:
    async with (
        central_system("ocpp1.6", {"e0": SECRET}) as central,
        house(tmp_path, **before(central, stations=("e*",))) as h,
        station(Foreign16, h, "CP1", await h.enrol("CP1")) as own,
        station(Foreign16, h, "e0", await h.enrol("e0")) as it,
    ):
        await own.boot()
        await it.boot()
        assert list(central.judges) == ["e0"]


async def test_a_csms_outside_of_the_networks_is_never_called(tmp_path: Path) -> None:
    async with central_system("ocpp1.6", {"e0": SECRET}) as central:
        settings = {**before(central, hold_seconds=0), "networks": ("10.0.0.0/8",)}
        async with house(tmp_path, **settings) as h:
            socket = await h.socket("e0", await h.enrol("e0"))
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 60)
        assert central.judges == {}
        assert central.refused == 0


async def test_without_its_csms_a_station_is_let_go_and_comes_back(tmp_path: Path) -> None:
    """It keeps for later what it can't tell, as it does without emw."""
    async with (
        central_system("ocpp1.6", {"e0": SECRET}) as central,
        house(tmp_path, **before(central, hold_seconds=0)) as h,
    ):
        secret = await h.enrol("e0")
        socket = await h.socket("e0", secret)
        await until(lambda: "e0" in central.sockets)
        await central.sockets["e0"].close()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 60)
        async with station(Foreign16, h, "e0", secret) as it:
            assert (await it.boot()).status == "Accepted"
        assert central.boots == 1


@BOTH
async def test_a_csms_that_restarts_is_not_missed(kind: type[Any], version: str, tmp_path: Path) -> None:
    """A shed goes on without it; what the station says meanwhile is told once it is back, and answered then."""
    async with AsyncExitStack() as later:
        port = free_port()
        async with central_system(version, {"e0": SECRET}, port) as first:
            h = await later.enter_async_context(house(tmp_path, **before(first)))
            it = await later.enter_async_context(station(kind, h, "e0", await h.enrol("e0")))
            await it.boot()
            await it.plug_in()
            await until(lambda: h.session("e0:1") is not None)
            assert await kw(h, it) == pytest.approx(11.04)
            connection = h.hub.connected("e0")
        # Nobody listens at the CSMS's address now.
        assert (await decrease(h))["confirmedKW"] >= 3.9
        assert it.amps() < 16.0
        waiting = [asyncio.create_task(it.meter()), asyncio.create_task(it.unplug())]
        await until(lambda: last_kw(h) <= 7.1)
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting), "nobody answers in the place of the CSMS"
        async with central_system(version, {"e0": SECRET}, port) as second:
            await asyncio.wait_for(asyncio.gather(*waiting), 60)
            said = [name for judge in second.judges["e0"] for name, _ in judge.said]
            told = "MeterValues StopTransaction StatusNotification"
            if version == "ocpp2.0.1":
                told = "TransactionEvent TransactionEvent StatusNotification"
            assert [name for name in said if name in told.split()] == told.split()
            assert second.faults == []
            assert h.hub.connected("e0") is connection, "the station did not notice"
            await until(lambda: h.session("e0:1") is None)


async def test_their_profiles_are_known_after_a_restart(tmp_path: Path) -> None:
    async with central_system("ocpp1.6", {"e0": SECRET}) as central:
        async with (
            house(tmp_path, **before(central)) as h,
            station(Foreign16, h, "e0", await h.enrol("e0")) as it,
        ):
            await it.boot()
            await until(lambda: h.hub.peer("e0").traits.asked)
            await central.ask("SetChargingProfile", **profile("ocpp1.6", 7.0))
            await until(lambda: '"theirs"' in h.headend.state.traits["e0"].traits)
        async with house(tmp_path, **before(central)) as h:
            (their,) = h.hub.peer("e0").traits.theirs
            assert (their.place, their.limit_a) == (1, 7.0)


@pytest.mark.parametrize(
    ("answer", "headers"),
    [
        ("302 Found", "Location: {other}\r\n"),
        ("101 Switching Protocols", "Sec-WebSocket-Protocol: ocpp2.1\r\n"),
    ],
    ids=["a redirect", "another subprotocol"],
)
async def test_what_is_no_such_csms_gets_no_frame(answer: str, headers: str, tmp_path: Path) -> None:
    heard = bytearray()

    async with central_system("ocpp1.6", {"e0": SECRET}) as other:

        async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            key = next(x for x in head.decode().split("\r\n") if x.lower().startswith("sec-websocket-key"))
            accept = accept_of(key.partition(":")[2].strip())
            more = headers.format(other=other.url + "/e0")
            writer.write(
                f"HTTP/1.1 {answer}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept}\r\nContent-Length: 0\r\n{more}\r\n".encode()
            )
            await writer.drain()
            with contextlib.suppress(TimeoutError, ConnectionError):
                heard.extend(await asyncio.wait_for(reader.read(1_000), 3))
            writer.close()

        server = await asyncio.start_server(odd, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = {"url": f"ws://127.0.0.1:{port}/{{stationID}}", "password": SECRET, "hold_seconds": 0}
        async with server, house(tmp_path, networks=LOOPBACK, proxy=settings) as h:
            socket = await h.socket("e0", await h.enrol("e0"))
            with contextlib.suppress(ConnectionClosed):
                await socket.send('[2,"1","BootNotification",{}]')
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 60)
        assert other.judges == {}
        assert len(heard) < 20, "at most a goodbye"


def accept_of(key: str) -> str:
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode(), usedforsecurity=False)
    return base64.b64encode(digest.digest()).decode()


@BOTH
async def test_a_restart_of_emw_in_the_middle_of_a_transaction(
    kind: type[Any], version: str, tmp_path: Path
) -> None:
    async with central_system(version, {"e0": SECRET}) as central:
        async with (
            house(tmp_path, **before(central)) as h,
            station(kind, h, "e0", secret := await h.enrol("e0")) as it,
        ):
            await it.boot()
            await it.plug_in()
            await until(lambda: h.session("e0:1") is not None)
            await kw(h, it)
            assert (await decrease(h))["confirmedKW"] >= 3.9
        # It comes back without a boot, as most do, with its transaction and what it held.
        kept = {"transaction": it.transaction, "profiles": it.profiles}
        sets = it.profiles.sets
        async with (
            house(tmp_path, **before(central)) as h,
            station(kind, h, "e0", secret, seq=10, **kept) as it,
        ):
            await until(lambda: it.profiles.sets > sets)
            assert await kw(h, it) <= 7.1
            assert ("e0", str(it.transaction)) in h.headend.state.transactions
            await it.unplug()
            await until(lambda: h.session("e0:1") is None)
        assert central.boots == 1
        assert central.faults == []
        assert len(central.transactions) == 1
