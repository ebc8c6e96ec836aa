"""Rows as a table for people, or as CSV, JSON lines and Parquet for programs. Knows no database.

What a station or a driver wrote is only ever text here: a spreadsheet must not run it as a formula, a terminal not
obey it (attack A13). Numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, cast

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emw.domain.model import RECORDS
from emw.store.columns import kinds_of

Row = Mapping[str, Any]
SHORT: Final = 24
"""Where a terminal is too narrow, longer texts are folded; where that is not enough, each row is a list of its own."""

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "activity": (
        "seq", "at", "kind", "actor", "evse_id", "station_id", "request_key", "iso_id", "territory_id", "payload",
    ),
    "requests": (
        "request_key", "iso_id", "territory_id", "state", "kw", "available_kw", "confirmed_kw", "pending_kw",
        "refused_kw", "short_kw", "measured_kw", "start_at", "end_at", "received_at", "ended_at", "closed_at",
        "affected_evses", "commands", "why_short",
    ),
    "evses": (
        "evse_id", "station_id", "territory_id", "site", "model", "status", "powered", "online", "line_voltage_v",
        "phases", "max_a", "session_id", "opted_out_until", "offline_since", "doubted_at",
        "powered_at",
    ),
    "sessions": (
        "session_id", "evse_id", "started_at", "ended_at", "end_reason", "vehicle", "evse_max_a", "car_max_a",
        "car_min_a", "energy_requested_kwh", "energy_kwh", "departure_at",
    ),
    "enrolments": (
        "request_key", "evse_id", "part", "joined_at", "left_at", "why_left", "asked_kw", "confirmed_kw",
        "measured_kwh", "commands",
    ),
    "intervals": (
        "request_key", "start_at", "end_at", "requested_kw", "confirmed_kw", "measured_kw", "baseline_kw", "load_kw",
        "method",
    ),
}  # fmt: skip
"""The columns of each report, in order."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def write(
    rows: Sequence[Row], columns: Sequence[str], form: str, output: Path | BinaryIO | None = None
) -> None:
    """Write `rows` in one of `FORMATS` to a file (mode 0600), an open binary file, or standard output."""
    writer = FORMATS[form]
    with _opened(output) as file:
        writer(rows, columns, file)
        file.flush()


def _opened(output: Path | BinaryIO | None) -> AbstractContextManager[BinaryIO]:
    if output is None:
        return nullcontext(cast("BinaryIO", sys.stdout.buffer))
    if isinstance(output, Path):
        return os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    return nullcontext(output)


def plain(text: str) -> str:
    """Text that a terminal shows and does not obey."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def _json_text(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    if text.isprintable():
        return text
    # JSON lets these stand as they are; some terminals take them for the start of a command.
    return "".join(c if c.isprintable() else "".join(f"\\u{ord(u):04x}" for u in _units(c)) for c in text)


def _units(c: str) -> list[str]:
    code = ord(c)
    if code < 0x10000:
        return [c]
    code -= 0x10000
    return [chr(0xD800 + (code >> 10)), chr(0xDC00 + (code & 0x3FF))]


def _text(value: Any) -> str:
    """A value as text: times in UTC, what has parts as JSON."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Mapping | list | tuple):
        return msgspec.json.encode(value).decode()
    return str(value)


# --- for people


def _write_table(rows: Sequence[Row], columns: Sequence[str], file: BinaryIO) -> None:
    terminal = file is getattr(sys.stdout, "buffer", None) and sys.stdout.isatty()
    found = {c: [_cell(row.get(c)) for row in rows] for c in columns}
    told = {c: cells for c, cells in found.items() if any(cells) or not rows}
    widths = {c: max(map(len, [c, *cells])) for c, cells in told.items()}
    text = io.StringIO()
    console = Console(file=text, highlight=False, force_terminal=terminal, width=None if terminal else 10_000)
    if sum(min(width, SHORT) + 3 for width in widths.values()) > console.width:
        for row in zip(*told.values(), strict=True):
            for column, cell in zip(told, row, strict=True):
                if cell:
                    console.print(Text(f"{column:<{SHORT}}{cell}"))
            console.print()
    else:
        table = Table(show_edge=False)
        for column, width in widths.items():
            justify: Literal["left", "right"] = (
                "right" if any(_is_number(row.get(column)) for row in rows) else "left"
            )
            table.add_column(Text(plain(column)), justify=justify, overflow="fold", no_wrap=width <= SHORT)
        for row in zip(*told.values(), strict=True):
            table.add_row(*map(Text, row))
        console.print(table)
    lines = text.getvalue().splitlines()
    file.write("".join(line.rstrip() + "\n" for line in lines).encode())


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return plain(_text(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# --- for programs


def _write_csv(rows: Sequence[Row], columns: Sequence[str], file: BinaryIO) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_csv_cell(row.get(column)) for column in columns])
    finally:
        text.detach()


def _csv_cell(value: Any) -> Any:
    if value is None or _is_number(value):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    text = _text(value)
    safe = plain(text)
    return "'" + safe if text.startswith(_FORMULA) else safe


def _write_json(rows: Sequence[Row], columns: Sequence[str], file: BinaryIO) -> None:
    file.writelines(
        _json_text({column: row.get(column) for column in columns}).encode() + b"\n" for row in rows
    )


def _write_parquet(rows: Sequence[Row], columns: Sequence[str], file: BinaryIO) -> None:
    import pyarrow as pa  # noqa: PLC0415 - large, and only this format needs it
    import pyarrow.parquet as pq  # noqa: PLC0415

    arrays = {}
    for column in columns:
        values = [_arrow_value(row.get(column)) for row in rows]
        arrays[column] = pa.array(values, type=_arrow_type(pa, column, values))
    pq.write_table(pa.table(arrays), file, compression="zstd")


def _arrow_value(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | datetime) else _text(value)


def _arrow_type(pa: Any, column: str, values: Sequence[Any]) -> Any:
    """The same type for a column in every file, whether or not it has values today."""
    found = next((value for value in values if value is not None), None)
    kind = _KINDS.get(column, str) if found is None else type(found)
    if issubclass(kind, datetime):
        return pa.timestamp("us", tz="UTC")
    if kind is bool:
        return pa.bool_()
    if kind is float or (kind is int and any(isinstance(value, float) for value in values)):
        return pa.float64()
    return pa.int64() if kind is int else pa.string()


_KINDS: Final[dict[str, type[Any]]] = {
    "seq": int,
    "days": int,
    "evses": int,
    **dict.fromkeys(
        (
            "asked_kw",
            "shed_kw",
            "shed_kwh",
            "error_pct",
            "data_share",
            "asked_kwh",
            "delivered_share",
            "rate",
            "amount",
        ),
        float,
    ),
    "believed_at": datetime,
    **{
        name: kind
        for record in RECORDS
        for name, (kind, _) in kinds_of(record).items()
        if kind in {int, float, bool, datetime}
    },
}


FORMATS: Final[dict[str, Callable[[Sequence[Row], Sequence[str], BinaryIO], None]]] = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}
"""How a report can be written, by name."""
