"""A store in each of its forms, over a place that outlives it."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from emw.domain.facts import Fact
from emw.domain.fold import apply
from emw.domain.state import State
from emw.store import Disk, InlineStore, SqlStore
from emw.store.database import Database
from emw.store.postgres import PostgresDatabase

AnyStore = SqlStore | InlineStore


@dataclass
class Place:
    """Where a store lies. Each `open` is a new life over the same rows."""

    kind: str
    url: str = ""
    disk: Disk | None = None
    opened: list[AnyStore] = field(default_factory=list)

    def open(self, *, alone: bool = False, **settings: Any) -> AnyStore:
        """`alone`: it must be the only one. Most tests look from a second one while the first lives on."""
        store = SqlStore(self.url, **settings) if self.disk is None else self.disk.reopen(**settings)
        if isinstance(under := database(store), PostgresDatabase) and not alone:
            under._claim = lambda connection: None  # type: ignore[method-assign]
        self.opened.append(store)
        return store

    async def close(self) -> None:
        for store in self.opened:
            await store.close()

    @property
    def path(self) -> Path:
        """The file of an SQLite store."""
        return Path(self.url.removeprefix("sqlite:///"))

    def read(self) -> bytes:
        """The file's bytes."""
        return self.path.read_bytes()

    def write(self, data: bytes) -> None:
        """Other bytes in the file's place."""
        self.path.write_bytes(data)

    def make_folder(self) -> None:
        """The folder without the database."""
        self.path.parent.mkdir()

    def modes(self) -> dict[str, int]:
        """Who may do what with the folder and the files in it."""
        return {
            path.name: path.stat().st_mode & 0o777 for path in (self.path.parent, *self.path.parent.iterdir())
        }

    def sql(self, text: str, *values: Any) -> list[Any]:
        """Go behind the store's back."""
        if self.kind == "postgresql":
            with psycopg.connect(self.url, autocommit=True) as connection:
                cursor = connection.execute(text.replace("?", "%s").encode(), values)
                return cursor.fetchall() if cursor.description else []
        if self.disk is not None:
            return self.disk.connection.execute(text, values).fetchall()
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as c:
            return c.execute(text, values).fetchall()


def database(store: AnyStore) -> Database:
    """What lies under a store."""
    return store._core.database


async def commit_all(
    store: AnyStore, facts: Sequence[Fact], *, group: int = 7, state: State | None = None
) -> State:
    """Commit facts in groups as the ledger does: each row once per group, in its last version."""
    state = State() if state is None else state
    for start in range(0, len(facts), group):
        part = facts[start : start + group]
        rows: dict[Any, Any] = {}
        for fact in part:
            records, undo = apply(state, fact)
            rows.update({(type(r), u[1]): r for r, u in zip(records, undo, strict=True)})
        await store.commit(part, list(rows.values()))
    return state


def same(a: State, b: State) -> bool:
    """Whether two views hold the same records."""
    names = [n for n in State.__slots__ if not n.startswith("_")]
    return all(getattr(a, n) == getattr(b, n) for n in names)


def _place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if kind == "sqlite":
        return Place(kind, url=f"sqlite:///{tmp_path / 'data' / 'emw.db'}")
    if kind == "inline":
        return Place(kind, disk=Disk())
    return Place(kind, url=request.getfixturevalue("postgres_url"))


KINDS = ["sqlite", "inline", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Every form of the store, one after another."""
    place = _place(request.param, request, tmp_path)
    yield place
    await place.close()
    if place.disk is not None:
        place.disk.connection.close()
    await asyncio.sleep(0)


@pytest.fixture
async def file(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """The store over an SQLite file."""
    place = _place("sqlite", request, tmp_path)
    yield place
    await place.close()
