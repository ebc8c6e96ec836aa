"""Fit the engine's priors: how sessions finish, as additive log hazards. Writes priors.py.

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

from bench.engine_world import KW_PER_A, Faults, Sessions, World, read_sessions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Feature = tuple[Ints, int]
"""Bin of each piece, and how many bins there are."""

PART_EDGES = (
    *np.round(np.arange(0.05, 0.96, 0.05), 2),
    *(0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03, 1.05, 1.1, 1.2, 1.3, 1.45),
)
GOT_EDGES = (0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 25, 30, 40)
TOLD_EDGES = (4, 6, 8.5, 10.5, 12.5, 16.5, 20.5, 25, 32, 42, 60, 80)
DUE_EDGES = (-8.0, -6.0, -4.0, -3.0, -2.0, -1.0, -0.5, 0.0, 1.0, 2.0, 4.0)
SINCE_EDGES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
SHARE_EDGES = (0.2, 0.4, 0.6, 0.8, 0.95, 1.05, 1.3)
SIZE_EDGES = (6.0, 10.5, 16.5, 25.0, 42.0)
SPELL_EDGES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
TIGHT_EDGES = (0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.3, 1.7, 2.5)
HOUR_EDGES = (8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 17.5, 18.0, 19.0, 21.0)
CAME_EDGES = (8.0, 10.0, 12.0, 15.0)
TOOK_EDGES = (1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)
KIND_EDGES = (5.0,)
DAY_EDGES = (10.0, 13.0, 16.0, 19.0)
UNTOLD_CAME_EDGES = tuple(np.arange(7.0, 19.0))
UNTOLD_DAY_EDGES = (10.0, 12.0, 14.0, 16.0, 18.0)
STAYS_MIN = 5.0
"""Who leaves sooner after the last draw did not finish by itself, as in `emw.engine.estimate`."""
USUAL = -3.0
"""A log hazard of finishing per kWh in the middle."""
LEAST_STAY_H = 0.2
DRAWN = 70.0
"""How many events' weight draws a bin towards its feature's mean."""
VEHICLES = (101, 102, 103)
"""Seeds of the assumed vehicles that play the sessions."""


def binned(x: Floats, edges: tuple[float, ...]) -> Feature:
    return np.digitize(x, edges), len(edges) + 1


def pair(a: Feature, b: Feature) -> Feature:
    return a[0] * b[1] + b[0], a[1] * b[1]


def fit(features: list[Feature], exposure: Floats, happened: Floats, drawn: float = DRAWN) -> list[Floats]:
    """Log hazard per bin of each feature, the level put into the first; `drawn` events' weight towards the mean."""
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
            slope[part] -= drawn * (beta[part] - beta[part].mean())
            curve[part, part] += drawn * (np.eye(size) - 1 / size)
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


def played(s: Sessions) -> Floats:
    """Pieces of free charging: session, kWh taken, kWh and minute in the middle, whether it finished, draw (A)."""
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
                np.stack(
                    (r, took, got[now][r] + took / 2, np.full(len(r), now + 2.5), finished, world.draw_a[r]),
                    axis=1,
                )
            )
    return np.concatenate(out)


def sureness(of: Feature, logs: Floats, exposure: Floats, happened: Floats) -> tuple[Floats, Floats]:
    """Level and slope, per bin, that turn log hazards of tables learned elsewhere into those that came true.

    log hazard = level + slope * (what the tables say - USUAL). Tables learned from little are too sure of the extremes,
    and a sum of tables is not the whole truth.
    """
    level, slope = np.zeros(of[1]), np.ones(of[1])
    for i in range(of[1]):
        mine = of[0] == i
        x = np.stack((np.ones(mine.sum()), logs[mine] - USUAL))
        beta = np.array([USUAL, 1.0])
        for _ in range(20):
            mean = exposure[mine] * np.exp(beta @ x)
            beta += np.clip(np.linalg.solve((x * mean) @ x.T, x @ (happened[mine] - mean)), -1, 1)
        level[i], slope[i] = beta
    return level, slope


def logs_of(features: dict[str, Feature], tables: list[Floats]) -> Floats:
    """The sum of its bins' values, of each piece."""
    found: Floats = np.sum([v[bins] for v, (bins, _) in zip(tables, features.values(), strict=True)], axis=0)
    return found


