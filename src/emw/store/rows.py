"""Records and facts as rows, and back.

A row of the log carries the whole fact as JSON; the columns beside it are copies to search by. Each type's way is
worked out once; per row there is one `attrgetter` and a conversion for the few columns that need one.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import Any, Final, get_origin

import msgspec
import sqlalchemy as sa

from emw.domain.facts import FACTS, SECRET_FIELDS, Fact
from emw.domain.model import RECORDS
from emw.store.columns import Convert, from_driver, kinds_of, to_driver
from emw.store.schema import TABLES

Row = tuple[Any, ...]

SEARCHED: Final = ("evse_id", "station_id", "request_key", "iso_id", "territory_id")
"""Fields of a fact that the log keeps in a column of their own."""

_encode: Final = msgspec.json.Encoder().encode


class Codec:
    """One record type's way to a row and back, for one database."""

    def __init__(self, record: type[Any], dialect: str, table: sa.Table) -> None:
        """`record`: a dataclass or struct of plain fields; `table` has a column for each."""
        kinds = kinds_of(record)
        self.names = tuple(kinds)
        self.table = table
        self._record = record
        self._get: Callable[[Any], Row] = attrgetter(*self.names)
        self._out = _conversions(kinds, dialect, to_driver)
        self._in = _conversions(kinds, dialect, from_driver)
        self._kinds = [
            {_class(kind)} | ({type(None)} if optional else set()) for kind, optional in kinds.values()
        ]
        # The members of a frozen dataclass, reached past its `__setattr__`; a struct is made at once.
        plain = not issubclass(record, msgspec.Struct)
        self._put = [vars(record)[name].__set__ for name in self.names] if plain else []

    def values(self, records: Iterable[Any]) -> list[Any]:
        """Records as rows one behind the other, each in the order of the table's columns."""
        values = list(chain.from_iterable(map(self._get, records)))
        width = len(self.names)
        # Column by column: most values go as they are, and are touched by nothing but C.
        for i, convert in self._out:
            values[i::width] = [None if value is None else convert(value) for value in values[i::width]]
        return values

    def records(self, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Rows as records. Raises ValueError, KeyError or TypeError for what is none.

        Column by column, so that hundreds of thousands of records are made without a step of Python for each.
        """
        if not rows:
            return []
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for i, convert in self._in:
            columns[i] = [None if value is None else convert(value) for value in columns[i]]
        for name, kinds, column in zip(self.names, self._kinds, columns, strict=True):
            odd = set(map(type, column)) - kinds
            if odd:
                raise TypeError(
                    f"{self.table.name}.{name} holds {', '.join(sorted(k.__name__ for k in odd))}"
                )
        if not self._put:
            return list(map(self._record, *columns))
        made = list(map(object.__new__, repeat(self._record, len(rows))))
        for put, column in zip(self._put, columns, strict=True):
            deque(map(put, made, column), maxlen=0)
        return made


def _class(kind: Any) -> type[Any]:
    """The class of a field's values."""
    found: type[Any] = get_origin(kind) or kind
    return found


def _conversions(
    kinds: dict[str, tuple[Any, bool]], dialect: str, of: Callable[[Any, str], Convert | None]
) -> tuple[tuple[int, Convert], ...]:
    found = ((i, of(kind, dialect)) for i, (kind, _) in enumerate(kinds.values()))
    return tuple((i, convert) for i, convert in found if convert is not None)


def codecs(dialect: str) -> dict[type[Any], Codec]:
    """Every record type's codec, in the order of `RECORDS`."""
    return {record: Codec(record, dialect, TABLES[record]) for record in RECORDS}


def _searched(kind: type[Any]) -> Callable[[Any], Row]:
    """The searched fields of one kind of fact, None where it has none of that name."""
    there = [name for name in SEARCHED if name in kinds_of(kind)]
    if not there:
        nothing = (None,) * len(SEARCHED)
        return lambda _: nothing
    if len(there) == 1:
        at = SEARCHED.index(there[0])
        before, after = (None,) * at, (None,) * (len(SEARCHED) - at - 1)
        one = attrgetter(there[0])
        return lambda fact: (*before, one(fact), *after)
    get = attrgetter(*there)
    places = [there.index(name) if name in there else None for name in SEARCHED]

    def several(fact: Any) -> Row:
        values = get(fact)
        return tuple(None if place is None else values[place] for place in places)

    return several


_NAMES: Final = {kind: name for name, kind in FACTS.items()}
_ways: Final[dict[type[Any], tuple[str, Callable[[Any], Row]]]] = {}


def fact_columns(fact: Fact) -> tuple[str, bytes, Row]:
    """A fact's kind, its JSON, and the fields to search by."""
    kind = type(fact)
    way = _ways.get(kind)
    if way is None:
        way = _ways[kind] = (_NAMES[kind], _searched(kind))
    name, searched = way
    return name, _encode(fact), searched(fact)


@functools.cache
def _decoder(kind: str) -> msgspec.json.Decoder[Any] | None:
    """Made when the first fact of its kind is read: all of them together cost every start a twentieth of a second."""
    known = FACTS.get(kind)
    return None if known is None else msgspec.json.Decoder(known)


def fact_of(kind: str, payload: str) -> Fact:
    """The fact that a row of the log holds. Raises ValueError for what is none."""
    decoder = _decoder(kind)
    if decoder is None:
        raise ValueError(f"there is no fact named {kind!r}")
    try:
        fact: Fact = decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(str(error)) from error
    return fact


def shown(payload: str) -> dict[str, Any]:
    """A fact's JSON as a reader may see it: no secret, hashed or not."""
    told: dict[str, Any] = msgspec.json.decode(payload)
    return {
        name: value
        for name, value in told.items()
        if name not in SECRET_FIELDS and not name.endswith("_hash")
    }
