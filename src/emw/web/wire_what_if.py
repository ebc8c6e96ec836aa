"""What the API's questions to the engine take and tell (`api_what_if`)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from emw.web.wire import AnyId, In, Out


class WhatIfIn(In):
    """A decrease that is imagined and not made: `kW` of a territory from `start` (none: now) on, within 24 hours."""

    territory: AnyId
    kw: Annotated[float, Meta(gt=0, le=1e9)]
    duration_minutes: Annotated[float, Meta(gt=0, le=1e6)] = 60.0
    start: datetime | None = None


class BandOut(Out):
    """What can be shed, kW: expected, and the band that four of five outcomes lie within."""

    kw: float
    low_kw: float
    high_kw: float


class AheadOut(Out):
    """What can be shed at a time, kW: in all, by the vehicles that are plugged in now, and by those still to come."""

    at: datetime
    kw: float
    low_kw: float
    high_kw: float
    here: BandOut
    to_come: BandOut


class ForecastOut(Out):
    """What can be shed in the coming hours. `basis` says whether this site's own days tell yet who is to come."""

    territory: str
    basis: str
    hours: list[AheadOut]


class WhatIfPartOut(Out):
    """One EVSE's part in an imagined request. `missedKWh`: what its driver is expected to miss at departure."""

    evse_id: str
    draw_amps: float
    limit_amps: float
    gives_kw: float
    missed_kwh: float | None


class WhatIfOut(Out):
    """What an imagined request would do. `chance`: that what can be shed at its end still reaches it.

    For a later start `shedKW` is what the forecast expects (`atStart` has its band), and `evses` are those who would
    give if it began now.
    """

    territory: str
    requested_kw: float
    duration_minutes: float
    shed_kw: float
    short_kw: float
    why_short: str | None
    available: AheadOut
    at_start: AheadOut
    at_end: AheadOut
    chance: float
    missed_kwh: float
    affected_evses: int
    evses: list[WhatIfPartOut]
