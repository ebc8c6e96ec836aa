"""A reading of a station's meter in the service's words. Pure."""

from __future__ import annotations

from typing import Final

from emw.domain.model import Evse
from emw.domain.units import FLOOR_A
from emw.service.ports import HeartBeat
from emw.stations.ocpp.meter import Metered
from emw.stations.ocpp.peer import Supply
from emw.stations.ocpp.profiles import to_neutral_v

MOST_TIMES: Final = 30


def supply_of(evse: Evse, own_a: float) -> Supply:
    """What an EVSE is supplied by. `own_a`: its maximum where nobody else limits it, A per phase."""
    neutral_v, kw_per_a = to_neutral_v(evse.line_voltage_v, evse.phases), evse.kw_per_a
    knob_w = 1000 * kw_per_a * max(evse.max_a, own_a, FLOOR_A)
    return Supply(evse, neutral_v, kw_per_a, knob_w, MOST_TIMES * knob_w)


def said_by(
    evse: Evse, metered: Metered, held_a: float | None, neutral_v: float, kw_per_a: float
) -> HeartBeat:
    """A reading in the service's words: voltage and current such that their product is the metered power.

    The voltage is measured where the meter says it, else follows from power and current, else is the EVSE's own; it is
    told as the EVSE's line voltage is meant, against neutral or between phases.
    """
    kw, line_v, max_a = (metered.power_w or 0.0) / 1000, evse.line_voltage_v, evse.max_a
    volts, amps, energy_wh = metered.voltage_v, metered.current_a, metered.energy_wh
    share = 1.0
    if volts is not None and neutral_v > 0:
        share = volts / neutral_v
    elif amps is not None and amps > 1.0:
        share = kw / (kw_per_a * amps)
    if not 0.8 < share < 1.2:
        share = 1.0  # no grid is that far off: other phases are in use, or the meter means something else
    energy_kwh = None if energy_wh is None or energy_wh < 0 else energy_wh / 1000
    return HeartBeat(metered.at, line_v * share, kw / (kw_per_a * share), max_a, None, held_a, energy_kwh)
