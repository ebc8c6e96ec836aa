"""What a station is to hold reaches it by another way where the first one failed, and after another start."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from emw.domain import facts as f
from emw.domain.model import Evse, Limit, Outcome, Station
from emw.service.ports import Answer, HeartBeat
from emw.service.requests import Decrease
from emw.store import Disk
from tests.service.test_shed import beat
from tests.web.world import Obeying, World, stations, world

NAMES = ["E0", "E1"]


class Line(Obeying):
    """The way to the stations: it may be cut, or take a command and say nothing."""

    def __init__(self) -> None:
        self.fails: Outcome | None = None
        self.told: list[tuple[str, float | None]] = []

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        self.told.append((evse.evse_id, limit.max_a))
        if self.fails is Outcome.PENDING:
            await asyncio.Event().wait()
        return Answer(self.fails) if self.fails else await super().send(station, evse, limit, now)


async def asked(w: World) -> None:
    for _ in range(3):
        await beat(w, NAMES)
    decrease = Decrease(request_id="R1", territory_id="East", kw=4.0, minutes=60)
    await w.headend.requests.decrease("operator", decrease, actor="operator:opa")
    await w.headend.dispatch.next_round("East")


async def outcomes(w: World, wanted: set[Outcome]) -> None:
    async with asyncio.timeout(60):
        while {x.outcome for x in w.headend.state.limits.values()} != wanted:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


async def hears(w: World, name: str) -> Limit | None:
    """What the answer to a heartbeat says."""
    said = HeartBeat(
        at=w.clock.now(), voltage_v=230.0, current_a=20.0, evse_max_a=32.0, car_max_a=32.0, limit_a=None,
        energy_kwh=None,
    )  # fmt: skip
    return await w.headend.intake.heartbeat(w.headend.state.stations[name], name, said)


async def test_who_could_not_be_called_hears_it_in_the_next_answer_until_it_has_confirmed() -> None:
    line = Line()
    async with world(link=line) as w:
        await stations(w, NAMES)
        for evse in list(w.headend.state.evses.values()):
            await w.headend.ledger.record(
                f.PoweredOn(
                    at=w.clock.now(),
                    actor="t",
                    evse_id=evse.evse_id,
                    station_id=evse.station_id,
                    territory_id=evse.territory_id,
                    model=evse.model,
                    line_voltage_v=230.0,
                    phases=1,
                    max_a=32.0,
                    status="occupied",
                    token_hash="secret-token-hash",
                    access_url="http://192.0.2.7/",
                )
            )
        line.fails = Outcome.TIMED_OUT
        await asked(w)
        await outcomes(w, {Outcome.TIMED_OUT})
        told = await hears(w, "E0")
        assert told is not None
        assert told.max_a is not None
        applied = Answer(Outcome.APPLIED, told.max_a)
        await w.headend.dispatch.commands.told("E0", told.command_id, applied, "station:E0")
        assert await hears(w, "E0") is None, "and then no more"
        assert await hears(w, "E1") is not None


async def test_an_answer_to_what_was_never_asked_is_taken_and_changes_nothing() -> None:
    async with world() as w:
        await stations(w, NAMES)
        rows = len(w.store.log)
        applied = Answer(Outcome.APPLIED, 10.0)
        await w.headend.dispatch.commands.told("E0", "co_4711", applied, "station:E0")
        assert "E0" not in w.headend.state.limits
        assert len(w.store.log) == rows


async def test_what_frees_a_car_and_got_no_answer_is_said_again_by_the_next_process() -> None:
    disk, line = Disk(), Line()
    async with world(real=disk.reopen(), link=line) as w:
        await stations(w, NAMES)
        await asked(w)
        await outcomes(w, {Outcome.APPLIED})
        assert all(x.max_a is not None for x in w.headend.state.limits.values())
        line.fails = Outcome.PENDING
        await w.headend.requests.return_to_normal("operator", "R1", actor="operator:opa")
        for _ in range(3):
            w.clock.at += timedelta(minutes=1)
            await w.headend.dispatch.next_round("East")
        freed = {x.evse_id for x in w.headend.state.limits.values() if x.max_a is None}
        assert freed == set(NAMES)
    again = Line()
    async with (
        world(real=disk.reopen(), people=False, link=again, at=w.clock.at) as w,
        asyncio.timeout(60),
    ):
        while len(again.told) < len(NAMES):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
    assert sorted(again.told) == [(name, None) for name in NAMES]
