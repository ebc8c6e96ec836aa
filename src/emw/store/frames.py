"""Messages that are owed to stations' own central systems: a side table beside the log, emptied as they are told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from emw.service.ports import KeptFrame, KeptName
from emw.store import schema
from emw.store.columns import to_driver
from emw.store.database import Database
from emw.store.statements import Insert, driver_text
from emw.store.writer import Writer

NAMES_FOR: Final = timedelta(days=30)
"""No transaction runs longer than that."""


class FrameTables:
    """The two tables. Writes happen on the writer's side only."""

    def __init__(self, writer: Writer, database: Database) -> None:
        self._writer = writer
        self._database = database
        dialect = database.dialect
        self._time = to_driver(datetime, dialect) or (lambda at: at)
        self._frames = Insert(schema.relayed_frames, dialect, conflict="replace")
        self._names = Insert(schema.relayed_names, dialect, conflict="replace")
        f = schema.relayed_frames.c
        self._drop = driver_text(
            sa.delete(schema.relayed_frames).where(
                f.station_id == sa.bindparam("station_id"), f.number == sa.bindparam("number")
            ),
            dialect,
        )

    def keep(self, kept: Sequence[KeptFrame], gone: Sequence[KeptFrame], names: Sequence[KeptName]) -> None:
        """One group of changes."""
        added = [(k.station_id, k.number, k.action, k.payload, k.ours) for k in kept]
        named = [(n.station_id, n.ours, n.theirs, self._time(n.at)) for n in names]

        def work(cursor: Any) -> None:
            self._frames.run(cursor, added)
            for frame in gone:
                cursor.execute(self._drop, (frame.station_id, frame.number))
            self._names.run(cursor, named)

        self._writer.transact(work)

    def read(self) -> tuple[list[KeptFrame], list[KeptName]]:
        """All of both, oldest first; names of transactions long over are left out."""
        frames, names = schema.relayed_frames, schema.relayed_names
        with self._database.engine.connect() as connection:
            owed = connection.execute(sa.select(frames).order_by(frames.c.station_id, frames.c.number)).all()
            named = connection.execute(sa.select(names).order_by(names.c.at)).all()
        newest = max((row.at for row in named), default=None)
        return (
            [KeptFrame(r.station_id, r.number, r.action, bytes(r.payload), r.ours) for r in owed],
            [
                KeptName(r.station_id, r.ours, r.theirs, r.at)
                for r in named
                if newest is not None and newest - r.at < NAMES_FOR
            ],
        )
