"""A station that boots starts afresh, and at once: what it is told while its boot is being written counts as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from emw.domain.facts import Fact
from emw.domain.model import Record
from emw.service.intake import PowerOn
from tests.web.world import World, stations, world

NAME = "E1"


async def power_on(w: World) -> None:
    said = PowerOn(
        evse_id=NAME, model="M1", customer_id=None, line_voltage_v=230.0, phases=1, status="available",
        territory_id="East", site=None, latitude=None, longitude=None, access_url=None, max_a=32.0,
    )  # fmt: skip
    await w.headend.intake.power_on(w.headend.state.stations[NAME], said)


async def boot_over_ocpp(w: World) -> None:
    station = w.headend.state.stations[NAME]
    await w.headend.book.booted(station, version="ocpp1.6", vendor="V", model="M", serial=None, firmware=None)


@pytest.mark.parametrize("boots", [power_on, boot_over_ocpp])
async def test_P7_a_station_told_while_its_boot_is_written_rests_its_minute(
    boots: Callable[[World], Coroutine[Any, Any, None]],
) -> None:
    """Its last change was forgotten once the boot was written, and that was the change after it."""
    async with world() as w:
        await stations(w, [NAME])
        governor, path = w.headend.dispatch.governor, w.headend.state.path("East")
        may_write, commit = asyncio.Event(), w.store.commit

        async def slowly(facts: Sequence[Fact], records: Sequence[Record]) -> int:
            await may_write.wait()
            return await commit(facts, records)

        def told() -> bool:
            now = w.clock.now().timestamp()
            return governor.admit(NAME, path, -1.0, now, emergency=True) is None

        assert told()
        assert not told(), "less than a minute ago"
        w.store.commit = slowly  # type: ignore[method-assign]
        boot = asyncio.create_task(boots(w))
        await asyncio.sleep(0)
        assert told(), "it has forgotten what it was told before"
        may_write.set()
        await boot
        assert not told()
