"""The single write path: what fails is taken back to the letter, what waits is bounded, what is told is durable."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emw.domain import facts as f
from emw.domain.fold import apply
from emw.domain.model import Cause
from emw.domain.state import State
from emw.service.errors import Fenced, Unavailable
from emw.service.ledger import Ledger
from tests.doors.house import START, MemoryStore, tables


def defined(name: str, ceiling_kw: float | None = None) -> f.Fact:
    return f.TerritoryDefined(
        at=START,
        actor="t",
        territory_id=name,
        parent_id=None,
        kind="zone",
        ceiling_kw=ceiling_kw,
        time_zone="UTC",
    )


def added(name: str, hashed: str = "h") -> f.Fact:
    return f.StationAdded(at=START, actor="t", station_id=name, secret_hash=hashed)


@contextlib.asynccontextmanager
async def running(**more: Any) -> AsyncGenerator[tuple[Ledger, MemoryStore], None]:
    store = MemoryStore()
    ledger = Ledger(store, State(), **more)
    task = asyncio.create_task(ledger.run())
    try:
        yield ledger, store
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_P1_what_returns_is_durable() -> None:
    async with running() as (ledger, store):
        await ledger.record(defined("East"))
        assert store.log == [defined("East")]
        assert ("territories", ("East",)) in store.rows


async def test_P1_many_at_once_are_one_group_each_once_and_in_order() -> None:
    async with running() as (ledger, store):
        store.slow_s = 0.01
        facts = [defined(f"T{n}") for n in range(100)]
        await asyncio.gather(*(ledger.record(x) for x in facts))
        assert store.log == facts
        assert len(store.groups) <= 2
        assert ledger.committed == 100


async def test_a_group_is_no_longer_than_it_may_be_and_all_are_counted() -> None:
    async with running(group=30) as (ledger, store):
        await asyncio.gather(*(ledger.record(defined(f"T{n}"), added(f"S{n}")) for n in range(50)))
        assert store.groups == [30, 30, 30, 10]
        assert (ledger.groups, ledger.committed, ledger.failures) == (4, 100, 0)


async def test_P1_P10_a_failed_group_is_taken_back_to_the_letter() -> None:
    async with running() as (ledger, store):
        await ledger.record(defined("East", 10.0), added("S1"))
        before, rows = tables(ledger.state), dict(store.rows)
        store.slow_s, store.fails = 0.01, Unavailable("full", retry_after_s=5)
        told = await asyncio.gather(
            ledger.record(defined("East", 20.0)),
            ledger.record(defined("East", 30.0), added("S1", "other"), added("S2")),
            ledger.record(f.StationRevoked(at=START, actor="t", station_id="S1")),
            return_exceptions=True,
        )
        assert all(isinstance(x, Unavailable) for x in told)
        assert tables(ledger.state) == before
        assert store.rows == rows
        assert len(store.log) == 2
        store.fails = None
        await ledger.record(defined("East", 40.0))
        assert ledger.state.territories["East"].ceiling_kw == 40.0


async def test_P1_what_was_put_on_top_of_a_failed_group_falls_with_it() -> None:
    """Who came while the group was being written decided on what never was."""
    async with running() as (ledger, store):
        store.slow_s, store.fails = 0.05, OSError("input/output error")
        first = asyncio.create_task(ledger.record(added("S1")))
        await asyncio.sleep(0.02)
        assert "S1" in ledger.state.stations
        second = asyncio.create_task(ledger.record(f.StationRevoked(at=START, actor="t", station_id="S1")))
        waits = asyncio.create_task(ledger.settled())
        told = await asyncio.gather(first, second, waits, return_exceptions=True)
        assert all(isinstance(x, Unavailable) for x in told), told
        assert not ledger.state.stations
        assert not store.log


async def test_P1_whatever_the_store_raises_callers_hear_that_nothing_was_kept() -> None:
    async with running() as (ledger, store):
        for error in (
            RuntimeError("x"),
            OSError(28, "No space left on device"),
            ValueError("\ud800"),
            KeyError(1),
        ):
            store.fails = error
            with pytest.raises(Unavailable):
                await ledger.record(added("S1"))
            assert not ledger.state.stations
        assert (ledger.failures, ledger.groups) == (4, 0), "as an operator's metrics show"
        store.fails = None
        await ledger.record(added("S1"))
        assert store.log == [added("S1")], "and the ledger works on"


async def test_P10_too_much_is_refused_before_it_changes_anything() -> None:
    async with running(bound=10) as (ledger, store):
        store.slow_s = 0.05
        waiting = [asyncio.create_task(ledger.record(defined(f"T{n}"))) for n in range(10)]
        await asyncio.sleep(0.01)
        before = tables(ledger.state)
        with pytest.raises(Unavailable) as refused:
            await ledger.record(defined("Late"))
        assert refused.value.retry_after_s
        assert tables(ledger.state) == before
        await asyncio.gather(*waiting)
        await ledger.record(defined("Late"))
        assert len(store.log) == 11


async def test_P10_the_bound_is_free_again_after_a_failure() -> None:
    async with running(bound=5) as (ledger, store):
        store.fails = Unavailable("no")
        for _ in range(4):
            await asyncio.gather(*(ledger.record(defined(f"T{n}")) for n in range(5)), return_exceptions=True)
        store.fails = None
        await ledger.record(defined("T"))
        assert len(store.log) == 1


async def test_P1_who_gives_up_waiting_does_not_take_the_fact_back() -> None:
    async with running() as (ledger, store):
        store.slow_s = 0.05
        task = asyncio.create_task(ledger.record(added("S1")))
        await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await ledger.record(added("S2"))
        assert store.log == [added("S1"), added("S2")]
        assert set(ledger.state.stations) == {"S1", "S2"}


async def test_P1_settled_waits_for_all_that_was_applied() -> None:
    async with running() as (ledger, store):
        await ledger.settled()
        store.slow_s = 0.05
        writing = asyncio.create_task(ledger.record(added("S1")))
        await asyncio.sleep(0.01)
        await ledger.settled()
        assert store.log == [added("S1")]
        await writing


async def test_P9_a_fact_that_cannot_be_leaves_no_trace() -> None:
    async with running() as (ledger, store):
        await ledger.record(added("S1"))
        before = tables(ledger.state)
        impossible = f.KnobTurned(at=START, actor="t", evse_id="nobody", max_a=1)
        with pytest.raises(KeyError):
            await ledger.record(defined("East"), impossible)
        assert tables(ledger.state) == before
        await ledger.record(defined("West"))
        assert len(store.log) == 2


async def test_P13_listeners_hear_what_is_durable_with_its_number() -> None:
    heard: list[tuple[int, int]] = []
    async with running() as (ledger, store):
        ledger.listen(lambda first, facts: heard.append((first, len(facts))))
        await ledger.record(added("S1"), added("S2"))
        store.fails = Unavailable("no")
        with contextlib.suppress(Unavailable):
            await ledger.record(added("S3"))
        store.fails = None
        await ledger.record(added("S4"))
        assert heard == [(1, 2), (3, 1)]


# --- any history, any failures: the live view is what the log says


def powered(name: str, n: int) -> f.Fact:
    return f.PoweredOn(
        at=START + timedelta(seconds=n), actor="t", evse_id=name, station_id=name, territory_id="East", model="m",
        line_voltage_v=230, phases=1, max_a=32, status="available", token_hash=f"h{n}",
    )  # fmt: skip


def issued(name: str, n: int) -> f.Fact:
    return f.CommandIssued(
        at=START, actor="emw", command_id=f"c{n}", evse_id=name, max_a=10, until=START, cause=Cause.SHED
    )


def started(name: str, n: int) -> f.Fact:
    return f.SessionStarted(
        at=START, actor="t", session_id=f"s{n}", evse_id=name, line_voltage_v=230, evse_max_a=32, car_max_a=16
    )


def ended(name: str, n: int) -> f.Fact:
    return f.SessionEnded(at=START, actor="t", session_id=f"s{n}", evse_id=name, reason="unplugged")


steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "on", "knob", "issue", "start", "end", "revoke"]),
        st.sampled_from(["A", "B"]),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=30,
)


@given(steps)
@settings(max_examples=60, deadline=None)
def test_P5_P1_the_live_view_is_what_the_log_says_whatever_failed(
    history: list[tuple[str, str, int, bool]],
) -> None:
    async def story() -> None:
        async with running() as (ledger, store):
            for kind, name, n, fails in history:
                fact: f.Fact = {
                    "add": added(name, f"h{n}"),
                    "on": powered(name, n),
                    "knob": f.KnobTurned(at=START, actor="t", evse_id=name, max_a=6 + n),
                    "issue": issued(name, n),
                    "start": started(name, n),
                    "end": ended(name, n),
                    "revoke": f.StationRevoked(at=START, actor="t", station_id=name),
                }[kind]
                store.fails = Unavailable("no") if fails else None
                with contextlib.suppress(Unavailable, KeyError):
                    await ledger.record(fact)
            folded = State()
            for fact in store.log:
                apply(folded, fact)
            assert tables(folded) == tables(ledger.state)
            from_rows = (await store.load()).state
            assert tables(from_rows) == tables(ledger.state)

    asyncio.run(story())


async def test_F8_F22_a_store_that_may_never_write_again_ends_the_ledger() -> None:
    store = MemoryStore()
    ledger = Ledger(store, State())
    task = asyncio.create_task(ledger.run())
    await ledger.record(defined("East"))
    store.fails = Fenced("another emw has written to this database")
    with pytest.raises(Fenced):
        await ledger.record(defined("West"))
    with pytest.raises(Fenced):
        await asyncio.wait_for(task, 60)
    assert "West" not in ledger.state.territories
    await ledger.drain()  # the way out asks for nothing more
