"""What the operator's plane is given beside the head-end: parts that it uses and does not know how to make."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from emw.service.drivers import Drivers
from emw.service.sign_on import SignOn

WriteTable = Callable[[Sequence[Mapping[str, Any]], Sequence[str], str, BinaryIO], None]
"""Rows, their columns, a form (csv, json, parquet) and where to."""


Beside = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Coroutine[Any, Any, Any]]
"""Runs what takes long, and asks nothing but the store, so that nobody else waits for it."""


async def in_line(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Where there is nothing to run beside: all wait."""
    return await work()


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """Each may be missing: then what needs it says that it is not there, or does without."""

    sign_on: SignOn | None = None
    write_table: WriteTable | None = None
    drivers: Drivers | None = None
    beside: Beside = in_line


NOTHING = Extras()
