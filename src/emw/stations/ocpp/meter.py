"""Meter values to one reading, once, for all versions. Pure: what was known before is an argument.

Power: the total; else the sum of the phases; else current times voltage, phase by phase; else the slope of the
energy register. Only what a station measured *now* (periodic, by the clock, or asked for) is a reading; what it
measured when a transaction began or ended counts for energy alone. Power at the outlet, W, positive towards the car;
current in A on the phase that carries most; voltage against neutral, V; energy in Wh.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from emw.stations.ocpp.wire import MeterValue, Sampled, parse_time

LIVE: Final = frozenset({None, "Sample.Periodic", "Sample.Clock", "Trigger"})
PHASES: Final = {
    "L1": 0, "L2": 1, "L3": 2, "L1-N": 0, "L2-N": 1, "L3-N": 2, "L1-L2": 0, "L2-L3": 1, "L3-L1": 2,
}  # fmt: skip
REGISTER: Final = "Energy.Active.Import.Register"
MEASURANDS: Final = frozenset({REGISTER, "Power.Active.Import", "Current.Import", "Voltage"})
OUTLET: Final[frozenset[str | None]] = frozenset({None, "Outlet"})
INLET: Final[frozenset[str | None]] = frozenset({"Inlet"})
BETWEEN_PHASES: Final = frozenset({"L1-L2", "L2-L3", "L3-L1"})
USED_A: Final = 1.0
"""A phase that carries less than this is not charging: a meter's noise, or the electronics."""
STEADY_A: Final = 3.0
"""From here on the phases in use say something of the car."""
SLOPE_S: Final = 30.0
SLOPE_MOST_S: Final = 900.0
DEAD_W: Final = 50.0
ALIVE_W: Final = 500.0
ZEROS: Final = 2
"""So often a meter must show no power while its register counts, until its power is not believed."""
MOST_W: Final = 2_000_000.0
SQRT3: Final = math.sqrt(3)


class Memory(NamedTuple):
    """What must be remembered of an EVSE's meter from one message to the next."""

    energy_wh: float | None = None
    at: datetime | None = None
    zeros: int = 0


NOTHING: Final = Memory()


class Metered(NamedTuple):
    """One reading. None: the meter does not say. `live`: it shows the present."""

    at: datetime
    live: bool
    power_w: float | None
    current_a: float | None
    voltage_v: float | None
    energy_wh: float | None
    phases: int | None


class _Sums:
    """What the samples of one moment add up to, by phase."""

    __slots__ = ("amps", "amps_total", "energy", "energy_parts", "live", "power", "power_parts", "volts")

    def __init__(  # noqa: PLR0912 - one pass over the samples: this is hot
        self, samples: Sequence[Sampled], place: frozenset[str | None]
    ) -> None:
        """Take in what was measured at `place`; what it is not about (SoC, export, offered) is left. Hot."""
        live = False
        power: float | None = None
        amps_total: float | None = None
        energy: float | None = None
        power_parts: list[float | None] | None = None
        amps: list[float | None] | None = None
        volts: list[float | None] | None = None
        energy_parts: list[float | None] | None = None
        for sample in samples:
            measurand, phase = sample.measurand, sample.phase
            if sample.location not in place or measurand not in MEASURANDS:
                continue
            now = sample.context in LIVE
            register = measurand == REGISTER
            # Energy is true whenever it was read, at the begin of a transaction as well.
            if not (now or register) or sample.format == "SignedData":
                continue
            value = number(sample)
            if value is None:
                continue
            if measurand == "Voltage":
                phase = "L1" if phase is None else phase
                volts = _put(volts, phase, value / SQRT3 if phase in BETWEEN_PHASES else value)
                continue
            live = live or now
            if measurand == "Current.Import":
                if phase is None or phase == "N":
                    # Told for all phases at once, or on the neutral alone: each phase carries as much.
                    amps_total = value if amps_total is None or phase is None else amps_total
                else:
                    amps = _put(amps, phase, value)
            elif register:
                if phase is None:
                    energy = value
                else:
                    energy_parts = _put(energy_parts, phase, value)
            elif phase is None:
                power = value
            else:
                power_parts = _put(power_parts, phase, value)
        self.live, self.power, self.amps_total, self.energy = live, power, amps_total, energy
        self.power_parts, self.amps, self.volts, self.energy_parts = power_parts, amps, volts, energy_parts


