"""What is short is explained to the kW, also where nobody but the governor is in the way."""

from __future__ import annotations

import re

from emw.engine.view import Rules
from emw.service.requests import Decrease
from emw.service.settings import ServiceSettings
from emw.web.log_words import reason
from emw.web.tongue import TONGUES
from tests.service.test_shed import beat
from tests.web.world import stations, world


async def test_what_the_governor_holds_back_is_named_and_the_parts_make_the_whole() -> None:
    names = [f"E{n}" for n in range(20)]
    slow = ServiceSettings(rules=Rules(shed_share_per_min=0.05))
    async with world(service=slow) as w:
        await stations(w, names)
        for _ in range(3):
            await beat(w, names)
        asked = Decrease(request_id="R1", territory_id="East", kw=40.0, minutes=60, emergency=False)
        await w.headend.requests.decrease("operator", asked, actor="operator:opa")
        await w.headend.dispatch.next_round("East")
        told = w.headend.accounts.told(w.headend.state.requests["operator:R1"], w.clock.now())
        assert told["shortKW"] > 10, "the ramp lets a part of it through in the first round"
        found = re.fullmatch(r"short ([\d.]+) kW: ([\d.]+) kW held by the governor", told["whyShort"])
        assert found, told["whyShort"]
        assert found[1] == found[2]
        assert abs(float(found[1]) - told["shortKW"]) < 2.0, "but for whole amps"
        assert "vom Regler" in reason(told["whyShort"], TONGUES["de"])
