"""Where an event's error comes from: the counterfactual of those held, of those let go, of the rest, or the control."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bench.engine_world import Floats, Outcome, World
from emw.engine.columns import Columns, Request
from emw.engine.loop import Controller
from emw.engine.past import Past

PARTS = ("held", "let go, twin ahead", "deaf", "all others")
AGES = (0, 5, 30, 60, 120, 240)
"""Edges of the time since the event began, min."""
WORST = 10


class Parted(Controller):
    """The loop, with its beliefs compared with the truth minute by minute; it never sees the truth itself."""

    def __init__(self) -> None:
        super().__init__()
        self.gaps_kw: list[list[float]] = []
        """Believed less true counterfactual of each part, per minute of the event."""
        self.counts = (0, 0)
        """How many were held, and how many let go had a twin ahead, at the end."""

    def told(self, world: World, here: NDArray[np.int64], before: Floats, after: Floats) -> None:
        """The truth of the last minute."""
        self._true_kw = (after - before)[here] * 60

    def round(
        self, seen: Columns, request: Request, past: Past | None = None
    ) -> tuple[NDArray[np.int64], Floats]:
        answer = super().round(seen, request, past)
        if request.phase == "shed":
            s = self.est.state
            gap_kw = self.est.would_kw(seen) - self._true_kw
            twin = (self.est.held | (s.deficit_kwh > 0)) & ~s.done & ~s.deaf
            held = twin & (seen.limit_a < seen.max_a - 0.05)
            parts = (held, twin & ~held, s.deaf, ~twin & ~s.deaf)
            self.gaps_kw.append([float(gap_kw[rows].sum()) for rows in parts])
            self.counts = (int(held.sum()), int((twin & ~held).sum()))
        return answer


def decomposed(outcomes: Sequence[Outcome], watched: Sequence[Parted]) -> str:
    """Shares of the squared error, the error by age of the event, and the worst events; in percent of the target."""
    rows = []
    for o, c in zip(outcomes, watched, strict=True):
        n = len(o.errors)
        if o.infeasible or not n:
            continue
        gaps = np.array(c.gaps_kw)[: 5 * n].reshape(n, 5, len(PARTS)).mean(axis=1) / o.target_kw
        error = -np.array(o.errors)
        rows.append(np.column_stack((error, gaps, error - gaps.sum(axis=1), 5 * np.arange(n))))
    if not rows:
        return "no event that was feasible throughout"
    table = 100 * np.concatenate(rows)
    error, age = table[:, 0], table[:, -1] / 100
    lines = ["short (+) or over (-), in % of what was asked:"]
    for name, part in zip((*PARTS, "control"), table[:, 1:-1].T, strict=True):
        share = (part * error).mean() / (error**2).mean()
        lines.append(
            f"  {name:20} mean {part.mean():+5.2f}  absolute {np.abs(part).mean():5.2f}  "
            f"share of the squared error {100 * share:4.0f} %"
        )
    for since, until in pairwise(AGES):
        here = (age >= since) & (age < until)
        if here.any():
            part = np.abs(error[here]).sum() / np.abs(error).sum()
            lines.append(
                f"  minute {since:3} to {until:3}: absolute {np.abs(error[here]).mean():5.2f}, "
                f"{100 * part:3.0f} % of all error; control {np.abs(table[here, -2]).mean():.2f}"
            )
    pairs = [(o, c) for o, c in zip(outcomes, watched, strict=True) if o.errors]
    for o, c in sorted(pairs, key=lambda p: -float(np.abs(p[0].errors).mean()))[:WORST]:
        lines.append(
            f"  {100 * np.mean(o.errors):+6.1f} % ({100 * np.abs(o.errors).mean():.1f}): "
            f"{o.event.minutes:3} min of {100 * o.event.share:.0f} % from minute {o.event.start_min:4}, "
            f"{o.target_kw:5.0f} kW, held {c.counts[0]}, let go {c.counts[1]}, "
            f"doubt {100 * o.doubt[-1] / o.target_kw:.1f} %"
        )
    return "\n".join(lines)
