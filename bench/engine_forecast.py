"""Is the band of the forecast kept? P10 of what can be shed, against what could have been, on days of free charging.

    python -m bench.engine_forecast --sessions FILE [--years 2020] [--seeds 25] [--windows 8]

A learner watches half an hour of an overlaid day, then says what the vehicles that are here now will be able to give
in quarter hours up to three hours ahead. Nothing is asked of anybody, so the truth is what they went on to draw. A
P10 is honest when one interval in ten falls below it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bench.engine_world import KW_PER_A, Faults, Floats, World, overlay, read_sessions
from emw.engine.learn import Learner

WATCH_MIN = 30
HOURS = tuple(float(h) for h in np.arange(0.25, 3.01, 0.25))
FLOOR_A = 6.0


def window(
    world: World, base_got: Floats, at: int, rng: np.random.Generator
) -> list[tuple[float, float, float, float, float]]:
    """Per quarter hour: hours ahead, expected kW, P10, P90, and what it came to be."""
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
    told = learner.forecast(gives, np.zeros(0), HOURS)
    found = []
    for one in told:
        then = at + round(one.hours * 60)
        # The mean over the minute is the draw then: whoever left or finished gives nothing.
        amps = ((base_got[then + 1] - base_got[then]) * 60 / KW_PER_A)[here]
        true_kw = float((KW_PER_A * np.maximum(amps - FLOOR_A, 0.0)).sum())
        found.append((one.hours, one.kw, one.low_kw, one.high_kw, true_kw))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=Path, required=True)
    parser.add_argument("--years", type=int, nargs="+", default=[2020])
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--days", type=int, default=40)
    args = parser.parse_args()
    sessions = read_sessions(args.sessions)
    rows = []
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        world = World(overlay(sessions, seed, days=args.days, years=tuple(args.years)), seed, Faults())
        _, base_got = world.unmanaged()
        rng = np.random.default_rng(seed + 2000)
        for _ in range(args.windows):
            rows += window(world, base_got, int(rng.integers(8 * 12, 18 * 12)) * 5, rng)
    hours, kw, low, high, true = np.array(rows).T
    for name, of in [("all", hours > 0)] + [(f"{h:g} h", hours == h) for h in HOURS[3::4]]:
        off = (kw - true)[of].sum() / true[of].sum()
        print(
            f"{name:>5}: {of.sum()} intervals, below P10 {100 * (true < low)[of].mean():.1f} %, "
            f"above P90 {100 * (true > high)[of].mean():.1f} %, bias {100 * off:+.1f} %, "
            f"band {100 * (high - low)[of].sum() / 2 / kw[of].sum():.1f} % of the mean",
            flush=True,
        )


if __name__ == "__main__":
    main()
