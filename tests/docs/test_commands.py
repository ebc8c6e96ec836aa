"""The command line finds each command without importing all of them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer.main

from emw import __version__
from emw.cli.main import PANELS, ROOMS, app_for

HEAVY = {"aiohttp", "litestar", "numpy", "sqlalchemy"}


def names_of(command: str) -> set[str]:
    group = typer.main.get_command(app_for(command))
    return set(getattr(group, "commands", {}))


def test_each_command_is_where_it_is_looked_for() -> None:
    for room, commands in ROOMS.items():
        for command in commands:
            assert names_of(command) == {*commands, "version"}, room
    assert names_of("") == {"version", *(c for commands in ROOMS.values() for c in commands)}
    assert names_of("no-such-command") == names_of("")
    assert sorted(name for names in PANELS.values() for name in names) == sorted(names_of(""))


@pytest.mark.parametrize("said", ["version", "--version"])
def test_a_version_is_told_without_web_and_database(said: str) -> None:
    asked = f"import sys; from emw.cli import main; sys.argv = ['emw', '{said}']\ntry: main()\n"
    asked += "except SystemExit as end: assert not end.code\nprint(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    first, *modules = told.stdout.split()
    assert first == __version__
    assert HEAVY.isdisjoint(modules)
