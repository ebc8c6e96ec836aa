"""`emw grid`: how the grid's systems stand, and whether a VTN can be used at all."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Container
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from emw.cli.control import Control, ControlError
from emw.cli.serve import ConfigPath, DataDir, configured
from emw.cli.show import AsJson, fail, print_json, print_table, say

grid = typer.Typer(help="Grid systems: whether they can be heard, and what they say.", no_args_is_help=True)
SECRET = "EMW_VTN_SECRET"  # noqa: S105 - the name of a variable


@grid.command()
def status(config_path: ConfigPath = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Each VTN, its events, and what of them is not served. Exit 1 if one can't be heard."""
    control = Control(configured(config_path, data_dir))
    connections = control.get("/grid/connections")["items"]
    events = control.get("/grid/events", limit=100)
    unserved = control.get("/grid/unserved", limit=100)
    lost = any(c["connected"] is not True for c in connections)
    if as_json:
        print_json(
            {
                "ok": not lost,
                "connections": connections,
                "events": events["items"],
                "unserved": unserved["items"],
            }
        )
    elif not connections:
        say(
            "no server runs: what it hears of VTNs is known to it alone"
            if control.in_process
            else "no VTN is configured; VTNs stand in [[openadr.vtn]]"
        )
    else:
        _print_connections(connections)
        say("")
        columns = ["vtn", "event", "program", "from", "to", "asks", "requests"]
        print_table([_event(e) for e in events["items"]], columns)
        _print_odd([_unserved(u) for u in unserved["items"]])
        _print_odd([_unreadable(c, u) for c in connections for u in c["unreadable"]])
    if lost:
        sys.exit(1)


def _print_connections(connections: list[dict[str, Any]]) -> None:
    for c in connections:
        c["state"] = {True: "connected", False: "lost", None: "not heard yet"}[c["connected"]]
    print_table(connections, ["name", "protocol", "state", "heardAt", "events", "reportsOwed", "why"])
    for c in connections:
        if told := c.get("notified"):
            say(f"subscribers of {c['name']}: {_notified(told)}")


def _print_odd(rows: list[dict[str, Any]]) -> None:
    """A table of its own for what came and leads to nothing, where there is any."""
    if rows:
        say("")
        print_table(rows, list(rows[0]))


def _notified(told: dict[str, Any]) -> str:
    words = f"{told['delivered']} notifications delivered, {told['dropped']} given up"
    return f"{words}, callbacks called no more: {told['muted']}" if told["muted"] else words


def _event(e: dict[str, Any]) -> dict[str, Any]:
    served = [s for s in e["segments"] if s["whyNot"] is None]
    shown = served or e["segments"]
    ends = [s["end"] for s in shown]
    return {
        "vtn": e["sourceID"],
        "event": e["name"] or e["eventID"],
        "program": e["program"],
        "from": min((s["start"] for s in shown), default=None),
        "to": None if not ends or None in ends else max(ends),
        "asks": "; ".join(dict.fromkeys(s["said"] for s in served))[:60] or "nothing that is served",
        "requests": ", ".join(e["requestKeys"]),
    }


def _unserved(u: dict[str, Any]) -> dict[str, Any]:
    return {
        "vtn": u["sourceID"],
        "event": u["name"] or u["eventID"],
        "from": u["start"],
        "payload": u["said"],
        "not served because": u["why"],
    }


def _unreadable(c: dict[str, Any], u: dict[str, Any]) -> dict[str, Any]:
    return {
        "vtn": c["sourceID"],
        "event": u["eventID"] or "without an id",
        "can't be read because": u["why"],
    }


@grid.command()
def check(
    vtn: Annotated[str, typer.Argument(help="A VTN's name in the settings, or a base URL.")],
    client_id: Annotated[str | None, typer.Option(help="For a URL: who we are there.")] = None,
    secret_file: Annotated[
        Path | None, typer.Option(help=f"For a URL: file with the secret; else {SECRET} of the environment.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="For a URL: 3.1.0 or 3.0.1; default: found out.")
    ] = None,
    ca_file: Annotated[Path | None, typer.Option(help="For a URL: whose certificates are believed.")] = None,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Try a VTN: address, token server, credentials, programs, events. Says what is wrong and what to do."""
    from emw.app.openadr_config import OpenAdrSection, VtnSection, Wrong, vtns_of  # heavy

    config = configured(config_path, data_dir)
    try:
        if "://" in vtn:
            named = SECRET if client_id is not None and secret_file is None else None
            if named is not None and not os.environ.get(SECRET):
                raise typer.BadParameter(f"a client id needs --secret-file, or {SECRET} in the environment")
            section = VtnSection(
                name="check",
                url=vtn,
                client_id=client_id,
                client_secret_file=None if secret_file is None else str(secret_file),
                client_secret_env=named,
                version=version,  # type: ignore[arg-type]  # checked by the client
                ca_file=None if ca_file is None else str(ca_file),
                territory="-",
            )
            (parts,) = vtns_of(OpenAdrSection(vtn=[section]), config.outgoing_rules())
            territories = None
        else:
            found = [v for v in config.vtns() if v.settings.name == vtn]
            if not found:
                raise typer.BadParameter(f"no VTN is named {vtn!r} in [[openadr.vtn]]")
            (parts,) = found
            territories = _territories(Control(config))
    except Wrong as error:
        raise fail(str(error)) from error
    if parts.settings.version == "2.0b":
        raise fail("this VTN speaks 2.0b; `emw grid status` shows how a running server gets on with it")
    findings = asyncio.run(_tried(parts, territories))
    bad = any(f["level"] == "error" for f in findings)
    if as_json:
        print_json({"ok": not bad, "findings": findings})
    else:
        for f in findings:
            say(f"{f['level']:<8}{f['what']}" + (f"\n        -> {f['do']}" if f["do"] else ""))
        say("emw can't work with this VTN like this" if bad else "emw can work with this VTN")
    if bad:
        sys.exit(1)


def _territories(control: Control) -> Callable[[str], Container[str] | None] | None:
    """A territory and all above it, as the server (or its data folder) knows them; None: that can't be asked."""
    try:
        rows = control.get("/territories")
    except ControlError:
        return None
    parents = {t["territoryID"]: t["parentID"] for t in rows["items"]}

    def path(name: str) -> Container[str] | None:
        if name not in parents:
            return None
        above: list[str] = []
        node: str | None = name
        while node is not None and node not in above:
            above.append(node)
            node = parents.get(node)
        return above

    return path


async def _tried(
    parts: Any, territories: Callable[[str], Container[str] | None] | None
) -> list[dict[str, Any]]:
    from emw.app.clock import SystemClock  # heavy
    from emw.grid.openadr3.check import Check
    from emw.grid.openadr3.client import VtnClient
    from emw.outgoing import Outgoing

    settings = replace(parts.settings, programs=dict(parts.settings.programs))
    async with Outgoing(parts.rules, deadline_s=settings.deadline_s, connections=2, tls=parts.tls) as http:
        client = VtnClient(settings, http, SystemClock())
        check_ = Check(settings, client, datetime.now(UTC), territories)
        return [{"level": f.level, "what": f.what, "do": f.do} async for f in check_.run()]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(grid, name="grid")
