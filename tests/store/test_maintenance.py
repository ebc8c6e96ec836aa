"""Backup, restore, check, upgrade."""

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from emw.domain.state import State
from emw.service.ledger import Ledger
from emw.store import SqlStore, StoreUnusable, maintenance, schema
from tests.store.conftest import Place, commit_all, same
from tests.store.world import history, plug, stations


def made(url: str, facts: list[Any]) -> State:
    """A database with these facts, closed."""

    async def live() -> State:
        store = SqlStore(url)
        await store.load()
        state = await commit_all(store, facts)
        await store.close()
        return state

    return asyncio.run(live())


def loaded(url: str) -> State:
    async def live() -> State:
        store = SqlStore(url)
        state = (await store.load()).state
        await store.close()
        return state

    return asyncio.run(live())


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'emw.db'}"


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def test_F23_a_backup_restored_is_the_same(url: str, tmp_path: Path) -> None:
    state = made(url, history([n * 7919 for n in range(150)]))
    told = maintenance.backup(url, tmp_path / "emw.bak")
    assert told["facts"] == 150
    assert (tmp_path / "emw.bak").stat().st_mode & 0o777 == 0o600
    path_of(url).unlink()
    assert maintenance.restore(url, tmp_path / "emw.bak")["kept"] is None
    assert same(loaded(url), state)
    assert path_of(url).stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} >= {"emw.db", "emw.bak"}
    assert not any("partial" in path.name for path in tmp_path.iterdir())


async def test_F23_a_backup_while_facts_flow_is_whole(file: Place, tmp_path: Path) -> None:
    store = file.open()
    ledger = Ledger(store, (await store.load()).state)
    task = asyncio.create_task(ledger.run())
    await ledger.record(*stations(10))

    async def flow() -> None:
        for i in range(100_000):
            await ledger.record(*(plug(f"s{i}-{k}", f"E{k:06}") for k in range(10)))

    flowing = asyncio.create_task(flow())
    loop = asyncio.get_running_loop()
    for number in range(3):
        told = await loop.run_in_executor(None, maintenance.backup, file.url, tmp_path / f"{number}.bak")
        assert told["facts"] >= 20
        assert (told["facts"] - 20) % 10 == 0, "whole groups only"
    assert not flowing.done()
    flowing.cancel()
    await asyncio.wait([flowing])
    task.cancel()


def test_F23_restore_refuses_to_overwrite_and_keeps_what_was_there(url: str, tmp_path: Path) -> None:
    old = made(url, stations(2))
    maintenance.backup(url, tmp_path / "emw.bak")
    path_of(url).unlink()
    new = made(url, stations(5))
    with pytest.raises(StoreUnusable, match="--force"):
        maintenance.restore(url, tmp_path / "emw.bak")
    assert same(loaded(url), new)
    told = maintenance.restore(url, tmp_path / "emw.bak", force=True)
    assert same(loaded(url), old)
    assert same(loaded(f"sqlite:///{told['kept']}"), new)


@pytest.mark.parametrize("damage", ["cut", "flip", "log", "table", "text"])
def test_F23_a_damaged_backup_is_not_put_in_place(url: str, tmp_path: Path, damage: str) -> None:
    state = made(url, stations(200))
    bad = tmp_path / "bad.bak"
    shutil.copy(path_of(url), bad)
    place = Place("sqlite", url=f"sqlite:///{bad}")
    match damage:
        case "cut":
            place.write(place.read()[:50_000])
        case "flip":
            data = place.read()
            at = data.rindex(b"operator:ann")
            place.write(data[:at] + b"Operator" + data[at + 8 :])
        case "log":
            place.sql("UPDATE activity SET payload = replace(payload, 'ann', 'bob') WHERE seq = 9")
        case "table":
            place.sql("UPDATE evses SET max_a = 99 WHERE evse_id = 'E000003'")
        case _:
            place.write(b"no database at all" * 1000)
    with pytest.raises(StoreUnusable):
        maintenance.restore(url, bad, force=True)
    assert same(loaded(url), state)


def test_wrong_names_are_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="no database at"):
        maintenance.backup(url, tmp_path / "x.bak")
    with pytest.raises(StoreUnusable, match="no file"):
        maintenance.restore(url, tmp_path / "x.bak")
    made(url, stations(1))
    for call in (maintenance.backup, maintenance.restore):
        with pytest.raises(StoreUnusable, match="the database itself"):
            call(url, path_of(url))
    with pytest.raises(StoreUnusable, match="pg_dump"):
        maintenance.backup("postgresql://emw@localhost/emw", tmp_path / "x.bak")
    with pytest.raises(StoreUnusable, match="can't be opened"):
        maintenance.backup(url, tmp_path / "nowhere" / "x.bak")


def test_check_of_a_whole_database_finds_nothing(url: str) -> None:
    assert maintenance.check(url) == {"ok": True, "exists": False, "problems": []}
    assert not path_of(url).exists(), "a check makes nothing"
    made(url, history([n * 7919 for n in range(150)]))
    for whole_log in (True, False):
        told = maintenance.check(url, whole_log=whole_log)
        assert told == {"ok": True, "exists": True, "problems": [], "facts": 150, "older": False}


def test_check_names_what_is_wrong(url: str) -> None:
    made(url, stations(20))
    place = Place("sqlite", url=url)
    place.sql("UPDATE evses SET status = 'gone' WHERE evse_id = 'E000003'")
    assert maintenance.check(url)["problems"] == ["evses: row E000003 differs from the log in status"]
    assert maintenance.check(url, whole_log=False)["ok"]
    place.sql("DELETE FROM activity WHERE seq = 40")
    assert maintenance.check(url)["problems"] == ["log: row 40 is missing"]
    place.sql("UPDATE alembic_version SET version_num = '9999'")
    assert "made by a newer emw (version 9999" in maintenance.check(url)["problems"][0]
    place.write(b"?" * 10_000)
    told = maintenance.check(url)
    assert not told["ok"]
    assert "damaged" in told["problems"][0]


async def test_check_beside_a_running_server(file: Place) -> None:
    store = file.open()
    state = (await store.load()).state
    await commit_all(store, stations(5), state=state)
    told = await asyncio.get_running_loop().run_in_executor(None, maintenance.check, file.url)
    assert told["ok"]
    await commit_all(store, [plug("s", "E000001")], state=state)


def test_upgrade_makes_and_keeps_the_tables(url: str) -> None:
    assert maintenance.upgrade(url) == {"from": None, "to": schema.REVISION}
    assert maintenance.upgrade(url) == {"from": schema.REVISION, "to": schema.REVISION}
    with contextlib.suppress(FileNotFoundError):
        assert path_of(url).stat().st_mode & 0o777 == 0o600


@pytest.mark.postgres
async def test_check_and_upgrade_of_postgres(postgres_url: str) -> None:
    loop = asyncio.get_running_loop()
    assert (await loop.run_in_executor(None, maintenance.upgrade, postgres_url))["from"] is None
    place = Place("postgresql", url=postgres_url)
    store = place.open()
    await store.load()
    await commit_all(store, stations(3))
    told = await loop.run_in_executor(None, maintenance.check, postgres_url)
    assert told == {"ok": True, "exists": True, "problems": [], "facts": 6, "older": False}
    place.sql("UPDATE evses SET max_a = 1 WHERE evse_id = 'E000001'")
    assert not (await loop.run_in_executor(None, maintenance.check, postgres_url))["ok"]
    await place.close()
