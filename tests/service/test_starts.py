"""A start in the middle of a request: who is held stays held as he was, and is believed to want what he wanted."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from math import inf

from emw.domain.model import Evse, Limit, Outcome, Station
from emw.service.intake import PlugIn
from emw.service.ports import Answer, HeartBeat
from emw.service.requests import Decrease
from emw.store import Disk
from tests.web.world import Obeying, World, dispatched, stations, world

HERE = [f"E{n:02}" for n in range(40)]
LATE = [f"L{n}" for n in range(6)]
WANTS_A = {name: 8.0 + n % 23 for n, name in enumerate(HERE)} | dict(zip(LATE, (9.0, 26.0) * 3, strict=True))
HALF_KW = 0.5 * 0.23 * sum(WANTS_A[name] for name in HERE)
AWAY = timedelta(seconds=3)


class Listening(Obeying):
    """Keeps the commands that were said. Who is `away` hears none."""

    def __init__(self, away: Collection[str] = ()) -> None:
        self.away = set(away)
        self.told: set[str] = set()

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        if evse.evse_id in self.away:
            return Answer(Outcome.OFFLINE, reason="it is not connected")
        self.told.add(limit.command_id)
        return await super().send(station, evse, limit, now)


async def read(w: World, names: list[str]) -> None:
    """A minute passes; each draws what it wants, or a little less than its limit."""
    w.clock.at += timedelta(minutes=1)
    for name in names:
        limit = w.headend.state.limits.get(name)
        most_a = 32.0 if limit is None or limit.max_a is None else limit.max_a - 0.4
        said = HeartBeat(
            at=w.clock.now(), voltage_v=230.0, current_a=min(WANTS_A[name], most_a), evse_max_a=32.0,
            car_max_a=32.0, limit_a=None, energy_kwh=None,
        )  # fmt: skip
        await w.headend.intake.heartbeat(w.headend.state.stations[name], name, said)


async def minutes(w: World, count: int, names: list[str]) -> None:
    """... and each is looked at."""
    for _ in range(count):
        await read(w, names)
        await w.headend.dispatch.next_round("East")


async def half_is_asked(w: World) -> None:
    """... of the load, and told to whom it concerns."""
    await stations(w, HERE + LATE)
    for name in LATE:
        await w.headend.intake.unplugged(w.headend.state.stations[name], name, None)
    await minutes(w, 4, HERE)
    asked = Decrease(request_id="R1", territory_id="East", kw=HALF_KW, minutes=60)
    await w.headend.requests.decrease("operator", asked, actor="operator:opa")
    await dispatched(w)


async def first_life(disk: Disk) -> tuple[datetime, dict[str, Limit]]:
    """When it ended, and what held then: half of the load was asked, obeyed and learned from, and all is written."""
    async with world(real=disk.reopen()) as w:
        await half_is_asked(w)
        await minutes(w, 4, HERE)
        await w.headend.watch.remember(w.clock.now())
        await w.headend.telemetry.flush()
        return w.clock.now(), limits(w)


def limits(w: World) -> dict[str, Limit]:
    return {e: x for e, x in w.headend.state.limits.items() if x.in_force(w.clock.now())}


def amps(held: dict[str, Limit], evse_id: str) -> float:
    """What it may draw, A."""
    limit = held.get(evse_id)
    return inf if limit is None or limit.max_a is None else limit.max_a


async def test_P7_a_start_takes_back_what_is_too_much_and_shares_nothing_anew() -> None:
    """Vehicles take a little less than they are offered, so their meters show more than was asked.

    Before anybody was priced that was shared anew over all who are held: most were to rise, the others to fall. The
    ramp let through what fell, and then the rhythm kept it so.
    """
    disk = Disk()
    async with world(real=disk.reopen()) as w:
        await half_is_asked(w)
        await read(w, HERE)
        await w.headend.telemetry.flush()
        at, before = w.clock.now(), limits(w)
    link = Listening()
    async with world(real=disk.reopen(), people=False, at=at + AWAY, link=link) as w:
        for _ in range(2):
            await w.headend.dispatch.next_round("East")
        after = limits(w)
    assert {x.command_id for x in before.values()} <= link.told, "what stood is said again"
    moved = {e for e in before.keys() | after.keys() if amps(before, e) != amps(after, e)}
    assert len(moved) == 1, "as far up as it takes, who misses most"
    assert all(amps(after, e) > amps(before, e) for e in moved)


async def test_P7_a_start_asks_nobody_else_while_stations_that_agreed_have_still_to_connect() -> None:
    """Stations call, and a start finds none connected. What they had agreed to counted as refused, and all who were
    free and there already were asked for it once more.
    """
    disk = Disk()
    at, before = await first_life(disk)
    link = Listening(away=before.keys())
    async with world(real=disk.reopen(), people=False, at=at + AWAY, link=link) as w:
        for _ in range(2):
            await w.headend.dispatch.next_round("East")
        after = limits(w)
        assert {e: amps(after, e) for e in after} == {e: amps(before, e) for e in before}
        assert all(x.outcome is Outcome.APPLIED for x in after.values()), "as it answered last"
        link.away.clear()
        for name in before:
            await w.headend.book.heard(name)
            w.headend.book.say_again([w.headend.state.evses[name]])
        await w.headend.dispatch.next_round("East")
        assert {x.command_id for x in before.values()} <= link.told, "said again to each that is back"


async def test_P7_nobody_is_told_before_his_station_has_called() -> None:
    """Limits are renewed all the while. Where that was tried too soon, what the station held counted as nothing for two
    minutes, and others were asked for it.
    """
    disk = Disk()
    at, before = await first_life(disk)
    link = Listening(away=before.keys())
    async with world(real=disk.reopen(), people=False, at=at + AWAY, link=link) as w:
        w.headend.dispatch.picture.asking.away = lambda evse: evse.evse_id in link.away
        w.clock.at += timedelta(minutes=2)
        await w.headend.dispatch.next_round("East")
        after = limits(w)
        assert {e: after.get(e) for e in before} == before
        assert len(after) - len(before) <= 1, "twins fade meanwhile"
        link.away.clear()
        await w.headend.dispatch.next_round("East")
        await w.headend.dispatch.next_round("East")
        after = limits(w)
        assert sum(after[e].until > x.until for e, x in before.items()) > len(before) / 4
        assert sum(amps(after, e) != amps(before, e) for e in before) <= 1


async def test_P7_a_start_lowers_nobody_who_is_held_by_a_ceiling_that_holds() -> None:
    """What vehicles take less than offered was forgotten: sixteen went down an ampere, and up a minute later."""
    disk = Disk()
    async with world(real=disk.reopen()) as w:
        await stations(w, HERE)
        await minutes(w, 4, HERE)
        await w.headend.admin.define_territory("test", "East", kind="zone", ceiling_kw=120.0)
        await minutes(w, 4, HERE)
        await w.headend.telemetry.flush()
        at, before = w.clock.now(), limits(w)
        assert before.keys() == set(HERE)
    async with world(real=disk.reopen(), people=False, at=at + AWAY) as w:
        for _ in range(2):
            await w.headend.dispatch.next_round("East")
        after = limits(w)
    assert [e for e in after if amps(after, e) < amps(before, e)] == []


async def test_P11_a_start_credits_who_takes_less_than_he_may_by_what_he_wants() -> None:
    """He came in mid-request, was believed to be like the others, and his meter had shown better since."""
    disk, all_here = Disk(), HERE + LATE
    async with world(real=disk.reopen()) as w:
        await half_is_asked(w)
        await minutes(w, 4, HERE)
        car = PlugIn(line_voltage_v=230.0, evse_max_a=32.0, car_max_a=32.0)
        for name in LATE:
            await w.headend.intake.plugged_in(w.headend.state.stations[name], name, car)
        await minutes(w, 1, all_here)
        await w.headend.telemetry.flush()
        at, before = w.clock.now(), wanted_a(w)
        assert [before[name] for name in LATE[::2]] == [9.0] * 3
        assert all(amps(limits(w), name) > 12.0 for name in LATE[::2])
    async with world(real=disk.reopen(), people=False, at=at + AWAY) as w:
        for _ in range(2):
            assert [wanted_a(w)[name] for name in LATE[::2]] == [9.0] * 3
            await w.headend.dispatch.next_round("East")


def wanted_a(w: World) -> dict[str, float]:
    """What each is believed to draw when nothing holds it, A."""
    state, telemetry = w.headend.state, w.headend.telemetry
    return {name: telemetry.expected(e, state.session_of(e)).would_a for name, e in state.evses.items()}
