"""The tables are the records, the migrations are the tables, and the hot paths use the indexes made for them."""

import asyncio
import contextlib
import sqlite3
import sys
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st

from emw.domain.model import RECORDS
from emw.store import SqlStore, StoreUnusable, loading, schema
from emw.store.columns import time_text
from emw.store.migrate import MIGRATIONS, migrate
from emw.store.queries import ask
from emw.store.recent import read_recent
from tests.store.conftest import Place, commit_all, database
from tests.store.world import START, stations


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_a_table_is_its_record(record: type) -> None:
    table = schema.TABLES[record]
    assert table.name == record.table  # type: ignore[attr-defined]
    assert [c.name for c in table.columns] == [f.name for f in fields(record)]
    assert tuple(c.name for c in table.primary_key) == record.key_fields  # type: ignore[attr-defined]


async def test_migrations_from_empty_make_the_schema(place: Place) -> None:
    store = place.open()
    await store.load()
    with database(store).migrating() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
        partial = {
            name: index["dialect_options"].get(f"{connection.dialect.name}_where")
            for table in sa.inspect(connection).get_table_names()
            for index in sa.inspect(connection).get_indexes(table)
            if (name := index["name"]) and index.get("dialect_options", {})
        }
    wanted = {i.name for t in schema.metadata.tables.values() for i in t.indexes if i.kwargs}
    assert {name for name, where in partial.items() if where is not None} == wanted


def test_the_schema_knows_its_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.REVISION]


async def test_migrating_twice_changes_nothing(place: Place) -> None:
    store = place.open()
    await store.load()
    await commit_all(store, stations(2))
    assert migrate(database(store)) == schema.REVISION
    assert (await store.query("counts"))[0]["activity"] == 4


async def test_F5_a_newer_database_is_refused(place: Place) -> None:
    await place.open().load()
    place.sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnusable, match=r"newer emw \(version 9999"):
        await place.open().load()
    assert place.sql("SELECT version_num FROM alembic_version") == [("9999",)]


async def test_F5_anothers_database_is_refused(place: Place) -> None:
    if place.kind == "sqlite":
        place.make_folder()
    place.sql("CREATE TABLE invoices (number INTEGER)")
    with pytest.raises(StoreUnusable, match="did not make"):
        await place.open().load()
    with contextlib.suppress(sqlite3.Error):
        assert place.sql("SELECT count(*) FROM invoices") == [(0,)]


async def test_F5_a_migration_killed_half_way_has_not_happened(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command

    real = command.upgrade

    def killed(config: Config, to: str) -> None:
        real(config, to)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "upgrade", killed)
    with pytest.raises(KeyboardInterrupt):
        await place.open().load()
    monkeypatch.undo()
    loaded = await place.open().load()
    assert loaded.next_seq == 1


@pytest.mark.parametrize("where", [0, 30, 4096 * 3 + 5])
async def test_F5_a_file_with_flipped_bytes_is_refused(file: Place, where: int) -> None:
    store = file.open()
    await store.load()
    await commit_all(store, stations(200))
    await store.close()
    data = bytearray(file.read())
    for i in range(where, where + 64):
        data[i] ^= 0xFF
    file.write(bytes(data))
    with pytest.raises(StoreUnusable, match="emw db restore"):
        await file.open().load()
    assert file.read() == bytes(data), "never repaired in silence"


async def test_F5_a_cut_file_is_refused(file: Place) -> None:
    store = file.open()
    await store.load()
    await commit_all(store, stations(200))
    await store.close()
    file.write(file.read()[: 4096 * 10])
    with pytest.raises(StoreUnusable, match="emw db restore"):
        await file.open().load()


async def test_F5_a_tampered_log_is_refused(file: Place) -> None:
    store = file.open()
    await store.load()
    await commit_all(store, stations(5))
    await store.close()
    file.sql("DELETE FROM activity WHERE seq = 9")
    with pytest.raises(StoreUnusable, match="row 9 is missing"):
        await file.open().load()


async def test_a_file_that_is_no_database_is_refused(file: Place) -> None:
    file.make_folder()
    file.write(b"these are not the rows you are looking for" * 100)
    with pytest.raises(StoreUnusable, match="is damaged"):
        await file.open().load()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nonsense", "is no database URL"),
        ("sqlite://", "names no file"),
        ("mysql://host/db", "mysql is not known"),
        ("sqlite:////proc/emw/emw.db", "can't be opened"),
    ],
)
async def test_a_url_that_leads_nowhere_is_refused(url: str, why: str) -> None:
    with pytest.raises(StoreUnusable, match=why):
        await SqlStore(url).load()


