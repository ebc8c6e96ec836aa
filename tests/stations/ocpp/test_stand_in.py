"""The CSMS away for long: emw answers in its place, and owes it every message until it has told it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from ocpp.exceptions import InternalError

from emw.domain.model import Outcome
from emw.service.errors import Unavailable
from emw.stations.ocpp.proxy import Proxy
from emw.stations.ocpp.relayed import Relayed
from tests.ports import free_port
from tests.simulator.ocpp.central import Central, central_system
from tests.stations.ocpp.foreign import Foreign16, Foreign21, Foreign201, station
from tests.stations.ocpp.house import House, house, until
from tests.stations.ocpp.test_proxy import SECRET, before, decrease, kw

ALL = pytest.mark.parametrize(
    ("kind", "version"),
    [(Foreign16, "ocpp1.6"), (Foreign201, "ocpp2.0.1"), (Foreign21, "ocpp2.1")],
    ids=["1.6", "2.0.1", "2.1"],
)


class Away:
    """A station that its CSMS has accepted, and the CSMS gone; `back` brings it back."""

    def __init__(self, stack: AsyncExitStack, version: str, h: House, it: Any, port: int) -> None:
        self.h, self.it = h, it
        self._stack, self._version, self._port = stack, version, port

    async def back(self) -> Central:
        central = central_system(self._version, {"e0": SECRET}, self._port)
        return await self._stack.enter_async_context(central)


@asynccontextmanager
async def away(kind: type[Any], version: str, folder: Path, **more: Any) -> AsyncIterator[Away]:
    async with AsyncExitStack() as stack:
        port = free_port()
        async with central_system(version, {"e0": SECRET}, port) as first:
            h = await stack.enter_async_context(house(folder, **before(first, hold_seconds=0.2, **more)))
            it = await stack.enter_async_context(station(kind, h, "e0", await h.enrol("e0")))
            await it.boot()
            await until(lambda: "e0" in h.headend.state.traits)
        yield Away(stack, version, h, it, port)


def told(central: Central) -> list[str]:
    """What of charging the CSMS was told, in order."""
    names = {"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"}
    return [
        name if name != "TransactionEvent" else f"{name} {body['eventType']}"
        for judge in central.judges.get("e0", ())
        for name, body in judge.said
        if name in names
    ]


@ALL
async def test_a_whole_stay_without_the_csms_is_told_to_it_in_order_and_once(
    kind: type[Any], version: str, tmp_path: Path
) -> None:
    async with away(kind, version, tmp_path) as world:
        h, it = world.h, world.it
        await it.plug_in()
        await until(lambda: h.session("e0:1") is not None)
        assert await kw(h, it) == pytest.approx(11.04)
        assert (await decrease(h))["confirmedKW"] >= 3.9
        assert h.headend.state.limits["e0:1"].outcome is Outcome.APPLIED
        assert await kw(h, it) <= 7.1
        await it.unplug()
        await until(lambda: h.session("e0:1") is None)
        central = await world.back()
        ended = "StopTransaction" if version == "ocpp1.6" else "TransactionEvent Ended"
        await until(lambda: ended in told(central))
        if version == "ocpp1.6":
            assert told(central) == ["StartTransaction", "MeterValues", "MeterValues", "StopTransaction"]
            # It goes under the number that the CSMS gave, whatever emw had called it.
            stopped = central.said("StopTransaction")[0]
            assert str(stopped["transactionId"]) == central.transactions[0]
            assert {str(b["transactionId"]) for b in central.said("MeterValues")} == {central.transactions[0]}
        else:
            parts = [word.split()[1] for word in told(central)]
            assert parts == ["Started", "Updated", "Updated", "Updated", "Ended"]
        assert len(central.transactions) == 1
        # From here on the two talk to each other again: the answer is the CSMS's own.
        connection = h.hub.connected("e0")
        assert connection is not None
        relay = connection.relay
        assert isinstance(relay, Relayed)
        await until(lambda: not relay.relay.standing)
        await it.boot()
        assert central.boots == 1
        assert central.faults == []


async def test_a_stay_that_goes_on_keeps_both_its_numbers_over_a_restart(tmp_path: Path) -> None:
    async with AsyncExitStack() as later:
        async with away(Foreign16, "ocpp1.6", tmp_path) as world:
            await world.it.plug_in()
            ours = world.it.transaction
            kept = {"transaction": ours, "profiles": world.it.profiles}
            central = await later.enter_async_context(central_system("ocpp1.6", {"e0": SECRET}, world._port))
            await until(lambda: central.transactions)
            number = central.transactions[0]
            assert str(ours) != number
            proxy = world.h.hub.proxy
            assert isinstance(proxy, Proxy)
            assert proxy.book is not None
            debts = proxy.book.of("e0")
            await until(lambda: not debts)  # else it would be told again after the restart
        async with (
            house(tmp_path, **before(central, hold_seconds=0.2)) as h,
            station(Foreign16, h, "e0", await h.enrol("e0"), **kept) as it,
        ):
            await until(lambda: "e0" in central.sockets and len(central.judges["e0"]) > 1)
            await it.meter()
            told_by = await central.until("MeterValues")
            assert str(told_by["transactionId"]) == number
            answer = await central.ask("RemoteStopTransaction", transaction_id=int(number))
            assert answer.status == "Accepted"
            assert it.stopped == [ours]
            await it.unplug()
            assert str(central.said("StopTransaction")[-1]["transactionId"]) == number
        assert len(central.transactions) == 1
        assert central.faults == []


async def test_what_is_owed_is_told_after_a_restart(tmp_path: Path) -> None:
    async with AsyncExitStack() as later:
        async with away(Foreign16, "ocpp1.6", tmp_path) as world:
            await world.it.plug_in()
            await world.it.unplug()
            port = world._port
        central = await later.enter_async_context(central_system("ocpp1.6", {"e0": SECRET}, port))
        async with (
            house(tmp_path, **before(central)) as h,
            station(Foreign16, h, "e0", await h.enrol("e0")) as it,
        ):
            # What is new waits behind it.
            await it.plug_in()
            await until(lambda: len(central.transactions) == 2)
            assert told(central)[:3] == ["StartTransaction", "StopTransaction", "StartTransaction"]
            first, second = central.said("StartTransaction")
            assert str(central.said("StopTransaction")[0]["transactionId"]) == central.transactions[0]
            assert first["timestamp"] < second["timestamp"]


async def test_what_cant_be_kept_is_not_answered_with_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with away(Foreign16, "ocpp1.6", tmp_path) as world:
        await world.it.status("Available")
        proxy = world.h.hub.proxy
        assert isinstance(proxy, Proxy)
        book = proxy.book
        assert book is not None

        async def full(*_: Any) -> None:
            raise Unavailable("disk full")

        with monkeypatch.context() as patch:
            patch.setattr(book._store, "keep_frames", full)
            with pytest.raises(InternalError):
                await world.it.call_or_raise_start()
        # It comes again, as a station's does, and is the same transaction, told once.
        await world.it.plug_in()
        central = await world.back()
        await until(lambda: central.transactions)
        await until(lambda: not book.of("e0").frames)
        assert len(central.transactions) == 1


async def test_who_was_never_accepted_by_its_csms_is_not_stood_in_for(tmp_path: Path) -> None:
    async with central_system("ocpp1.6", {"e0": SECRET}) as gone:
        settings = before(gone, hold_seconds=0.2)
    async with house(tmp_path, **settings) as h:
        socket = await h.socket("e0", await h.enrol("e0"))
        await socket.wait_closed()
        assert socket.close_code == 1001


async def test_a_csms_that_refuses_a_station_is_not_away(tmp_path: Path) -> None:
    async with away(Foreign16, "ocpp1.6", tmp_path) as world:
        await world.it.status("Available")
        async with central_system("ocpp1.6", {"e0": "another"}, world._port):
            connection = world.h.hub.connected("e0")
            await until(lambda: connection is None or connection.closed)


async def test_standing_in_can_be_left_out(tmp_path: Path) -> None:
    async with away(Foreign16, "ocpp1.6", tmp_path, stand_in=False) as world:
        await until(lambda: world.h.hub.connected("e0") is None)
