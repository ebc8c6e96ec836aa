"""Fit how long drivers stay once their vehicle has finished, as additive log hazards. Writes prior_stays.py.

    python -m bench.engine_stays --sessions FILE [--years 2019] > src/emw/engine/prior_stays.py

In two parts: the first quarter of an hour after the finish, in which those leave who did not wait for it or came for
nothing else, and the time after it. Regressions and assumed vehicles as in `engine_priors`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.engine_priors import (
    KIND_EDGES,
    SHARE_EDGES,
    VEHICLES,
    Feature,
    Floats,
    Ints,
    binned,
    fit,
    pair,
    pieces,
    written,
)
from bench.engine_world import KW_PER_A, Faults, Sessions, World, read_sessions

Features = Callable[[Floats, Ints, tuple[float, ...]], dict[str, Feature]]

FIRST_H = 0.25
"""Who leaves within this time of the finish did not stay."""
DRAWN = 40.0
"""As in `engine_priors`; these tables are smaller."""
AT_ONCE_H = 5 / 60
"""Who leaves so soon after the last draw counts as having left while charging."""
CAME_EDGES = (8.0, 10.0, 12.0, 14.0, 16.0, 18.0)
CLOCK_EDGES = tuple(np.arange(5.0, 24.0, 0.5))
FIRST_CLOCK_EDGES = (
    8.0,
    10.0,
    11.0,
    12.0,
    13.0,
    14.0,
    15.0,
    16.0,
    16.5,
    17.0,
    17.5,
    18.0,
    18.5,
    19.0,
    20.0,
    21.0,
    22.0,
)
FIRST_PAST_EDGES = (-6.0, -4.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.5)
PAST_EDGES = (-8.0, -6.0, -4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0)
STAY_EDGES = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0)

WHY = {
    "CAME_EDGES": "Edges of the local time of plug-in, h.",
    "CLOCK_EDGES": "Edges of local time, h.",
    "PAST_EDGES": "Edges of the time since the departure told, h; negative before it.",
    "STAY_EDGES": "Edges of the time since plug-in, h.",
    "SHARE_EDGES": "Edges of energy delivered over energy told.",
    "FIRST_CLOCK_EDGES": "Edges of local time, h, for the first quarter of an hour.",
    "FIRST_PAST_EDGES": "Edges of the time since the departure told, h, for the same.",
    "FIRST_BY_CLOCK": "Log hazard of leaving per hour in the first quarter of an hour after the finish, by local time.",
    "FIRST_BY_CAME_PAST": "Added to it, by the local time of plug-in (rows) and the time since the departure told.",
    "FIRST_BY_KIND_PAST": "Added to it, by kind (rows) and the time since the departure told.",
    "FIRST_BY_SHARE": "Added to it, by delivered over told.",
    "FIRST_UNTOLD_BY_CLOCK": "The same of any driver, for who told nothing, by local time.",
    "FIRST_UNTOLD_BY_CAME": "Added to it, by the local time of plug-in.",
    "FIRST_UNTOLD_BY_KIND": "Added to it, by kind.",
    "LATER_BY_CLOCK": "Log hazard of leaving per hour after that, by local time.",
    "LATER_BY_CAME_PAST": "Added to it, by the local time of plug-in (rows) and the time since the departure told.",
    "LATER_BY_KIND_PAST": "Added to it, by kind (rows) and the time since the departure told.",
    "LATER_BY_STAY": "Added to it, by the time since plug-in.",
    "CHARGING_BY_KIND": "What is left of that hazard while the vehicle charges: slow ones, fast ones.",
    "LATER_UNTOLD_BY_CLOCK": "The same of any driver, for who told nothing, by local time.",
    "LATER_UNTOLD_BY_CAME": "Added to it, by the local time of plug-in.",
    "LATER_UNTOLD_BY_KIND": "Added to it, by kind.",
    "LATER_UNTOLD_BY_STAY": "Added to it, by the time since plug-in.",
}  # fmt: skip


def finishes(s: Sessions) -> Floats:
    """Rows: session, energy needed (kWh), time of the finish (h), draw (kW); all sessions, each fleet of vehicles."""
    found = []
    for seed in VEHICLES:
        world = World(s, seed, Faults())
        _, got = world.unmanaged()
        done = got >= world.need_kwh - 1e-6
        finish_h = np.where(done.any(axis=0), done.argmax(axis=0), len(got)) / 60
        finish_h = np.clip(finish_h, s.plug_min / 60, s.leave_min / 60)
        found.append(np.stack((np.arange(world.n), world.need_kwh, finish_h, world.draw_a * KW_PER_A)))
    return np.concatenate(found, axis=1)


def staying(s: Sessions) -> dict[str, Floats]:
    """Hazards of leaving per hour, in the first quarter of an hour after the finish and later."""
    session, need_kwh, finish_h, full_kw = finishes(s)
    out: dict[str, Floats] = {}
    for told in (True, False):
        # Who told nothing is taken for anybody.
        mine = np.flatnonzero(s.told[session.astype(np.int64)] | (not told))
        r, end_h = session[mine].astype(np.int64), finish_h[mine]
        kw = full_kw[mine]
        came_h, told_h, leave_h = s.plug_min[r] / 60, s.told_leave_min[r] / 60, s.leave_min[r] / 60
        which = "" if told else "UNTOLD_"

        def features(
            at_h: Floats,
            rows: Ints,
            past_edges: tuple[float, ...],
            told: bool = told,
            came_h: Floats = came_h,
            told_h: Floats = told_h,
            kw: Floats = kw,
        ) -> dict[str, Feature]:
            """What both hazards hang on, of `rows` at `at_h`."""
            came, kind = binned(came_h[rows] % 24, CAME_EDGES), binned(kw[rows], KIND_EDGES)
            if not told:
                return {"BY_CAME": came, "BY_KIND": kind}
            past = binned(at_h - told_h[rows], past_edges)
            return {"BY_CAME_PAST": pair(came, past), "BY_KIND_PAST": pair(kind, past)}

        gone = leave_h - end_h < FIRST_H
        first = {"BY_CLOCK": binned(end_h % 24, FIRST_CLOCK_EDGES)}
        first |= features(end_h, np.arange(len(mine)), FIRST_PAST_EDGES)
        if told:
            first["BY_SHARE"] = binned(need_kwh[mine] / s.told_kwh[r], SHARE_EDGES)
        values = fit(
            list(first.values()), np.where(gone, FIRST_H / 2, FIRST_H), gone.astype(np.float64), DRAWN
        )
        out |= {f"FIRST_{which}{name}": v for name, v in zip(first, values, strict=True)}

        def later(
            at_h: Floats, rows: Ints, features: Features = features, came_h: Floats = came_h
        ) -> dict[str, Feature]:
            found = {"BY_CLOCK": binned(at_h % 24, CLOCK_EDGES)} | features(at_h, rows, PAST_EDGES)
            return found | {"BY_STAY": binned(at_h - came_h[rows], STAY_EDGES)}

        stays = np.flatnonzero(~gone)
        since_h = end_h[stays] + FIRST_H
        row, h, hours, last = pieces(np.maximum(leave_h[stays] - since_h, 1e-3), 0.25)
        found = later(since_h[row] + h, stays[row])
        values = fit(list(found.values()), hours, last.astype(np.float64), DRAWN)
        out |= {f"LATER_{which}{name}": v for name, v in zip(found, values, strict=True)}
        if told:
            # Who leaves while still charging, against what the same tables expect of who has finished.
            row, h, hours, _ = pieces(np.maximum(end_h - came_h, 1e-3), 0.25)
            found = later(came_h[row] + h, row)
            logs = sum(v[bins] for v, (bins, _) in zip(values, found.values(), strict=True))
            kind = np.digitize(kw, KIND_EDGES)
            left = np.bincount(kind, leave_h - end_h < AT_ONCE_H)
            out["CHARGING_BY_KIND"] = left / np.bincount(kind[row], hours * np.exp(logs))
    for part in ("FIRST", "LATER"):
        for name, edges in (("CAME", CAME_EDGES), ("KIND", KIND_EDGES)):
            out[f"{part}_BY_{name}_PAST"] = out[f"{part}_BY_{name}_PAST"].reshape(len(edges) + 1, -1)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=Path, required=True)
    parser.add_argument("--years", type=int, nargs="+", default=[2019])
    args = parser.parse_args()
    sessions = read_sessions(args.sessions)
    found = staying(sessions.pick(np.flatnonzero(np.isin(sessions.year, args.years))))
    years = " and ".join(str(y) for y in args.years)
    print(f'''"""What is known of how long drivers stay after the finish: hazards. Made by bench/engine_stays.py.

Learned from charging sessions at Caltech and JPL, {years}: ACN-Data (Lee, Li, Low 2019), CC BY 4.0.
One value per bin: below the first edge, between edges, above the last.
"""

from typing import Final

FIRST_H: Final = {FIRST_H}
"""Who leaves within this time of the finish did not stay."""
# fmt: off''')
    for name, why in WHY.items():
        print(f'{written(name, found[name] if name in found else globals()[name])}\n"""{why}"""')


if __name__ == "__main__":
    main()
