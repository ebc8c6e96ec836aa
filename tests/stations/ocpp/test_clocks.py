"""Stations whose clocks are off, and those that tell late what they kept: one must not be taken for the other."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from emw.stations.ocpp.peer import APART, OFF, Peer
from emw.stations.ocpp.traits import Traits
from tests.stations.ocpp.foreign import stamp
from tests.stations.ocpp.house import House, house, until
from tests.stations.ocpp.plain import Plain, boot, meter, plain, start, stop
from tests.stations.ocpp.test_limits import charging

NOW = datetime.fromisoformat("2026-05-05T12:00:00Z")


async def state(it: Plain, word: str, at: datetime | None = None) -> None:
    told = {"connectorId": 1, "errorCode": "NoError", "status": word}
    await it.call("StatusNotification", told if at is None else {**told, "timestamp": stamp(at)})


def load_kw(h: House) -> float | None:
    live = h.headend.telemetry.live.get("CP1:1")
    return None if live is None or live.reading is None else live.reading.kw


async def test_a_stay_that_is_told_late_with_its_states_and_readings_moves_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
        await until(lambda: h.hub.connected("CP1") is None)
        async with plain(h, "CP1", secret) as it:
            began = it.now() - timedelta(hours=2)
            await state(it, "Preparing", began)
            number = await start(it, at=began)
            await state(it, "Charging", began)
            for minute in range(5):
                await meter(it, 11_000.0, number, at=began + timedelta(minutes=minute))
                assert (h.session("CP1:1"), load_kw(h)) == (None, None)
            await stop(it, number, at=began + timedelta(hours=1))
            await state(it, "Available", began + timedelta(hours=1))
            assert h.session("CP1:1") is None
        assert await h.headend.store.query("sessions") == []


@pytest.mark.parametrize("hours", [-7, 5, 900])
async def test_a_stay_begins_though_the_clock_is_hours_off_and_no_state_has_a_date(
    hours: int, tmp_path: Path
) -> None:
    async with house(tmp_path, speed=20.0) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
        await until(lambda: h.hub.connected("CP1") is None)
        async with plain(h, "CP1", secret) as it:
            it.now = lambda: h.parts.clock.now() + timedelta(hours=hours)  # type: ignore[method-assign]
            await state(it, "Charging")
            number = await start(it)
            while h.session("CP1:1") is None:
                await meter(it, 11_000.0, number)
            await until(lambda: h.session("CP1:1"))
            behind_s = h.hub.console.seen("CP1").clock_behind_s
            assert behind_s == pytest.approx(-3600 * hours, abs=60)


async def test_2_0_1_a_stay_begins_though_the_clock_is_hours_off(tmp_path: Path) -> None:
    async with house(tmp_path, speed=20.0) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, "ocpp2.0.1") as it:
            it.now = lambda: h.parts.clock.now() - timedelta(hours=5)  # type: ignore[method-assign]
            await boot(it)
            while h.session("CP1:1") is None:
                await charging(it)


async def test_free_since_long_ago_ends_a_stay_that_began_before(tmp_path: Path) -> None:
    async with house(tmp_path, speed=1_000.0) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            await start(it)
            await until(lambda: h.session("CP1:1"))
            session = h.headend.state.session_of(h.evse("CP1:1"))
            assert session is not None
            await state(it, "Available", session.started_at - timedelta(minutes=10))
            assert h.session("CP1:1"), "it was free before, too"
            await until(lambda: it.now() - session.started_at > timedelta(minutes=8))
            await state(it, "Available", session.started_at + timedelta(minutes=1))
            assert h.session("CP1:1") is None


def test_a_clock_is_off_where_messages_come_as_far_apart_as_they_are_dated() -> None:
    off, peer = timedelta(hours=-5), Peer("CP1", Traits(), 1)

    def says(came_s: float, dated_s: float) -> timedelta:
        peer.says_time("reading", NOW - off + timedelta(seconds=dated_s), NOW + timedelta(seconds=came_s))
        return peer.off

    assert says(0, 0) == timedelta(0)
    assert says(0.01, 60) == timedelta(0), "a burst of what was kept"
    assert says(4, 300) == timedelta(0), "a burst that takes its time"
    assert says(8, 300) == timedelta(0), "the same state again"
    assert says(8 + APART.total_seconds(), 300 + APART.total_seconds() + 1) != timedelta(0)
    assert abs(peer.off) > OFF
    peer.says_time("reading", NOW + timedelta(seconds=160), NOW + timedelta(seconds=160))
    assert peer.off == timedelta(0), "its clock was set"
