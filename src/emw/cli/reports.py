"""`emw report`: the log and the books as tables, CSV, JSON lines or Parquet."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from emw.cli.serve import ConfigPath, DataDir, configured
from emw.cli.show import err, fail, say_error, time_of
from emw.service.errors import NotFound
from emw.service.evidence import month as settled
from emw.service.evidence import shed as books
from emw.service.ports import Store
from emw.store.reports import COLUMNS, FORMATS, write

report = typer.Typer(
    help="Tables of what was said, asked, done and measured; the other formats have every column and interval.",
    no_args_is_help=True,
)
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        help=f"One of: {', '.join(FORMATS)}. Default: what the file's name ends in, else table.",
    ),
]
SUFFIXES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}
PLAIN = {"", ".txt", ".log"}
"""Endings of a table for people."""
Output = Annotated[Path | None, typer.Option("--output", "-o", help="A file; default: the terminal.")]
Since = Annotated[str | None, typer.Option(help="From this time on, ISO-8601 with offset.")]
Until = Annotated[str | None, typer.Option(help="Up to this time.")]
AsJson = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
Request = Annotated[str, typer.Argument(help="The request: ISO:requestID.")]
Holidays = Annotated[
    list[str] | None,
    typer.Option("--holiday", help="A day to be matched with holidays only, like 2026-05-25."),
]
Evse = Annotated[str | None, typer.Option(help="Only this EVSE.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000_000, help="At most so many rows, newest first.")]
FOR_PEOPLE = {
    "activity": ("seq", "at", "actor", "kind", "text"),
    "requests": (
        "request_key", "territory_id", "state", "kw", "short_kw", "measured_kw", "start_at", "why_short",
    ),
    "evses": ("evse_id", "territory_id", "status", "online", "phases", "max_a", "session_id"),
    "shed": (
        "method", "territory_id", "evse_id", "asked_kw", "baseline_kw", "load_kw", "shed_kw", "shed_kwh", "error_pct",
        "note",
    ),
    "month": (
        "part", "request_key", "site", "customer_id", "asked_kw", "shed_kw", "shed_kwh", "delivered_share", "amount",
        "note",
    ),
}  # fmt: skip
"""What a table has room for; the other formats have every column."""
ALL = {**COLUMNS, "shed": books.COLUMNS, "month": settled.COLUMNS}
Read = Callable[[Store], Awaitable[list[dict[str, Any]]]]


def _days(texts: list[str] | None) -> frozenset[date]:
    try:
        return frozenset(date.fromisoformat(day) for day in texts or ())
    except ValueError as error:
        raise fail("--holiday: write a day like 2026-05-25", 2) from error


def _checked(form: str | None, output: Path | None, *, as_json: bool) -> str:
    """The format asked for, or the one that the file's name promises."""
    if as_json:
        return "json"
    if form is None:
        ending = "" if output is None else output.suffix.lower()
        form = SUFFIXES.get(ending, "table" if ending in PLAIN else "")
        if not form:
            raise fail(
                f"--output: nothing here writes {ending}; end in {', '.join(SUFFIXES)}, or give --format", 2
            )
    if form not in FORMATS:
        raise fail(f"--format: {form!r} is none of {', '.join(FORMATS)}", 2)
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise fail("--format parquet: name a file with --output", 2)
    return form


def _report(
    read: Read,
    name: str,
    form: str,
    output: Path | None,
    config_path: Path | None,
    data_dir: str | None,
) -> None:
    """Read the store (also beside a running server) and write the rows. Ends with a reason where that can't be."""
    columns = ALL[name]
    if form == "table":
        columns = FOR_PEOPLE.get(name, columns)
    config = configured(config_path, data_dir)
    from emw.app.build import reader_of  # heavy, and `emw --help` needs this module
    from emw.app.loop import run

    async def rows() -> list[dict[str, Any]]:
        async with reader_of(config) as store:
            return await read(store)

    # A month over a large fleet takes its seconds, and what it reads is not garbage.
    with err.status(f"reading {name} …") if err.is_terminal else nullcontext():
        found = run(rows())
    try:
        write(found, columns, form, output)
    except OSError as error:
        raise fail(f"--output: {error.filename or output}: {error.strerror}") from error


def _query(name: str, **asked: Any) -> Read:
    """One of the store's own reports, by what was asked of it."""
    given = {k: v for k, v in asked.items() if v is not None}
    return lambda store: store.query(name, **given)


def _of_request(name: str, request: str, **asked: Any) -> Read:
    """Rows of a request; that there is none is said, as no rows would not."""
    read = _query(name, request_key=request, **asked)

    async def known(store: Store) -> list[dict[str, Any]]:
        if not await store.query("request", request_key=request):
            raise NotFound(f"there is no request {request!r}: write ISO:requestID", field="requestKey")
        return await read(store)

    return known


def _in_words(read: Read) -> Read:
    """Rows of the log as the console tells them."""
    from emw.web.log_words import activity_of  # other reports need no words

    async def told(store: Store) -> list[dict[str, Any]]:
        found = [activity_of(row) for row in await read(store)]
        return [{name: getattr(x, name) for name in FOR_PEOPLE["activity"]} for x in found]

    return told