def judged(
    features: dict[str, Feature],
    exposure: Floats,
    kwh: Floats | float,
    took: Floats,
    finished: Floats,
    folds: Ints,
    of: Feature,
) -> dict[str, Floats]:
    """Tables of the hazard per `exposure`, and their level and slope by `of`.

    `kwh`: of a unit of exposure. Tables of all folds are surer than those of one: they are judged by both alike.
    """  # fmt: skip
    tables = fit(list(features.values()), exposure, finished)
    all_over = logs_of(features, tables) - np.log(kwh)
    elsewhere = np.zeros(len(took))
    for fold in np.unique(folds):
        mine = folds == fold
        others = fit([(bins[~mine], n) for bins, n in features.values()], exposure[~mine], finished[~mine])
        elsewhere[mine] = logs_of({k: (bins[mine], n) for k, (bins, n) in features.items()}, others)
    bins, n = of
    level, slope = sureness(
        (np.tile(bins, 2), n),
        np.concatenate((all_over, elsewhere - np.log(kwh))),
        np.tile(took, 2),
        np.tile(finished, 2),
    )
    return dict(zip(features, tables, strict=True)) | {"LEVEL": level, "SLOPE": slope}


def finishing(s: Sessions) -> dict[str, Floats]:
    """Hazard of finishing: per unit of delivered over told, or per kWh where nothing was told."""
    row, took, got, at, finished, draw_a = played(s).T
    r = row.astype(np.int64)
    told = s.told[r]
    kw, hour, since = draw_a * KW_PER_A, at / 60 % 24, (at - s.plug_min[r]) / 60
    kind = binned(kw, KIND_EDGES)
    spell, came_h = binned(since, SPELL_EDGES), s.plug_min[r] / 60
    folds = s.year[r] if len(np.unique(s.year)) > 1 else s.site_day[r] % 2
    day = pair(kind, binned(hour, DAY_EDGES))
    took_so_far = binned(got, TOOK_EDGES)
    anybody = {
        "BY_GOT": binned(got, GOT_EDGES),
        "BY_SINCE": binned(since, SINCE_EDGES),
        "BY_KIND_HOUR": pair(kind, binned(hour, HOUR_EDGES)),
        "BY_KIND_SPELL": pair(kind, spell),
    }
    # Where nobody is asked nobody tells, and who told nothing is anybody. Where most tell, it is those who would not.
    features = anybody | {
        "BY_SPELL_DAY": pair(spell, binned(hour, UNTOLD_DAY_EDGES)),
        "BY_KIND_CAME_TOOK": pair(pair(kind, binned(came_h, UNTOLD_CAME_EDGES)), took_so_far),
    }
    untold = judged(features, took, 1.0, took, finished, folds, day)
    out = {f"FINISH_UNTOLD_{name}": table for name, table in untold.items()}
    out["TELL"] = np.array([s.told.mean()])
    silent = [binned(got[~told], GOT_EDGES)]
    out["FINISH_SILENT_BY_GOT"] = fit(silent, took[~told], finished[~told])[0]

    def of(feature: Feature) -> Feature:
        return feature[0][told], feature[1]

    r, took, got, at, finished = r[told], took[told], got[told], at[told], finished[told]
    kwh = s.told_kwh[r]
    stay_h = np.maximum((s.told_leave_min - s.plug_min)[r] / 60, LEAST_STAY_H)
    part = got / kwh
    share, kind = binned(part, SHARE_EDGES), of(kind)
    features = {name: of(feature) for name, feature in anybody.items()} | {
        "BY_PART": binned(part, PART_EDGES),
        "BY_KIND_TOLD": pair(kind, binned(kwh, TOLD_EDGES)),
        "BY_SHARE_SIZE": pair(share, binned(kwh, SIZE_EDGES)),
        "BY_SHARE_SPELL": pair(share, of(spell)),
        "BY_KIND_TIGHT": pair(kind, binned(kwh / stay_h / kw[told], TIGHT_EDGES)),
        "BY_KIND_SHARE": pair(kind, share),
        "BY_KIND_DUE": pair(kind, binned((at - s.told_leave_min[r]) / 60, DUE_EDGES)),
        "BY_SHARE_HOUR": pair(share, binned(hour[told], HOUR_EDGES)),
        "BY_KIND_CAME_TOOK": pair(pair(kind, binned(came_h[told], CAME_EDGES)), of(took_so_far)),
    }
    # The first holds the level.
    features = {"BY_PART": features["BY_PART"]} | features
    tables = judged(features, took / kwh, kwh, took, finished, folds[told], of(day))
    out |= {f"FINISH_{name}": table for name, table in tables.items()}
    rows = {
        "UNTOLD_BY_KIND_CAME": 2 * (len(UNTOLD_CAME_EDGES) + 1),
        "KIND_CAME": 2 * (len(CAME_EDGES) + 1),
        "BY_KIND": 2,
        "LEVEL": 2,
        "SLOPE": 2,
        "BY_SHARE": len(SHARE_EDGES) + 1,
        "BY_SPELL": len(SPELL_EDGES) + 1,
    }
    for name, table in out.items():
        n = next((n for part_of_name, n in rows.items() if part_of_name in name), None)
        out[name] = table if n is None else table.reshape(n, -1)
    return out


