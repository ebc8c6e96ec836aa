"""What every store holds to, over SQLite with threads, SQLite in line, and PostgreSQL."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from emw.domain import facts as f
from emw.service.errors import Fenced, Unavailable
from emw.service.ledger import Ledger
from emw.service.ports import Memory, Reading
from emw.store.log import differences, rebuild, verify_log
from tests.store.conftest import AnyStore, Place, commit_all, database, same
from tests.store.world import HOSTILE, START, History, history, plug, stations


def reading(evse_id: str = "E000001", minutes: float = 0, kw: float = 7.0, **other: Any) -> Reading:
    at = START + timedelta(minutes=minutes)
    values: dict[str, Any] = {"voltage_v": 240.0, "current_a": 29.2, "limit_a": None, "energy_kwh": None}
    return Reading(evse_id=evse_id, at=at, received_at=at, kw=kw, **{**values, **other})


async def whole(store: AnyStore) -> None:
    """The chain holds and the tables are what the log says."""
    with database(store).snapshot() as connection:
        assert verify_log(connection) is None
        assert differences(connection) == []


async def test_an_empty_store_begins_at_one(place: Place) -> None:
    loaded = await place.open().load()
    assert loaded.next_seq == 1
    assert loaded.readings == {}
    assert not loaded.state.halted


async def test_numbers_have_no_gaps_over_lives(place: Place) -> None:
    store = place.open()
    await store.load()
    facts = stations(3)
    state = await commit_all(store, facts[:4], group=1)
    assert await store.commit([], []) == 5
    again = place.open()
    loaded = await again.load()
    assert loaded.next_seq == 5
    await commit_all(again, facts[4:], state=state)
    assert [row["seq"] for row in await again.query("activity")] == [6, 5, 4, 3, 2, 1]
    await whole(again)


@pytest.mark.parametrize("seed", range(4))
async def test_fold_of_the_log_is_the_tables_and_the_view(place: Place, seed: int) -> None:
    chance = random.Random(seed)
    facts = history([chance.randrange(10**6) for _ in range(300)])
    store = place.open()
    await store.load()
    state = await commit_all(store, facts, group=1 + chance.randrange(200))
    await whole(store)
    loaded = await place.open().load()
    assert same(loaded.state, state)
    with database(store).snapshot() as connection:
        rebuilt = rebuild(connection)
    assert same(rebuilt.state, state)


async def test_large_groups_are_one_transaction(place: Place) -> None:
    store = place.open()
    await store.load()
    await commit_all(store, stations(700), group=10_000)
    assert (await store.query("counts"))[0]["evses"] == 700
    await whole(store)


async def test_what_has_ended_is_not_loaded(place: Place) -> None:
    store = place.open()
    await store.load()
    await commit_all(store, [*stations(1), plug("s1", "E000000")])
    assert list((await place.open().load()).state.sessions) == ["s1"]
    again = place.open()
    state = (await again.load()).state
    ended = f.SessionEnded(
        at=START,
        actor="station:E000000",
        session_id="s1",
        evse_id="E000000",
        reason="unplugged",
        energy_kwh=3.5,
    )
    await commit_all(again, [ended], state=state)
    assert (await place.open().load()).state.sessions == {}
    assert (await again.query("sessions"))[0]["energy_kwh"] == 3.5


async def test_P1_a_commit_that_fails_keeps_nothing(place: Place) -> None:
    store = place.open()
    await store.load()
    state = await commit_all(store, stations(2))
    evse = state.evses["E000001"]
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, nothing may stay
        await store.commit([plug("s1", "E000001")], [replace(evse, max_a=1.0), replace(evse, model=None)])  # type: ignore[arg-type]
    assert (await place.open().load()).state.evses["E000001"] == evse
    assert (await store.query("counts"))[0]["activity"] == 4
    await commit_all(store, [plug("s1", "E000001")], state=state)
    await whole(store)


async def test_hostile_names_come_back_to_the_letter(place: Place) -> None:
    store = place.open()
    await store.load()
    added = [f.StationAdded(at=START, actor=n or "emw", station_id=n, secret_hash="h") for n in HOSTILE]
    state = await commit_all(store, added, group=1)
    loaded = await place.open().load()
    assert loaded.state.stations == state.stations
    for name in HOSTILE:
        rows = await store.query("activity", station_id=name)
        assert [row["station_id"] for row in rows] == [name]
    found = await store.query("activity", text="'; drop table")
    assert [row["station_id"] for row in found] == [HOSTILE[0]]
    assert await store.query("activity", text="%") == await store.query("activity", text="%s %(name)s")


async def test_through_the_ledger_each_fact_is_there_once(place: Place) -> None:
    import asyncio

    store = place.open()
    loaded = await store.load()
    ledger = Ledger(store, loaded.state)
    task = asyncio.create_task(ledger.run())
    await ledger.record(*stations(20))
    await asyncio.gather(*(ledger.record(plug(f"s{i}", f"E{i:06}")) for i in range(20)))
    task.cancel()
    rows = await store.query("activity", kind="SessionStarted")
    assert sorted(row["payload"]["session_id"] for row in rows) == sorted(f"s{i}" for i in range(20))
    assert same((await place.open().load()).state, ledger.state)


@pytest.mark.parametrize("looks", [False, True])
async def test_F8_a_second_writer_is_fenced_and_writes_nothing(place: Place, *, looks: bool) -> None:
    first, second = place.open(), place.open()
    facts = stations(3)
    await first.load()
    state = await commit_all(first, facts[:2])
    stale = (await second.load()).state
    await commit_all(first, facts[2:4], state=state)
    await first.still_ours()
    if looks:
        with pytest.raises(Fenced, match="another emw"):
            await second.still_ours()
    with pytest.raises(Unavailable, match="another emw"):
        await commit_all(second, [facts[4]], state=stale)
    assert second.fenced is not None
    with pytest.raises(Unavailable, match="another emw"):
        await second.add_readings([reading()])
    await commit_all(first, facts[4:], state=state)
    await whole(first)


# --- promise P13


async def test_P13_a_changed_row_is_named(place: Place) -> None:
    store = place.open()
    await store.load()
    await commit_all(store, stations(5))
    place.sql("UPDATE activity SET payload = replace(payload, 'operator:ann', 'operator:bob') WHERE seq = 7")
    with database(store).snapshot() as connection:
        assert "row 7 was changed" in str(verify_log(connection))


async def test_P13_a_changed_copy_is_named(place: Place) -> None:
    store = place.open()
    await store.load()
    await commit_all(store, stations(5))
    place.sql("UPDATE activity SET actor = 'operator:bob' WHERE seq = 3")
    with database(store).snapshot() as connection:
        assert "row 3 was changed: its actor" in str(verify_log(connection))


@pytest.mark.parametrize("missing", [1, 4, 10])
async def test_P13_a_missing_row_is_named(place: Place, missing: int) -> None:
    store = place.open()
    await store.load()
    await commit_all(store, stations(5))
    place.sql("DELETE FROM activity WHERE seq = ?", missing)
    with database(store).snapshot() as connection:
        assert verify_log(connection) == f"row {missing} is missing"


async def test_P13_the_chain_goes_over_days(place: Place) -> None:
    store = place.open()
    await store.load()
    world = History()
    facts = [world.step(i * 96 + 5) for i in range(60)]
    assert len({fact.at.date() for fact in facts}) > 1
    await commit_all(store, facts, group=1)
    with database(store).snapshot() as connection:
        assert verify_log(connection) is None
        assert verify_log(connection, since=31) is None


async def test_a_changed_table_is_found(place: Place) -> None:
    store = place.open()
    await store.load()
    await commit_all(store, stations(3))
    place.sql("UPDATE evses SET max_a = 80 WHERE evse_id = 'E000001'")
    place.sql("DELETE FROM stations WHERE station_id = 'E000002'")
    with database(store).snapshot() as connection:
        found = differences(connection)
    assert found == [
        "evses: row E000001 differs from the log in max_a",
        "stations: row E000002 is missing",
    ] or set(found) == {
        "evses: row E000001 differs from the log in max_a",
        "stations: row E000002 is missing",
    }


# --- telemetry


async def test_P5_the_same_reading_twice_is_one(place: Place) -> None:
    store = place.open()
    await store.load()
    await store.add_readings([reading(), reading()])
    await store.add_readings([reading()])
    rows = await store.query("telemetry", evse_id="E000001")
    assert [(row["at"], row["kw"], row["late"]) for row in rows] == [(START, 7.0, False)]


async def test_the_latest_recent_reading_of_each_evse_is_loaded(place: Place) -> None:
    store = place.open()
    await store.load()
    await commit_all(store, stations(3))
    await store.add_readings(
        [reading("E000000", 0), reading("E000001", 30), reading("E000001", 31, limit_a=6.0)]
    )
    await store.add_readings([reading("E000002", 20, energy_kwh=1.5), reading("E000002", 10, late=True)])
    loaded = await place.open().load()
    assert loaded.readings == {
        "E000001": reading("E000001", 31, limit_a=6.0),
        "E000002": reading("E000002", 20, energy_kwh=1.5),
    }


async def test_readings_become_means_of_whole_past_intervals(place: Place) -> None:
    store = place.open()
    await store.load()
    await store.add_readings(
        [
            reading("A", 0, 6.0, energy_kwh=10.0),
            reading("A", 1, 8.0, limit_a=16.0, energy_kwh=10.5),
            reading("A", 2, 1.0, limit_a=6.0, energy_kwh=0.25),  # another car: the register began again
            reading("B", 4.9, 3.0),
            reading("A", 5, 4.0),
        ]
    )
    await store.roll_up(START + timedelta(minutes=5, seconds=20))
    assert await store.query("telemetry_intervals") == [], "the interval is not over for long enough"
    for _ in range(2):
        await store.roll_up(START + timedelta(minutes=6))
        rows = await store.query("telemetry_intervals")
        assert [row["evse_id"] for row in rows] == ["A", "B"]
        assert rows[0] == {
            "interval_start": START,
            "evse_id": "A",
            "samples": 3,
            "mean_kw": 5.0,
            "max_kw": 8.0,
            "energy_kwh": 0.5,
            "limited_share": pytest.approx(2 / 3),
        }
        assert rows[1]["energy_kwh"] is None
    await store.roll_up(START + timedelta(minutes=11))
    curve = await store.query("load_curve")
    assert [(row["kw"], row["evses"], row["shed_kw"]) for row in curve] == [(8.0, 2, None), (4.0, 1, None)]


async def test_a_late_reading_is_counted_in_its_interval(place: Place) -> None:
    store = place.open()
    await store.load()
    await store.add_readings([reading("A", 0, 6.0), reading("A", 12, 6.0)])
    await store.roll_up(START + timedelta(minutes=30))
    again = place.open()
    await again.load()
    await again.add_readings([reading("A", 1, 2.0, late=True), reading("B", 6, 9.0, late=True)])
    await again.roll_up(START + timedelta(minutes=31))
    rows = await again.query("telemetry_intervals", since=START, until=START + timedelta(minutes=10))
    assert [(row["evse_id"], row["mean_kw"], row["samples"]) for row in rows] == [
        ("B", 9.0, 1),
        ("A", 4.0, 2),
    ]


async def test_retention_keeps_what_it_says(place: Place) -> None:
    store = place.open(telemetry_days=1, interval_days=3)
    await store.load()
    await store.add_readings([reading("A", day * 1440) for day in range(6)])
    now = START + timedelta(days=5, minutes=10)
    await store.roll_up(now)
    assert [r["at"] for r in await store.query("telemetry", evse_id="A")] == [START + timedelta(days=5)]
    kept = [START + timedelta(days=day) for day in (5, 4, 3)]
    assert [r["interval_start"] for r in await store.query("telemetry_intervals")] == kept
    await store.add_readings([reading("A", 4 * 1440 + 1, 99.0, late=True)])
    await store.roll_up(now)
    rows = await store.query("telemetry_intervals", since=kept[1], until=kept[0])
    assert rows[0]["mean_kw"] == 7.0, "its readings are gone: the mean stays"


async def test_nothing_is_dropped_where_all_is_kept(place: Place) -> None:
    store = place.open(telemetry_days=0, interval_days=0)
    await store.load()
    await store.add_readings([reading("A", 0), reading("A", 60 * 24 * 4000)])
    await store.roll_up(START + timedelta(days=5000))
    assert len(await store.query("telemetry", evse_id="A")) == 2
    assert len(await store.query("telemetry_intervals")) == 2


async def test_what_was_learned_of_each_tree_is_kept_as_it_was_written_last(place: Place) -> None:
    store = place.open()
    await store.load()
    await store.keep_memories([Memory("East", START, b"one"), Memory("West", START, b"two")])
    await store.keep_memories([Memory("East", START + timedelta(seconds=1), b"three")])
    await store.close()
    loaded = await place.open().load()
    assert list(loaded.memories) == [
        Memory("East", START + timedelta(seconds=1), b"three"),
        Memory("West", START, b"two"),
    ]
