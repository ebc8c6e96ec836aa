"""`emw preview` and `emw forecast`: what a decrease would do, and what could be shed in the coming hours."""

from __future__ import annotations

from typing import Annotated

import typer

from emw.cli.control import Control, segment
from emw.cli.serve import ConfigPath, DataDir, configured
from emw.cli.show import AsJson, print_json, print_one, print_table

TheTerritory = Annotated[
    str, typer.Option("--territory", "-t", help="The node it is about, with all under it.")
]


def preview(
    territory: TheTerritory,
    kw: Annotated[float, typer.Option("--kw", help="Shed this much below baseline, kW.")],
    minutes: Annotated[float, typer.Option(help="For how long.")] = 60.0,
    start: Annotated[
        str | None,
        typer.Option(help="From when, within 24 hours, for example 2026-05-04T17:00:00Z (none: now)."),
    ] = None,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show who would be limited to what, what it costs drivers and how sure it is. Nothing is asked of anybody."""
    body = {"territory": territory, "kW": kw, "durationMinutes": minutes, "start": start}
    told = Control(configured(config_path, data_dir), running=True).post("/preview", body)
    if as_json:
        print_json(told)
        return
    evses = told.pop("evses")
    if evses:
        print_table(evses, ["evseID", "drawAmps", "limitAmps", "givesKW", "missedKWh"])
    for name in ("available", "atStart", "atEnd"):
        told[name] = f"{told[name]['kW']:.1f} kW ({told[name]['lowKW']:.1f} to {told[name]['highKW']:.1f})"
    print_one(told)


def forecast(
    territory: TheTerritory,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what can be shed now and in the coming hours: in all, by who is here, and by who is still to come."""
    control = Control(configured(config_path, data_dir), running=True)
    told = control.get(f"/territories/{segment(territory)}/forecast")
    if as_json:
        print_json(told)
        return
    rows = [
        hour
        | {
            "at": f"{hour['at'][:16]}Z",
            "hereKW": hour["here"]["kW"],
            "hereLowKW": hour["here"]["lowKW"],
            "toComeKW": hour["toCome"]["kW"],
        }
        for hour in told["hours"]
    ]
    columns = ["at", "kW", "lowKW", "highKW", "hereKW", "hereLowKW", "toComeKW"]
    print_table(rows, columns, told["basis"])


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(preview)
    app.command()(forecast)
