"""Is the band of the forecast kept? P10 of what can be shed, against what could have been, on days of free charging.

    python -m bench.engine_forecast --sessions FILE [--years 2020] [--seeds 25] [--windows 8]
    python -m bench.engine_forecast --sessions FILE --learn {before,2019,even,odd} [--windows 4]

A learner watches half an hour of a day, then says what the vehicles that are here now will be able to give in quarter
hours ahead. Nothing is asked of anybody, so the truth is what they went on to draw. A P10 is honest when one interval
in ten falls below it. Without `--learn` the days are overlaid ones and only those who are here count.

With `--learn` they are days of the calendar, as they came, two sites in one tree, and the truth is of everybody,
whoever came later; the forecast is told without and with those who are still to come. Arrivals are learned from
`before`: each day from all days before it (2020 is judged), `2019`: from that year alone (2020 is judged), `even` or
`odd`: from such weeks before it (the other weeks are judged).
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from datetime import date
from pathlib import Path

import numpy as np

from bench.engine_world import KW_PER_A, Bools, Faults, Floats, Sessions, World, overlay, read_sessions
from emw.engine.arrivals import Arrivals, Visits
from emw.engine.forecast import Ahead, Forecast
from emw.engine.learn import Learner

WATCH_MIN = 30
HOURS = tuple(float(h) for h in np.arange(0.25, 3.01, 0.25))
FURTHER = tuple(float(h) for h in np.arange(0.25, 4.01, 0.25))
FLOOR_A = 6.0
QUARTER_MIN = 15
FEW = 8
"""Days with fewer sessions are learned from and not judged."""
Row = tuple[float, float, float, float, float]
"""Hours ahead, expected kW, P10, P90, and what it came to be."""


def row(one: Ahead, true_kw: float) -> Row:
    return (one.hours, one.kw, one.low_kw, one.high_kw, true_kw)


def window(
    world: World, base_got: Floats, at: int, rng: np.random.Generator, hours: tuple[float, ...]
) -> tuple[list[Ahead], list[tuple[float, float]]]:
    """What those who are here are expected to give, and what they and all came to be able to give, kW."""
    learner = Learner()
    limit = np.full(world.n, 32.0)
    before = np.zeros(0, dtype=np.int64)
    here = before
    for now in range(at - WATCH_MIN, at + 1):
        here = np.flatnonzero((world.s.plug_min <= now) & (world.s.leave_min > now))
        amps = (base_got[now] - base_got[now - 1]) * 60 / KW_PER_A
        learner.look(world.seen(now, here, before, limit, amps, base_got[now], rng))
        before = here
    would_a = np.array([b.would_a for b in learner.beliefs()])
    gives = KW_PER_A * np.maximum(would_a - FLOOR_A, 0.0)
    told = learner.forecast(gives, np.zeros(0), hours)
    found = []
    for one in told:
        then = at + round(one.hours * 60)
        # The mean over the minute is the draw then: whoever left or finished gives nothing.
        amps = (base_got[then + 1] - base_got[then]) * 60 / KW_PER_A
        true = KW_PER_A * np.maximum(amps - FLOOR_A, 0.0)
        found.append((float(true[here].sum()), float(true.sum())))
    return told, found


def overlaid(sessions: Sessions, args: argparse.Namespace) -> list[Row]:
    """Those who are here, on overlaid days."""
    rows = []
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        world = World(overlay(sessions, seed, days=args.days, years=tuple(args.years)), seed, Faults())
        _, base_got = world.unmanaged()
        rng = np.random.default_rng(seed + 2000)
        for _ in range(args.windows):
            told, true = window(world, base_got, int(rng.integers(8 * 12, 18 * 12)) * 5, rng, HOURS)
            rows += [row(one, here_kw) for one, (here_kw, _) in zip(told, true, strict=True)]
    return rows


def local_h(day: int, minute: float = 0.0) -> float:
    """Hours since the first Monday of the calendar."""
    return (day - 1) * 24 + minute / 60


def watch(arrivals: Arrivals, s: Sessions, until_min: int) -> None:
    """One day's arrivals up to a minute."""
    day = int(s.day[0])
    for first in range(0, until_min, QUARTER_MIN):
        last = min(first + QUARTER_MIN, until_min)
        come = (s.plug_min >= first) & (s.plug_min < last)
        count = {str(site): int((come & (s.site == site)).sum()) for site in (0, 1)}
        arrivals.watch(local_h(day, first), local_h(day, last), count)