def activity(
    form: Format = None,
    output: Output = None,
    since: Since = None,
    until: Until = None,
    kind: Annotated[
        str | None, typer.Option(help="Only this kind of fact, for example SessionStarted.")
    ] = None,
    evse: Evse = None,
    request: Annotated[str | None, typer.Option(help="Only this request (ISO:requestID).")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this one did, for example station:E1.")] = None,
    text: Annotated[str | None, typer.Option(help="Only rows with this text.")] = None,
    limit: Limit = 1_000,
    as_json: AsJson = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """The activity log, newest first."""
    form = _checked(form, output, as_json=as_json)
    read = _query(
        "activity",
        since=time_of(since, "--since"),
        until=time_of(until, "--until"),
        kind=kind,
        evse_id=evse,
        request_key=request,
        actor=actor,
        text=text,
        limit=limit,
    )
    _report(_in_words(read) if form == "table" else read, "activity", form, output, config_path, data_dir)


def requests(
    form: Format = None,
    output: Output = None,
    state: Annotated[
        str | None, typer.Option(help="pending, active, restoring, closed or cancelled.")
    ] = None,
    iso: Annotated[str | None, typer.Option(help="Only this ISO's.")] = None,
    limit: Limit = 1_000,
    as_json: AsJson = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """The reduction requests: asked, confirmed, measured, short."""
    form = _checked(form, output, as_json=as_json)
    read = _query("requests", state=state, iso_id=iso, limit=limit)
    _report(read, "requests", form, output, config_path, data_dir)


def evses(
    form: Format = None,
    output: Output = None,
    limit: Limit = 100_000,
    as_json: AsJson = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """The EVSEs as they are."""
    form = _checked(form, output, as_json=as_json)
    _report(_query("evses", limit=limit), "evses", form, output, config_path, data_dir)


def sessions(
    form: Format = None,
    output: Output = None,
    since: Since = None,
    until: Until = None,
    evse: Evse = None,
    limit: Limit = 1_000,
    as_json: AsJson = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """The sessions: who stayed how long and took how much."""
    form = _checked(form, output, as_json=as_json)
    from_at, to_at = time_of(since, "--since"), time_of(until, "--until")
    read = _query("sessions", since=from_at, until=to_at, evse_id=evse, limit=limit)
    _report(read, "sessions", form, output, config_path, data_dir)


def enrolments(
    request: Request,
    form: Format = None,
    output: Output = None,
    limit: Limit = 100_000,
    as_json: AsJson = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """Who took part in a request: asked, confirmed, measured, joined, left, why."""
    form = _checked(form, output, as_json=as_json)
    read = _of_request("enrolments", request, limit=limit)
    _report(read, "enrolments", form, output, config_path, data_dir)


def intervals(
    request: Request,
    form: Format = None,
    output: Output = None,
    as_json: AsJson = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """A request's intervals: asked, measured, baseline and its method."""
    form = _checked(form, output, as_json=as_json)
    read = _of_request("intervals", request)
    _report(read, "intervals", form, output, config_path, data_dir)


def shed(
    request: Request,
    form: Format = None,
    output: Output = None,
    evses: Annotated[bool, typer.Option("--evses", help="The rows of each EVSE, too.")] = False,
    territories: Annotated[
        bool, typer.Option("--territories", help="The rows of each node under it, too.")
    ] = False,
    holiday: Holidays = None,
    as_json: AsJson = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """What a request shed, by each method: live counterfactual, before/after, 10-of-10 with same-day adjustment."""
    form = _checked(form, output, as_json=as_json)
    holidays = _days(holiday)

    async def read(store: Store) -> list[dict[str, Any]]:
        rows = await books.shed_report(
            store, request, evses=evses, territories=territories, holidays=holidays
        )
        return [r for r in rows if r["part"] == "total"] if form == "table" else rows

    _report(read, "shed", form, output, config_path, data_dir)


def month(
    month: Annotated[str, typer.Argument(help="The month, like 2026-05, by each territory's own clock.")],
    form: Format = None,
    output: Output = None,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(settled.METHODS)}.")] = settled.METHODS[0],
    rate: Annotated[
        float | None, typer.Option(min=0, max=1e6, help="What a kWh that was shed is worth.")
    ] = None,
    holiday: Holidays = None,
    as_json: AsJson = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """A month as it is settled: a line per request, then what each site and customer gave, then the total."""
    form = _checked(form, output, as_json=as_json)
    if method not in settled.METHODS:
        raise fail(f"--method: {method!r} is none of {', '.join(settled.METHODS)}", 2)
    holidays, which = _days(holiday), settled.month_of(month)

    async def read(store: Store) -> list[dict[str, Any]]:
        rows = await settled.month_report(store, which, method=method, rate=rate, holidays=holidays)
        lines = [r for r in rows if r["part"] == "request"]
        if not lines:
            say_error(f"no request began in {month}")
        elif all(r["shed_kwh"] is None for r in lines):
            others = ", ".join(m for m in settled.METHODS if m != method)
            say_error(f"no request has a figure by {method}; the other methods are {others}")
        return rows

    _report(read, "month", form, output, config_path, data_dir)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (activity, requests, evses, sessions, enrolments, intervals, shed, month):
        report.command()(command)
    app.add_typer(report, name="report")
