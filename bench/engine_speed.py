"""One round's arithmetic over many EVSEs: idle, the first of an event, holding, giving back. JSON is not counted.

python -m bench.engine_speed [--evses 1000 10000 100000]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from emw.engine.columns import Columns, Phase, Request
from emw.engine.loop import Controller

START, END, LAST = 30, 50, 60


def measure(n: int) -> dict[str, list[float]]:
    """Milliseconds per round, by phase; the first round of the event apart."""
    rng = np.random.default_rng(1)
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
        began = time.perf_counter()
        rows, wanted = controller.round(seen, request)
        ms["first" if i == START else phase].append((time.perf_counter() - began) * 1000)
        limit[rows] = wanted
        amps = np.where(limit >= 6, np.minimum(np.maximum(limit - 0.7, 0.0), would), 0.0)
        got += amps * 0.208 / 60
        was = np.arange(n)
    return ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evses", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    for n in parser.parse_args().evses:
        parts = (f"{name} {np.median(v):.1f} (worst {max(v):.1f})" for name, v in measure(n).items())
        print(f"{n:>7} EVSEs, ms per round: {', '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
