"""Forty stations on lines of which one in ten breaks at the wrong moment: a shed and a ceiling, seen from the cars."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import pytest

from emw.domain.model import Evse, Limit, Outcome, Station
from emw.service.ports import Answer, HeartBeat
from emw.service.requests import Decrease
from tests.service.test_starts import HERE, WANTS_A
from tests.service.test_unheard import answers
from tests.web.world import START, Obeying, World, stations, world

KW_PER_A = 0.23
HALF_KW = 0.5 * KW_PER_A * sum(WANTS_A[name] for name in HERE)
STEP = timedelta(seconds=15)


@dataclass
class Street(Obeying):
    """What stations really hold. A command is lost, or its answer is, or the line is dead for some minutes."""

    chance: Random
    breaks: float = 0.1
    held: dict[str, tuple[float, datetime]] = field(default_factory=dict)
    dead_until: dict[str, datetime] = field(default_factory=dict)
    told: int = 0

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        self.told += 1
        name, odds = evse.evse_id, self.chance.random()
        if self.is_dead(name, now) or odds < self.breaks / 2:
            return Answer(Outcome.TIMED_OUT, reason="lost")
        if limit.max_a is None:
            self.held.pop(name, None)
        else:
            self.held[name] = (limit.max_a, limit.until)
        if odds < self.breaks:
            return Answer(Outcome.TIMED_OUT, reason="its answer was lost")
        return Answer(Outcome.APPLIED, evse.max_a if limit.max_a is None else limit.max_a)

    def is_dead(self, name: str, now: datetime) -> bool:
        return self.dead_until.get(name, now) > now

    def limit_a(self, name: str, now: datetime) -> float | None:
        amps, until = self.held.get(name, (0.0, now))
        return amps if until > now else None

    def draws_a(self, name: str, now: datetime) -> float:
        limit_a = self.limit_a(name, now)
        return WANTS_A[name] if limit_a is None else min(WANTS_A[name], max(limit_a - 0.4, 0.0))

    def load_kw(self, now: datetime) -> float:
        return KW_PER_A * sum(self.draws_a(name, now) for name in HERE)


async def goes_on(w: World, street: Street, minutes: float) -> list[float]:
    """Time passes, each reads its meter once a minute; the load at the end of each step, kW."""
    loads, ends_at = [], w.clock.at + timedelta(minutes=minutes)
    while w.clock.at < ends_at:
        w.clock.at = now = w.clock.at + STEP
        for n, name in enumerate(HERE):
            if street.chance.random() < street.breaks / 60:
                street.dead_until[name] = now + timedelta(seconds=street.chance.choice([30, 120, 400]))
            if (round((now - START) / STEP) + n) % 4 == 0 and not street.is_dead(name, now):
                said = HeartBeat(
                    at=now, voltage_v=230.0, current_a=street.draws_a(name, now), evse_max_a=32.0, car_max_a=32.0,
                    limit_a=street.limit_a(name, now), energy_kwh=None,
                )  # fmt: skip
                await w.headend.intake.heartbeat(w.headend.state.stations[name], name, said)
        await w.headend.dispatch.next_round("East")
        await answers(w)
        await w.headend.watch.look(now, START)
        loads.append(street.load_kw(now))
    return loads


@pytest.mark.parametrize("seed", [1, 2])
async def test_P4_a_ceiling_is_kept_and_used_though_stations_do_not_hear(seed: int) -> None:
    """Who did not hear counted with all that he could draw: half of the room was left empty, and cars were paused."""
    street = Street(Random(seed))
    async with world(link=street) as w:
        await stations(w, HERE)
        await goes_on(w, street, 5)
        await w.headend.admin.define_territory("test", "East", kind="zone", ceiling_kw=HALF_KW)
        await goes_on(w, street, 10)
        loads = await goes_on(w, street, 10)
        assert max(loads) <= HALF_KW
        assert sum(loads) / len(loads) > 0.85 * HALF_KW
        await w.headend.admin.define_territory("test", "East", kind="zone", ceiling_kw=None)
        await goes_on(w, street, 45)
        assert street.load_kw(w.clock.at) > 1.9 * HALF_KW, "nobody is left behind"


@pytest.mark.parametrize("seed", [1, 2])
async def test_P11_a_shed_is_confirmed_by_no_more_than_stations_hold(seed: int) -> None:
    street = Street(Random(seed))
    async with world(link=street) as w:
        await stations(w, HERE)
        await goes_on(w, street, 5)
        asked = Decrease(request_id="R1", territory_id="East", kw=HALF_KW, minutes=30)
        await w.headend.requests.decrease("operator", asked, actor="operator:opa")
        (request,) = w.headend.accounts.live_requests()
        for minute in range(25):
            (*_, load_kw) = await goes_on(w, street, 1)
            active = w.headend.state.requests[request.request_key]
            confirmed_kw = w.headend.accounts.sums(active, w.clock.at).confirmed_kw
            assert confirmed_kw <= 2 * HALF_KW - load_kw
            assert confirmed_kw > 0.75 * HALF_KW or minute < 5
        await goes_on(w, street, 30)
        assert street.load_kw(w.clock.at) > 1.9 * HALF_KW
