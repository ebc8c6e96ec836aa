"""How a Python value lies in a column, in SQLite and in PostgreSQL, for SQLAlchemy and for the bare driver alike.

Times are aware UTC: in SQLite ISO-8601 text with microseconds and `Z` (so that text order is time order), in
PostgreSQL `timestamptz`. Enumerations are their text, tuples of text a JSON array.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect

Convert = Callable[[Any], Any]
_encode: Final = msgspec.json.Encoder().encode


def time_text(at: datetime) -> str:
    """A time as SQLite keeps it: UTC, always with microseconds, so that the text sorts as the time does."""
    if at.tzinfo is not UTC:
        if at.tzinfo is None:
            raise ValueError(f"a time without a zone can't be stored: {at!r}")
        at = at.astimezone(UTC)
    # msgspec writes a time in a sixth of the time that isoformat takes, but leaves a fraction of zero out.
    if at.microsecond:
        return _encode(at)[1:-1].decode()
    return _encode(at)[1:-2].decode() + ".000000Z"


def utc(at: datetime) -> datetime:
    """A time as PostgreSQL gives it, with the one zone that the rest of emw compares by identity."""
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def tuple_text(values: tuple[str, ...]) -> str:
    """A tuple of text as a JSON array."""
    return msgspec.json.encode(values).decode()


def tuple_of(text: str) -> tuple[str, ...]:
    """The tuple that `tuple_text` wrote."""
    return msgspec.json.decode(text, type=tuple[str, ...])


class UtcTime(sa.types.TypeDecorator[datetime]):
    """An aware UTC time."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Text in SQLite, timestamptz in PostgreSQL."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Python to driver."""
        if value is None or dialect.name == "postgresql":
            return value
        return time_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Driver to Python."""
        if value is None:
            return None
        return utc(value) if isinstance(value, datetime) else datetime.fromisoformat(value)


class TextTuple(sa.types.TypeDecorator[tuple[str, ...]]):
    """A tuple of text, as a JSON array."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:
        """Python to driver."""
        return None if value is None else tuple_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:
        """Driver to Python."""
        return None if value is None else tuple_of(value)


TYPES: Final[dict[Any, type[sa.types.TypeEngine[Any]]]] = {
    str: sa.Text,
    bool: sa.Boolean,
    int: sa.BigInteger,
    float: sa.Double,
    datetime: UtcTime,
    tuple[str, ...]: TextTuple,
}


def kinds_of(record: type[Any]) -> dict[str, tuple[Any, bool]]:
    """Each field of a dataclass or struct with its plain type and whether it may be None."""
    hints = get_type_hints(record)
    names = (
        record.__struct_fields__ if issubclass(record, msgspec.Struct) else (f.name for f in fields(record))
    )
    return {name: _plain(hints[name]) for name in names}


def _plain(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in {Union, types.UnionType}:
        (plain,) = (a for a in get_args(hint) if a is not type(None))
        return plain, True
    return hint, False


def column_type(kind: Any) -> sa.types.TypeEngine[Any]:
    """The column type of a field's plain type."""
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return sa.Text()
    return TYPES[kind]()


def to_driver(kind: Any, dialect: str) -> Convert | None:
    """How a value of this type goes to the bare driver; None: as it is."""
    if kind is datetime:
        return time_text if dialect == "sqlite" else None
    if kind == tuple[str, ...]:
        return tuple_text
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _enum_text
    return None


def from_driver(kind: Any, dialect: str) -> Convert | None:
    """How a value of this type comes from the bare driver; None: as it is."""
    if kind is datetime:
        return datetime.fromisoformat if dialect == "sqlite" else utc
    if kind is bool:
        return {0: False, 1: True}.__getitem__
    if kind == tuple[str, ...]:
        return tuple_of
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {member.value: member for member in kind}.__getitem__
    return None


def _enum_text(value: Any) -> str:
    return str(value.value)
