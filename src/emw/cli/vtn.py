"""`emw vtn`: who may speak to emw's own VTN."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from emw.cli.control import Control, segment
from emw.cli.serve import ConfigPath, DataDir, configured
from emw.cli.show import AsJson, print_json, print_one, print_table, say

vtn = typer.Typer(help="emw's own OpenADR VTN.", no_args_is_help=True)
client = typer.Typer(help="Its clients: business logic and VENs.", no_args_is_help=True)
vtn.add_typer(client, name="client")


class ClientRole(StrEnum):
    """What a client is."""

    BL = "bl"
    VEN = "ven"


@client.command("add")
def client_add(
    name: Annotated[str, typer.Argument(help="Its client id: letters, digits, '_', '.', '-'.")],
    role: Annotated[ClientRole, typer.Option(help="bl: posts programs and events. ven: reads and reports.")],
    renew: Annotated[
        bool, typer.Option("--renew", help="Give a known client a new secret; the old one dies.")
    ] = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Enrol a client; its secret is shown once."""
    body = {"clientID": name, "role": role.value, "renew": renew}
    told = Control(configured(config_path, data_dir), first=True).post("/vtn/clients", body)
    print_json(told) if as_json else print_one(told)


@client.command("list")
def client_list(config_path: ConfigPath = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the clients (not their secrets)."""
    rows = Control(configured(config_path, data_dir)).get("/vtn/clients")
    print_json(rows) if as_json else print_table(
        rows["items"], ["clientID", "role", "revoked", "addedAt", "secretAt"]
    )


@client.command("revoke")
def client_revoke(
    name: str, config_path: ConfigPath = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """A client's secret and tokens die at once; what it wrote stays."""
    told = Control(configured(config_path, data_dir)).post(f"/vtn/clients/{segment(name)}/revoke", {})
    print_json(told) if as_json else say(f"{name} is revoked")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(vtn, name="vtn")
