"""What if: imagined requests and the forecast of what can be shed, over the API. Nothing here changes anything."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from emw.engine.forecast import Ahead, Forecast
from emw.plane import utc
from emw.service.what_if import HOURS
from emw.web.auth import viewer
from emw.web.given import TheHeadEnd, TheTongue, id_of
from emw.web.log_words import reason
from emw.web.wire_what_if import AheadOut, BandOut, ForecastOut, WhatIfIn, WhatIfOut, WhatIfPartOut

HERE = "vehicles plugged in now"
ALL = "vehicles plugged in now, and those expected to come"


def _band(one: Ahead) -> BandOut:
    return BandOut(kw=round(one.kw, 3), low_kw=round(one.low_kw, 3), high_kw=round(one.high_kw, 3))


def _ahead(one: Forecast, now: datetime) -> AheadOut:
    both = _band(one.both)
    return AheadOut(
        at=now + timedelta(hours=one.here.hours),
        kw=both.kw,
        low_kw=both.low_kw,
        high_kw=both.high_kw,
        here=_band(one.here),
        to_come=_band(one.to_come),
    )


class WhatIf(Controller):
    """Questions to the engine."""

    tags = ("Requests",)

    @post(
        "/preview",
        guards=[viewer],
        status_code=200,
        summary="What a decrease would do, without asking for it",
    )
    async def preview(self, headend: TheHeadEnd, tongue: TheTongue, data: JSONBody[WhatIfIn]) -> WhatIfOut:
        """Who would be limited to what, what it is expected to cost drivers, and how sure it would hold to its end."""
        start_at = None if data.start is None else utc("start", data.start)
        told = headend.oracle.preview(data.territory, data.kw, data.duration_minutes, start_at)
        now = headend.clock.now()
        return WhatIfOut(
            territory=told.territory_id,
            requested_kw=told.kw,
            duration_minutes=told.minutes,
            shed_kw=round(told.shed_kw, 3),
            short_kw=round(told.short_kw, 3),
            why_short=reason(told.why_short, tongue) or None,
            available=_ahead(told.available, now),
            at_start=_ahead(told.at_start, now),
            at_end=_ahead(told.at_end, now),
            chance=round(told.at_end.chance_of(told.kw), 3),
            missed_kwh=round(told.missed_kwh, 3),
            affected_evses=len(told.limited),
            evses=[
                WhatIfPartOut(
                    evse_id=p.evse_id,
                    draw_amps=round(p.draw_a, 2),
                    limit_amps=p.limit_a,
                    gives_kw=round(p.gives_kw, 3),
                    missed_kwh=None if p.missed_kwh is None else round(p.missed_kwh, 3),
                )
                for p in told.limited
            ],
        )

    @get(
        "/territories/{territory_id:str}/forecast",
        guards=[viewer],
        summary="What can be shed in the coming hours",
    )
    async def forecast(
        self,
        headend: TheHeadEnd,
        territory_id: FromPath[str],
        hours: Annotated[list[float] | None, QueryParameter(name="hours", max_items=48)] = None,
    ) -> ForecastOut:
        """Expected kW and the band that four of five outcomes lie within, at each of `hours` from now: in all, by the
        vehicles that are `here`, and by those still `toCome` as earlier days have it.
        """
        node_id = id_of(territory_id)
        now, found = headend.oracle.forecast(node_id, tuple(hours) if hours else HOURS)
        basis = ALL if any(one.to_come.kw > 0 for one in found) else HERE
        return ForecastOut(territory=node_id, basis=basis, hours=[_ahead(one, now) for one in found])
