"""Fit the engine's priors: how sessions finish and how drivers leave, as additive log hazards. Writes priors.py.

    python -m bench.engine_priors --sessions FILE [--years 2019] > src/emw/engine/priors.py

Hazards are Poisson regressions over person-time: every session is cut into short pieces, each piece falls into one
bin per feature, the log hazard is the sum of its bins' values, drawn a little towards zero.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.engine_world import KW_PER_A, Faults, Sessions, World, read_sessions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PART_EDGES = (*np.round(np.arange(0.05, 0.96, 0.05), 2), 0.98, 1.02, 1.1, 1.3)
GOT_EDGES = (0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 25, 30, 40)
TOLD_EDGES = (4, 6, 8.5, 10.5, 12.5, 16.5, 20.5, 25, 32, 42, 60)
CLOCK_EDGES = tuple(np.arange(5.0, 24.0, 0.5))
PAST_EDGES = (-8, -6, -4, -3, -2, -1.5, -1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8)
STAY_EDGES = (0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15)
DUE_EDGES = (-8.0, -6.0, -4.0, -3.0, -2.0, -1.0, -0.5, 0.0, 1.0, 2.0, 4.0)
SINCE_EDGES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
FULL_POWER_KW = 5.6
"""A mean power above this says that the session was still charging when it ended: departure, not finish."""


def fit(features: list[tuple[Floats, tuple[float, ...]]], exposure: Floats, happened: Floats) -> list[Floats]:
    """Log hazard per bin of each feature, the level put into the first."""
    bins = [np.digitize(x, edges) for x, edges in features]
    sizes = [len(edges) + 1 for _, edges in features]
    start = np.cumsum([0, *sizes])
    at = np.stack([b + s for b, s in zip(bins, start, strict=False)])
    key = np.ravel_multi_index(tuple(bins), tuple(sizes))
    cells, inverse = np.unique(key, return_inverse=True)
    cell_at = np.zeros((len(bins), len(cells)), dtype=np.int64)
    cell_at[:, inverse] = at
    mass, events = np.bincount(inverse, exposure), np.bincount(inverse, happened)
    n = int(start[-1])
    beta = np.full(n, np.log(events.sum() / mass.sum()) / len(bins))
    for _ in range(15):
        mean = mass * np.exp(beta[cell_at].sum(0))
        slope, curve = np.zeros(n), np.eye(n) * 1e-6
        for a in cell_at:
            np.add.at(slope, a, events - mean)
            for b in cell_at:
                np.add.at(curve, (a, b), mean)
        for s, size in zip(start, sizes, strict=False):
            part = slice(s, s + size)
            slope[part] -= 2.0 * (beta[part] - beta[part].mean())
            curve[part, part] += 2.0 * (np.eye(size) - 1 / size)
        beta += np.clip(np.linalg.solve(curve, slope), -2, 2)
    out = [beta[s : s + size].copy() for s, size in zip(start, sizes, strict=False)]
    for other in out[1:]:
        mean = other.mean()
        out[0] += mean
        np.subtract(other, mean, out=other)
    return out


def pieces(length: Floats, step: float) -> tuple[Ints, Floats, Floats, NDArray[np.bool_]]:
    """Row, middle, length and whether last, of every piece of `step` that `length` is cut into."""
    count = np.maximum(np.ceil(length / step).astype(np.int64), 1)
    row = np.repeat(np.arange(len(length)), count)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    size = np.minimum(step, length[row] - nth * step)
    return row, nth * step + size / 2, size, nth == count[row] - 1


def tables(s: Sessions) -> dict[str, object]:
    stay_h = np.maximum(s.leave_min - s.plug_min, 1.0) / 60
    told_h = (s.told_leave_min - s.plug_min) / 60
    out: dict[str, object] = {}
    for name in ("PART_EDGES", "GOT_EDGES", "TOLD_EDGES", "CLOCK_EDGES", "PAST_EDGES", "STAY_EDGES"):
        out[name] = tuple(float(x) for x in globals()[name])
    for told in (True, False):
        mine = np.flatnonzero(s.told == told)
        row, got, kwh, last = pieces(s.energy_kwh[mine], 0.25)
        who = mine[row]
        finish = (last & (s.energy_kwh[who] / stay_h[who] < FULL_POWER_KW)).astype(np.float64)
        row, h, hours, last = pieces(stay_h[mine], 1 / 6)
        clock = (s.plug_min[mine[row]] / 60 + h) % 24
        if told:
            part = got / s.told_kwh[who]
            fitted = fit(
                [(part, PART_EDGES), (got, GOT_EDGES), (s.told_kwh[who], TOLD_EDGES)],
                kwh / s.told_kwh[who],
                finish,
            )
            out |= dict(zip(("FINISH_BY_PART", "FINISH_BY_GOT", "FINISH_BY_TOLD"), fitted, strict=True))
            fitted = fit(
                [(clock, CLOCK_EDGES), (h - told_h[mine[row]], PAST_EDGES), (h, STAY_EDGES)],
                hours,
                last.astype(np.float64),
            )
            out |= dict(zip(("LEAVE_BY_CLOCK", "LEAVE_BY_PAST", "LEAVE_BY_STAY"), fitted, strict=True))
        else:
            out["FINISH_UNTOLD_BY_GOT"] = fit([(got, GOT_EDGES)], kwh, finish)[0]
            fitted = fit([(clock, CLOCK_EDGES), (h, STAY_EDGES)], hours, last.astype(np.float64))
            out |= dict(zip(("LEAVE_UNTOLD_BY_CLOCK", "LEAVE_UNTOLD_BY_STAY"), fitted, strict=True))
    return out


def by_time(s: Sessions, found: dict[str, object]) -> dict[str, object]:
    """What the time adds to the hazard of finishing: cars are played as they would charge if nobody asked."""
    world = World(s, 1, Faults())
    _, got = world.unmanaged()
    part, of_got, of_told, untold = (
        np.asarray(found[f"FINISH_{name}"]) for name in ("BY_PART", "BY_GOT", "BY_TOLD", "UNTOLD_BY_GOT")
    )
    rows: list[Floats] = []
    for now in range(5 * 60, 23 * 60, 5):
        r = np.flatnonzero((s.plug_min <= now) & (s.leave_min > now) & (world.need_kwh - got[now] > 1e-6))
        kwh = (got[now + 5] - got[now])[r]
        middle = got[now][r] + world.draw_a[r] * KW_PER_A * 2.5 / 60
        by_got = np.digitize(middle, GOT_EDGES)
        told = s.told_kwh[r]
        logs = (
            part[np.digitize(middle / told, PART_EDGES)]
            + of_got[by_got]
            + of_told[np.digitize(told, TOLD_EDGES)]
        )
        hazard = np.where(s.told[r], np.exp(logs) / told, np.exp(untold[by_got]))
        past = np.where(s.told[r], now - s.told_leave_min[r], -1e6) / 60
        finished = world.need_kwh[r] - got[now + 5][r] <= 1e-6
        rows.append(np.stack((hazard * kwh, finished, past, (now - s.plug_min[r]) / 60), axis=1))
    expected, finished, past, stay = np.concatenate(rows).T
    told = past > -1e3
    out: dict[str, object] = {"DUE_EDGES": DUE_EDGES, "SINCE_EDGES": SINCE_EDGES}
    features = [(past[told], DUE_EDGES), (stay[told], SINCE_EDGES)]
    fitted = fit(features, expected[told], finished[told])
    return out | dict(zip(("FINISH_BY_DUE", "FINISH_BY_SINCE"), fitted, strict=True))


WHY = {
    "PART_EDGES": "Edges of energy delivered over energy told.",
    "GOT_EDGES": "Edges of energy delivered, kWh.",
    "TOLD_EDGES": "Edges of energy told, kWh.",
    "CLOCK_EDGES": "Edges of local time, h.",
    "PAST_EDGES": "Edges of the time since the departure told, h; negative before it.",
    "STAY_EDGES": "Edges of the time since plug-in, h.",
    "FINISH_BY_PART": "Log hazard of finishing per unit of delivered over told, by the same.",
    "FINISH_BY_GOT": "Added to it, by energy delivered.",
    "FINISH_BY_TOLD": "Added to it, by energy told.",
    "DUE_EDGES": "Edges of the time since the departure told, h, for finishing.",
    "SINCE_EDGES": "Edges of the time since plug-in, h, for finishing.",
    "FINISH_BY_DUE": "Added to it, by the time since the departure told; the sessions played as free charging.",
    "FINISH_BY_SINCE": "Added to it, by the time since plug-in.",
    "FINISH_UNTOLD_BY_GOT": "Log hazard of finishing per kWh of drivers who told nothing, by energy delivered.",
    "LEAVE_BY_CLOCK": "Log hazard of leaving per hour, by local time.",
    "LEAVE_BY_PAST": "Added to it, by the time since the departure told.",
    "LEAVE_BY_STAY": "Added to it, by the time since plug-in.",
    "LEAVE_UNTOLD_BY_CLOCK": "Log hazard of leaving per hour of drivers who told nothing, by local time.",
    "LEAVE_UNTOLD_BY_STAY": "Added to it, by the time since plug-in.",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=Path, required=True)
    parser.add_argument("--years", type=int, nargs="+", default=[2019])
    args = parser.parse_args()
    sessions = read_sessions(args.sessions)
    mine = sessions.pick(np.flatnonzero(np.isin(sessions.year, args.years)))
    found = tables(mine)
    found |= by_time(mine, found)
    years = ", ".join(str(y) for y in args.years)
    print(f'''"""What is known of drivers before they are seen: hazards. Made by bench/engine_priors.py.

Learned from charging sessions at Caltech and JPL, {years}: ACN-Data (Lee, Li, Low 2019), CC BY 4.0.
One value per bin: below the first edge, between edges, above the last. Corrected while the engine runs (need.py).
"""

from typing import Final
''')
    for name, why in WHY.items():
        values = found[name]
        assert isinstance(values, tuple | np.ndarray)
        text = ", ".join(f"{float(v):g}" if name.endswith("EDGES") else f"{float(v):.2f}" for v in values)
        print(f'{name}: Final = ({text})\n"""{why}"""')


if __name__ == "__main__":
    main()
