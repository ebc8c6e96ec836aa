"""Electrical units: what they are, converted in one place.

Sign: power drawn from the grid is positive. Amperes are per phase.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

FLOOR_A: Final = 6.0
"""The lowest current a vehicle can be offered; between 0 and this nothing exists (IEC 61851-1)."""

LINE_TO_LINE_FROM_V: Final = 380.0
"""A three-phase voltage at or above this is measured between two phases, not against neutral."""


@lru_cache(maxsize=4096)
def kw_per_a(line_voltage_v: float, phases: int) -> float:
    """Real power per ampere and phase, kW/A, at unity power factor.

    One phase: V/1000 (US 208 V between two phases is such a single circuit). Three phases: 3·V/1000 with V
    against neutral; 380 V and more can only be meant between phases and is divided by √3 first.
    """
    if phases == 1:
        return line_voltage_v / 1000
    to_neutral = line_voltage_v / math.sqrt(3) if line_voltage_v >= LINE_TO_LINE_FROM_V else line_voltage_v
    return phases * to_neutral / 1000
