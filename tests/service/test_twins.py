"""Counterfactuals are kept once per EVSE and five minutes, whoever holds it, and outlive a store that can't write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.domain import facts as f
from emw.domain.fold import apply
from emw.domain.state import State
from emw.service.errors import Unavailable
from emw.service.ports import Believed
from emw.service.settings import ServiceSettings
from emw.service.twins import INTERVAL, Twins
from emw.simulation.disk import Disk as SimDisk
from emw.simulation.disk import SimStore
from emw.store import Disk, InlineStore
from tests.service.test_shed import KEY, beat, request_facts
from tests.store.world import START
from tests.store.world import stations as two_stations
from tests.web.world import stations, world

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class Kept(InlineStore):
    """Keeps what it is given; can't write while `full`."""

    def __init__(self) -> None:
        self.rows: list[Believed] = []
        self.groups = 0
        self.full = False

    async def add_beliefs(self, beliefs: Sequence[Believed]) -> None:
        if self.full:
            raise Unavailable("the disk is full", retry_after_s=5)
        self.groups += 1
        self.rows += beliefs


@given(
    st.lists(st.floats(5.0, 90.0), min_size=1, max_size=40),
    st.lists(st.tuples(st.floats(0.0, 22.0), st.floats(0.0, 22.0)), min_size=40, max_size=40),
    st.integers(1, 3),
)
async def test_energy_adds_up_and_is_there_once(
    spans: list[float], kw: list[tuple[float, float]], requests: int
) -> None:
    store = Kept()
    twins = Twins(store, ServiceSettings())
    now, shed_kws = NOON, 0.0
    for seconds, (baseline_kw, load_kw) in zip(spans, kw, strict=False):
        now += timedelta(seconds=seconds)
        shed_kws += (baseline_kw - load_kw) * seconds
        for _ in range(requests):
            twins.add(["E1"], now, seconds, np.array([[baseline_kw, 1.0, load_kw]]))
        await twins.flush(now)
    await twins.flush()
    assert abs(sum((r.baseline_kw - r.load_kw) * r.seconds for r in store.rows) - shed_kws) < 0.1
    assert len({r.interval_start for r in store.rows}) == len(store.rows), "one row per interval"
    for row in store.rows:
        assert (row.interval_start - NOON) % INTERVAL == timedelta(0)
        assert row.interval_start < row.believed_at <= now


async def test_what_could_not_be_written_waits_and_is_written_in_groups() -> None:
    store = Kept()
    store.full = True
    twins = Twins(store, ServiceSettings(telemetry_group=100))
    evse_ids = [f"E{i}" for i in range(250)]
    twins.add(evse_ids, NOON + timedelta(minutes=1), 60.0, np.tile([7.0, 0.0, 4.0], (250, 1)))
    await twins.flush(NOON + timedelta(minutes=2))
    assert store.rows == [], "the interval is not over"
    await twins.flush(NOON + timedelta(minutes=10))
    assert store.rows == []
    store.full = False
    await twins.flush(NOON + timedelta(minutes=11))
    assert (len(store.rows), store.groups, twins.dropped) == (250, 3, 0)


async def test_a_later_belief_is_another_row_and_both_end_with_their_retention() -> None:
    """After a restart the same five minutes go on with what is believed then."""
    store = Disk().reopen(interval_days=1)
    await store.load()
    start = START - (START - datetime(1970, 1, 1, tzinfo=UTC)) % INTERVAL
    for minute in (2, 4):
        at = start + timedelta(minutes=minute)
        await store.add_beliefs([Believed("E000001", start, at, "virtual-twin", 120.0, 7.0, 1.0, 4.0)])
    count = "SELECT count(*) FROM counterfactuals"
    connection = store._core.database.connect()
    assert connection.execute(count).fetchone()[0] == 2
    await store.roll_up(start + timedelta(days=2))
    assert connection.execute(count).fetchone()[0] == 0


async def test_what_an_evse_gave_to_a_running_request_outlives_a_crash() -> None:
    names, disk = [f"E{n}" for n in range(4)], Disk()
    async with world(real=disk.reopen()) as w:
        await stations(w, names)
        for _ in range(11):
            await beat(w, names)
        asked = {"requestID": "R1", "territory": "East", "kW": 6.0, "durationMinutes": 60}
        await w.call("POST", "/api/v1/requests", asked, headers=await w.log_in("opa"))
        for _ in range(12):
            await beat(w, names)
        await w.headend.twins.flush()
        given_kwh = {name: w.headend.accounts.measured_kwh(name) for name in names}
        assert sum(given_kwh.values()) > 0.5
    async with world(real=disk.reopen(), people=False) as w, asyncio.timeout(60):
        while not any(w.headend.accounts.measured_kwh(name) for name in names):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        for name in names:
            assert w.headend.accounts.measured_kwh(name) == pytest.approx(given_kwh[name], abs=1e-5)


async def test_the_simulated_disk_sums_up_as_the_real_store_does() -> None:
    """What came before an EVSE joined, and what one gave that has left, is no part of it."""
    sql, disk, state = Disk().reopen(), SimDisk(), State()
    await sql.load()
    simulated = SimStore(disk, Random(1), lambda: START, lambda: True)
    joined = START + timedelta(minutes=30)
    about: dict[str, Any] = {"actor": "emw", "request_key": KEY}
    evses = ("E000000", "E000001", "E000002")
    facts = [*two_stations(3, START), *request_facts(begin=START, end=START + timedelta(hours=2))[:2]]
    facts += [f.Enrolled(at=joined, evse_id=e, **about) for e in evses]
    left = joined + timedelta(minutes=20)
    facts.append(f.EnrolmentEnded(at=left, evse_id=evses[2], why="left", measured_kwh=0.2, **about))
    for fact in facts:
        records, _ = apply(state, fact)
        disk.write([fact], records)
        await sql.commit([fact], records)
    beliefs = [
        Believed(e, start, start + timedelta(minutes=m), "virtual-twin", 120.0, 7.0 + n, 1.0, 4.0)
        for n, e in enumerate(evses)
        for start in (joined - timedelta(minutes=5), joined, joined + timedelta(minutes=5))
        for m in (3, 5)
    ]
    for store in (sql, simulated):
        await store.add_beliefs(beliefs)
        await store.add_beliefs(beliefs[:2])  # said twice
    theirs = await sql.query("counterfactual_sums", request_key=KEY)
    ours = await simulated.query("counterfactual_sums", request_key=KEY)
    assert [row["evse_id"] for row in theirs] == list(evses[:2])
    assert [row["evse_id"] for row in ours] == list(evses[:2])
    assert [row["kwh"] for row in ours] == pytest.approx([row["kwh"] for row in theirs])
    assert await simulated.query("counterfactual_sums", request_key="ISO:nothing") == []
