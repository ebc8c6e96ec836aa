"""What the operator says of a make stands above what its stations say and show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emw.domain.model import Outcome
from emw.stations.ocpp.traits import Pin, Purpose, RateUnit, Traits
from tests.stations.ocpp.house import house, until
from tests.stations.ocpp.plain import boot, plain
from tests.stations.ocpp.test_limits import BOTH, charging, decrease, profile_of, settled


@BOTH
async def test_unit_purpose_and_ends_as_pinned(version: str, tmp_path: Path) -> None:
    pin = {"vendor": "v*", "model": "?", "unit": "W", "purposes": ["TxDefaultProfile"], "valid_to": False}
    async with house(tmp_path, models=[{"vendor": "other", "unit": "A"}, pin]) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, version) as it:
            await boot(it)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            await decrease(h)
            await until(settled(h, Outcome.APPLIED))
            profile, schedule = profile_of(it.names("SetChargingProfile")[0])
            assert schedule["chargingRateUnit"] == "W"
            assert profile["chargingProfilePurpose"] == "TxDefaultProfile"
            assert "validTo" not in profile
            assert schedule["duration"] > 0


async def test_one_that_is_pinned_as_not_smart_is_never_asked(tmp_path: Path) -> None:
    async with house(tmp_path, models=[{"model": "M", "smart_charging": False}]) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            await until(lambda: "CP1:1" in h.headend.state.evses and not h.evse("CP1:1").can_limit)
            await charging(it)
            await until(lambda: h.session("CP1:1"))
            assert (await decrease(h))["affectedEVSEs"] == 0
            assert it.names("SetChargingProfile") == []


@pytest.mark.parametrize(
    ("pin", "who", "fits"),
    [
        (Pin(), ("a", "b", None), True),
        (Pin(vendor="Acme*"), ("ACME Inc.", "b", "1"), True),
        (Pin(vendor="Acme*"), ("An Acme", "b", "1"), False),
        (Pin(firmware="1.2*"), ("a", "b", None), False),
        (Pin(firmware="1.2*"), ("a", "b", "1.23"), True),
    ],
)
def test_whom_a_pin_fits(pin: Pin, who: tuple[Any, Any, Any], fits: bool) -> None:
    assert pin.fits(*who) is fits


def test_nothing_beside_what_is_pinned_is_tried() -> None:
    pin = Pin(unit=RateUnit.AMPS, purposes=(Purpose.TX_DEFAULT, Purpose.TX))
    tried: list[tuple[Purpose, RateUnit]] = []
    while (way := Traits(units=("W",)).next_way(list(Purpose), tried, pin=pin)) is not None:
        tried.append(way)
    assert tried == [(Purpose.TX_DEFAULT, RateUnit.AMPS), (Purpose.TX, RateUnit.AMPS)]
