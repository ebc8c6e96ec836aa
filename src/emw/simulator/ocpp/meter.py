"""What a meter shows, in OCPP's words. Pure.

Power in W over all phases, current in A per phase, energy in Wh since the station was built.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

ENERGY: Final = "Energy.Active.Import.Register"
POWER: Final = "Power.Active.Import"
CURRENT: Final = "Current.Import"
OFFERED: Final = "Current.Offered"
VOLTAGE: Final = "Voltage"
MEASURANDS: Final = (ENERGY, POWER, CURRENT, OFFERED, VOLTAGE)

_UNITS: Final = {ENERGY: "Wh", POWER: "W", CURRENT: "A", OFFERED: "A", VOLTAGE: "V"}


@dataclass(frozen=True, slots=True)
class Metered:
    """One look at the meter, by the station's own clock."""

    at: datetime
    energy_wh: float
    current_a: float
    offered_a: float
    voltage_v: float
    phases: int

    def samples(self, measurands: tuple[str, ...], *, per_phase: bool) -> list[tuple[str, str | None, float]]:
        """Measurand, phase and value of each number asked for. `per_phase`: power never as a total."""
        lines: tuple[str | None, ...] = ("L1", "L2", "L3")[: self.phases]
        power_w = self.voltage_v * self.current_a
        found: list[tuple[str, str | None, float]] = []
        for measurand in measurands:
            if measurand == ENERGY:
                found.append((ENERGY, None, round(self.energy_wh, 1)))
            elif measurand == POWER and per_phase:
                found += [(POWER, line, round(power_w, 1)) for line in lines]
            elif measurand == POWER:
                found.append((POWER, None, round(power_w * self.phases, 1)))
            elif measurand == CURRENT:
                found += [(CURRENT, line, round(self.current_a, 2)) for line in lines]
            elif measurand == OFFERED:
                found.append((OFFERED, None, round(self.offered_a, 2)))
            elif measurand == VOLTAGE and self.phases == 1:
                # Not against neutral everywhere: 208 V between two phases is one circuit as well.
                found.append((VOLTAGE, None, round(self.voltage_v, 1)))
            elif measurand == VOLTAGE:
                found += [(VOLTAGE, f"{line}-N", round(self.voltage_v, 1)) for line in lines]
        return found


def value_16(
    metered: Metered, measurands: tuple[str, ...], context: str, *, per_phase: bool
) -> dict[str, Any]:
    """A MeterValue of 1.6: numbers as text, the unit beside each."""
    return {
        "timestamp": stamp(metered.at),
        "sampledValue": [
            {"value": f"{value:g}" if measurand != ENERGY else f"{value:.1f}", "context": context}
            | {"measurand": measurand, "unit": _UNITS[measurand], "location": "Outlet"}
            | ({} if phase is None else {"phase": phase})
            for measurand, phase, value in metered.samples(measurands, per_phase=per_phase)
        ],
    }


def value_201(
    metered: Metered, measurands: tuple[str, ...], context: str, *, per_phase: bool
) -> dict[str, Any]:
    """A MeterValue of 2.0.1: numbers, and a unit that may be left out where it is Wh."""
    return {
        "timestamp": stamp(metered.at),
        "sampledValue": [
            {"value": value, "context": context, "measurand": measurand, "location": "Outlet"}
            | {"unitOfMeasure": {"unit": _UNITS[measurand]}}
            | ({} if phase is None else {"phase": phase})
            for measurand, phase, value in metered.samples(measurands, per_phase=per_phase)
        ],
    }


def stamp(at: datetime) -> str:
    """A time on the wire: UTC with Z, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
