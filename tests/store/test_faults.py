"""A disk that is full, a database that is locked or gone, a process that is killed: refused, unchanged, healed."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from emw.service.errors import Fenced, Unavailable
from emw.service.ledger import Ledger
from emw.store import Disk, SqlStore, database
from emw.store.errors import Claimed
from emw.store.log import differences, verify_log
from tests.store.conftest import AnyStore, Place, commit_all, same
from tests.store.conftest import database as under
from tests.store.world import history, plug, stations


def writer(store: AnyStore) -> Any:
    """The driver connection that writes."""
    return store._core.writer._connection


@pytest.fixture(params=["sqlite", "inline"])
async def lite(request: pytest.FixtureRequest, file: Place) -> Place:
    """SQLite, with threads and in line."""
    return file if request.param == "sqlite" else Place("inline", disk=Disk())


def limit_pages(connection: sqlite3.Connection, more: int) -> None:
    """A disk with room for `more` pages."""
    used = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={used + more}")


async def test_F3_a_full_disk_refuses_keeps_nothing_and_heals(lite: Place) -> None:
    store = lite.open()
    ledger = Ledger(store, (await store.load()).state)
    task = asyncio.create_task(ledger.run())
    await ledger.record(*stations(5))
    before = {name: dict(getattr(ledger.state, name)) for name in ("evses", "sessions")}
    limit_pages(writer(store), 1)

    async def until_full() -> None:
        for i in range(100):
            before.update({name: dict(getattr(ledger.state, name)) for name in before})
            await ledger.record(*(plug(f"s{i}-{k}", "E000001") for k in range(50)))

    with pytest.raises(Unavailable, match="the disk is full") as caught:
        await until_full()
    assert caught.value.retry_after_s
    assert {name: getattr(ledger.state, name) for name in before} == before
    limit_pages(writer(store), 100_000)
    await ledger.record(plug("after", "E000002"))
    task.cancel()
    with under(store).snapshot() as connection:
        assert verify_log(connection) is None
        assert differences(connection) == []
    assert same((await lite.open().load()).state, ledger.state)


async def test_F3_telemetry_on_a_full_disk_is_refused_too(lite: Place) -> None:
    from tests.store.test_store import reading

    store = lite.open()
    await store.load()
    limit_pages(writer(store), 0)
    with pytest.raises(Unavailable, match="full"):
        await store.add_readings([reading(f"E{k}") for k in range(5000)])
    limit_pages(writer(store), 100_000)
    await store.add_readings([reading()])


async def test_F3_a_read_only_disk_refuses_and_heals(file: Place) -> None:
    store = file.open()
    await store.load()
    state = await commit_all(store, stations(1))
    writer(store).execute("PRAGMA query_only=ON")
    with pytest.raises(Unavailable, match="read-only"):
        await store.commit([plug("s1", "E000000")], [])
    await commit_all(store, [plug("s2", "E000000")], state=state)
    assert (await store.query("counts"))[0]["activity"] == 3


async def test_F4_a_locked_database_is_told_and_heals(file: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.2)
    store = file.open()
    await store.load()
    state = await commit_all(store, stations(1))
    with contextlib.closing(sqlite3.connect(file.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked by another process"):
            await store.commit([plug("s1", "E000000")], [])
        assert len(await store.query("evses")) == 1, "readers go on"
        other.execute("ROLLBACK")
    await commit_all(store, [plug("s2", "E000000")], state=state)


async def test_a_long_report_does_not_hold_up_a_commit(file: Place) -> None:
    store = file.open()
    await store.load()
    state = await commit_all(store, stations(1))
    with under(store).snapshot() as reader:
        assert reader.exec_driver_sql("SELECT count(*) FROM sessions").scalar() == 0
        async with asyncio.timeout(60):
            await commit_all(store, [plug("s1", "E000000")], state=state)
        assert reader.exec_driver_sql("SELECT count(*) FROM sessions").scalar() == 0


async def test_F6_another_database_in_the_place_is_not_written_to(file: Place) -> None:
    store = file.open()
    await store.load()
    await commit_all(store, stations(2))
    store._core.writer.close()  # as after an error that the connection did not survive
    file.sql("DELETE FROM activity WHERE seq = 4")
    file.sql("UPDATE meta SET value = '3 2026-05-04 00' WHERE name = 'log_head'")
    for _ in range(2):
        with pytest.raises(Unavailable, match="another emw"):
            await store.commit([plug("s1", "E000000")], [])


@pytest.mark.postgres
async def test_F4_a_postgres_that_comes_back_is_written_to_again(postgres_url: str) -> None:
    place = Place("postgresql", url=postgres_url)
    store = place.open(alone=True)
    await store.load()
    state = await commit_all(store, stations(2))
    cut_off(place)
    with pytest.raises(Unavailable, match="can't be reached"):
        await store.commit([plug("s1", "E000000")], [])
    await commit_all(store, [plug("s2", "E000000")], state=state)
    assert (await store.query("counts"))[0]["activity"] == 5
    await place.close()


def cut_off(place: Place) -> None:
    """End the sessions of every emw."""
    place.sql(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE application_name LIKE ? AND datname = current_database()",
        "emw%",
    )


@pytest.mark.postgres
async def test_F8_who_writes_is_alone_and_is_named(postgres_url: str) -> None:
    place = Place("postgresql", url=postgres_url)
    first, second = place.open(alone=True), place.open(alone=True)
    await first.load()
    with pytest.raises(Claimed, match=rf"another emw \(on \S+, process {os.getpid()}, connected since 20"):
        await second.load()
    reader = SqlStore(postgres_url, read_only=True)
    assert await reader.query("counts"), "who only reads needs no leave"
    await reader.close()
    await first.close()
    await second.load()
    await place.close()


@pytest.mark.postgres
@pytest.mark.parametrize("looks", [False, True])
async def test_F8_who_was_replaced_while_it_was_cut_off_is_fenced(postgres_url: str, *, looks: bool) -> None:
    """The second has written nothing yet: the log's end alone would not tell the first."""
    place = Place("postgresql", url=postgres_url)
    first, second = place.open(alone=True), place.open(alone=True)
    await first.load()
    state = await commit_all(first, stations(2))
    cut_off(place)
    await second.load()
    for expected in ("can't be reached", "took this database over", "took this database over"):
        with pytest.raises(Unavailable, match=expected):
            await (first.still_ours() if looks else first.commit([plug("s1", "E000000")], []))
    assert first.fenced is not None
    await commit_all(second, [plug("s2", "E000000")], state=state)
    await place.close()


