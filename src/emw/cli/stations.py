"""`emw station`: enrol stations, see how each stands, and revoke them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from emw.cli.control import Control, segment
from emw.cli.serve import ConfigPath, DataDir, configured
from emw.cli.show import AsJson, fail, plain, print_json, print_one, print_table, say, say_error


class Current(StrEnum):
    """What an EVSE gives."""

    AC = "ac"
    DC = "dc"


station = typer.Typer(help="Stations: who may connect.", no_args_is_help=True)


@station.command("add")
def station_add(
    station_id: Annotated[
        str, typer.Argument(help="Its evseID or OCPP identity, exactly as the station will say it.")
    ],
    customer: Annotated[str | None, typer.Option(help="Whose it is.")] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="A new secret for a known station; the old one dies.")
    ] = False,
    hex_secret: Annotated[
        bool,
        typer.Option(
            "--hex-secret", help="OCPP: a secret of 40 hexadecimal digits; some 1.6 stations take no other."
        ),
    ] = False,
    territory: Annotated[str | None, typer.Option(help="OCPP: the territory its EVSEs lie in.")] = None,
    max_a: Annotated[float | None, typer.Option("--max-a", help="OCPP: each EVSE's own maximum, A.")] = None,
    voltage_v: Annotated[float | None, typer.Option("--voltage-v", help="OCPP: line voltage, V.")] = None,
    phases: Annotated[int | None, typer.Option(min=1, max=3, help="OCPP: phases of each EVSE.")] = None,
    current: Annotated[
        Current | None, typer.Option(help="OCPP: dc for direct current at --voltage-v: limits go out in W.")
    ] = None,
    may_pause: Annotated[
        bool | None, typer.Option("--may-pause/--no-pause", help="OCPP: a shed may pause it, down to 0 A.")
    ] = None,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Enrol a station; its secret is shown once. An OCPP station has it as its HTTP Basic password."""
    body = {
        "stationID": station_id,
        "customerID": customer,
        "renew": renew,
        "hexSecret": hex_secret,
        "territory": territory,
        "maxAmps": max_a,
        "lineVoltage": voltage_v,
        "phases": phases,
        "current": None if current is None else current.value,
        "mayPause": may_pause,
    }
    told = Control(configured(config_path, data_dir), first=True).post("/stations", body)
    print_json(told) if as_json else print_one(told)


@station.command("list")
def station_list(
    silent: Annotated[
        bool, typer.Option("--silent", help="Only those that are on and are not heard.")
    ] = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the stations: whether each is heard, and when it was last."""
    asked = "silent" if silent else None
    rows = Control(configured(config_path, data_dir)).get_all("/stations", state=asked)
    columns = ["stationID", "customerID", "protocol", "evses", "state", "heardAt", "revoked"]
    print_json(rows) if as_json else print_table(rows["items"], columns)


@station.command("revoke")
def station_revoke(
    station_id: str,
    reason: Annotated[str | None, typer.Option(help="Why, for the log.")] = None,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """A station's secret and token die at once."""
    control = Control(configured(config_path, data_dir))
    told = control.post(f"/stations/{segment(station_id)}/revoke", {"reason": reason})
    print_json(told) if as_json else say(f"{station_id} is revoked")


@station.command("wire")
def station_wire(
    evse_id: Annotated[str, typer.Argument(help="REST: the station's id; OCPP: with its number, CP1:2.")],
    wiring: Annotated[
        str | None,
        typer.Argument(help="The line on each terminal, in order: L2, or L2L3L1. None: it is not known."),
    ] = None,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say which lines of the grid an EVSE is wired to, for ceilings in A per phase."""
    control = Control(configured(config_path, data_dir))
    told = control.post(f"/evses/{segment(evse_id)}/wiring", {"wiring": wiring})
    print_json(told) if as_json else say(f"{evse_id} is wired to {wiring or 'lines that nobody knows'}")


@station.command("ocpp")
def station_ocpp(
    station_id: str,
    action: Annotated[
        str | None, typer.Argument(help="A message, for example Reset. None: how it stands.")
    ] = None,
    payload: Annotated[str, typer.Argument(help="Its payload, JSON.")] = "{}",
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """How an OCPP station stands; or send it a message and see the answer."""
    control = Control(configured(config_path, data_dir))
    path = f"/stations/{segment(station_id)}/ocpp"
    if action is None:
        told = control.get(path)
        print_json(told) if as_json else print_one(told)
        return
    try:
        body = msgspec.json.decode(payload)
    except msgspec.DecodeError as error:
        raise fail(f"PAYLOAD: this is not JSON: {error}", 2) from error
    told = control.post(path, {"action": action, "payload": body})
    print_json(told) if as_json else print_one({k: v for k, v in told.items() if v is not None})
    if told["outcome"] != "answered":
        raise typer.Exit(1)


@station.command("frames")
def station_frames(
    station_id: str, config_path: ConfigPath = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """The last frames to and from an OCPP station, newest first."""
    control = Control(configured(config_path, data_dir), running=True)
    told = control.get(f"/stations/{segment(station_id)}/frames")
    if as_json:
        print_json(told)
        return
    if not told["items"]:
        say_error(f"no frame of {station_id} since the server was started")
    for frame in told["items"]:
        say(f"{frame['at']}  {'>' if frame['outgoing'] else '<'}  {plain(frame['text'])}")


@station.command("transactions")
def station_transactions(
    station_id: str,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """An OCPP station's transactions, newest first."""
    path = f"/stations/{segment(station_id)}/transactions"
    told = Control(configured(config_path, data_dir)).get(path, limit=limit)
    columns = ["transactionID", "evseID", "startedAt", "endedAt", "meterStartWh", "meterStopWh", "reason"]
    print_json(told) if as_json else print_table(told["items"], columns)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(station, name="station")
