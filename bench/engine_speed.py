"""One round's arithmetic over many EVSEs: idle, the first of an event, holding, giving back. JSON is not counted.

CPU time of one core, for on a shared machine the wall's clock tells of its neighbours.

python -m bench.engine_speed [--evses 10000 30000 100000] [--fleets 3]
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from emw.engine.columns import Columns, Phase, Request
from emw.engine.loop import Controller

START, END, LAST = 30, 50, 60


def measure(n: int, seed: int) -> dict[str, list[float]]:
    """Milliseconds per round, by phase; the first round of the event apart."""
    rng = np.random.default_rng(seed)
    would = np.where(rng.random(n) < 0.6, rng.uniform(15, 32, n), 0.0)
    got = np.where(would > 0, rng.uniform(0, 10, n), rng.uniform(1, 12, n))
    plug, told, leave = rng.uniform(400, 600, n), rng.uniform(8, 60, n), rng.uniform(800, 1100, n)
    controller = Controller()
    limit, amps, was = np.full(n, 32.0), would.copy(), np.full(n, -1)
    ms: dict[str, list[float]] = {"idle": [], "first": [], "shed": [], "restore": []}
    for i in range(LAST):
        phase: Phase = "idle" if i < START else "shed" if i < END else "restore"
        seen = Columns(
            now_min=600.0 + i,
            was=was,
            kw_per_a=np.full(n, 0.208),
            max_a=np.full(n, 32.0),
            floor_a=np.full(n, 6.0),
            step_a=np.ones(n),
            limit_a=limit.copy(),
            draw_a=amps * (1 + 0.005 * rng.standard_normal(n)),
            got_kwh=got.copy(),
            req_kwh=told,
            plug_min=plug,
            depart_min=leave,
            opted_out=np.zeros(n, dtype=np.bool_),
            online=np.ones(n, dtype=np.bool_),
        )
        request = Request(phase=phase, kw=float(n), start_min=600.0 + START, end_min=600.0 + END)
        began = time.process_time()
        rows, wanted = controller.round(seen, request)
        ms["first" if i == START else phase].append((time.process_time() - began) * 1000)
        limit[rows] = wanted
        amps = np.where(limit >= 6, np.minimum(np.maximum(limit - 0.7, 0.0), would), 0.0)
        got += amps * 0.208 / 60
        was = np.arange(n)
    return ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evses", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--fleets", type=int, default=3, help="the median is that of the rounds of so many")
    args = parser.parse_args()
    before = 0.0
    for n in args.evses:
        ms: dict[str, list[float]] = {}
        for seed in range(args.fleets):
            for name, some in measure(n, seed).items():
                ms.setdefault(name, []).extend(some)
        parts = []
        for name, some in ms.items():
            low, middle, high = np.percentile(some, (25, 50, 75))
            parts.append(f"{name} {middle:.1f} ({low:.1f} to {high:.1f}, worst {max(some):.1f})")
        # Growth by all rounds together: in small fleets not every round has somebody to look at again.
        us_per_evse = float(np.mean([v for some in ms.values() for v in some])) * 1000 / n
        growth = f", x{us_per_evse / before:.2f}" if before else ""
        before = us_per_evse
        print(
            f"{n:>7} EVSEs, ms of CPU per round: {'; '.join(parts)}; mean us per EVSE {us_per_evse:.3f}{growth}"
        )


if __name__ == "__main__":
    main()
