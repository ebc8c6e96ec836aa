"""Meter values to one reading, once, for all versions. Pure: what was known before is an argument.

Power: the total; else the sum of the phases; else current times voltage, phase by phase; else the slope of the
energy register. Only what a station measured *now* (periodic, by the clock, or asked for) is a reading; what it
measured when a transaction began or ended counts for energy alone. Power at the outlet, W, positive towards the car;
current in A on the phase that carries most; voltage against neutral, V; energy in Wh.

Hot. What a sample is (measurand, phase, unit, context, location) a station says in the same words each time: what they
mean is worked out once, and after that a sample costs a look-up and a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from msgspec import Struct

from emw.stations.ocpp.wire import (
    Measured,
    MeasuredValue,
    MeterValue,
    Sampled,
    Values,
    as_specified,
    by_small_letters,
    parse_time,
)

LIVE: Final = frozenset({"", "sample.periodic", "sample.clock", "trigger"})
PHASES: Final = {
    "L1": 0, "L2": 1, "L3": 2, "L1-N": 0, "L2-N": 1, "L3-N": 2, "L1-L2": 0, "L2-L3": 1, "L3-L1": 2,
}  # fmt: skip
REGISTER: Final = "Energy.Active.Import.Register"
BETWEEN_PHASES: Final = frozenset({"L1-L2", "L2-L3", "L3-L1"})
USED_A: Final = 1.0
"""A phase that carries less than this is not charging: a meter's noise, or the electronics."""
STEADY_A: Final = 3.0
"""From here on the phases in use say something of the car."""
IN_USE: Final = (
    (0, None), (1, None), (1, "L2"), (2, None), (1, "L3"), (2, "L1L3"), (2, "L2L3"), (3, None),
)  # fmt: skip
"""How many phases are in use and, where they are not the first ones, which: by a bit for each."""
_UNTOLD: Final = (None, None)
SLOPE: Final = timedelta(seconds=30)
SLOPE_MOST_S: Final = 900.0
DEAD_W: Final = 50.0
ALIVE_W: Final = 500.0
ZEROS: Final = 2
"""So often a meter must show no power while its register counts, until its power is not believed."""
MOST_W: Final = 2_000_000.0
MOST: Final = 1e12
"""A sample beyond this, in W, A, V or Wh, is out of all reason."""
LEAST: Final = -MOST
SQRT3: Final = math.sqrt(3)

# The samples of one moment are laid out in a row: of each measurand the total and its three phases, then the current
# of the neutral, and whether any of it is of now. After the outlet's row comes that of the place where the grid comes
# in, and last a place for what is not used.
_FIRST: Final = {"Power.Active.Import": 0, "Current.Import": 4, REGISTER: 8, "Voltage": 12}
_MEASURANDS: Final = by_small_letters(*_FIRST)
_ENERGY: Final = 8
_NEUTRAL: Final = 16
_NOW: Final = 17
_ROW: Final = 18
_UNUSED: Final = 2 * _ROW
_NOTHING: Final[list[Any]] = [None] * (2 * _ROW + 1)

_MEANINGS_KEPT: Final = 4_096
_LONGEST_WORDS: Final = 200


OVER_KNOB: Final = 1.25
"""A register that counts faster than the EVSE can draw, by more than this, says nothing of power."""
STEP_WH: Final = 100.0
"""The coarsest step of a register that is met in the field: so much of a slope may be the step's."""


class MeterMemory(NamedTuple):
    """What must be remembered of an EVSE's meter from one message to the next.

    `too_fast_w`: the slope of its register since then, where it can't be; 0: it can.
    """

    energy_wh: float | None = None
    at: datetime | None = None
    zeros: int = 0
    too_fast_w: float = 0.0


NOTHING: Final = MeterMemory()


class Metered(Struct, frozen=True, gc=False):
    """One reading. None: the meter does not say. `live`: it shows the present."""

    at: datetime
    live: bool
    power_w: float | None
    current_a: float | None
    voltage_v: float | None
    energy_wh: float | None
    phases: int | None
    uses: str | None
    """The terminals in use, where they are not the first `phases`."""


_Meaning = tuple[int, float, int]
"""Where in the row a sample's value goes, times what (0: it is left), and where it says that it is of now."""
_LEFT: Final[_Meaning] = (_UNUSED, 0.0, _UNUSED)
_meanings: Final[dict[Any, _Meaning]] = {}


