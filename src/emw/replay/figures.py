"""What a replay showed: shed per five minutes, error, harm, rebound. Pure arithmetic on one-minute energies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Any

INTERVAL_MIN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """Means over the minute that begins at `at`, kW. `asked_kw` 0: nothing is asked."""

    at: datetime
    load_kw: float
    unmanaged_kw: float
    asked_kw: float
    could_kw: float
    told_kw: float | None
    """What emw itself believes to shed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Five minutes in which the same was asked."""

    start: datetime
    asked_kw: float
    shed_kw: float
    told_kw: float | None
    feasible: bool

    @property
    def error(self) -> float:
        """(shed - asked) / asked."""
        return self.shed_kw / self.asked_kw - 1


def intervals(minutes: Sequence[Minute]) -> list[Interval]:
    """Whole five-minute intervals of what was asked."""
    found: list[Interval] = []
    run: list[Minute] = []
    for minute in minutes:
        if run and abs(minute.asked_kw - run[0].asked_kw) > 1e-6:
            run = []
        if minute.asked_kw > 0:
            run.append(minute)
        if len(run) == INTERVAL_MIN:
            told = [m.told_kw for m in run if m.told_kw is not None]
            found.append(
                Interval(
                    start=run[0].at,
                    asked_kw=run[0].asked_kw,
                    shed_kw=fmean(m.unmanaged_kw - m.load_kw for m in run),
                    told_kw=fmean(told) if told else None,
                    feasible=min(m.could_kw for m in run) >= run[0].asked_kw,
                )
            )
            run = []
    return found


def summary(
    minutes: Sequence[Minute], *, unserved_kwh: float, hurt: int, sessions: int, commands: int, touched: int
) -> dict[str, Any]:
    """The figures of a run. Errors are over feasible intervals, as shares of what was asked."""
    found = intervals(minutes)
    errors = sorted(abs(i.error) for i in found if i.feasible)
    shed_mwh = sum(m.unmanaged_kw - m.load_kw for m in minutes if m.asked_kw > 0) / 60_000
    return {
        "intervals": len(found),
        "infeasible": sum(not i.feasible for i in found),
        "meanErrorPercent": round(100 * fmean(errors), 2) if errors else None,
        "p95ErrorPercent": round(100 * errors[int(0.95 * (len(errors) - 1) + 0.5)], 2) if errors else None,
        "biasPercent": round(100 * fmean(i.error for i in found if i.feasible), 2) if errors else None,
        "shedMWh": round(shed_mwh, 4),
        "unservedKWh": round(unserved_kwh, 2),
        "unservedKWhPerMWh": round(unserved_kwh / shed_mwh, 1) if shed_mwh > 0 else None,
        "sessions": sessions,
        "hurtPercent": round(100 * hurt / sessions, 2) if sessions else None,
        "reboundRatio": rebound(minutes),
        "commands": commands,
        "evsesTouched": touched,
        "commandsPerEVSE": round(commands / touched, 2) if touched else None,
    }


def rebound(minutes: Sequence[Minute]) -> float | None:
    """Highest five-minute load after the last event over the highest unmanaged one from an hour before to 3 h after."""
    asked = [i for i, m in enumerate(minutes) if m.asked_kw > 0]
    if not asked:
        return None
    after = [m.load_kw for m in minutes[asked[-1] + 1 :]]
    unmanaged = [m.unmanaged_kw for m in minutes[max(asked[0] - 60, 0) : asked[-1] + 181]]
    if len(after) < INTERVAL_MIN or max(unmanaged) <= 0:
        return None
    return round(max(_means(after)) / max(_means(unmanaged)), 3)


def _means(kw: Sequence[float]) -> list[float]:
    return [fmean(kw[i : i + INTERVAL_MIN]) for i in range(len(kw) - INTERVAL_MIN + 1)]
