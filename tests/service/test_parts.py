"""One EVSE, one vehicle after another, one request: each vehicle's part is kept, and the EVSE counts once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from emw.domain.model import Evse, Limit, Outcome, RequestState, Station
from emw.engine.view import Rules
from emw.service.errors import Unavailable
from emw.service.evidence.month import parts_of
from emw.service.evidence.shed import TWIN, shed_report
from emw.service.intake import PlugIn
from emw.service.ports import Answer
from emw.service.requests import Decrease
from emw.service.settings import ServiceSettings
from emw.store import Disk
from tests.service.test_shed import beat
from tests.web.world import Obeying, World, stations, world

NAMES = ["E0", "E1", "E2"]
GAP_S = 60.0
KEY = "operator:R1"


async def asked(w: World, minutes: int) -> None:
    """Three vehicles charge, and have been seen; then 12 kW are asked of them."""
    await stations(w, NAMES)
    for _ in range(3):
        await beat(w, NAMES)
    decrease = Decrease(request_id="R1", territory_id="East", kw=12.0, minutes=minutes)
    await w.headend.requests.decrease("operator", decrease, actor="operator:opa")


async def goes_and_comes(w: World, name: str) -> None:
    """A vehicle leaves, the next one comes, and is asked to shed as soon as it has been seen."""
    station = w.headend.state.stations[name]
    await w.headend.intake.unplugged(station, name, None)
    w.clock.at += timedelta(seconds=70)
    await w.headend.intake.plugged_in(
        station, name, PlugIn(line_voltage_v=230.0, evse_max_a=32.0, car_max_a=32.0)
    )
    for _ in range(6):
        await beat(w, NAMES)


async def parts(w: World) -> list[dict[str, Any]]:
    await w.headend.ledger.settled()
    return await w.headend.store.query("enrolments", request_key=KEY)


async def test_P1_each_vehicle_at_an_evse_has_its_part_and_the_evse_counts_once_also_over_a_restart() -> None:
    disk = Disk()
    async with world(real=disk.reopen()) as w:
        await asked(w, minutes=120)
        for _ in range(6):
            await beat(w, NAMES)
        await goes_and_comes(w, "E0")
        first = await parts(w)
        await w.headend.twins.flush()
        at = w.clock.at
    async with world(real=disk.reopen(), people=False, at=at + timedelta(seconds=5)) as w:
        await beat(w, NAMES)
        await goes_and_comes(w, "E0")
        await w.headend.requests.return_to_normal("operator", "R1", actor="operator:opa")
        for _ in range(6):
            await beat(w, NAMES)
        await w.headend.telemetry.flush()
        await w.headend.twins.flush()
        request, rows = w.headend.state.requests[KEY], await parts(w)
        shed = await shed_report(w.headend.store, KEY, evses=True)
    assert request.state is RequestState.CLOSED
    assert request.affected_evses == len({r["evse_id"] for r in rows}) == 3
    assert first[0]["why_left"] == "unplugged"
    assert first[0] in rows, "what the first vehicle gave stays as it was"
    of_e0 = [r for r in rows if r["evse_id"] == "E0"]
    assert [r["part"] for r in of_e0] == [0, 1, 2]
    assert [r["why_left"] for r in of_e0] == ["unplugged", "unplugged", "request over"]
    assert all(r["measured_kwh"] > 0 for r in of_e0), "and is metered from the first second"
    # The report has a total for each of them, each interval once, and a site's sum has them all.
    own = [r for r in shed if r["method"] == TWIN and r["evse_id"] == "E0"]
    totals = [r for r in own if r["part"] == "total"]
    assert [r["start_at"] for r in totals] == [r["joined_at"] for r in of_e0]
    assert [r["shed_kwh"] for r in totals] == pytest.approx([r["measured_kwh"] for r in of_e0], abs=0.001)
    starts = [(r["start_at"], r["believed_at"]) for r in own if r["part"] == "interval"]
    assert len(starts) == len(set(starts)) > 0
    (site,) = [r for r in parts_of([{**r, "site": "S"} for r in rows]) if r["part"] == "site"]
    assert site["shed_kwh"] == pytest.approx(sum(r["measured_kwh"] for r in rows), abs=0.001)


async def test_P1_the_last_sums_are_those_of_the_end_however_late_it_is_noticed() -> None:
    """The server is down as the request ends. Limits ended with it: they had held until then."""
    disk = Disk()
    async with world(real=disk.reopen()) as w:
        await stations(w, NAMES)
        for _ in range(3):
            await beat(w, NAMES)
        asked = Decrease(request_id="R1", territory_id="East", kw=6.0, minutes=10)
        await w.headend.requests.decrease("operator", asked, actor="operator:opa")
        await beat(w, NAMES)
        before = w.headend.accounts.told(w.headend.state.requests[KEY], w.clock.now())
        end_at = w.headend.state.requests[KEY].end_at
        assert end_at is not None
    assert before["confirmedKW"] == 6.0
    async with world(real=disk.reopen(), people=False, at=end_at + timedelta(seconds=0.1)) as w:
        await w.headend.dispatch.next_round("East")
        await w.headend.dispatch.next_round("East")
        request = w.headend.state.requests[KEY]
        told = w.headend.requests.told_briefly(request)
    assert request.state is RequestState.CLOSED
    assert (told["confirmedKW"], told["shortKW"], told["whyShort"]) == (6.0, 0.0, None)


async def test_P9_what_is_short_is_explained_by_the_number_beside_it_and_still_after_the_end() -> None:
    slow = ServiceSettings(rules=Rules(gap_s=60.0))
    async with world(service=slow) as w:
        await stations(w, NAMES)
        for _ in range(3):
            await beat(w, NAMES)
        asked = Decrease(request_id="R1", territory_id="East", kw=90.0, minutes=60)
        await w.headend.requests.decrease("operator", asked, actor="operator:opa")
        for _ in range(4):
            await beat(w, NAMES)
            told = w.headend.accounts.told(w.headend.state.requests[KEY], w.clock.now())
            assert told["whyShort"].startswith(f"short {told['shortKW']:.1f} kW: "), told
        await w.headend.requests.return_to_normal("operator", "R1", actor="operator:opa")
        for _ in range(6):
            await beat(w, NAMES)
        request = w.headend.state.requests[KEY]
        assert request.state is RequestState.CLOSED
        told = w.headend.requests.told_briefly(request)
        assert told["whyShort"].startswith(f"short {told['shortKW']:.1f} kW: "), told


async def test_F3_a_part_whose_end_could_not_be_written_ends_when_it_is_said_again() -> None:
    async with world() as w:
        await asked(w, minutes=30)
        for _ in range(6):
            await beat(w, NAMES)
        w.store.broken = True
        with pytest.raises(Unavailable):
            await w.headend.intake.unplugged(w.headend.state.stations["E0"], "E0", None)
        w.store.broken = False
        await w.headend.intake.unplugged(w.headend.state.stations["E0"], "E0", None)
        (of_e0,) = [r for r in await parts(w) if r["evse_id"] == "E0"]
        assert of_e0["why_left"] == "unplugged"
        assert of_e0["measured_kwh"] > 0, "what it gave is not forgotten on the way"
        # The same for the last words of a request.
        w.clock.at += timedelta(minutes=31)
        w.store.broken = True
        await w.headend.dispatch.next_round("East")
        w.store.broken = False
        for _ in range(3):
            await beat(w, NAMES[1:])
        assert w.headend.state.requests[KEY].state is RequestState.CLOSED
        assert {r["why_left"] for r in await parts(w)} == {"unplugged", "request over"}
        assert all(r["measured_kwh"] > 0 for r in await parts(w))


class Unheard(Obeying):
    """Stations that hear nothing."""

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError


async def test_P7_a_command_that_is_said_again_after_a_crash_may_be_the_last_change_for_a_minute() -> None:
    """It may reach its station only now: the next change, decided on by the time it was made, would follow at once."""
    disk = Disk()
    async with world(real=disk.reopen(), link=Unheard()) as w:
        await asked(w, minutes=30)
        await w.headend.dispatch.next_round("East")
        issued = w.clock.at
        assert {x.outcome for x in w.headend.state.limits.values()} == {Outcome.PENDING}
    later = issued + timedelta(seconds=GAP_S - 5)
    async with world(real=disk.reopen(), people=False, at=later) as w:
        await w.headend.dispatch.next_round("East")
        may_change = {w.headend.dispatch.governor.next_change(name) for name in NAMES}
    assert may_change == {later.timestamp() + GAP_S}


async def test_nobody_takes_part_in_a_request_that_has_closed() -> None:
    """A ceiling may hold on to what a request asked for; who is told that after its close is not in it."""
    async with world() as w:
        await asked(w, minutes=5)
        for _ in range(60):
            await beat(w, NAMES)
        assert w.headend.state.requests[KEY].state is RequestState.CLOSED
        ended = await parts(w)
        assert ended
        assert w.headend.accounts.enrol(KEY, "E0", w.clock.now()) == []
        assert await parts(w) == ended


async def test_P1_an_end_that_is_said_again_because_it_was_not_written_leaves_the_next_part_its_number() -> (
    None
):
    """Counted up each time it would skip a number, and after a restart, counted from what is written, use one twice."""
    async with world() as w:
        await asked(w, minutes=120)
        for _ in range(6):
            await beat(w, NAMES)
        assert (KEY, "E0") in w.headend.state.enrolments
        for _ in range(3):
            w.headend.accounts.leave("E0", "unplugged", w.clock.now())  # told, and lost before it was written
        await goes_and_comes(w, "E0")
        assert sorted(p["part"] for p in await parts(w) if p["evse_id"] == "E0") == [0, 1]
