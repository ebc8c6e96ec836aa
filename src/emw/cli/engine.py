"""`emw allocate`: the neutral interface to the allocator, JSON lines in and out, so that anyone can measure it."""

from __future__ import annotations

import sys

import msgspec
import typer

from emw.cli.show import fail
from emw.engine.neutral import Allocator


def allocate() -> None:
    """Read one snapshot a line on stdin, answer one line each: amps per EVSE. See docs/reference/allocate."""
    allocator = Allocator()
    unread = 0
    for number, line in enumerate(sys.stdin.buffer, 1):
        if not line.strip():
            continue
        try:
            answer = allocator.round(msgspec.json.decode(line))
        except (msgspec.DecodeError, ValueError, KeyError, TypeError) as error:
            # One line in, one line out: who waits for an answer gets one, and the fleet's state is as it was.
            unread += 1
            typer.echo(f"line {number}: {error}", err=True)
            answer = {"set": [], "error": f"line {number}: {error}"}
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()
    if unread:
        raise fail(f"{unread} {'line' if unread == 1 else 'lines'} could not be read")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(allocate)