@pytest.mark.postgres
async def test_F6_a_spare_leaves_the_place_to_who_comes_back_to_it(postgres_url: str) -> None:
    """As after a restart of the database: all sessions end, and both would have it."""
    place = Place("postgresql", url=postgres_url)
    store, spare = place.open(alone=True), place.open(alone=True, patience_s=2.0)
    await store.load()
    state = await commit_all(store, stations(2))
    cut_off(place)
    waits = asyncio.create_task(spare.load())
    with pytest.raises(Unavailable, match="can't be reached"):
        await store.still_ours()
    await store.still_ours()
    with pytest.raises(Claimed):
        await waits
    await commit_all(store, [plug("s2", "E000000")], state=state)
    await store.close()
    assert list((await spare.load()).state.sessions) == ["s2"]
    await place.close()


@pytest.mark.postgres
async def test_F6_a_session_of_one_s_own_that_is_not_noticed_dead_is_in_nobody_s_way(
    postgres_url: str,
) -> None:
    """As after a line that was cut without a word: the server still takes the old session for alive."""
    place = Place("postgresql", url=postgres_url)
    store = place.open(alone=True)
    await store.load()
    state = await commit_all(store, stations(2))
    dead, store._core.writer._connection = writer(store), None
    await commit_all(store, [plug("s1", "E000000")], state=state)
    with pytest.raises(psycopg.OperationalError):
        dead.execute("SELECT 1")
    dead.close()
    await place.close()


