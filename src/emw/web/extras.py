"""What the operator's plane is given beside the head-end: parts that it uses and does not know how to make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from emw.service.drivers import Drivers
from emw.service.sign_on import SignOn

WriteTable = Callable[[Sequence[Mapping[str, Any]], Sequence[str], str, BinaryIO], None]
"""Rows, their columns, a form (csv, json, parquet) and where to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """Each may be missing: then what needs it says that it is not there."""

    sign_on: SignOn | None = None
    write_table: WriteTable | None = None
    drivers: Drivers | None = None


NOTHING = Extras()