WHY = {
    "PART_EDGES": "Edges of energy delivered over energy told.",
    "GOT_EDGES": "Edges of energy delivered, kWh.",
    "TOLD_EDGES": "Edges of energy told, kWh.",
    "DUE_EDGES": "Edges of the time since the departure told, h, for finishing.",
    "SINCE_EDGES": "Edges of the time since plug-in, h, for finishing.",
    "SHARE_EDGES": "Edges of energy delivered over energy told, for pairs.",
    "SIZE_EDGES": "Edges of energy told, kWh, for pairs.",
    "SPELL_EDGES": "Edges of the time since plug-in, h, for pairs.",
    "TIGHT_EDGES": "Edges of energy told over what the vehicle could take in the stay told.",
    "KIND_EDGES": "Edge of the draw, kW: slow vehicles and fast ones.",
    "HOUR_EDGES": "Edges of local time, h, for pairs.",
    "CAME_EDGES": "Edges of the local time of plug-in, h, for pairs.",
    "TOOK_EDGES": "Edges of energy delivered, kWh, for pairs.",
    "FINISH_BY_PART": "Log hazard of finishing per unit of delivered over told, by the same.",
    "FINISH_BY_GOT": "Added to it, by energy delivered.",
    "FINISH_BY_KIND_TOLD": "Added to it, by kind (rows) and energy told.",
    "FINISH_BY_SINCE": "Added to it, by the time since plug-in.",
    "FINISH_BY_SHARE_SIZE": "Added to it, by delivered over told (rows) and energy told.",
    "FINISH_BY_SHARE_SPELL": "Added to it, by delivered over told (rows) and time since plug-in.",
    "FINISH_BY_KIND_TIGHT": "Added to it, by kind (rows) and energy told over what it could take in the stay told.",
    "FINISH_BY_KIND_SHARE": "Added to it, by kind (rows) and delivered over told.",
    "FINISH_BY_KIND_SPELL": "Added to it, by kind (rows) and time since plug-in.",
    "FINISH_BY_KIND_HOUR": "Added to it, by kind (rows) and local time.",
    "FINISH_BY_KIND_DUE": "Added to it, by kind (rows) and the time since the departure told.",
    "FINISH_BY_SHARE_HOUR": "Added to it, by delivered over told (rows) and local time.",
    "FINISH_BY_KIND_CAME_TOOK": "Added to it, by kind and local time of plug-in (rows) and energy delivered.",
    "DAY_EDGES": "Edges of local time, h, for how sure the tables are.",
    "FINISH_LEVEL": "Log hazard per kWh where the tables say USUAL, by kind (rows) and local time.",
    "FINISH_SLOPE": "How much of what the tables say beside that comes true, on days they know and on others.",
    "UNTOLD_CAME_EDGES": "Edges of the local time of plug-in, h, for who told nothing.",
    "UNTOLD_DAY_EDGES": "Edges of local time, h, for who told nothing.",
    "FINISH_UNTOLD_BY_GOT": "Log hazard of finishing per kWh of any driver, for who told nothing, by energy delivered.",
    "FINISH_UNTOLD_BY_SINCE": "Added to it, by the time since plug-in.",
    "FINISH_UNTOLD_BY_KIND_HOUR": "Added to it, by kind (rows) and local time.",
    "FINISH_UNTOLD_BY_KIND_SPELL": "Added to it, by kind (rows) and time since plug-in.",
    "FINISH_UNTOLD_BY_SPELL_DAY": "Added to it, by time since plug-in (rows) and local time.",
    "FINISH_UNTOLD_BY_KIND_CAME_TOOK": "Added to it, by kind and local time of plug-in (rows) and energy delivered.",
    "FINISH_UNTOLD_LEVEL": "Log hazard per kWh where these tables say USUAL, by kind (rows) and local time.",
    "FINISH_UNTOLD_SLOPE": "How much of what they say beside that comes true, on days they know and on others.",
    "FINISH_SILENT_BY_GOT": "Log hazard per kWh in place of all that where as many tell as here, by energy delivered.",
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
    found = finishing(mine)
    years = " and ".join(str(y) for y in args.years)
    print(f'''"""What is known of drivers before they are seen: hazards. Made by bench/engine_priors.py.

Learned from charging sessions at Caltech and JPL, {years}: ACN-Data (Lee, Li, Low 2019), CC BY 4.0.
One value per bin: below the first edge, between edges, above the last. Corrected while the engine runs (need.py).
"""

from typing import Final

USUAL: Final = {USUAL}
"""A log hazard of finishing per kWh in the middle."""
LEAST_STAY_H: Final = {LEAST_STAY_H}
"""A stay told is taken to be at least so long."""
TELL: Final = {found["TELL"][0]:.2f}
"""Share of these drivers who told their need."""
# fmt: off''')
    for name, why in WHY.items():
        print(f'{written(name, found[name] if name in found else globals()[name])}\n"""{why}"""')


if __name__ == "__main__":
    main()
