"""A line that breaks in mid-event: who can't be told is told nothing, and holds what he agreed to until that ends."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from emw.domain.model import Outcome
from tests.stations.ocpp.house import EAST, House, house, until
from tests.stations.ocpp.plain import SILENT, boot, meter, plain, polite, stop
from tests.stations.ocpp.test_limits import charging, decrease, last_id, limit, settled


async def confirmed_kw(h: House) -> float:
    told = await h.iso("GET", "/iso/requests/r1")
    return float(told["confirmedKW"])


async def test_a_line_that_is_lost_when_a_renewal_is_due_leaves_what_the_station_holds(
    tmp_path: Path,
) -> None:
    """The renewal could not be said, and what the station held all the while counted as refused."""
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            number = int(await charging(it))
            await until(lambda: h.session("CP1:1"))
            await meter(it, 11_000.0, number)
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
        await until(lambda: h.hub.connected("CP1") is None)
        before, gives_kw = limit(h), await confirmed_kw(h)
        assert before is not None
        assert gives_kw > 3.0
        h.parts.clock._start_s += 480  # more than half of its lease is over
        assert h.parts.clock.now() < before.until
        await h.headend.dispatch.next_round(EAST)
        assert limit(h) == before, "nobody is told whose line is lost"
        assert await confirmed_kw(h) == gives_kw
        async with plain(h, "CP1", secret) as it:
            await until(lambda: (now := limit(h)) is not None and now.until > before.until)
            await until(settled(h, Outcome.APPLIED))
            assert it.names("SetChargingProfile")


async def test_who_is_to_be_let_go_while_his_line_is_lost_is_let_go_when_he_is_back(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
        await until(lambda: h.hub.connected("CP1") is None)
        await h.iso("POST", "/iso/returnToNormal", {"requestID": "r1"})
        await h.headend.dispatch.next_round(EAST)
        told = await h.iso("GET", "/iso/requests/r1")
        assert told["state"] == "restoring", "as long as he may hold his limit"
        async with plain(h, "CP1", secret) as it:
            await until(lambda: it.names("ClearChargingProfile"))
            await until(lambda: (now := limit(h)) is not None and now.max_a is None)
            await until(settled(h, Outcome.APPLIED))
        await h.headend.dispatch.next_round(EAST)
        assert (await h.iso("GET", "/iso/requests/r1"))["state"] == "closed"


async def test_a_line_that_is_lost_for_good_counts_as_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
        await until(lambda: h.hub.connected("CP1") is None)
        h.hub.look(h.hub.time() + h.hub.settings.offline_s + 2)
        await until(lambda: not h.evse("CP1:1").online)
        assert await confirmed_kw(h) == 0.0
        assert h.parts.clock.now() + timedelta(minutes=5) < limit(h).until  # type: ignore[union-attr]


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
async def test_who_comes_where_the_last_ones_end_was_lost_is_told_his_limit(
    version: str, tmp_path: Path
) -> None:
    """A limit that was set for a transaction is gone with it, and stood in the books as agreed to."""
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, version) as it:
            await boot(it)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            first = h.session("CP1:1")
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
            told = len(it.names("SetChargingProfile"))
            await charging(it, "tx2")
            await until(lambda: h.session("CP1:1") not in {None, first})
            now = limit(h)
            if now is not None and now.max_a is not None:
                await until(lambda: len(it.names("SetChargingProfile")) > told, 5)


@pytest.mark.parametrize("late", [False, True])
async def test_who_leaves_before_his_command_is_answered_leaves_no_limit_behind(
    late: bool, tmp_path: Path
) -> None:
    """What was rejected since its transaction had ended was tried as a limit for whoever comes next."""
    at_first = [SILENT]

    def answer(action: str, payload: dict[str, Any]) -> Any:
        quiet = action == "SetChargingProfile" and at_first
        return at_first.pop() if quiet else polite(action, payload)

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, answer=answer) as it:
            await boot(it)
            number = int(await charging(it))
            await until(lambda: h.session("CP1:1"))
            asking = asyncio.create_task(decrease(h))
            await until(lambda: it.names("SetChargingProfile"))
            await stop(it, number)
            if late:
                await until(lambda: (now := limit(h)) is not None and now.max_a is None)
            await it.raw(json.dumps([3, last_id(h), {"status": "Rejected"}]))
            await until(lambda: (now := limit(h)) is not None and now.outcome is not Outcome.PENDING)
            assert await it.call("Heartbeat", {})
            assert len(it.names("SetChargingProfile")) == 1
            await asking