async def test_a_postgres_password_is_not_told() -> None:
    store = SqlStore("postgresql://emw:hunter22@127.0.0.1:1/emw")
    with pytest.raises(StoreUnusable) as caught:
        await store.load()
    assert "hunter22" not in str(caught.value)
    await store.close()


async def test_A18_files_are_for_their_owner_alone(file: Place) -> None:
    store = file.open()
    await store.load()
    await commit_all(store, stations(1))
    assert file.modes() == {"data": 0o700, "emw.db": 0o600, "emw.db-wal": 0o600, "emw.db-shm": 0o600}


async def test_F2_every_commit_is_flushed(file: Place) -> None:
    store = file.open()
    await store.load()
    connection = database(store).connect()
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_neither_start_nor_pages_scan_the_log(file: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store = file.open()
    await store.load()
    await commit_all(store, stations(1))
    plans: list[str] = []

    class Explaining:
        def execute(self, text: str, values: tuple[object, ...] = ()) -> Any:
            plans.extend(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + text, values))
            return connection.execute(text, values)

    connection = database(store).connect()
    await store.add_readings([])
    loading.read_state(Explaining(), "sqlite")
    read_recent(Explaining(), "sqlite")
    loading.read_readings(Explaining(), "sqlite")
    connection.execute(
        "INSERT INTO telemetry VALUES ('2026-05-04T07:00:00.000000Z','A','2026-05-04T07:00:00.000000Z',1,1,1,1,1,0)"
    )
    loading.read_readings(Explaining(), "sqlite")
    with database(store).engine.connect() as reader:
        monkeypatch.setattr(reader, "execute", lambda q: _explained(reader, q, plans))
        for name, parameters in (
            ("counts", {}),
            ("activity", {}),
            ("activity", {"evse_id": "A", "before_seq": 7}),
            ("activity", {"request_key": "A"}),
            ("activity", {"since": START, "until": START}),
            ("sessions", {}),
            ("sessions", {"evse_id": "A"}),
            ("telemetry", {"evse_id": "A"}),
            ("load_curve", {"since": START}),
        ):
            with contextlib.suppress(_Planned):
                ask(reader, name, dict(parameters))
    connection.close()
    scans = {plan for plan in plans if plan.startswith("SCAN")}
    for table in ("activity", "sessions", "enrolments", "reports", "telemetry"):
        ordered = {f"SCAN {table} USING INDEX ix_{table}_open", f"SCAN {table} USING INDEX ix_{table}_owed"}
        ordered |= {f"SCAN {table} USING INDEX ix_{table}_started_at", "SCAN activity"}
        assert {s for s in scans if s.split()[1] in {table, "t"}} <= ordered, plans
    assert not any("TEMP B-TREE FOR ORDER BY" in plan for plan in plans if "activity" in plan)


class _Planned(Exception):
    """The question was explained; there is no answer."""


def _explained(reader: sa.Connection, query: sa.Select[object], plans: list[str]) -> None:
    text = str(query.compile(reader, compile_kwargs={"literal_binds": True}))
    plans.extend(row[3] for row in reader.exec_driver_sql("EXPLAIN QUERY PLAN " + text))
    raise _Planned


async def test_a_start_without_migration_does_not_load_alembic(file: Place) -> None:
    store = file.open()
    await store.load()
    await store.close()
    code = (
        "import asyncio, sys; from emw.store import SqlStore; "
        f"asyncio.run(SqlStore({file.url!r}).load()); print('alembic' in sys.modules, 'pyarrow' in sys.modules)"
    )
    told = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    stdout, _ = await asyncio.wait_for(told.communicate(), 60)
    assert stdout.decode().split() == ["False", "False"]


@given(
    at=st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7)), ZoneInfo("Europe/Berlin")])
    )
)
def test_a_time_is_kept_as_text_that_sorts_and_comes_back(at: datetime) -> None:
    try:
        wanted = at.astimezone(UTC)
    except OverflowError:
        return
    text = time_text(at)
    assert text == wanted.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert datetime.fromisoformat(text) == wanted


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        time_text(datetime(2026, 5, 4))  # noqa: DTZ001 - that is the point
