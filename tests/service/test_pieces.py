"""A large round goes in pieces, and what happens between two of them counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import pytest

from emw.domain.model import Cause, Evse, Limit, Station
from emw.engine.view import Order, Rules
from emw.service import commands, picture
from emw.service.errors import Unavailable
from emw.service.ports import Answer
from emw.service.requests import Decrease
from emw.service.settings import ServiceSettings
from tests.web.world import Obeying, dispatched, stations, world

NAMES = [f"E{n:02}" for n in range(12)]
ALL = Decrease(request_id="R1", territory_id="East", kw=0.23 * 10 * len(NAMES), minutes=60)


@pytest.fixture(autouse=True)
def three_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PIECE", 3)
    monkeypatch.setattr(picture, "PIECE", 3)


class Eventful(Obeying):
    """Something happens when the first command arrives."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float | None]] = []
        self.happens: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        self.told.append((evse.evse_id, limit.max_a))
        if self.happens is not None:
            happens, self.happens = self.happens, None
            await happens()
        return await super().send(station, evse, limit, now)


async def test_all_are_commanded_and_who_has_left_meanwhile_is_not() -> None:
    link = Eventful()
    async with world(link=link) as w:
        headend, last = w.headend, NAMES[-1]
        headend.dispatch.rest = 1e-6  # it takes its breaths, as in the field
        await stations(w, NAMES)

        async def leaves() -> None:
            await headend.intake.unplugged(headend.state.stations[last], last, None)

        link.happens = leaves
        await headend.requests.decrease("operator", ALL, actor="operator:opa")
        await dispatched(w)
        await headend.dispatch.next_round("East")
        assert [name for name, limit_a in link.told if limit_a is not None] == NAMES[:-1]
        assert last not in headend.state.limits


async def test_who_says_halt_stops_what_has_not_gone_out_yet() -> None:
    link = Eventful()
    async with world(link=link) as w:
        headend = w.headend
        await stations(w, NAMES)

        async def halts() -> None:
            headend.dispatch.halt(on=True)
            await asyncio.sleep(0)

        link.happens = halts
        await headend.requests.decrease("operator", ALL, actor="operator:opa")
        await dispatched(w)
        await headend.dispatch.next_round("East")
        assert 0 < sum(limit_a is not None for _, limit_a in link.told) < len(NAMES)


def order(name: str, limit_a: float | None, now: datetime) -> Order:
    return Order(
        evse_id=name,
        limit_a=limit_a,
        until=now + timedelta(minutes=5),
        cause=Cause.SHED,
        request_key=None,
        node_id="East",
        would_draw_a=20.0,
        asked_kw=0.0,
        plugged_at=now,
    )


async def test_what_frees_a_car_goes_out_though_a_piece_before_it_could_not_be_written() -> None:
    link = Eventful()
    async with world(link=link) as w:
        await stations(w, NAMES)
        now, w.store.broken = w.clock.now(), True
        limits_a = (10.0, 10.0, None, 10.0, 10.0, None)
        orders = [order(name, limit_a, now) for name, limit_a in zip(NAMES[:6], limits_a, strict=True)]
        with pytest.raises(Unavailable):
            await w.headend.dispatch.commands.issue(orders, now)
        async with asyncio.timeout(60):
            while len(link.told) < 2:  # noqa: ASYNC110 - nobody tells when something was sent
                await asyncio.sleep(0.005)
        assert link.told == [(NAMES[2], None), (NAMES[5], None)]


async def test_P7_what_could_not_be_written_has_turned_no_load() -> None:
    once = ServiceSettings(rules=Rules(gap_s=0.0, reversals=1))
    async with world(service=once) as w:
        await stations(w, NAMES)
        now, issue = w.clock.now(), w.headend.dispatch.commands.issue
        await issue([order("E00", 10.0, now)], now)
        w.store.broken = True
        with pytest.raises(Unavailable):
            await issue([order("E00", 20.0, now)], now)
        w.store.broken = False
        await issue([order("E01", 10.0, now)], now)
        assert w.headend.state.limits["E01"].max_a == 10.0
        await issue([order("E00", 20.0, now)], now)
        await issue([order("E02", 10.0, now)], now)
        assert "E02" not in w.headend.state.limits, "that one was a turn"
        said = [row["could_kw"] for row in w.store.log if row["kind"] == "CommandIssued"]
        assert said == [w.headend.dispatch.governor.could_kw(["East"])] * 3, (
            "another process knows turns by it"
        )