def _learn(sample: Sampled | Measured, words: tuple[Any, ...]) -> _Meaning:
    """What a sample's words mean; kept for the next that says the same, unless somebody makes them up."""
    meaning = _meaning(sample)
    if len(_meanings) < _MEANINGS_KEPT and len(repr(words)) <= _LONGEST_WORDS:
        _meanings[words] = meaning
    return meaning


def _meaning(sample: Sampled | Measured) -> _Meaning:
    measurand, phase = as_specified(sample.measurand or REGISTER, _MEASURANDS), sample.phase
    phase = None if phase is None else phase.strip().upper() or None
    first = _FIRST.get(measurand)
    row = {"": 0, "outlet": 0, "inlet": _ROW}.get((sample.location or "").strip().casefold())
    if first is None or row is None or sample.format == "SignedData":
        return _LEFT  # what it is not about: SoC, export, offered, inside the car, sealed
    now = (sample.context or "").strip().casefold() in LIVE
    if not now and measurand != REGISTER:
        return _LEFT  # energy is true whenever it was read, at the begin of a transaction as well
    factor = _factor(sample)
    if not factor:
        return _LEFT
    if measurand == "Voltage":
        phase = phase or "L1"
        factor /= SQRT3 if phase in BETWEEN_PHASES else 1.0
        now = False  # a grid has its voltage whether a car charges or not
    if phase is None:
        place = row + first
    elif phase in PHASES:
        place = row + first + 1 + PHASES[phase]
    else:
        place = row + _NEUTRAL if (measurand, phase) == ("Current.Import", "N") else _UNUSED
    return place, factor, row + _NOW if now else _UNUSED


def _factor(sample: Sampled | Measured) -> float:
    """From a sample's unit to W, A, V or Wh; 0: out of all reason."""
    unit, power = sample.unit or "", 0
    if sample.unitOfMeasure is not None:
        unit, power = sample.unitOfMeasure.unit, sample.unitOfMeasure.multiplier
    if not -9 <= power <= 9:
        return 0.0
    return 10.0 ** (power + 3 if unit.strip()[:1] in {"k", "K"} else power)


def number(sample: Sampled | Measured) -> float | None:
    """A sample's value in W, A, V or Wh; None where it is no number or out of all reason."""
    factor = _factor(sample)
    value = _number(sample.value) * factor
    return value if factor and LEAST < value < MOST else None


def _number(told: float | str | None) -> float:
    """A number that may be told as text; NaN where it is none."""
    try:
        return math.nan if told is None else float(told)
    except ValueError:
        return math.nan


def _laid_out(samples: Sequence[Sampled] | Sequence[Measured]) -> list[Any]:
    """The samples of one moment as a row, the outlet's. Hot."""
    row = _NOTHING.copy()
    known = _meanings.get
    for s in samples:
        words = (s.measurand, s.phase, s.unit, s.context, s.location, s.format, s.unitOfMeasure)
        place, factor, now = known(words) or _learn(s, words)
        told = s.value
        value = (told if type(told) is float else _number(told)) * factor
        if LEAST < value < MOST:
            row[place] = value
            row[now] = True
    # A station with one EVSE may have its only meter where the grid comes in.
    return row[:_ROW] if row[_NOW] or row[_ENERGY] is not None else row[_ROW:_UNUSED]


def _sum(first: float | None, second: float | None, third: float | None) -> float | None:
    """The sum of what phases say; None: none says anything."""
    if first is None and second is None and third is None:
        return None
    return (first or 0.0) + (second or 0.0) + (third or 0.0)


def normalise(
    values: Values,
    memory: MeterMemory,
    now: datetime,
    to_neutral_v: float,
    phases: int,
    knob_w: float = MOST_W,
) -> tuple[Metered | None, MeterMemory]:
    """The latest reading in `values`, and what to remember.

    `to_neutral_v`, `phases`: the EVSE's, where the meter does not say. `knob_w`: what it can draw at most. The moments
    of one message are taken in the order of their times, so that a message with several is as good as several with one.
    """
    if len(values) == 1:
        return _moment(values[0], memory, now, to_neutral_v, phases, knob_w)
    found: Metered | None = None
    moments: list[MeterValue | MeasuredValue] = [*values]
    for value in sorted(moments, key=lambda v: parse_time(v.timestamp, now)):
        got, memory = _moment(value, memory, now, to_neutral_v, phases, knob_w)
        if got is not None and (found is None or got.live or not found.live):
            found = got
    return found, memory


