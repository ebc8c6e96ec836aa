"""Fit how long drivers stay once their vehicle has finished, as additive log hazards. Writes prior_stays.py.

    python -m bench.engine_stays --sessions FILE [--years 2019] > src/emw/engine/prior_stays.py

In two parts: the first quarter of an hour after the finish, in which those leave who did not wait for it or came for
nothing else, and the time after it. Regressions and assumed vehicles as in `engine_priors`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bench.engine_priors import (
    CLOCK_EDGES,
    SHARE_EDGES,
    VEHICLES,
    Floats,
    binned,
    fit,
    pair,
    pieces,
    written,
)
from bench.engine_world import Faults, Sessions, World, read_sessions

FIRST_H = 0.25
"""Who leaves within this time of the finish did not stay."""
CAME_EDGES = (8.0, 10.0, 12.0, 14.0, 16.0, 18.0)
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
    "FIRST_BY_SHARE": "Added to it, by delivered over told.",
    "FIRST_UNTOLD_BY_CLOCK": "The same of any driver, for who told nothing, by local time.",
    "FIRST_UNTOLD_BY_CAME": "Added to it, by the local time of plug-in.",
    "LATER_BY_CLOCK": "Log hazard of leaving per hour after that, by local time.",
    "LATER_BY_CAME_PAST": "Added to it, by the local time of plug-in (rows) and the time since the departure told.",
    "LATER_BY_STAY": "Added to it, by the time since plug-in.",
    "LATER_UNTOLD_BY_CLOCK": "The same of any driver, for who told nothing, by local time.",
    "LATER_UNTOLD_BY_CAME": "Added to it, by the local time of plug-in.",
    "LATER_UNTOLD_BY_STAY": "Added to it, by the time since plug-in.",
}  # fmt: skip


def finishes(s: Sessions) -> Floats:
    """Rows: session, energy needed (kWh), time of the finish (h); all sessions, each fleet of vehicles."""
    found = []
    for seed in VEHICLES:
        world = World(s, seed, Faults())
        _, got = world.unmanaged()
        done = got >= world.need_kwh - 1e-6
        finish_h = np.where(done.any(axis=0), done.argmax(axis=0), len(got)) / 60
        finish_h = np.clip(finish_h, s.plug_min / 60, s.leave_min / 60)
        found.append(np.stack((np.arange(world.n), world.need_kwh, finish_h)))
    return np.concatenate(found, axis=1)


def staying(s: Sessions) -> dict[str, Floats]:
    """Hazards of leaving per hour, in the first quarter of an hour after the finish and later."""
    session, need_kwh, finish_h = finishes(s)
    out: dict[str, Floats] = {}
    for told in (True, False):
        # Who told nothing is taken for anybody.
        mine = np.flatnonzero(s.told[session.astype(np.int64)] | (not told))
        r, end_h = session[mine].astype(np.int64), finish_h[mine]
        came_h, told_h, leave_h = s.plug_min[r] / 60, s.told_leave_min[r] / 60, s.leave_min[r] / 60
        came = binned(came_h % 24, CAME_EDGES)
        gone = leave_h - end_h < FIRST_H
        first = {"BY_CLOCK": binned(end_h % 24, FIRST_CLOCK_EDGES)}
        if told:
            first["BY_CAME_PAST"] = pair(came, binned(end_h - told_h, FIRST_PAST_EDGES))
            first["BY_SHARE"] = binned(need_kwh[mine] / s.told_kwh[r], SHARE_EDGES)
        else:
            first["BY_CAME"] = came
        values = fit(list(first.values()), np.where(gone, FIRST_H / 2, FIRST_H), gone.astype(np.float64))
        kind = "" if told else "UNTOLD_"
        out |= {f"FIRST_{kind}{name}": v for name, v in zip(first, values, strict=True)}
        stays = np.flatnonzero(~gone)
        since_h = end_h[stays] + FIRST_H
        row, h, hours, last = pieces(np.maximum(leave_h[stays] - since_h, 1e-3), 0.25)
        at_h, who = since_h[row] + h, stays[row]
        later = {"BY_CLOCK": binned(at_h % 24, CLOCK_EDGES)}
        came = binned(came_h[who] % 24, CAME_EDGES)
        if told:
            later["BY_CAME_PAST"] = pair(came, binned(at_h - told_h[who], PAST_EDGES))
        else:
            later["BY_CAME"] = came
        later["BY_STAY"] = binned(at_h - came_h[who], STAY_EDGES)
        values = fit(list(later.values()), hours, last.astype(np.float64))
        out |= {f"LATER_{kind}{name}": v for name, v in zip(later, values, strict=True)}
    for name in ("FIRST_BY_CAME_PAST", "LATER_BY_CAME_PAST"):
        out[name] = out[name].reshape(len(CAME_EDGES) + 1, -1)
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
