"""What one round sees, as columns: one row per EVSE with a vehicle, in order of EVSE id.

`Floats`, `Ints` and `Bools` have one row per EVSE wherever nothing else is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

Phase = Literal["idle", "shed", "restore"]

NEAR_A = 1e-6
"""Amperes closer than this are equal."""
SMALL_A = 0.05
"""Limits closer than this are the same to a station."""
LEAST_KW = 1e-3
"""A move that changes the load by less is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is owed: `kw` below what the fleet would have drawn, over [start, end). Minutes as in `Columns`."""

    phase: Phase
    kw: float
    start_min: float
    end_min: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The EVSEs with a vehicle at one minute. Currents in A per phase, minutes from local midnight, NaN: not told."""

    now_min: float
    was: Ints
    """The row each one had a round ago; -1: a session not seen before."""
    kw_per_a: Floats
    max_a: Floats
    floor_a: Floats
    step_a: Floats
    limit_a: Floats
    """The limit last confirmed."""
    draw_a: Floats
    """Mean of the last minute."""
    got_kwh: Floats
    req_kwh: Floats
    """Energy told; evidence, not truth."""
    plug_min: Floats
    depart_min: Floats
    """Departure told; evidence, not truth."""
    opted_out: Bools
    online: Bools

    def frees(self, limit_a: Floats) -> Bools:
        """Whether these limits are none: at the knob (a row each)."""
        found: Bools = limit_a >= self.max_a - SMALL_A
        return found

    @property
    def free(self) -> Bools:
        """Whom no confirmed limit holds."""
        return self.frees(self.limit_a)
