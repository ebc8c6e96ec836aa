"""`emw iso`: give grid operators a token; and be one from a terminal: connect, decrease, follow, return."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

import typer

from emw.cli.control import Control, segment
from emw.cli.serve import ConfigPath, DataDir, configured
from emw.cli.show import AsJson, fail, print_json, print_one, print_table, say, time_of
from emw.simulator.iso import IsoClient, IsoError, ReportReceiver
from emw.simulator.link import BadAddress

iso = typer.Typer(help="Grid operators: their tokens, and their side of the wire.", no_args_is_help=True)
Server = Annotated[str, typer.Option(help="The station plane, for example http://127.0.0.1:8400.")]
Token = Annotated[
    str, typer.Option(envvar="EMW_ISO_TOKEN", help="The ISO's token; better in the environment.")
]
HERE = "http://127.0.0.1:8400"


@iso.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Its id: letters, digits, '_', '.', '-'.")],
    territory: Annotated[
        list[str], typer.Option("--territory", "-t", help="What it may name (repeat for more).")
    ],
    certificate: Annotated[
        str | None, typer.Option(help="The name in the client certificate that it must show, too.")
    ] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Give a known ISO a new token; the old one dies.")
    ] = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give a grid operator a token; it is shown once."""
    body = {"isoID": name, "territories": territory, "certificate": certificate, "renew": renew}
    told = Control(configured(config_path, data_dir), first=True).post("/isos", body)
    print_json(told) if as_json else print_one(told)


@iso.command("list")
def list_all(config_path: ConfigPath = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the grid operators."""
    rows = Control(configured(config_path, data_dir)).get("/isos")
    print_json(rows) if as_json else print_table(
        rows["items"], ["isoID", "territories", "accessURL", "certificate", "revoked"]
    )


@iso.command("revoke")
def revoke(
    name: str, config_path: ConfigPath = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """A grid operator may ask no more."""
    told = Control(configured(config_path, data_dir)).post(f"/isos/{segment(name)}/revoke", {})
    print_json(told) if as_json else say(f"{name} is revoked")


@iso.command()
def decrease(
    request_id: Annotated[str, typer.Argument(help="Your id for this request.")],
    territory: Annotated[str, typer.Option("--territory", "-t")],
    kw: Annotated[float, typer.Option("--kw", help="Shed this much below baseline, kW.")],
    token: Token,
    server: Server = HERE,
    minutes: Annotated[
        float | None, typer.Option(help="How long; default: until you return it to normal.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="When, ISO-8601 with offset; default: now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a decrease and show what came of it."""

    async def ask(client: IsoClient) -> Any:
        return await client.decrease(request_id, territory, kw, start=at, duration_minutes=minutes)

    at = time_of(start, "--start")
    _show(server, token, ask, as_json=as_json)


@iso.command("return")
def return_to_normal(request_id: str, token: Token, server: Server = HERE, as_json: AsJson = False) -> None:
    """End a request: return to normal."""
    _show(server, token, lambda client: client.return_to_normal(request_id), as_json=as_json)


@iso.command()
def show(request_id: str, token: Token, server: Server = HERE, as_json: AsJson = False) -> None:
    """Show one request."""
    _show(server, token, lambda client: client.get(request_id), as_json=as_json)


@iso.command()
def requests(token: Token, server: Server = HERE, as_json: AsJson = False) -> None:
    """List this ISO's requests."""

    async def ask() -> list[dict[str, Any]]:
        async with IsoClient(server, token) as client:
            return await client.list()

    rows = _run(ask)
    if as_json:
        print_json(rows)
    else:
        print_table(
            rows, ["requestID", "territory", "state", "requestedKW", "confirmedKW", "shortKW", "measuredKW"]
        )


@iso.command()
def follow(
    request_id: str,
    token: Token,
    server: Server = HERE,
    reports: Annotated[bool, typer.Option("--reports", help="Listen for the server's reports too.")] = False,
) -> None:
    """Follow a request until it is over."""

    async def watch() -> None:
        async with IsoClient(server, token) as client:
            if reports:
                async with ReportReceiver() as receiver:
                    receiver.token = (await client.connected(receiver.url)).get("reportToken")
                    await _follow(client, request_id)
            else:
                await _follow(client, request_id)

    _run(watch)


async def _follow(client: IsoClient, request_id: str) -> None:
    async for seen in client.follow(request_id):
        say(
            f"{seen['state']:<10} asked {seen['requestedKW']:.1f}  confirmed {seen['confirmedKW']:.1f}  "
            f"pending {seen['pendingKW']:.1f}  refused {seen['refusedKW']:.1f}  short {seen['shortKW']:.1f}  "
            f"measured {seen['measuredKW'] if seen['measuredKW'] is not None else '-'} kW"
        )


def _show(server: str, token: str, ask: Callable[[IsoClient], Awaitable[Any]], *, as_json: bool) -> None:
    async def go() -> Any:
        async with IsoClient(server, token) as client:
            return await ask(client)

    told = _run(go)
    print_json(told) if as_json else print_one({k: v for k, v in told.items() if k != "intervals"})


def _run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    try:
        return asyncio.run(work())
    except BadAddress as error:
        raise fail(f"--server: {error}", 2) from error
    except IsoError as error:
        raise fail(str(error)) from error


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(iso, name="iso")