def leave(arrivals: Arrivals, world: World) -> None:
    """All vehicles of a day have left."""
    s = world.s
    arrivals.left(
        Visits(
            site=np.array([arrivals.place(str(site)) for site in s.site]),
            came_h=local_h(int(s.day[0])) + s.plug_min / 60,
            stayed_h=(s.leave_min - s.plug_min) / 60,
            got_kwh=world.need_kwh,
            draws_kw=KW_PER_A * world.draw_a,
            gives_kw=KW_PER_A * np.maximum(world.draw_a - FLOOR_A, 0.0),
        )
    )


def learns_from(day: int, learn: str) -> bool:
    """Whether a day is one to learn from; with `before` every one is, and 2020 is judged as well."""
    on = date.fromordinal(day)
    if learn in {"even", "odd"}:
        return on.isocalendar().week % 2 == (learn == "odd")
    return learn == "before" or on.year == 2019


def calendar(sessions: Sessions, args: argparse.Namespace) -> dict[str, list[Row]]:
    """The truth of everybody against what was told of those here, and with those to come; and of these alone."""
    arrivals = Arrivals()
    rows: dict[str, list[Row]] = {"here, of here": [], "here, of all": [], "both, of all": [], "to come": []}
    for day in np.unique(sessions.day).tolist():
        world = World(sessions.pick(np.flatnonzero(sessions.day == day)), day, Faults())
        learned = learns_from(day, args.learn)
        judged = date.fromordinal(day).year == 2020 if args.learn in {"before", "2019"} else not learned
        if judged and world.n >= FEW:
            _, base_got = world.unmanaged()
            rng = np.random.default_rng(day)
            for at in (5 * rng.choice(np.arange(6 * 12, 18 * 12), args.windows, replace=False)).tolist():
                so_far = deepcopy(arrivals)
                watch(so_far, world.s, at)
                to_come, _ = so_far.to_come(local_h(day, at), FURTHER, ["0", "1"])
                told, true = window(world, base_got, at, rng, FURTHER)
                for one, more, (here_kw, all_kw) in zip(told, to_come, true, strict=True):
                    rows["here, of here"].append(row(one, here_kw))
                    rows["here, of all"].append(row(one, all_kw))
                    rows["both, of all"].append(row(Forecast(here=one, to_come=more).both, all_kw))
                    rows["to come"].append(row(more, all_kw - here_kw))
        if learned:
            watch(arrivals, world.s, 24 * 60)
            leave(arrivals, world)
    return rows


def line(name: str, rows: Floats, of: Bools) -> str:
    _, kw, low, high, true = rows[of].T
    return (
        f"{name:>5}: {len(kw)} intervals, below P10 {100 * (true < low - 1e-9).mean():.1f} %, "
        f"above P90 {100 * (true > high + 1e-9).mean():.1f} %, bias {100 * (kw - true).sum() / true.sum():+.1f} %, "
        f"off by {100 * np.abs(kw - true).sum() / true.sum():.1f} %, "
        f"band {100 * (high - low).sum() / 2 / kw.sum():.1f} % of the mean"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=Path, required=True)
    parser.add_argument("--years", type=int, nargs="+", default=[2020])
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--learn", choices=["before", "2019", "even", "odd"])
    args = parser.parse_args()
    sessions = read_sessions(args.sessions)
    told = {"": overlaid(sessions, args)} if args.learn is None else calendar(sessions, args)
    for name, each in told.items():
        rows = np.array(each)
        print(name)
        print(line("all", rows, rows[:, 0] > 0))
        for h in FURTHER[3::4]:
            if (rows[:, 0] == h).any():
                print(line(f"{h:g} h", rows, rows[:, 0] == h), flush=True)


if __name__ == "__main__":
    main()