def number(sample: Sampled) -> float | None:
    """A sample's value in W, A, V or Wh; None where it is no number or out of all reason."""
    value = sample.value
    if value.__class__ is not float:
        try:
            value = float(value)
        except ValueError:
            return None
    if sample.unitOfMeasure is not None:
        unit, power = sample.unitOfMeasure.unit, sample.unitOfMeasure.multiplier
        if power:
            if not -9 <= power <= 9:
                return None
            value *= 10.0**power
    else:
        unit = sample.unit or ""
    if unit[:1] == "k":
        value *= 1000.0
    return value if -1e12 < value < 1e12 else None


def _put(parts: list[float | None] | None, phase: str, value: float) -> list[float | None] | None:
    place = PHASES.get(phase)
    if place is None:
        return parts
    if parts is None:
        parts = [None, None, None]
    parts[place] = value
    return parts


def _sum(parts: Sequence[float | None] | None) -> float | None:
    return None if parts is None else sum(p for p in parts if p is not None)


def normalise(
    values: Sequence[MeterValue], memory: Memory, now: datetime, *, to_neutral_v: float, phases: int
) -> tuple[Metered | None, Memory]:
    """The latest reading in `values`, and what to remember.

    `to_neutral_v`, `phases`: the EVSE's, where the meter does not say. The moments of one message are taken in the
    order of their times, so that a message with several is as good as
    several with one.
    """
    found: Metered | None = None
    if len(values) > 1:
        values = sorted(values, key=lambda v: parse_time(v.timestamp, now))
    for value in values:
        got, memory = _moment(value, memory, now, to_neutral_v, phases)
        if got is not None and (found is None or got.live or not found.live):
            found = got
    return found, memory


def _moment(
    value: MeterValue, memory: Memory, now: datetime, to_neutral_v: float, phases: int
) -> tuple[Metered | None, Memory]:
    sums = _Sums(value.sampledValue, OUTLET)
    if not sums.live and sums.energy is None:
        # A station with one EVSE may have its only meter where the grid comes in.
        sums = _Sums(value.sampledValue, INLET)
    at = parse_time(value.timestamp, now)
    energy_wh = sums.energy if sums.energy is not None else _sum(sums.energy_parts)
    power_w = sums.power if sums.power is not None else _sum(sums.power_parts)
    voltage_v = None
    if sums.volts is not None:
        volts = [v for v in sums.volts if v]
        voltage_v = sum(volts) / len(volts) if volts else None
    current_a, used = _current(sums)
    if power_w is None and current_a is not None:
        power_w = _by_current(sums, voltage_v or to_neutral_v, phases)
    power_w, memory = _by_register(power_w, energy_wh, at, memory, live=sums.live)
    if power_w is None and current_a is None and energy_wh is None:
        return None, memory
    if power_w is not None:
        power_w = min(max(power_w, 0.0), MOST_W)
    return Metered(at, sums.live, power_w, current_a, voltage_v, energy_wh, used), memory


def _current(sums: _Sums) -> tuple[float | None, int | None]:
    """The most that a phase carries, A, and how many phases are in use."""
    if sums.amps is None:
        return (None if sums.amps_total is None else max(sums.amps_total, 0.0)), None
    first, second, third = sums.amps
    if first is not None and second is not None and third is not None:
        most_a = max(first, second, third)
        used = (first > USED_A) + (second > USED_A) + (third > USED_A) if most_a >= STEADY_A else None
        return max(most_a, 0.0), used
    return max(0.0, *(a for a in sums.amps if a is not None)), None


def _by_current(sums: _Sums, voltage_v: float, phases: int) -> float:
    """Power as current times voltage, phase by phase."""
    if sums.amps is None:
        return (sums.amps_total or 0.0) * voltage_v * phases
    total = 0.0
    for place, amps in enumerate(sums.amps):
        if amps is not None:
            total += amps * ((sums.volts[place] if sums.volts is not None else None) or voltage_v)
    return total


def _by_register(
    power_w: float | None, energy_wh: float | None, at: datetime, memory: Memory, *, live: bool
) -> tuple[float | None, Memory]:
    """Power by the slope of the register where the meter says none, or says 0 again and again while it counts."""
    if energy_wh is None or not live:
        return power_w, memory
    if memory.energy_wh is None or memory.at is None or energy_wh < memory.energy_wh:
        return power_w, Memory(energy_wh, at)
    span_s = (at - memory.at).total_seconds()
    if span_s < SLOPE_S:
        if span_s < 0:
            return power_w, memory
        return power_w, memory
    slope_w = (energy_wh - memory.energy_wh) * 3600.0 / span_s
    known = span_s <= SLOPE_MOST_S
    if power_w is None:
        return (slope_w if known else None), Memory(energy_wh, at)
    zeros = memory.zeros + 1 if known and power_w < DEAD_W and slope_w > ALIVE_W else 0
    return (slope_w if zeros >= ZEROS else power_w), Memory(energy_wh, at, zeros)
