"""Who leaves takes his limit with him: nothing of it is said again, and whoever comes next starts like any other."""

from __future__ import annotations

from emw.domain.model import Outcome
from emw.service.intake import PlugIn
from tests.service.test_starts import HERE, half_is_asked, limits, minutes
from tests.service.test_unheard import answers
from tests.web.world import World, world


async def leaves(w: World, name: str) -> None:
    await w.headend.intake.unplugged(w.headend.state.stations[name], name, None)


async def test_the_limit_of_one_who_left_is_lifted_and_does_not_meet_the_next() -> None:
    """It stood, was renewed for an empty place as long as the request ran, and held the next car to another's floor."""
    async with world() as w:
        await half_is_asked(w)
        await minutes(w, 2, HERE)
        state = w.headend.state
        name = min(limits(w), key=lambda e: limits(w)[e].max_a or 0.0)
        assert limits(w)[name].max_a == 6.0
        await leaves(w, name)
        await w.headend.dispatch.next_round("East")
        await answers(w)
        lifted = state.limits[name]
        assert (lifted.max_a, lifted.outcome) == (None, Outcome.APPLIED)
        await minutes(w, 12, [e for e in HERE if e != name])
        assert state.limits[name] == lifted, "nobody talks to an empty place"
        car = PlugIn(line_voltage_v=230.0, evse_max_a=32.0, car_max_a=32.0)
        _, limit = await w.headend.intake.plugged_in(state.stations[name], name, car)
        now = limits(w).get(name)
        assert now is None or (now.max_a or 0.0) > 6.0, "at the level of the shed, or free"
        assert limit is None or limit.max_a != 6.0
