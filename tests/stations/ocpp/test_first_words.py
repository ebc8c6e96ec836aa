"""When a station is spoken to first: one that boots once that is answered, one that says anything else at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.stations.ocpp.house import House, house, until
from tests.stations.ocpp.plain import Plain, boot, plain

VERSIONS = pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])


async def known(h: House, version: str) -> str:
    """A station that has been here before and was asked everything; its secret."""
    secret = await h.enrol("CP1")
    async with plain(h, "CP1", secret, version) as it:
        await boot(it)
        await until(lambda: h.hub.console.seen("CP1").traits.get("asked"))
    await until(lambda: h.hub.connected("CP1") is None)
    return secret


async def asked_by_hand(h: House) -> asyncio.Task[object]:
    """An operator asks something as soon as the station is connected."""
    await until(lambda: h.hub.connected("CP1"))
    connection = h.hub.connected("CP1")
    assert connection is not None
    return asyncio.create_task(connection.call("ClearCache", b"{}"))


async def settled(it: Plain) -> None:
    """What emw says by itself has been said."""
    await (await it.socket.ping())


@VERSIONS
async def test_one_that_boots_hears_nothing_before_that_is_answered(version: str, tmp_path: Path) -> None:
    async with house(tmp_path, quiet_s=60.0) as h:
        secret = await known(h, version)
        async with plain(h, "CP1", secret, version) as it:
            by_hand = await asked_by_hand(h)
            await settled(it)
            assert it.asked == []
            assert (await boot(it))["status"] == "Accepted"
            await by_hand
            await until(lambda: it.names("GetConfiguration") or it.names("GetVariables"))


@VERSIONS
async def test_one_that_says_anything_else_is_spoken_to_at_once(version: str, tmp_path: Path) -> None:
    async with house(tmp_path, quiet_s=60.0) as h:
        secret = await known(h, version)
        async with plain(h, "CP1", secret, version) as it:
            by_hand = await asked_by_hand(h)
            await it.call("Heartbeat", {})
            await by_hand
            await until(lambda: it.names("TriggerMessage"))


@VERSIONS
async def test_one_that_says_nothing_is_spoken_to_after_a_while(version: str, tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await known(h, version)
        async with plain(h, "CP1", secret, version) as it:
            await until(lambda: it.names("TriggerMessage"))


async def test_one_that_is_told_to_wait_can_be_spoken_to_by_hand(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"unknown_stations": "pending", "security_profiles": (0, 1)}
    async with house(tmp_path, **settings) as h, plain(h, "CP1", None) as it:
        by_hand = await asked_by_hand(h)
        assert (await boot(it))["status"] == "Pending"
        await by_hand
