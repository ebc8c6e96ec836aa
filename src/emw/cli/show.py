"""How commands talk: tables for people, JSON for machines, errors as one sentence on stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def plain(value: Any) -> str:
    """A value as text a terminal can't be tricked with: control characters are shown, not obeyed."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    text = str(value)
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str | None = None) -> None:
    """Rows as a table; every cell is text, never markup, and whole. Where a terminal is too narrow, a list for each."""
    cells = {c: [plain(row.get(c)) for row in rows] for c in columns}
    width = sum(max(map(len, [name, *column])) + 3 for name, column in cells.items())
    if rows and out.is_terminal and width > out.width:
        if title:
            say(title)
        for row in rows:
            print_one({c: row.get(c) for c in columns if plain(row.get(c))})
            say("")
        return
    table = Table(title=title, title_justify="left", show_edge=False)
    for column in columns:
        number = any(
            isinstance(r.get(column), int | float) and not isinstance(r.get(column), bool) for r in rows
        )
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for line in zip(*cells.values(), strict=True):
        table.add_row(*map(Text, line))
    (out if out.is_terminal else Console(highlight=False, width=max(width, 80))).print(table)


def print_one(value: Mapping[str, Any]) -> None:
    """One thing, a line per field."""
    width = max((len(k) for k in value), default=0)
    for key, item in value.items():
        out.print(Text(f"{key:<{width}}  {plain(item)}"))


def say(text: str) -> None:
    """A line for people."""
    out.print(Text(text))


def say_error(text: str) -> None:
    """What went wrong, on stderr."""
    err.print(Text("emw: " + plain(text), style="bold red"))


def time_of(text: str | None, option: str) -> datetime | None:
    """A time that an option was given. Ends the command where it is none, or says no offset."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise fail(f"{option}: write a time like 2026-05-04T07:00:00Z", 2) from error
    if at.tzinfo is None:
        raise fail(f"{option}: give the offset too, for example 2026-05-04T07:00:00Z", 2)
    return at


def fail(text: str, status: int = 1) -> typer.Exit:
    """What went wrong, said on stderr, as the exception that ends the command."""
    say_error(text)
    return typer.Exit(status)
