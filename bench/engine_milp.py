"""Single rounds against a MILP: how far the greedy choice is from the best one, on the MILP's own objective.

    python -m bench.engine_milp [--evses 200] [--rounds 20]

The MILP (HiGHS) picks for each EVSE: free, floor or pause, and for at most one of them any whole step, so that at
least the shed is reached at the least cost. The greedy is the engine's own `ask_more`, with the same costs.
"""

from __future__ import annotations

import argparse
import time

import highspy
import numpy as np

from emw.engine.ask_more import ask_more
from emw.engine.columns import Columns, Floats
from emw.engine.price import Prices

KW_PER_A = 0.208
OBEYED = 0.97


def snapshot(rng: np.random.Generator, n: int) -> tuple[Columns, Prices]:
    draw = np.where(rng.random(n) < 0.5, rng.uniform(15, 16, n), rng.uniform(20, 32, n))
    seen = Columns(
        now_min=600.0,
        was=np.arange(n),
        kw_per_a=np.full(n, KW_PER_A),
        max_a=np.full(n, 32.0),
        floor_a=np.full(n, 6.0),
        step_a=np.ones(n),
        limit_a=np.full(n, 32.0),
        draw_a=draw,
        got_kwh=np.zeros(n),
        req_kwh=np.full(n, np.nan),
        plug_min=np.zeros(n),
        depart_min=np.full(n, np.nan),
        opted_out=np.zeros(n, dtype=np.bool_),
        online=np.ones(n, dtype=np.bool_),
    )
    floor = rng.gamma(1.0, 0.3, n)
    return seen, Prices(floor=floor, pause=floor + rng.gamma(1.0, 0.2, n), hold=floor)


def cost_of(seen: Columns, cost: Prices, limit_a: Floats) -> float:
    """The objective: price times kW of each move; part of the way costs its part."""
    to_floor = np.clip(seen.draw_a - np.maximum(limit_a, 6.0), 0, None)
    to_pause = np.where(limit_a < 6, 6.0, 0.0)
    return float((KW_PER_A * (cost.floor * to_floor + cost.pause * to_pause)).sum())


def milp(seen: Columns, cost: Prices, need_kw: float) -> float:
    """The least cost of reaching `need_kw`: floor and pause as 0/1, partial cuts in whole amperes."""
    h = highspy.Highs()  # type: ignore[no-untyped-call]
    h.setOptionValue("output_flag", False)
    h.setOptionValue("mip_rel_gap", 1e-4)
    h.setOptionValue("time_limit", 30.0)
    n = len(seen.draw_a)
    down = seen.draw_a - 6.0
    # Limits are whole amperes: steps below the draw; the first step is the fraction above the next whole ampere.
    first = seen.draw_a - np.floor(seen.draw_a - 1e-9)
    cut = [h.addVariable(0, float(d), 0.0) for d in down]
    steps = [h.addIntegral(0, float(np.floor(d))) for d in down]
    on = [h.addBinary() for _ in range(n)]
    pause = [h.addBinary() for _ in range(n)]
    for i in range(n):
        h.addConstr(cut[i] == first[i] * on[i] + steps[i])
        h.addConstr(steps[i] <= float(down[i]) * on[i])
        h.addConstr(float(down[i]) * pause[i] <= cut[i])
    total = sum(KW_PER_A * (cut[i] + 6.0 * pause[i]) for i in range(n))
    h.addConstr(total >= need_kw)
    h.minimize(
        sum(
            KW_PER_A * (float(cost.floor[i]) * cut[i] + float(cost.pause[i]) * 6.0 * pause[i])
            for i in range(n)
        )
    )
    return float(h.getInfo().objective_function_value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evses", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    gaps, fast, slow = [], [], []
    for _ in range(args.rounds):
        seen, cost = snapshot(rng, args.evses)
        need_kw = float(rng.uniform(0.1, 0.8) * KW_PER_A * seen.draw_a.sum())
        rows = np.arange(args.evses)
        began = time.perf_counter()
        moves = ask_more(
            seen, seen.draw_a, np.zeros(args.evses), seen.online, cost, rows, need_kw * OBEYED, 0.05
        )
        fast.append(time.perf_counter() - began)
        limit = np.full(args.evses, 32.0)
        limit[moves.rows] = moves.limit_a
        shed = float((KW_PER_A * (seen.draw_a - np.minimum(limit, seen.draw_a))).sum())
        began = time.perf_counter()
        best = milp(seen, cost, shed - 1e-6)  # the same shed, so that rounding is not counted as a gain
        slow.append(time.perf_counter() - began)
        gaps.append(cost_of(seen, cost, limit) / best - 1)
    print(
        f"{args.evses} EVSEs, {args.rounds} rounds: greedy over MILP mean {100 * np.mean(gaps):.3f} %, "
        f"worst {100 * np.max(gaps):.3f} %; {1000 * np.mean(fast):.2f} ms against {1000 * np.mean(slow):.0f} ms"
    )


if __name__ == "__main__":
    main()
