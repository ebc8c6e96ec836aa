"""From whatever the database is to this version's tables, or a clear no."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from emw.store import schema
from emw.store.database import RESTORE, Database
from emw.store.errors import StoreUnusable

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def version_of(connection: sa.Connection) -> str | None:
    """The migration a database stands at; None: it is empty. Raises StoreUnusable where it is not emw's."""
    names = set(sa.inspect(connection).get_table_names())
    if "alembic_version" not in names:
        if names & (set(schema.metadata.tables) | {"activity"}) or names:
            raise StoreUnusable(
                "there are tables in this database that emw did not make: give it one of its own"
            )
        return None
    rows = connection.exec_driver_sql("SELECT version_num FROM alembic_version").fetchall()
    if len(rows) > 1:
        raise StoreUnusable(f"the database says it has several versions at once: {RESTORE}")
    return str(rows[0][0]) if rows else None


def migrate(database: Database) -> str | None:
    """Bring the tables to this version in one transaction; returns the version that was found."""
    with database.migrating() as connection:
        found = version_of(connection)
        if found == schema.REVISION:
            return found
        _upgrade(connection, found)
        return found


def refuse_other(database: Database) -> None:
    """Raise StoreUnusable where the tables are not of this version (for readers, who change nothing)."""
    with database.engine.connect() as connection:
        found = version_of(connection)
    if problem := why_other(found):
        raise StoreUnusable(problem)


def why_other(found: str | None) -> str | None:
    """Why tables of this version can't be read as they are, and what to do; None: they can."""
    if found == schema.REVISION:
        return None
    if found is not None and found > schema.REVISION:
        return _newer(found)
    return (
        f"the database is of version {found or 'none'} and this emw of {schema.REVISION}: run `emw db upgrade`, "
        "or the emw that the database belongs to"
    )


def _newer(found: str) -> str:
    return (
        f"the database was made by a newer emw (version {found}, this one knows up to {schema.REVISION}): "
        "install that version, or restore a backup from before the upgrade"
    )


def _upgrade(connection: sa.Connection, found: str | None) -> None:
    # Imported where it is used: most starts need no migration, and Alembic takes its time to load.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreUnusable(_newer(found))
    command.upgrade(config, "head")
