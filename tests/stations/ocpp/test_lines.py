"""A feeder of so many A per phase, seen from OCPP stations: their meters show which lines a vehicle loads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from emw.service.admin import EvseDefaults
from tests.stations.ocpp.foreign import stamp
from tests.stations.ocpp.house import EAST, House, house, until
from tests.stations.ocpp.plain import Plain, boot, plain, start


async def shows(it: Plain, number: int, amps: Sequence[float]) -> None:
    """Its meter shows this current on its terminals, three times."""
    for second in range(3):
        sampled = [
            {"value": str(a), "measurand": "Current.Import", "phase": f"L{n}", "unit": "A"}
            for n, a in enumerate(amps, 1)
        ]
        values = [{"timestamp": stamp(it.now() + timedelta(seconds=second)), "sampledValue": sampled}]
        body = {"connectorId": 1, "transactionId": number, "meterValue": values}
        assert await it.call("MeterValues", body) == {}


def held(h: House) -> dict[str, float]:
    return {k: x.max_a for k, x in h.headend.state.limits.items() if x.max_a is not None}


async def test_P4_vehicles_on_one_phase_leave_the_lines_to_others_that_they_do_not_load(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as h:
        await h.headend.admin.define_territory("test", EAST, ceiling_a=40.0)
        three = EvseDefaults(phases=3, max_a=32.0)
        one, two = await h.enrol("CP1", three), await h.enrol("CP2", three)
        await h.headend.admin.wire("test", "CP1:1", "L1L2L3")
        await h.headend.admin.wire("test", "CP2:1", "L2L3L1")
        async with plain(h, "CP1", one) as a, plain(h, "CP2", two) as b:
            await boot(a)
            await boot(b)
            first, second = await start(a), await start(b)
            await until(lambda: held(h).keys() == {"CP1:1", "CP2:1"})
            assert sum(held(h).values()) <= 40.0, "either may load all three lines"
            await shows(a, first, (16, 0, 0))
            await shows(b, second, (16, 0, 0))
            await until(lambda: not held(h))
            # The station serves its one-phase vehicle from another terminal now: both are on L1.
            await shows(b, second, (0, 0, 16))
            await until(lambda: held(h).keys() == {"CP1:1", "CP2:1"})
            assert h.evse("CP2:1").uses == "L3"
            assert sum(held(h).values()) <= 40.0
            assert {x.line for x in h.headend.state.limits.values()} == {"L1"}
