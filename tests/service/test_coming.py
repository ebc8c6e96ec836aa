"""Who is still to come is learned from the operator's own days, of the store and of the service, and kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from emw.domain import facts as f
from emw.domain.model import Evse, Session
from emw.domain.people import Role
from emw.engine.columns import Floats, Ints
from emw.engine.learn import Learner
from emw.engine.past import Past
from emw.service.coming import BLIND, Coming
from emw.service.memory import Known, read, written
from emw.store import Disk
from tests.service.test_shed import beat
from tests.store.conftest import commit_all
from tests.store.world import plug
from tests.store.world import stations as stations_on
from tests.web.world import World, stations, world

MONDAY = datetime(2026, 5, 4, 0, 0, tzinfo=ZoneInfo("America/Los_Angeles"))
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def evse(name: str, site: str = "East") -> Evse:
    return Evse(
        evse_id=name,
        station_id=name,
        territory_id=site,
        model="M1",
        line_voltage_v=240.0,
        phases=1,
        max_a=32.0,
        status="available",
        powered=True,
        online=True,
        powered_at=MONDAY,
    )


class Plugged(NamedTuple):
    evse: Evse
    session: Session


class Fleet:
    """Two vehicles an hour from seven to ten, each for three hours, that take 7.2 kWh at 15 A."""

    def __init__(self, coming: Coming) -> None:
        self.coming = coming
        self.rows: dict[str, int] = {}

    def _drew(self, rows: Ints) -> tuple[Floats, Floats]:
        return np.full(len(rows), 15.0), np.full(len(rows), 7.2)

    def look(self, now: datetime) -> None:
        there = []
        for n in range(6):
            came = now.replace(hour=7 + n // 2, minute=15 + 30 * (n % 2), second=0)
            if came <= now < came + 3 * HOUR:
                session = Session(
                    session_id=f"{came}", evse_id=f"E{n}", started_at=came, evse_max_a=32.0, car_max_a=32.0
                )
                there.append(Plugged(evse(f"E{n}"), session))
        at = {one.session.session_id: i for i, one in enumerate(there)}
        self.coming.look(there, at, {"East"}, self.rows, self._drew, now)
        self.rows = at

    def watch(self, since: datetime, until: datetime) -> None:
        now = since
        while now < until:
            now += BLIND / 3
            self.look(now)


def at_nine(coming: Coming, day: int) -> float:
    """What those who come from seven on are expected to draw at nine, kW."""
    return coming.to_come(MONDAY + day * DAY + 7 * HOUR, [2.0], ["East"])[1][0].kw


def test_days_watched_are_expected_again_and_outlive_the_process() -> None:
    zone = ZoneInfo("America/Los_Angeles")
    first = Coming("East", zone, MONDAY)
    fleet = Fleet(first)
    at = MONDAY + 3 * DAY + BLIND
    fleet.watch(MONDAY, at)
    # Four come until nine, and each draws 3.6 kW for two hours: fewer than all, for rates are drawn to the mean.
    told_kw = at_nine(first, 3)
    assert 0.7 * 14.4 < told_kw < 14.4
    assert at_nine(first, 5) == 0, "no weekend yet"

    known = Known(Learner().habits, {}, Past.nothing(0), {}, {}, first.arrivals)
    again = read(written("East", known, at), at + HOUR)
    assert again is not None
    assert again.at == at
    second = Coming("East", zone, at, again.arrivals)
    assert second.known
    assert at_nine(second, 3) == pytest.approx(told_kw, rel=1e-3)
    fleet.coming = second
    fleet.watch(at, at + DAY)
    assert at_nine(second, 4) > told_kw, "the more often it was seen, the surer"


def test_nobody_is_counted_twice_nor_while_nobody_looked() -> None:
    came = MONDAY + 7 * HOUR
    coming = Coming("East", ZoneInfo("America/Los_Angeles"), came + 10 * MINUTE)
    fleet = Fleet(coming)
    fleet.look(came + 20 * MINUTE)  # one who came five minutes after the start
    fleet.look(came + 30 * MINUTE)
    assert coming.arrivals.seen.came.sum() == 1
    fleet.look(came + 3 * HOUR)
    assert coming.arrivals.seen.came.sum() == 1, (
        "of those who came while nobody looked the hours are not known"
    )
    assert coming.arrivals.seen.watched.sum() == pytest.approx(20 / 60)


async def learned(w: World) -> None:
    """Return once the store was asked for what came before."""
    async with asyncio.timeout(60):
        while w.headend.dispatch.picture.learning.strangers(w.clock.now()):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


def a_visit(name: str, evse_id: str, came: datetime) -> list[f.Fact]:
    """Of four hours, which took 14.4 kWh at up to 7.2 kW."""
    ended = f.SessionEnded(
        at=came + 4 * HOUR,
        actor=f"station:{evse_id}",
        session_id=name,
        evse_id=evse_id,
        reason="unplugged",
        energy_kwh=14.4,
    )
    return [plug(name, evse_id, came), ended]


async def test_the_sessions_of_the_store_tell_where_nothing_was_written_down() -> None:
    """Three afternoons with four vehicles: who is here and who is to come stand apart, each with a band."""
    disk, day = Disk(), datetime(2026, 5, 4, tzinfo=UTC)
    store = disk.reopen()
    await store.load()
    facts: list[f.Fact] = [
        f.TerritoryDefined(
            at=day,
            actor="emw",
            territory_id="East",
            parent_id=None,
            kind="zone",
            ceiling_kw=None,
            time_zone="UTC",
        ),
        *stations_on(8, day),
    ]
    for n in range(12):
        came = day + n // 4 * DAY + 17 * HOUR + n % 4 * 20 * MINUTE
        facts += a_visit(f"v{n}", f"E{2 * (n % 4) + 1:06}", came)
    await commit_all(store, facts)
    await store.close()
    path = "/api/v1/territories/East/forecast?hours=0&hours=1.5&hours=20"
    async with world(real=disk.reopen(), at=day + 3 * DAY + 17 * HOUR) as w:
        await learned(w)
        await stations(w, ["N1"])
        key = await w.key(Role.VIEWER)
        told = (await w.call("GET", path, key=key)).json
        now, then, far = told["hours"]
        assert now["kW"] == now["here"]["kW"] > 0
        assert now["toCome"] == {"kW": 0, "lowKW": 0, "highKW": 0}
        assert 4.0 < then["toCome"]["kW"] < 4 * 5.76, "above the floor, and not all of them surely"
        assert then["kW"] == pytest.approx(then["here"]["kW"] + then["toCome"]["kW"], abs=0.002)
        assert then["here"]["lowKW"] <= then["lowKW"] < then["kW"] < then["highKW"]
        assert far["toCome"]["kW"] < then["toCome"]["kW"], "by then they have what they need"
        assert "expected to come" in told["basis"]
        asked = {"territory": "East", "kW": then["here"]["kW"] + 3.0, "durationMinutes": 30}
        start = (w.clock.now() + timedelta(hours=1.5)).isoformat()
        what_if = (await w.call("POST", "/api/v1/preview", asked | {"start": start}, key=key)).json
        assert what_if["atStart"]["toCome"]["kW"] == pytest.approx(then["toCome"]["kW"], rel=0.01)
        assert what_if["shortKW"] == 0
        assert not what_if["whyShort"], "those who come make up for it"
        for _ in range(3):
            await beat(w, ["N1"])
        before = (await w.call("GET", path, key=key)).json
        at = w.clock.now()
        await w.headend.watch.remember(at)
    disk.connection.execute("DELETE FROM sessions WHERE ended_at IS NOT NULL")
    async with world(real=disk.reopen(), people=False, at=at + timedelta(seconds=5)) as w:
        again = (await w.call("GET", path, key=key)).json
        for told, earlier in zip(again["hours"], before["hours"], strict=True):
            assert told["toCome"]["kW"] == pytest.approx(earlier["toCome"]["kW"], rel=0.02), (
                "it was written down"
            )
