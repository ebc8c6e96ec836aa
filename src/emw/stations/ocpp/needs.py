"""What a vehicle needs and can take, and what others limit, as 2.x stations tell. Pure.

Needs count in dispatch; what a vehicle can't do is not asked of it; others lower what an EVSE can draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from emw.domain.units import FLOOR_A
from emw.stations.ocpp.traits import RateUnit
from emw.stations.ocpp.wire import parse_time
from emw.stations.ocpp.wire201 import ChargingNeeds, LimitSchedule

MOST_KWH: Final = 1_000.0
"""No vehicle asks for more: somebody means Wh and says kWh, or the other way round."""
MOST_A: Final = 2_000.0
LEAST_A: Final = 0.1
"""What nothing is allowed to draw still has a knob: it is above 0 in all protocols."""


class Need(NamedTuple):
    """How much energy a vehicle wants, kWh, and by when; what it takes at least and at most, A per phase.

    None: it does not say.
    """

    energy_kwh: float | None
    departure_at: datetime | None
    car_min_a: float | None = None
    car_max_a: float | None = None


NO_NEED: Final = Need(None, None)


def need_of(said: ChargingNeeds, now: datetime, kw_per_a: float) -> Need:
    """What ISO 15118 told the station: energy as such, or by the state of charge that is missing (K15).

    `kw_per_a`: the EVSE's, for what a vehicle says in W.
    """
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
    return Need(kwh, leaves if leaves is not None and leaves > now else None, *_range_a(said, kw_per_a))


def _range_a(said: ChargingNeeds, kw_per_a: float) -> tuple[float | None, float | None]:
    """What a vehicle takes at least and at most, A per phase. What can't be is not told."""
    least_a: float | None = None
    most_a: float | None = None
    ac, dc, v2x = said.acChargingParameters, said.dcChargingParameters, said.v2xChargingParameters
    if ac is not None:
        least_a, most_a = ac.evMinCurrent, ac.evMaxCurrent
    elif kw_per_a > 0:
        least_w: float | None = None
        most_w: float | None = None
        if v2x is not None:
            least_w = _sum(v2x.minChargePower, v2x.minChargePower_L2, v2x.minChargePower_L3)
            most_w = _sum(v2x.maxChargePower, v2x.maxChargePower_L2, v2x.maxChargePower_L3)
        elif dc is not None:
            most_w = dc.evMaxPower
            if most_w is None and dc.evMaxCurrent is not None and dc.evMaxVoltage is not None:
                most_w = dc.evMaxCurrent * dc.evMaxVoltage
        least_a = None if least_w is None else least_w / (kw_per_a * 1000)
        most_a = None if most_w is None else most_w / (kw_per_a * 1000)
    if most_a is None or not FLOOR_A <= most_a <= MOST_A:
        return None, None  # a vehicle that takes less takes nothing (IEC 61851-1): it means something else
    return (least_a if least_a is not None and FLOOR_A < least_a <= most_a else None), most_a


def _sum(first: float | None, second: float | None, third: float | None) -> float | None:
    """Of all phases; None: not even the first is told."""
    return None if first is None else first + (second or 0.0) + (third or 0.0)


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
