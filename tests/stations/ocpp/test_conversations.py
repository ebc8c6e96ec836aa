"""Whole conversations over real sockets with charge points that are not ours (the `ocpp` package), in all versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emw.domain.model import Outcome
from tests.stations.ocpp.foreign import Foreign16, Foreign21, Foreign201, station
from tests.stations.ocpp.house import EAST, House, house, until

ALL = pytest.mark.parametrize("kind", [Foreign16, Foreign201, Foreign21])


async def metered(it: Any, the_house: House, evse_id: str) -> float:
    """The load that emw has taken from the meter, kW."""
    await it.meter()
    reading = the_house.headend.telemetry.live[evse_id].reading
    assert reading is not None
    return reading.kw


@ALL
async def test_plug_in_charge_decrease_drop_and_return(kind: type[Any], tmp_path: Path) -> None:
    async with house(tmp_path, speed=20.0) as h:
        secret = await h.enrol("CP1")
        async with station(kind, h, "CP1", secret) as it:
            told = await it.boot()
            assert told.status == "Accepted"
            assert h.hub.console.seen("CP1").protocol == it._connection.subprotocol
            await it.plug_in()
            await until(lambda: h.session("CP1:1") is not None)
            assert await metered(it, h, "CP1:1") == pytest.approx(11.04)

            asked = await h.iso(
                "POST",
                "/iso/decrease",
                {"requestID": "r1", "territory": EAST, "kW": 4.0, "durationMinutes": 30},
            )
            assert asked["confirmedKW"] >= 3.9, asked
            limit = h.headend.state.limits["CP1:1"]
            assert limit.outcome is Outcome.APPLIED
            assert await metered(it, h, "CP1:1") <= 7.1

            await h.iso("POST", "/iso/returnToNormal", {"requestID": "r1"})
            await until(lambda: it.profiles.clears > 0)
            await until(lambda: it.amps() == 16.0)
            assert await metered(it, h, "CP1:1") == pytest.approx(11.04)
            await it.unplug()
            await until(lambda: h.session("CP1:1") is None)
