"""Every command by name. Exit status 0 done, 1 failed, 2 wrong use; `--json` everywhere for machines."""

from __future__ import annotations

import sys

import typer

from emw import __version__
from emw.app.config import ConfigError
from emw.app.lock import DataDirBusy
from emw.cli import admin, database, demo, doctor, engine, iso, reports, serve, stations
from emw.cli.control import ControlError
from emw.cli.show import say_error
from emw.service.errors import EmwError

app = typer.Typer(
    name="emw",
    help="The demand-response head-end for EV charging.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
serve.add_to(app)
demo.add_to(app)
admin.add_to(app)
stations.add_to(app)
iso.add_to(app)
engine.add_to(app)
reports.add_to(app)
doctor.add_to(app)
database.add_to(app)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line; known failures are one sentence, not a traceback."""
    try:
        app()
    except (ConfigError, ControlError, DataDirBusy, EmwError) as error:
        say_error(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