def _moment(
    value: MeterValue | MeasuredValue,
    memory: MeterMemory,
    now: datetime,
    to_neutral_v: float,
    phases: int,
    knob_w: float,
) -> tuple[Metered | None, MeterMemory]:
    power_w, w1, w2, w3, total_a, a1, a2, a3, energy_wh, wh1, wh2, wh3, _, v1, v2, v3, neutral_a, live = (
        _laid_out(value.sampledValue)
    )
    at = parse_time(value.timestamp, now)
    if power_w is None:
        power_w = _sum(w1, w2, w3)
    if energy_wh is None:
        energy_wh = _sum(wh1, wh2, wh3)
    voltage_v = _mean(v1, v2, v3) if v2 or v3 else v1 or None
    if total_a is None:
        total_a = neutral_a  # told there alone: each phase carries as much
    current_a, (phases_used, uses) = _current(total_a, a1, a2, a3)
    if power_w is None and current_a is not None:
        power_w = _by_current(total_a, (a1, a2, a3), (v1, v2, v3), voltage_v or to_neutral_v, phases)
    if live and energy_wh is not None:
        power_w, memory = _by_register(power_w, energy_wh, at, memory, knob_w)
    if power_w is None and current_a is None and energy_wh is None:
        return None, memory
    if power_w is not None and not 0.0 <= power_w <= MOST_W:
        power_w = min(max(power_w, 0.0), MOST_W)
    return Metered(at, live is not None, power_w, current_a, voltage_v, energy_wh, phases_used, uses), memory


def _mean(*volts: float | None) -> float | None:
    """Over the phases that have a voltage."""
    told = [v for v in volts if v]
    return sum(told) / len(told) if told else None


def _current(
    total_a: float | None, a1: float | None, a2: float | None, a3: float | None
) -> tuple[float | None, tuple[int | None, str | None]]:
    """The most that a phase carries, A, and how many phases are in use, and which."""
    if a1 is not None and a2 is not None and a3 is not None:
        most_a = max(a1, a2, a3)
        if most_a < STEADY_A:
            return max(most_a, 0.0), _UNTOLD
        return most_a, IN_USE[(a1 > USED_A) + 2 * (a2 > USED_A) + 4 * (a3 > USED_A)]
    some_a = [a for a in (a1, a2, a3) if a is not None]
    if not some_a and total_a is not None:
        some_a = [total_a]
    return (max(0.0, *some_a) if some_a else None), _UNTOLD


def _by_current(
    total_a: float | None,
    amps: Sequence[float | None],
    volts: Sequence[float | None],
    voltage_v: float,
    phases: int,
) -> float:
    """Power as current times voltage, phase by phase."""
    if amps[0] is None and amps[1] is None and amps[2] is None:
        return (total_a or 0.0) * voltage_v * phases
    return sum(a * (v or voltage_v) for a, v in zip(amps, volts, strict=True) if a is not None)


def _by_register(
    power_w: float | None, energy_wh: float, at: datetime, memory: MeterMemory, knob_w: float
) -> tuple[float | None, MeterMemory]:
    """Power by the slope of the register where the meter says none, or says 0 again and again while it counts.

    A slope that the EVSE can't draw is none, and what it was measured from is kept: a register that leapt, or counts in
    another unit, would else be load that seems shed as soon as it stops. It is one again once it can be.
    """
    before_wh, before, zeros, _ = memory
    # Of a power that is not believed nothing is said until the register says more.
    doubted = power_w is not None and power_w < DEAD_W and zeros >= ZEROS
    if before_wh is None or before is None or energy_wh < before_wh:
        # The register of another transaction: it begins anew, the meter is the same.
        return (None if doubted else power_w), MeterMemory(energy_wh, at, zeros)
    span = at - before
    if span < SLOPE:
        return (None if doubted else power_w), memory
    span_s = span.total_seconds()
    slope_w = (energy_wh - before_wh) * 3600.0 / span_s
    if span_s > SLOPE_MOST_S:
        return (None if doubted else power_w), MeterMemory(energy_wh, at, zeros)
    if slope_w > OVER_KNOB * knob_w + STEP_WH * 3600.0 / span_s:
        return (None if doubted else power_w), MeterMemory(before_wh, before, zeros, slope_w)
    if power_w is None:
        return slope_w, MeterMemory(energy_wh, at, zeros)
    zeros = zeros + 1 if power_w < DEAD_W and slope_w > ALIVE_W else 0
    return (slope_w if zeros >= ZEROS else power_w), MeterMemory(energy_wh, at, zeros)
