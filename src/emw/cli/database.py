"""`emw db`: back up, restore, check, upgrade."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emw.app.lock import only_one
from emw.cli.serve import ConfigPath, DataDir, configured
from emw.cli.show import AsJson, fail, print_json, say
from emw.store import maintenance

db = typer.Typer(help="The database: backup, restore, check, upgrade.", no_args_is_help=True)


@db.command()
def backup(
    to: Annotated[Path, typer.Argument(help="The file to write.")],
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy the database, also while the server runs."""
    told = maintenance.backup(configured(config_path, data_dir).store_url(), to)
    print_json(told) if as_json else say(f"written to {to}")


@db.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A file that `emw db backup` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite a database that is there.")] = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup in place; the server must not run."""
    config = configured(config_path, data_dir)
    with only_one(config.data):
        told = maintenance.restore(config.store_url(), source, force=force)
    print_json(told) if as_json else say(f"{source} is in place; stations will be asked what they run")


@db.command()
def check(config_path: ConfigPath = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check the file, the chain of the log, and that the tables are what the log says."""
    config = configured(config_path, data_dir)
    told = maintenance.check(config.store_url())
    if not told["exists"]:
        raise fail("; ".join(told["problems"]) or f"there is no database in {config.data.absolute()} yet")
    if as_json:
        print_json(told)
    else:
        say("the database is whole" if told["ok"] else "the database is NOT whole:")
        for problem in told["problems"]:
            say(f"  {problem}")
    if not told["ok"]:
        raise fail("see above; restore a backup with `emw db restore`")


@db.command()
def upgrade(config_path: ConfigPath = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Bring the tables to this version (the server does so too when it starts)."""
    config = configured(config_path, data_dir)
    with only_one(config.data):
        told = maintenance.upgrade(config.store_url())
    print_json(told) if as_json else say(
        "the tables are of this version" if told["from"] else "there was no database; one was made"
    )


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(db, name="db")
