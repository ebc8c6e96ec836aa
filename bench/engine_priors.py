"""Fit the engine's priors: how sessions finish and how drivers leave, as additive log hazards. Writes priors.py.

    python -m bench.engine_priors --sessions FILE [--years 2019] > src/emw/engine/priors.py

Hazards are Poisson regressions over person-time: every session is cut into short pieces, each piece falls into one
bin per feature (or pair of features), the log hazard is the sum of its bins' values, each drawn a little towards its
feature's mean. For finishing, sessions are played as free charging by assumed vehicles, five minutes a piece.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.engine_world import Faults, Sessions, World, read_sessions
from emw.engine.need import LEAST_STAY_H

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Feature = tuple[Ints, int]
"""Bin of each piece, and how many bins there are."""

PART_EDGES = (
    *np.round(np.arange(0.05, 0.96, 0.05), 2),
    *(0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03, 1.05, 1.1, 1.2, 1.3, 1.45),
)
GOT_EDGES = (0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 25, 30, 40)
TOLD_EDGES = (4, 6, 8.5, 10.5, 12.5, 16.5, 20.5, 25, 32, 42, 60)
CLOCK_EDGES = tuple(np.arange(5.0, 24.0, 0.5))
PAST_EDGES = (-8, -6, -4, -3, -2, -1.5, -1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8)
STAY_EDGES = (0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15)
DUE_EDGES = (-8.0, -6.0, -4.0, -3.0, -2.0, -1.0, -0.5, 0.0, 1.0, 2.0, 4.0)
SINCE_EDGES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
SHARE_EDGES = (0.2, 0.4, 0.6, 0.8, 0.95, 1.05, 1.3)
SIZE_EDGES = (6.0, 10.5, 16.5, 25.0, 42.0)
SPELL_EDGES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
RATE_EDGES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0)
HOUR_EDGES = (8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 17.5, 18.0, 19.0, 21.0)
CAME_EDGES = (8.0, 10.0, 12.0, 15.0)
TOOK_EDGES = (1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)
VEHICLES = (101, 102, 103)
"""Seeds of the assumed vehicles that play the sessions."""


def binned(x: Floats, edges: tuple[float, ...]) -> Feature:
    return np.digitize(x, edges), len(edges) + 1


def pair(a: Feature, b: Feature) -> Feature:
    return a[0] * b[1] + b[0], a[1] * b[1]


def fit(features: list[Feature], exposure: Floats, happened: Floats) -> list[Floats]:
    """Log hazard per bin of each feature, the level put into the first."""
    sizes = [size for _, size in features]
    start = np.cumsum([0, *sizes])
    at = np.stack([bins + s for (bins, _), s in zip(features, start, strict=False)])
    n = int(start[-1])
    beta = np.full(n, np.log(happened.sum() / exposure.sum()) / len(features))
    for _ in range(10):
        mean = exposure * np.exp(beta[at].sum(0))
        slope, curve = np.zeros(n), np.eye(n) * 1e-4
        for i, a in enumerate(at):
            slope += np.bincount(a, happened - mean, n)
            for b in at[: i + 1]:
                both = np.bincount(a * n + b, mean, n * n).reshape(n, n)
                curve += both if b is a else both + both.T
        for s, size in zip(start, sizes, strict=False):
            part = slice(s, s + size)
            slope[part] -= DRAWN * (beta[part] - beta[part].mean())
            curve[part, part] += DRAWN * (np.eye(size) - 1 / size)
        beta += np.clip(np.linalg.solve(curve, slope), -2, 2)
    out = [beta[s : s + size].copy() for s, size in zip(start, sizes, strict=False)]
    for other in out[1:]:
        mean = other.mean()
        out[0] += mean
        np.subtract(other, mean, out=other)
    return out


DRAWN = 40.0
"""How many events' weight draws a bin towards its feature's mean."""


def pieces(length: Floats, step: float) -> tuple[Ints, Floats, Floats, NDArray[np.bool_]]:
    """Row, middle, length and whether last, of every piece of `step` that `length` is cut into."""
    count = np.maximum(np.ceil(length / step).astype(np.int64), 1)
    row = np.repeat(np.arange(len(length)), count)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    size = np.minimum(step, length[row] - nth * step)
    return row, nth * step + size / 2, size, nth == count[row] - 1


def leaving(s: Sessions) -> dict[str, Floats]:
    """Hazard of leaving per hour."""
    stay_h = np.maximum(s.leave_min - s.plug_min, 1.0) / 60
    told_h = (s.told_leave_min - s.plug_min) / 60
    out: dict[str, Floats] = {}
    for told in (True, False):
        # Who told nothing is taken for anybody, here as in `finishing`.
        mine = np.flatnonzero(s.told) if told else np.arange(len(s.told))
        row, h, hours, last = pieces(stay_h[mine], 1 / 6)
        names = ["CLOCK", "STAY"]
        features = [binned((s.plug_min[mine[row]] / 60 + h) % 24, CLOCK_EDGES), binned(h, STAY_EDGES)]
        if told:
            names.insert(1, "PAST")
            features.insert(1, binned(h - told_h[mine[row]], PAST_EDGES))
        kind = "LEAVE" if told else "LEAVE_UNTOLD"
        found = fit(features, hours, last.astype(np.float64))
        out |= {f"{kind}_BY_{name}": values for name, values in zip(names, found, strict=True)}
    return out


def played(s: Sessions) -> Floats:
    """Pieces of free charging: session, kWh taken, kWh in the middle, minute in the middle, whether it finished."""
    out: list[Floats] = []
    for seed in VEHICLES:
        world = World(s, seed, Faults())
        _, got = world.unmanaged()
        for now in range(0, 30 * 60, 5):
            left = world.need_kwh - got[now]
            # Who leaves within the piece did not finish by itself.
            r = np.flatnonzero((s.plug_min <= now) & (s.leave_min > now + 5) & (left > 1e-6) & (got[now] > 0))
            took = (got[now + 5] - got[now])[r]
            finished = world.need_kwh[r] - got[now + 5][r] <= 1e-6
            out.append(
                np.stack((r, took, got[now][r] + took / 2, np.full(len(r), now + 2.5), finished), axis=1)
            )
    return np.concatenate(out)


def finishing(s: Sessions) -> dict[str, Floats]:
    """Hazard of finishing: per unit of delivered over told, or per kWh where nothing was told."""
    row, took, got, at, finished = played(s).T
    r = row.astype(np.int64)
    told = s.told[r]
    # Where nobody is asked nobody tells, and who told nothing is anybody. Where most tell, it is those who would not.
    out = {}
    for name, who in (("UNTOLD", np.ones_like(told)), ("SILENT", ~told)):
        out[f"FINISH_{name}_BY_GOT"] = fit([binned(got[who], GOT_EDGES)], took[who], finished[who])[0]
    r, took, got, at, finished = r[told], took[told], got[told], at[told], finished[told]
    kwh = s.told_kwh[r]
    since, part = (at - s.plug_min[r]) / 60, got / kwh
    share = binned(part, SHARE_EDGES)
    features = {
        "BY_PART": binned(part, PART_EDGES),
        "BY_GOT": binned(got, GOT_EDGES),
        "BY_TOLD": binned(kwh, TOLD_EDGES),
        "BY_DUE": binned((at - s.told_leave_min[r]) / 60, DUE_EDGES),
        "BY_SINCE": binned(since, SINCE_EDGES),
        "BY_SHARE_SIZE": pair(share, binned(kwh, SIZE_EDGES)),
        "BY_SHARE_SPELL": pair(share, binned(since, SPELL_EDGES)),
        "BY_RATE": binned(
            kwh / np.maximum((s.told_leave_min - s.plug_min)[r] / 60, LEAST_STAY_H), RATE_EDGES
        ),
        "BY_SHARE_HOUR": pair(share, binned(at / 60 % 24, HOUR_EDGES)),
        "BY_CAME_TOOK": pair(binned(s.plug_min[r] / 60, CAME_EDGES), binned(got, TOOK_EDGES)),
    }
    found = fit(list(features.values()), took / kwh, finished)
    out |= {f"FINISH_{name}": values for name, values in zip(features, found, strict=True)}
    for name, edges in (
        ("SHARE_SIZE", SHARE_EDGES),
        ("SHARE_SPELL", SHARE_EDGES),
        ("SHARE_HOUR", SHARE_EDGES),
        ("CAME_TOOK", CAME_EDGES),
    ):
        out[f"FINISH_BY_{name}"] = out[f"FINISH_BY_{name}"].reshape(len(edges) + 1, -1)
    return out


WHY = {
    "PART_EDGES": "Edges of energy delivered over energy told.",
    "GOT_EDGES": "Edges of energy delivered, kWh.",
    "TOLD_EDGES": "Edges of energy told, kWh.",
    "CLOCK_EDGES": "Edges of local time, h.",
    "PAST_EDGES": "Edges of the time since the departure told, h; negative before it.",
    "STAY_EDGES": "Edges of the time since plug-in, h.",
    "DUE_EDGES": "Edges of the time since the departure told, h, for finishing.",
    "SINCE_EDGES": "Edges of the time since plug-in, h, for finishing.",
    "SHARE_EDGES": "Edges of energy delivered over energy told, for pairs.",
    "SIZE_EDGES": "Edges of energy told, kWh, for pairs.",
    "SPELL_EDGES": "Edges of the time since plug-in, h, for pairs.",
    "RATE_EDGES": "Edges of energy told over stay told, kW.",
    "HOUR_EDGES": "Edges of local time, h, for pairs.",
    "CAME_EDGES": "Edges of the local time of plug-in, h, for pairs.",
    "TOOK_EDGES": "Edges of energy delivered, kWh, for pairs.",
    "FINISH_BY_PART": "Log hazard of finishing per unit of delivered over told, by the same.",
    "FINISH_BY_GOT": "Added to it, by energy delivered.",
    "FINISH_BY_TOLD": "Added to it, by energy told.",
    "FINISH_BY_DUE": "Added to it, by the time since the departure told.",
    "FINISH_BY_SINCE": "Added to it, by the time since plug-in.",
    "FINISH_BY_SHARE_SIZE": "Added to it, by delivered over told (rows) and energy told.",
    "FINISH_BY_SHARE_SPELL": "Added to it, by delivered over told (rows) and time since plug-in.",
    "FINISH_BY_RATE": "Added to it, by energy told over stay told: who needs much soon, and who has all day.",
    "FINISH_BY_SHARE_HOUR": "Added to it, by delivered over told (rows) and local time.",
    "FINISH_BY_CAME_TOOK": "Added to it, by the local time of plug-in (rows) and energy delivered.",
    "FINISH_UNTOLD_BY_GOT": "Log hazard of finishing per kWh of any driver, for who told nothing, by energy delivered.",
    "LEAVE_BY_CLOCK": "Log hazard of leaving per hour, by local time.",
    "LEAVE_BY_PAST": "Added to it, by the time since the departure told.",
    "LEAVE_BY_STAY": "Added to it, by the time since plug-in.",
    "FINISH_SILENT_BY_GOT": "The same of who told nothing where others told.",
    "LEAVE_UNTOLD_BY_CLOCK": "Log hazard of leaving per hour of any driver, for who told nothing, by local time.",
    "LEAVE_UNTOLD_BY_STAY": "Added to it, by the time since plug-in.",
}


def written(name: str, values: Floats | tuple[float, ...]) -> str:
    """The table as Python, lines of at most 110 characters."""
    rows = np.atleast_2d(np.asarray(values, dtype=np.float64))
    texts = [", ".join(f"{v:g}" if name.endswith("EDGES") else f"{v:.2f}" for v in row) for row in rows]
    lines = []
    for text in texts if len(rows) > 1 else [texts[0] + ","]:
        line = f"({text})," if len(rows) > 1 else text
        lines += textwrap.wrap(line, 106, initial_indent="    ", subsequent_indent="    ")
    return f"{name}: Final = (\n" + "\n".join(lines) + "\n)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=Path, required=True)
    parser.add_argument("--years", type=int, nargs="+", default=[2019])
    args = parser.parse_args()
    sessions = read_sessions(args.sessions)
    mine = sessions.pick(np.flatnonzero(np.isin(sessions.year, args.years)))
    found: dict[str, Floats] = leaving(mine) | finishing(mine)
    years = " and ".join(str(y) for y in args.years)
    print(f'''"""What is known of drivers before they are seen: hazards. Made by bench/engine_priors.py.

Learned from charging sessions at Caltech and JPL, {years}: ACN-Data (Lee, Li, Low 2019), CC BY 4.0.
One value per bin: below the first edge, between edges, above the last. Corrected while the engine runs (need.py).
"""

from typing import Final

# fmt: off''')
    for name, why in WHY.items():
        print(f'{written(name, found[name] if name in found else globals()[name])}\n"""{why}"""')


if __name__ == "__main__":
    main()
