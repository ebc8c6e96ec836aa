"""Figures of the engine on recorded sessions with assumed faults, against the truth.

python -m bench.engine_figures --sessions FILE [--years 2019 2020] [--seeds 3] [--events 64] [--controller loop]
    [--by share minutes] [--decompose]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from bench.engine_controllers import CONTROLLERS
from bench.engine_parts import Parted, decomposed
from bench.engine_world import Faults, Outcome, World, events, overlay, read_sessions


def table(outcomes: list[Outcome]) -> str:
    """One line of figures."""
    errors = np.array([e for o in outcomes for e in o.errors])
    shed = sum(o.shed_mwh for o in outcomes)
    ms = np.array([m for o in outcomes for m in o.round_ms])
    touched = sum(o.touched for o in outcomes)
    return (
        f"err {100 * np.abs(errors).mean():6.2f}%  p95 {100 * np.percentile(np.abs(errors), 95):6.2f}%  "
        f"bias {100 * errors.mean():+5.2f}%  harm {sum(o.unserved_kwh for o in outcomes) / shed:5.0f} kWh/MWh  "
        f"hurt {100 * sum(o.hurt for o in outcomes) / sum(o.sessions for o in outcomes):4.1f}%  "
        f"rebound {max(o.rebound for o in outcomes):.3f} (>1: {sum(o.rebound > 1 for o in outcomes)})  "
        f"steep {max(o.steepest for o in outcomes):.2f} (of it released {max(o.released for o in outcomes):.2f})  "
        f"cmds {sum(o.commands for o in outcomes) / max(touched, 1):.2f}/EVSE "
        f"{sum(o.commands for o in outcomes) / len(outcomes):.0f}/event  "
        f"ms {ms.mean() if len(ms) else 0:.2f}  infeasible {sum(o.infeasible for o in outcomes)}"
    )


def split(outcomes: list[Outcome]) -> str:
    """Where the error comes from: the estimate or the control; and whether the estimate knows its own doubt.

    `z` is the spread of the estimate's error over the doubt that the engine stated: 1 is chance alone.
    """
    gap, doubt, control = [], [], []
    for o in outcomes:
        n = len(o.est_gap) // 5
        if o.infeasible or not n or n != len(o.errors):
            continue
        mean = [np.array(x[: 5 * n]).reshape(n, 5).mean(axis=1) / o.target_kw for x in (o.est_gap, o.doubt)]
        gap.append(mean[0])
        doubt.append(mean[1])
        control.append(np.array(o.errors) + mean[0])
    if not gap:
        return "no event that was feasible throughout"
    g, d, c = (np.concatenate(x) for x in (gap, doubt, control))
    z = float(np.sqrt((g**2).mean() / max((d**2).mean(), 1e-12)))
    return (
        f"estimate: mean {100 * g.mean():+.2f}%, absolute {100 * np.abs(g).mean():.2f}%, "
        f"of the stated doubt z {z:.2f}; control alone {100 * np.abs(c).mean():.2f}%"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=Path, required=True)
    parser.add_argument("--years", type=int, nargs="+", default=[2019, 2020])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=64)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--taper", type=float, default=0.0)
    parser.add_argument("--controller", nargs="+", default=["loop"], choices=sorted(CONTROLLERS))
    parser.add_argument("--by", choices=["share", "minutes"], nargs="*", default=[])
    parser.add_argument("--decompose", action="store_true", help="where the error of `loop` comes from")
    args = parser.parse_args()
    sessions = read_sessions(args.sessions)
    worlds = []
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        s = overlay(sessions, seed, days=args.days, years=tuple(args.years))
        world = World(s, seed, Faults(taper=args.taper))
        worlds.append((seed, world, world.unmanaged()))
    for name in args.controller:
        began = time.perf_counter()
        outcomes = []
        watched: list[Parted] = []

        def watch(_: World, kept: list[Parted] = watched) -> Parted:
            kept.append(Parted())
            return kept[-1]

        for seed, world, truth in worlds:
            make = watch if args.decompose and name == "loop" else CONTROLLERS[name]
            outcomes += [
                world.run(make, e, truth, clock=time.perf_counter) for e in events(seed, args.events)
            ]
        print(f"{name:14} {table(outcomes)}  [{time.perf_counter() - began:.0f} s]", flush=True)
        print(f"{'':14} {split(outcomes)}", flush=True)
        if watched:
            print(decomposed(outcomes, watched))
        for by in args.by:
            for value in sorted({getattr(o.event, by) for o in outcomes}):
                print(f"  {by} {value:<6} {table([o for o in outcomes if getattr(o.event, by) == value])}")


if __name__ == "__main__":
    main()
