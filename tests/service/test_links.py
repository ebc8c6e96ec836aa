"""What one station's wire may not do to the others."""

from __future__ import annotations

from datetime import datetime

from emw.domain.model import Evse, Limit, Outcome, Station
from emw.service.ports import Answer
from tests.service.test_shed import beat
from tests.web.world import Obeying, stations, world


class Torn(Obeying):
    """One wire that our own code fails on."""

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        if evse.evse_id == "E1":
            raise RuntimeError("the transport is gone")
        return await super().send(station, evse, limit, now)


async def test_a_wire_that_breaks_while_it_is_told_leaves_the_others_in_dispatch() -> None:
    names = [f"E{n}" for n in range(4)]
    async with world(link=Torn()) as w:
        await stations(w, names)
        for _ in range(2):
            await beat(w, names)
        asked = {"requestID": "R1", "territory": "East", "kW": 8.0, "durationMinutes": 60}
        told = await w.call("POST", "/api/v1/requests", asked, headers=await w.log_in("opa"))
        assert told.status == 201, told.body
        for _ in range(6):
            await beat(w, names)
        limits = w.headend.state.limits
        assert limits["E1"].outcome is Outcome.OFFLINE
        assert "fault of emw" in (limits["E1"].reason or "")
        others = [limits[name] for name in names if name != "E1" and name in limits]
        assert others
        assert all(x.outcome is Outcome.APPLIED for x in others)
        request = w.headend.state.requests["operator:R1"]
        now_kw = w.headend.accounts.sums(request, w.clock.now()).confirmed_kw
        assert now_kw > 7.0, "what it does not give, the others do"
