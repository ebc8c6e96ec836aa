"""What a vehicle needs, and what others limit, as 2.x stations tell. Pure.

The first counts in dispatch, the second lowers what an EVSE can draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from emw.stations.ocpp.traits import RateUnit
from emw.stations.ocpp.wire import parse_time
from emw.stations.ocpp.wire201 import ChargingNeeds, LimitSchedule

MOST_KWH: Final = 1_000.0
"""No vehicle asks for more: somebody means Wh and says kWh, or the other way round."""
LEAST_A: Final = 0.1
"""What nothing is allowed to draw still has a knob: it is above 0 in all protocols."""


class Need(NamedTuple):
    """How much energy a vehicle wants, kWh, and by when; None: it does not say."""

    energy_kwh: float | None
    departure_at: datetime | None


def need_of(said: ChargingNeeds, now: datetime) -> Need:
    """What ISO 15118 told the station: energy as such, or by the state of charge that is missing (K15)."""
    wh: float | None = None
    ac, dc, v2x = said.acChargingParameters, said.dcChargingParameters, said.v2xChargingParameters
    if v2x is not None:
        wh = v2x.evTargetEnergyRequest
    if wh is None and ac is not None:
        wh = ac.energyAmount
    if wh is None and dc is not None:
        wh = dc.energyAmount
        if wh is None and dc.evEnergyCapacity is not None and dc.stateOfCharge is not None:
            full = 100.0 if dc.fullSoC is None else dc.fullSoC
            wh = dc.evEnergyCapacity * (full - dc.stateOfCharge) / 100.0
    kwh = None if wh is None or not 0.0 < wh <= MOST_KWH * 1000 else wh / 1000
    leaves = None if said.departureTime is None else parse_time(said.departureTime, now)
    return Need(kwh, leaves if leaves is not None and leaves > now else None)


def lowest_a(schedules: Sequence[LimitSchedule], kw_per_a: float) -> float | None:
    """The lowest limit of all periods, A per phase; None: none is told.

    Whenever that is: flexibility is rather told too low than too high.
    """
    found = [
        period.limit / (kw_per_a * 1000) if schedule.chargingRateUnit == RateUnit.WATTS else period.limit
        for schedule in schedules
        for period in schedule.chargingSchedulePeriod
        if period.limit is not None and (kw_per_a > 0 or schedule.chargingRateUnit != RateUnit.WATTS)
    ]
    return max(min(found), LEAST_A) if found else None
