"""`emw replay`: the past once more, with requests, through the very same service and engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.progress import Progress

from emw.app.logs import set_up_logs
from emw.cli.show import AsJson, fail, print_json, print_one, print_table
from emw.replay.requests import Asked, BadRequests
from emw.replay.requests import read as read_requests
from emw.replay.street import Shares
from emw.simulator.records import BadRecord, read, sample
from emw.simulator.sessions import Session, overlay, site_days

if TYPE_CHECKING:
    from emw.replay.run import Replayed


def replay_sessions(
    requests: Annotated[Path, typer.Option(help="What is asked: JSON, a list or one object a line")],
    sessions: Annotated[
        Path | None,
        typer.Option(help="CSV or ACN-Data JSON, .gz or not; left out: the sample in the package"),
    ] = None,
    overlay_days: Annotated[
        int,
        typer.Option(
            "--overlay", help="Lay so many weekdays of single sites onto the day of the first request"
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Cars, meters' noise, which days are laid over one another")] = 1,
    deaf: Annotated[float, typer.Option(help="Share of stations that say yes and do nothing")] = 0.0,
    lost: Annotated[float, typer.Option(help="Share of commands that are lost")] = 0.0,
    taper: Annotated[
        float, typer.Option(help="Share of its energy, at most, that a car takes more slowly")
    ] = 0.15,
    pausable: Annotated[float, typer.Option(help="Share of stations that allow a pause to 0 A")] = 0.0,
    speed: Annotated[str, typer.Option(help="'max', or how many times as fast as the clock")] = "max",
    json: AsJson = False,
) -> None:
    """Play recorded sessions and requests on virtual time; print what was shed against what was asked."""
    set_up_logs("error")
    pace = _pace(speed)
    try:
        asked = read_requests(requests)
        stays = read(sessions, seed) if sessions is not None else sample(seed)
    except (BadRequests, BadRecord, OSError, ValueError) as error:
        raise fail(str(error)) from error
    if not stays:
        raise fail(f"there is no session in {sessions}")
    if overlay_days:
        stays = _laid(stays, overlay_days, seed, asked)
    began = time.perf_counter()
    with Progress(disable=json, transient=True) as progress:
        task = progress.add_task("replaying", total=1.0)

        def go_on(share: float, elapsed_s: float) -> None:
            progress.update(task, completed=share)
            pace(elapsed_s)

        from emw.replay.run import replay  # the whole service: `emw --help` needs this module

        done = replay(
            stays,
            asked,
            seed=seed,
            shares=Shares(deaf=deaf, lost=lost, taper=taper, pausable=pausable),
            seconds=time.perf_counter,
            progress=go_on,
        )
    if not done.figures["sessions"]:
        first, last = min(s.plug for s in stays).date(), max(s.unplug for s in stays).date()
        raise fail(
            f"no session lies near these requests: they are of {first} to {last}; or lay them with --overlay"
        )
    _show(done, time.perf_counter() - began, json=json)


def _laid(stays: list[Session], days: int, seed: int, asked: list[Asked]) -> list[Session]:
    weekdays = site_days(stays, weekdays_only=True)
    if not weekdays:
        raise fail("there is no weekday in these sessions to lay over")
    chosen = Random(f"overlay:{seed}").sample(weekdays, min(days, len(weekdays)))
    return overlay(stays, chosen, asked[0].start.astimezone(ZoneInfo(stays[0].tz)).date())


def _pace(speed: str) -> Callable[[float], None]:
    """What waits so that virtual time runs `speed` times as fast as the clock."""
    if speed == "max":
        return lambda _: None
    try:
        times = float(speed)
    except ValueError as error:
        raise fail("--speed is 'max' or a number, such as 60", status=2) from error
    if not times > 0:
        raise fail("--speed must be more than 0", status=2)
    began = time.perf_counter()

    def wait(elapsed_s: float) -> None:
        time.sleep(max(elapsed_s / times - (time.perf_counter() - began), 0.0))

    return wait


def _show(done: Replayed, seconds: float, *, json: bool) -> None:
    figures = {**done.figures, "seconds": round(seconds, 1)}
    rows = [
        {
            "start": i.start.isoformat(timespec="minutes"),
            "askedKW": round(i.asked_kw, 1),
            "shedKW": round(i.shed_kw, 1),
            "toldKW": None if i.told_kw is None else round(i.told_kw, 1),
            "errorPercent": round(100 * i.error, 1),
            "feasible": i.feasible,
        }
        for i in done.intervals
    ]
    if json:
        print_json({"figures": figures, "intervals": rows})
        return
    print_table(rows, ["start", "askedKW", "shedKW", "toldKW", "errorPercent", "feasible"])
    print_one(figures)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("replay")(replay_sessions)
