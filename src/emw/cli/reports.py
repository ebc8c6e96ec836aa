"""`emw report`: the log and the books as tables, CSV, JSON lines or Parquet."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from emw.cli.serve import ConfigPath, DataDir, configured
from emw.cli.show import fail
from emw.service import settlement as settled
from emw.service import shed as books
from emw.store.reports import COLUMNS, FORMATS, write

report = typer.Typer(help="Tables of what was said, asked, done and measured.", no_args_is_help=True)
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        help=f"One of: {', '.join(FORMATS)}. Default: what the file's name ends in, else table.",
    ),
]
SUFFIXES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}
Output = Annotated[Path | None, typer.Option("--output", "-o", help="A file; default: the terminal.")]
Since = Annotated[str | None, typer.Option(help="From this time on, ISO-8601 with offset.")]
Until = Annotated[str | None, typer.Option(help="Up to this time.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000_000, help="At most so many rows, newest first.")]


def _time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise fail(f"{option}: write a time like 2026-05-04T07:00:00Z", 2) from error
    if at.tzinfo is None:
        raise fail(f"{option}: give the offset too, for example 2026-05-04T07:00:00Z", 2)
    return at


def _days(texts: list[str] | None) -> frozenset[date]:
    try:
        return frozenset(date.fromisoformat(day) for day in texts or ())
    except ValueError as error:
        raise fail("--holiday: write a day like 2026-05-25", 2) from error


def _checked(form: str | None, output: Path | None) -> str:
    """The format asked for, or the one that the file's name promises."""
    if form is None:
        form = "table" if output is None else SUFFIXES.get(output.suffix.lower(), "table")
    if form not in FORMATS:
        raise fail(f"--format: {form!r} is none of {', '.join(FORMATS)}", 2)
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise fail("--format parquet: name a file with --output", 2)
    return form


def _write(rows: list[dict[str, Any]], columns: Sequence[str], form: str, output: Path | None) -> None:
    """Write the table. Ends with a reason where the file can't be written."""
    try:
        write(rows, columns, form, output)
    except OSError as error:
        raise fail(f"--output: {error.filename or output}: {error.strerror}") from error


def _report(
    name: str,
    config_path: Path | None,
    data_dir: str | None,
    form: str | None,
    output: Path | None,
    **asked: Any,
) -> None:
    """Ask the store (beside a running server, read-only) and write the rows."""
    form = _checked(form, output)
    config = configured(config_path, data_dir)

    async def rows() -> list[dict[str, Any]]:
        from emw.app.build import reader_of  # heavy, and `emw --help` needs this module

        async with reader_of(config) as store:
            return await store.query(name, **{k: v for k, v in asked.items() if v is not None})

    _write(asyncio.run(rows()), COLUMNS[name], form, output)


def _command(name: str, text: str) -> Callable[..., None]:
    def command(
        form: Format = None,
        output: Output = None,
        since: Since = None,
        until: Until = None,
        evse: Annotated[str | None, typer.Option(help="Only this EVSE.")] = None,
        limit: Limit = 1_000,
        as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
        config_path: ConfigPath = None,
        data_dir: DataDir = None,
    ) -> None:
        _report(
            name,
            config_path,
            data_dir,
            "json" if as_json else form,
            output,
            since=_time(since, "--since"),
            until=_time(until, "--until"),
            evse_id=evse,
            limit=limit,
        )

    command.__doc__ = text
    return command


