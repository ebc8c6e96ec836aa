"""How commands talk: tables for people, JSON for machines, errors as one sentence on stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
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
    text = str(value)
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str | None = None) -> None:
    """Rows as a table; every cell is text, never markup."""
    table = Table(title=title, title_justify="left", show_edge=False)
    for column in columns:
        number = any(
            isinstance(r.get(column), int | float) and not isinstance(r.get(column), bool) for r in rows
        )
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(Text(plain(row.get(c))) for c in columns))
    out.print(table)


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


def fail(text: str, status: int = 1) -> typer.Exit:
    """What went wrong, said on stderr, as the exception that ends the command."""
    say_error(text)
    return typer.Exit(status)
