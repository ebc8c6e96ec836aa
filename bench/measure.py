"""What the benches share: CPU time of a process, ratios over turns, and how a figure is told beside its goal."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Spread = tuple[float, float, float]
"""Lower quartile, median, upper quartile."""


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, all threads, s. Finer than the ticks of its `stat`."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def resident_mb(pid: int) -> int:
    """Memory that a process has in use, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def spread(some: Sequence[float], others: Sequence[float]) -> Spread:
    """The ratio of two figures that were measured in turns, turn by turn."""
    ratios = sorted(a / b for a, b in zip(some, others, strict=True))
    if len(ratios) < 4:
        return ratios[0], statistics.median(ratios), ratios[-1]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return low, middle, high


@dataclass(frozen=True)
class Claim:
    """A figure and what it should reach. Without a goal it is only told."""

    name: str
    figure: Spread
    goal: float | None = None
    side: str = ""
    """`at least` or `at most`."""

    @property
    def holds(self) -> bool:
        """Whether the median is on the right side of the goal."""
        if self.goal is None:
            return True
        return self.figure[1] >= self.goal if self.side == "at least" else self.figure[1] <= self.goal


def tell(bench: str, *claims: Claim, **more: Any) -> None:
    """Print every claim as a line, and all as one JSON object."""
    for claim in claims:
        low, middle, high = claim.figure
        goal = "" if claim.goal is None else f", goal {claim.side} {claim.goal:g}: "
        verdict = "" if claim.goal is None else "pass" if claim.holds else "FAIL"
        print(f"{bench}: {claim.name}: {middle:.2f} ({low:.2f} to {high:.2f}){goal}{verdict}")
    told = {
        claim.name: {
            "figure": [round(f, 3) for f in claim.figure],
            "goal": claim.goal,
            "side": claim.side,
            "pass": claim.holds,
        }
        for claim in claims
    }
    print(json.dumps({"bench": bench, "claims": told, **more}))