def activity(
    form: Format = None,
    output: Output = None,
    since: Since = None,
    until: Until = None,
    kind: Annotated[
        str | None, typer.Option(help="Only this kind of fact, for example SessionStarted.")
    ] = None,
    evse: Annotated[str | None, typer.Option(help="Only this EVSE.")] = None,
    request: Annotated[str | None, typer.Option(help="Only this request (ISO:requestID).")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this one did, for example station:E1.")] = None,
    text: Annotated[str | None, typer.Option(help="Only rows with this text.")] = None,
    limit: Limit = 1_000,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """The activity log, newest first."""
    _report(
        "activity",
        config_path,
        data_dir,
        "json" if as_json else form,
        output,
        since=_time(since, "--since"),
        until=_time(until, "--until"),
        kind=kind,
        evse_id=evse,
        request_key=request,
        actor=actor,
        text=text,
        limit=limit,
    )


def requests(
    form: Format = None,
    output: Output = None,
    state: Annotated[
        str | None, typer.Option(help="pending, active, restoring, closed or cancelled.")
    ] = None,
    iso: Annotated[str | None, typer.Option(help="Only this ISO's.")] = None,
    limit: Limit = 1_000,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """The reduction requests: asked, confirmed, measured, short."""
    form = "json" if as_json else form
    _report("requests", config_path, data_dir, form, output, state=state, iso_id=iso, limit=limit)


def evses(
    form: Format = None,
    output: Output = None,
    limit: Limit = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """The EVSEs as they are."""
    _report("evses", config_path, data_dir, "json" if as_json else form, output, limit=limit)


def enrolments(
    request: Annotated[str, typer.Argument(help="The request: ISO:requestID.")],
    form: Format = None,
    output: Output = None,
    limit: Limit = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """Who took part in a request: asked, confirmed, measured, joined, left, why."""
    form = "json" if as_json else form
    _report("enrolments", config_path, data_dir, form, output, request_key=request, limit=limit)


def intervals(
    request: Annotated[str, typer.Argument(help="The request: ISO:requestID.")],
    form: Format = None,
    output: Output = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """A request's intervals: asked, measured, baseline and its method."""
    form = "json" if as_json else form
    _report("intervals", config_path, data_dir, form, output, request_key=request)


def shed(
    request: Annotated[str, typer.Argument(help="The request: ISO:requestID.")],
    form: Format = None,
    output: Output = None,
    evses: Annotated[bool, typer.Option("--evses", help="The rows of each EVSE, too.")] = False,
    territories: Annotated[
        bool, typer.Option("--territories", help="The rows of each node under it, too.")
    ] = False,
    holiday: Annotated[
        list[str] | None, typer.Option(help="A day to be matched with holidays only, like 2026-05-25.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """What a request shed, by each method: live counterfactual, before/after, 10-of-10 with same-day adjustment."""
    form = "json" if as_json else form
    form = _checked(form, output)
    holidays = _days(holiday)
    config = configured(config_path, data_dir)

    async def rows() -> list[dict[str, Any]]:
        from emw.app.build import reader_of  # heavy, and `emw --help` needs this module

        async with reader_of(config) as store:
            return await books.shed_report(
                store, request, evses=evses, territories=territories, holidays=holidays
            )

    _write(asyncio.run(rows()), books.COLUMNS, form, output)


def month(
    month: Annotated[str, typer.Argument(help="The month, like 2026-05, by each territory's own clock.")],
    form: Format = None,
    output: Output = None,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(settled.METHODS)}.")] = settled.METHODS[0],
    rate: Annotated[float | None, typer.Option(min=0, help="What a kWh that was shed is worth.")] = None,
    holiday: Annotated[
        list[str] | None, typer.Option(help="A day to be matched with holidays only, like 2026-05-25.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
) -> None:
    """A month as it is settled: a line per request, then what each site and customer gave, then the total."""
    form = "json" if as_json else form
    form = _checked(form, output)
    holidays = _days(holiday)
    config = configured(config_path, data_dir)

    async def rows() -> list[dict[str, Any]]:
        from emw.app.build import reader_of  # heavy, and `emw --help` needs this module

        async with reader_of(config) as store:
            return await settled.month_report(
                store, settled.month_of(month), method=method, rate=rate, holidays=holidays
            )

    _write(asyncio.run(rows()), settled.COLUMNS, form, output)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    report.command()(activity)
    report.command()(requests)
    report.command()(evses)
    report.command("sessions")(_command("sessions", "The sessions: who stayed how long and took how much."))
    report.command()(enrolments)
    report.command()(intervals)
    report.command()(shed)
    report.command()(month)
    app.add_typer(report, name="report")
