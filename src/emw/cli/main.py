"""Every command by name. Exit status 0 done, 1 failed, 2 wrong use; `--json` everywhere for machines.

Only the command that was named is imported: all of them together take seconds, and bring the web, the database and
the simulator with them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Final

import typer

from emw import __version__

ROOMS: Final = {
    "demo": ("demo",),
    "doctor": ("doctor",),
    "serve": ("serve", "halt", "resume"),
    "what_if": ("forecast", "preview"),
    "reports": ("report",),
    "admin": ("territory", "request", "operator", "token"),
    "stations": ("station",),
    "other_side": ("evse", "fleet"),
    "iso": ("iso",),
    "grid": ("grid",),
    "vtn": ("vtn",),
    "database": ("db",),
    "replay": ("replay",),
    "engine": ("allocate",),
}
"""Modules of this package and the commands they add."""
PANELS: Final = {
    "Run it": ("demo", "doctor", "serve", "halt", "resume", "db", "version"),
    "Run an event": ("forecast", "preview", "request", "report"),
    "Who and what there is": ("territory", "station", "iso", "grid", "vtn", "operator", "token"),
    "The other side, simulated or real": ("evse", "fleet"),
    "Measure the engine": ("replay", "allocate"),
}
"""How `--help` groups them."""


def app_for(command: str) -> typer.Typer:
    """The command line as far as `command` needs it; all of it where there is no such command."""
    app = typer.Typer(
        name="emw",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_head)  # where there was one command alone, there would be no name to call it by
    rooms = [room for room, commands in ROOMS.items() if command in commands]
    if not rooms and command not in {"version", "--version"}:
        rooms = list(ROOMS)
    for room in rooms:
        import_module(f"emw.cli.{room}").add_to(app)
    app.command()(version)
    panel_of = {name: panel for panel, names in PANELS.items() for name in names}
    for group in app.registered_groups:
        group.rich_help_panel = panel_of[str(group.name)]
    for one in app.registered_commands:
        one.rich_help_panel = panel_of[str(one.name or getattr(one.callback, "__name__", ""))]
    return app


def version() -> None:
    """Print the version, as `emw --version` does."""
    typer.echo(__version__)


def _version_asked(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


def _head(
    version: Annotated[
        bool, typer.Option("--version", callback=_version_asked, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The demand-response head-end for EV charging."""


def first_of(error: Exception) -> Exception:
    """What began it: tasks that ran beside each other end as a group."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> None:
    """Run the command line; known failures are one sentence, not a traceback."""
    app = app_for(sys.argv[1] if len(sys.argv) > 1 else "")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from emw.cli.failures import KNOWN, say_failure  # nobody waits for what may not happen

        why = first_of(error)
        if not isinstance(why, KNOWN):
            raise
        sys.exit(say_failure(why))


if __name__ == "__main__":
    main()
