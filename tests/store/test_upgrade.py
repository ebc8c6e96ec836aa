"""From an older version to this one, in mid-event and killed half-way: nothing is lost, tables only grow (F1, F21)."""

import asyncio
import signal
import subprocess
import sys
from dataclasses import fields
from datetime import timedelta
from typing import Any, Final

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from emw.domain import facts as f
from emw.domain.fold import apply
from emw.domain.model import Cause, Outcome, RequestState
from emw.store import SqlStore, maintenance, schema
from emw.store.migrate import MIGRATIONS
from tests.store.conftest import Place, commit_all, database
from tests.store.world import START, stations


def alembic(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


REVISIONS: Final = [s.revision for s in ScriptDirectory.from_config(alembic()).walk_revisions()][::-1]
"""Every migration, oldest first."""


def columns(connection: sa.Connection) -> dict[tuple[str, str], Any]:
    inspector = sa.inspect(connection)
    return {(t, c["name"]): c for t in inspector.get_table_names() for c in inspector.get_columns(t)}


async def test_F21_no_migration_takes_anything_from_who_still_runs_the_version_before(place: Place) -> None:
    """Two versions side by side: what the older one reads is there, and a row it writes is whole."""
    await place.open().load()
    with database(place.opened[0]).migrating() as connection:
        for older, newer in zip(REVISIONS[-2::-1], REVISIONS[:0:-1], strict=True):
            after = columns(connection)
            command.downgrade(alembic(connection), older)
            before = columns(connection)
            tables = {table for table, _ in before}
            for where, column in before.items():
                assert where in after, f"{newer} drops {where}"
                assert str(after[where]["type"]) == str(column["type"]), f"{newer} changes {where}"
                assert after[where]["nullable"] or not column["nullable"], f"{newer} asks more of {where}"
            for (table, name), column in after.items():
                if table in tables and (table, name) not in before:
                    given = column["nullable"] or column["default"] is not None
                    assert given, f"{newer}: who does not know {table}.{name} can't write a row"


def an_event() -> list[f.Fact]:
    """A request that runs, with a car that holds a limit for it."""
    at = START + timedelta(hours=1)
    end = at + timedelta(hours=2)
    told: list[f.Fact] = [
        *stations(3),
        f.IsoAdded(at=at, actor="t", iso_id="grid", token_hash="h" * 64, territories=("East",)),
        f.RequestReceived(
            at=at,
            actor="iso:grid",
            request_key="grid:R1",
            iso_id="grid",
            request_id="R1",
            territory_id="East",
            kw=5.0,
            start_at=at,
            end_at=end,
        ),
        f.RequestMoved(at=at, actor="emw", request_key="grid:R1", state=RequestState.ACTIVE),
    ]
    evse_id = next(x.evse_id for x in told if isinstance(x, f.PoweredOn))
    told += [
        f.Enrolled(at=at, actor="emw", request_key="grid:R1", evse_id=evse_id),
        f.CommandIssued(
            at=at,
            actor="emw",
            command_id="co_1",
            evse_id=evse_id,
            max_a=10.0,
            until=at + timedelta(minutes=15),
            cause=Cause.SHED,
            request_key="grid:R1",
        ),
        f.CommandAnswered(
            at=at, actor="emw", command_id="co_1", evse_id=evse_id, outcome=Outcome.APPLIED, answered_a=10.0
        ),
    ]
    return told


@pytest.mark.parametrize("older", REVISIONS[:-1])
async def test_F21_an_event_that_ran_under_an_older_version_runs_on(file: Place, older: str) -> None:
    store = file.open()
    await store.load()
    state = await commit_all(store, an_event())
    with database(store).migrating() as connection:
        command.downgrade(alembic(connection), older)
        known = columns(connection)
    await store.close()
    again = file.open()
    loaded = await again.load()
    assert file.sql("SELECT version_num FROM alembic_version") == [(schema.REVISION,)]
    for name in ("requests", "limits", "enrolments", "evses", "stations", "isos"):
        here, there = getattr(state, name), getattr(loaded.state, name)
        assert here.keys() == there.keys()
        for key, record in here.items():
            for field in fields(record):
                if (record.table, field.name) in known:
                    assert getattr(there[key], field.name) == getattr(record, field.name), (name, field.name)
    assert loaded.state.requests["grid:R1"].state is RequestState.ACTIVE
    # ... and it goes on: its end is written like any other, and the chain of the log holds over the upgrade.
    end = f.RequestMoved(
        at=START + timedelta(hours=3), actor="emw", request_key="grid:R1", state=RequestState.RESTORING
    )
    await again.commit([end], apply(loaded.state, end)[0])
    await again.close()
    told = maintenance.check(file.url, whole_log=True)
    assert told["problems"] == [], "the tables are what the log says, after every upgrade"


KILLED: Final = """
import asyncio, os, signal, sys
import sqlalchemy as sa
from emw.store import SqlStore
left = int(sys.argv[2])
def die(*_):
    global left
    left -= 1
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
sa.event.listen(sa.engine.Engine, "before_cursor_execute", die)
sa.event.listen(sa.engine.Engine, "commit", die)
async def main():
    await SqlStore(sys.argv[1]).load()
    print("lived")
asyncio.run(main())
"""


@pytest.mark.parametrize("statements", [3, 12, 30, 45])
async def test_F1_F5_a_migration_killed_at_any_statement_has_not_happened(
    file: Place, statements: int
) -> None:
    """Kill -9 of a real process between two statements of its migrations, over a database of the first version."""
    store = file.open()
    await store.load()
    state = await commit_all(store, an_event())
    with database(store).migrating() as connection:
        command.downgrade(alembic(connection), REVISIONS[0])
    await store.close()
    died = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, file.url, str(statements)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, (died.stdout, died.stderr[-500:])
    assert file.sql("SELECT version_num FROM alembic_version") == [(REVISIONS[0],)], "all of it or nothing"
    loaded = await SqlStore(file.url).load()
    assert loaded.state.requests.keys() == state.requests.keys()
    here = {e: x.max_a for e, x in loaded.state.limits.items()}
    assert here == {e: x.max_a for e, x in state.limits.items()}
