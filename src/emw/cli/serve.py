"""`emw serve`: the head-end itself. `emw halt` and `emw resume`: the big red stop."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from emw.app.config import Config, load_config
from emw.app.logs import set_up_logs
from emw.app.loop import run
from emw.cli.control import Control
from emw.cli.show import AsJson, print_json, say

if TYPE_CHECKING:
    from emw.app.serving import Serving

ConfigPath = Annotated[
    Path | None, typer.Option("--config", "-c", help="The TOML file (default: emw.toml, where there is one).")
]
DataDir = Annotated[str | None, typer.Option("--data-dir", help="The data folder (default: emw-data).")]


def configured(path: Path | None, data_dir: str | None) -> Config:
    """The configuration a command works with."""
    config = load_config(path)
    if data_dir is not None:
        config.data_dir = data_dir
    return config


def serve(
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    stations: Annotated[str | None, typer.Option(help="HOST:PORT for stations and grid operators.")] = None,
    operator: Annotated[str | None, typer.Option(help="HOST:PORT for people: console and API.")] = None,
    standby: Annotated[
        bool, typer.Option("--standby", help="While another emw works with the database, wait; then serve.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the server until SIGTERM or Ctrl-C."""
    from emw.app.serving import serve as serve_planes  # heavy, and other commands need this module

    config = configured(config_path, data_dir)
    if stations is not None:
        config.stations.listen = stations
    if operator is not None:
        config.operator.listen = operator
    set_up_logs(config.log_level)

    def waits(why: str) -> None:
        if as_json:
            _tell({"ready": False, "waitsFor": why})
        else:
            say(f"waits: {why}")

    def ready(serving: Serving) -> None:
        if as_json:
            _tell(
                {
                    "ready": True,
                    "stations": serving.stations_url,
                    "operator": serving.operator_url,
                    "drivers": serving.drivers_url,
                    "setup": serving.setup_url,
                    "dataDir": str(config.data.resolve()),
                }
            )
            return
        say(f"stations and grid operators  {serving.stations_url}")
        say(f"console and API              {serving.operator_url}")
        if serving.drivers_url is not None:
            say(f"drivers                      {serving.drivers_url}")
        if serving.setup_url is not None:
            say(f"first administrator          {serving.setup_url}   (works once, for 30 minutes)")
        if not config.outgoing.networks:
            say(
                "calls to stations are off: no outgoing.networks is configured; stations hear limits in answers"
            )

    with contextlib.suppress(asyncio.CancelledError):  # a spare that is stopped while it waits
        run(serve_planes(config, on_ready=ready, waits=waits if standby else None))


def _tell(told: dict[str, object]) -> None:
    """A line for whoever started it, at once: pipes keep lines back."""
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    sys.stdout.flush()


def halt(
    reason: Annotated[str, typer.Option(help="Why, for the log.")] = "operator's stop",
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Stop all dispatch and free every car along the ramp. Needs no working database."""
    control = Control(configured(config_path, data_dir))
    told = control.post("/halt", {"reason": reason})
    done = "dispatch is stopped; cars are freed along the ramp"
    if control.in_process:
        done = "no server runs; it will start with dispatch stopped"
    print_json(told) if as_json else say(done)


def resume(
    reason: Annotated[str, typer.Option(help="Why, for the log.")] = "operator",
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let dispatch go on after a halt."""
    control = Control(configured(config_path, data_dir))
    told = control.post("/resume", {"reason": reason})
    done = "no server runs; once it does, dispatch goes on" if control.in_process else "dispatch goes on"
    print_json(told) if as_json else say(done)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(serve)
    app.command()(halt)
    app.command()(resume)
