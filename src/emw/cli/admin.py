"""`emw territory | operator | token | request`: the tree, people, keys, and what waits for a second person."""

from __future__ import annotations

from typing import Annotated

import typer

from emw.cli.control import Control, segment
from emw.cli.serve import ConfigPath, DataDir, configured
from emw.cli.show import AsJson, print_json, print_one, print_table, say
from emw.domain.people import Role

territory = typer.Typer(
    help="The territory tree: zones, feeders, sites, and their ceilings.", no_args_is_help=True
)
operator = typer.Typer(help="People who may log in.", no_args_is_help=True)
token = typer.Typer(help="API keys for machines.", no_args_is_help=True)
request = typer.Typer(
    help="Reduction requests, and those that wait for a second person.", no_args_is_help=True
)


@territory.command("add")
def territory_add(
    name: Annotated[str, typer.Argument(help="Its name, as signals will name it.")],
    parent: Annotated[str | None, typer.Option(help="The node it lies under.")] = None,
    kind: Annotated[str, typer.Option(help="zone, utility, feeder, transformer, site …")] = "zone",
    ceiling_kw: Annotated[
        float | None, typer.Option("--ceiling-kw", help="A law: load at most this, kW.")
    ] = None,
    ceiling_a: Annotated[
        float | None,
        typer.Option("--ceiling-a", help="A law: at most this on each of L1, L2 and L3, A per phase."),
    ] = None,
    time_zone: Annotated[str, typer.Option(help="IANA name.")] = "UTC",
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add or change a territory."""
    body = {
        "territoryID": name,
        "parentID": parent,
        "kind": kind,
        "ceilingKW": ceiling_kw,
        "ceilingAmps": ceiling_a,
        "timeZone": time_zone,
    }
    told = Control(configured(config_path, data_dir), first=True).post("/territories", body)
    print_json(told) if as_json else say(f"territory {name} is there")


@territory.command("list")
def territory_list(config_path: ConfigPath = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the territories."""
    rows = Control(configured(config_path, data_dir)).get("/territories")
    if as_json:
        print_json(rows)
    else:
        print_table(
            rows["items"], ["territoryID", "parentID", "kind", "ceilingKW", "ceilingAmps", "timeZone"]
        )


@operator.command("add")
def operator_add(
    name: str,
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.OPERATOR,
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar="EMW_NEW_PASSWORD")
    ] = "",
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give a person a login. The password is asked for, never an argument."""
    body = {"name": name, "password": password, "role": role.value}
    told = Control(configured(config_path, data_dir), first=True).post("/operators", body)
    print_json(told) if as_json else say(f"{name} may log in as {role}")


@operator.command("list")
def operator_list(config_path: ConfigPath = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List who may log in."""
    rows = Control(configured(config_path, data_dir)).get("/operators")
    print_json(rows) if as_json else print_table(rows["items"], ["name", "role", "disabled", "addedAt"])


@token.command("add")
def token_add(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.VIEWER,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Only this part of the API, for example reports; may be said again. Default: all."),
    ] = None,
    days: Annotated[
        float | None, typer.Option(min=0, help="It ends after so many days. Default: never.")
    ] = None,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key; it is shown once."""
    told = Control(configured(config_path, data_dir), first=True).post(
        "/tokens", {"name": name, "role": role.value, "scopes": scope or None, "days": days}
    )
    print_json(told) if as_json else print_one(told)


@token.command("list")
def token_list(config_path: ConfigPath = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the API keys (not the keys themselves)."""
    rows = Control(configured(config_path, data_dir)).get("/tokens")
    print_json(rows) if as_json else print_table(
        rows["items"], ["keyID", "name", "role", "scopes", "expiresAt", "revoked", "addedAt"]
    )


@token.command("revoke")
def token_revoke(
    key_id: str, config_path: ConfigPath = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Make an API key worth nothing."""
    told = Control(configured(config_path, data_dir)).call("DELETE", f"/tokens/{segment(key_id)}")
    print_json(told) if as_json else say("revoked")


@request.command("list")
def request_list(
    held: Annotated[bool, typer.Option("--held", help="Only those that wait for a second person.")] = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List requests, newest first."""
    rows = Control(configured(config_path, data_dir)).get_all("/requests", held="true" if held else None)
    print_json(rows) if as_json else print_table(
        rows["items"], ["requestKey", "territory", "state", "requestedKW", "start", "askedBy", "held"]
    )


@request.command("confirm")
def request_confirm(
    request_key: Annotated[str, typer.Argument(help="As `emw request list` shows it: isoID:requestID.")],
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Agree, as the second person, to a request that waits for one."""
    told = Control(configured(config_path, data_dir)).post(f"/requests/{segment(request_key)}/confirm")
    print_json(told) if as_json else say(f"{request_key} may go on")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(territory, name="territory")
    app.add_typer(operator, name="operator")
    app.add_typer(token, name="token")
    app.add_typer(request, name="request")