class SlowLine:
    """Stands before a PostgreSQL and passes everything on, `delay_s` later."""

    def __init__(self, url: str, folder: Path) -> None:
        found = sa.make_url(url)
        self._there = str(found.query["host"])
        self._port = found.port or 5432
        self.delay_s = 0.0
        self._here = folder
        self._lines: list[asyncio.Future[tuple[None, None]]] = []
        self.url = found.update_query_dict({"host": str(folder)}).render_as_string(hide_password=False)

    async def __aenter__(self) -> Self:
        name = f".s.PGSQL.{self._port}"

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            back, forth = await asyncio.open_unix_connection(f"{self._there}/{name}")
            ways = self._pass_on(reader, forth), self._pass_on(back, writer)
            self._lines.append(asyncio.gather(*ways))

        self._server = await asyncio.start_unix_server(serve, str(self._here / name))
        return self

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                await asyncio.sleep(self.delay_s)
                writer.write(data)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.gather(*self._lines)


@pytest.mark.postgres
async def test_F4_a_postgres_behind_a_slow_line_is_waited_for_by_nobody_else(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No answer before its commit, the queue is bounded and refuses, and the loop serves who needs no commit."""
    async with SlowLine(postgres_url, tmp_path_factory.mktemp("pg")) as line:
        place = Place("postgresql", url=line.url)
        store = place.open()
        ledger = Ledger(store, (await store.load()).state, bound=6)
        task = asyncio.create_task(ledger.run())
        await ledger.record(*stations(2))
        line.delay_s = 0.3
        first = asyncio.create_task(ledger.record(plug("s1", "E000000")))
        loop = asyncio.get_running_loop()
        late_s = 0.0
        for _ in range(25):
            began = loop.time()
            await asyncio.sleep(0.01)
            late_s = max(late_s, loop.time() - began - 0.01)
        assert not first.done(), "not even half of the way to the database and back is over"
        assert late_s < 1.0
        for n in range(5):
            ledger.put(plug(f"more-{n}", "E000001"))
        with pytest.raises(Unavailable, match="wait for the store"):
            ledger.put(plug("one-too-many", "E000001"))
        line.delay_s = 0.0
        await first
        await ledger.settled()
        assert {r["session_id"] for r in await store.query("sessions")} >= {"s1", "more-0"}
        task.cancel()
        await place.close()


class Breaks:
    """A writer's connection that breaks at the next COMMIT, before or after the server has done it."""

    def __init__(self, store: AnyStore, *, done: bool) -> None:
        self.done = done
        self.real = writer(store)
        store._core.writer._connection = self

    def cursor(self) -> Self:
        return self

    def execute(self, text: str, values: Any = None) -> Any:
        if text != "COMMIT":
            return self.real.execute(text, values)
        if self.done:
            self.real.execute(text)
        self.close()
        raise psycopg.OperationalError("lost")

    def fetchall(self) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self.real.close()


@pytest.mark.postgres
async def test_a_commit_whose_answer_was_lost_is_found(postgres_url: str) -> None:
    place = Place("postgresql", url=postgres_url)
    store = place.open()
    await store.load()
    state = await commit_all(store, stations(1))
    Breaks(store, done=True)
    await commit_all(store, [plug("s1", "E000000")], state=state)
    assert [row["session_id"] for row in await store.query("sessions")] == ["s1"]
    await commit_all(store, [plug("s2", "E000000")], state=state)
    assert (await store.query("counts"))[0]["activity"] == 4
    await place.close()


@pytest.mark.postgres
async def test_P1_a_commit_that_broke_off_is_refused_and_another_takes_its_number(postgres_url: str) -> None:
    place = Place("postgresql", url=postgres_url)
    store = place.open()
    await store.load()
    await commit_all(store, stations(1))
    Breaks(store, done=False)
    with pytest.raises(Unavailable):
        await store.commit([plug("s1", "E000000")], [])
    assert await store.commit([plug("s2", "E000000")], []) == 3
    assert [row["seq"] for row in await store.query("activity")] == [3, 2, 1]
    with under(store).snapshot() as connection:
        assert verify_log(connection) is None
    await place.close()


@pytest.mark.postgres
async def test_P1_a_commit_that_was_refused_and_turns_out_to_be_written_ends_the_writer(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away for a moment just then: what was taken back here is there, so nothing here is right."""
    place = Place("postgresql", url=postgres_url)
    store = place.open()
    await store.load()
    await commit_all(store, stations(1))
    Breaks(store, done=True)

    def away() -> None:
        raise psycopg.OperationalError("away")

    with monkeypatch.context() as patched:
        patched.setattr(under(store), "connect", away)
        with pytest.raises(Unavailable, match="can't be reached"):
            await store.commit([plug("s1", "E000000")], [])
    for _ in range(2):
        with pytest.raises(Fenced, match="answer was lost"):
            await store.commit([plug("s2", "E000000")], [])
    await place.close()


async def test_an_error_of_our_own_in_a_transaction_is_said_as_it_is_and_harms_no_other() -> None:
    disk = Disk()
    store = disk.reopen()
    await store.load()
    state = await commit_all(store, stations(1))

    def wrong(cursor: Any) -> None:
        cursor.execute("INSERT INTO meta (name, value) VALUES ('half', 'done')")
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            store._core.writer.transact(wrong)
    await commit_all(store, [plug("s1", "E000000")], state=state)
    assert disk.connection.execute("SELECT * FROM meta WHERE name = 'half'").fetchall() == []
    assert same((await store.load()).state, state)


async def test_a_crash_leaves_what_was_committed() -> None:
    disk = Disk()
    store = disk.reopen()
    await store.load()
    state = await commit_all(store, stations(2))
    disk.connection.execute("BEGIN")
    disk.connection.execute("DELETE FROM activity")
    again = disk.reopen()
    assert same((await again.load()).state, state)
    disk.connection.close()


async def test_a_closed_store_says_so(file: Place) -> None:
    store = file.open()
    await store.load()
    await store.close()
    await store.close()
    with pytest.raises(Unavailable, match="closed"):
        await store.commit([], [])


@settings(max_examples=40, deadline=None)
@given(
    choices=st.lists(st.integers(0, 10**6), max_size=60),
    group=st.integers(1, 40),
    crashes=st.sets(st.integers(0, 60)),
)
def test_any_history_with_any_crashes_folds_to_the_tables(
    choices: list[int], group: int, crashes: set[int]
) -> None:
    async def live() -> None:
        disk = Disk()
        store = disk.reopen()
        state = (await store.load()).state
        facts = history(choices)
        for number, start in enumerate(range(0, len(facts), group)):
            state = await commit_all(store, facts[start : start + group], group=group, state=state)
            if number in crashes:
                store = disk.reopen()
                loaded = await store.load()
                assert same(loaded.state, state)
                state = loaded.state
        with under(store).snapshot() as connection:
            assert verify_log(connection) is None
            assert differences(connection) == []
        disk.connection.close()

    asyncio.run(live())


KILLED = """
import asyncio, sys
from emw.service.ledger import Ledger
from emw.store import SqlStore
from tests.store.world import plug, stations

async def main():
    store = SqlStore(sys.argv[1])
    loaded = await store.load()
    ledger = Ledger(store, loaded.state)
    asyncio.create_task(ledger.run())
    if not loaded.state.evses:
        await ledger.record(*stations(20))
    print("ready", flush=True)
    async def caller(i):
        n = 0
        while True:
            n += 1
            name = f"{sys.argv[2]}-{i}-{n}"
            await ledger.record(plug(name, f"E{i:06}"))
            print(name, flush=True)
    await asyncio.gather(*(caller(i) for i in range(20)))

asyncio.run(main())
"""


async def killed(url: str, life: int, after_s: float) -> set[str]:
    """Run a writer, kill it so long after its first fact, and return what it said was durable."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, url, str(life), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
    first = await process.stdout.readline()
    reading = asyncio.create_task(process.stdout.read())
    await asyncio.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    told = (first + await reading).decode().split("\n")
    await process.wait()
    return set(told[:-1])


@pytest.mark.parametrize("lives", [3, pytest.param(25, marks=pytest.mark.slow)])
async def test_P1_what_was_answered_before_kill_9_is_there_once(file: Place, lives: int) -> None:
    answered: set[str] = set()
    for life in range(lives):
        answered |= await killed(file.url, life, 0.037 * (life % 7))
    store = file.open()
    await store.load()
    rows = await store.query("activity", kind="SessionStarted", limit=1_000_000)
    names = [row["payload"]["session_id"] for row in rows]
    assert answered
    assert len(names) == len(set(names))
    assert answered <= set(names)
    with under(store).snapshot() as connection:
        assert verify_log(connection) is None
        assert differences(connection) == []
