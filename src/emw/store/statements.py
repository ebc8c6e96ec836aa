"""The statements of the hot path: compiled once from the tables, then run by the bare driver.

One statement carries many rows (`VALUES (…), (…), …`): the driver is then entered once per chunk and not once per
row, so that the writer's thread hands the interpreter over a few times per group instead of thousands of times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect

CHUNKS: Final = (512, 64, 8, 1)
"""Rows per statement: few distinct texts, so that each stays prepared."""

_DIALECTS: Final[dict[str, Dialect]] = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": postgresql.psycopg.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]  # SQLAlchemy's own
}


def driver_text(statement: Any, dialect: str) -> str:
    """The text of a statement with the plain positional placeholders that the driver takes."""
    return str(statement.compile(dialect=_DIALECTS[dialect], compile_kwargs={"render_postcompile": True}))


class Insert:
    """Rows into one table, many at a time."""

    def __init__(
        self, table: sa.Table, dialect: str, *, conflict: str = "fail", keep: frozenset[str] = frozenset()
    ) -> None:
        """`conflict`: fail, ignore or replace. `keep`: columns that stay as they are when a row is replaced."""
        names = [c.name for c in table.columns]
        make: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
        statement = make(table).values({name: sa.bindparam(name) for name in names})
        keys = [c.name for c in table.primary_key]
        changed = [n for n in names if n not in keys and n not in keep]
        if conflict == "replace" and changed:
            statement = statement.on_conflict_do_update(
                index_elements=keys, set_={n: statement.excluded[n] for n in changed}
            )
        elif conflict != "fail":
            statement = statement.on_conflict_do_nothing(index_elements=keys)
        head, _, rest = driver_text(statement, dialect).partition(" VALUES ")
        one, bracket, tail = rest.partition(")")
        self._width = len(names)
        self._texts = {n: f"{head} VALUES {', '.join([one + bracket] * n)}{tail}" for n in CHUNKS}

    def run(self, cursor: Any, rows: Iterable[Sequence[Any]]) -> None:
        """Write `rows`, each in the order of the table's columns."""
        self.run_flat(cursor, list(chain.from_iterable(rows)))

    def run_flat(self, cursor: Any, values: Sequence[Any]) -> None:
        """Write rows of which `values` holds one behind the other."""
        done = 0
        for size in CHUNKS:
            text, step = self._texts[size], size * self._width
            while len(values) - done >= step:
                cursor.execute(text, values[done : done + step])
                done += step
