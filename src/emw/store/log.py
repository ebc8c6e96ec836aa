"""The log read back: is its chain whole, and do the tables say what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa

from emw.domain.facts import Fact
from emw.domain.fold import apply
from emw.domain.model import Record
from emw.domain.state import State, key_of
from emw.store import schema
from emw.store.chain import START, genesis, head_of, link
from emw.store.columns import time_text
from emw.store.rows import SEARCHED, codecs, fact_columns, fact_of
from emw.store.statements import driver_text

PAGE: Final = 5_000
TAIL: Final = 2_000
"""Rows at the log's end whose chain is checked at every start."""

Rows = dict[tuple[type[Any], Any], Record]


def log_of(connection: sa.Connection, since: int = 1) -> Iterator[sa.Row[Any]]:
    """The rows of the log from number `since` on, in order, a page at a time."""
    a = schema.activity
    while True:
        query = sa.select(a).where(a.c.seq >= since).order_by(a.c.seq).limit(PAGE)
        page = connection.execute(query).fetchall()
        yield from page
        if len(page) < PAGE:
            return
        since = page[-1].seq + 1


def facts_of(connection: sa.Connection) -> Iterator[Fact]:
    """Every fact there is, in order."""
    return (fact_of(row.kind, row.payload) for row in log_of(connection))


def verify_log(connection: sa.Connection, since: int = 1) -> str | None:
    """The first thing wrong with the log from row `since` on, in a sentence that names the row; None: it is whole.

    A check that begins inside takes the hash of its first row for granted.
    """
    head_is = sa.select(schema.meta.c.value).where(schema.meta.c.name == "log_head")
    text = connection.execute(head_is).scalar()
    head = (0, START)
    if text is not None:
        seq, _, digest = head_of(text)
        head = (seq, digest)
    expected = since
    day, digest = "", START
    trusted = since == 1
    for row in log_of(connection, since):
        if row.seq != expected:
            return f"row {expected} is missing"
        if not trusted:
            trusted, day, digest, expected = True, row.day, row.chain, expected + 1
            continue
        if row.day != day:
            day, digest = row.day, genesis(row.day, digest)
        digest = link(digest, row.seq, row.kind, row.payload.encode())
        if digest != row.chain:
            return f"row {row.seq} was changed, or the row before it is not the one that was there"
        if why := _copies(row):
            return f"row {row.seq} was changed: {why}"
        expected += 1
    if head[0] >= expected:
        return f"row {expected} is missing"
    if head[0] != expected - 1 or (trusted and expected > 1 and head[1] != digest):
        return f"row {expected - 1} is not the one that was written last"
    return None


def _copies(row: sa.Row[Any]) -> str | None:
    """Whether the columns beside the payload still say what it says."""
    try:
        fact = fact_of(row.kind, row.payload)
    except ValueError as error:
        return str(error)
    _, _, searched = fact_columns(fact)
    if row.at != fact.at or row.day != time_text(fact.at)[:10]:
        return "its time is not that of its fact"
    if row.actor != fact.actor:
        return "its actor is not that of its fact"
    for name, value in zip(SEARCHED, searched, strict=True):
        if getattr(row, name) != value:
            return f"its {name} is not that of its fact"
    return None


class Rebuilt:
    """The tables as the log says they must be."""

    def __init__(self) -> None:
        self.state = State()
        self.rows: Rows = {}

    def add(self, fact: Fact) -> None:
        """The next fact."""
        records, _ = apply(self.state, fact)
        for record in records:
            self.rows[type(record), key_of(record)] = record


def rebuild(connection: sa.Connection) -> Rebuilt:
    """Fold the whole log."""
    rebuilt = Rebuilt()
    for fact in facts_of(connection):
        rebuilt.add(fact)
    return rebuilt


def tables_of(connection: sa.Connection) -> Rows:
    """Every record in the tables."""
    found: Rows = {}
    dialect = connection.dialect.name
    for kind, codec in codecs(dialect).items():
        rows = connection.exec_driver_sql(driver_text(sa.select(codec.table), dialect)).fetchall()
        for record in codec.records(rows):
            found[kind, key_of(record)] = record
    return found


def differences(connection: sa.Connection, at_most: int = 20) -> list[str]:
    """Where the tables are not what the log says, in sentences."""
    try:
        said = rebuild(connection).rows
    except (KeyError, ValueError) as error:
        return [f"the log can't be folded: {error!r}"]
    there = tables_of(connection)
    problems = []
    for key in [*said, *(k for k in there if k not in said)]:
        kind, name = key
        if key not in there:
            problems.append(f"{kind.table}: row {name} is missing")
        elif key not in said:
            problems.append(f"{kind.table}: row {name} is in no fact")
        elif said[key] != there[key]:
            fields = [f for f in kind.__slots__ if getattr(said[key], f) != getattr(there[key], f)]
            problems.append(f"{kind.table}: row {name} differs from the log in {', '.join(fields)}")
        if len(problems) >= at_most:
            problems.append("…")
            break
    return problems
