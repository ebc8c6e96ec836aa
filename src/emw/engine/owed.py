"""What emw owes because of the signals in force: per event and territory, steps of a shed; per node, a ceiling.

Where two signals ask at the same time for the same territory, the one of lower precedence number wins, and within
one program the one of lower priority number (no number is last). Signals of equal rank stand side by side; dispatch
then serves the largest of them, not their sum. Pure: the same signals give the same answer, in any order.

    |------------- 300 kW, priority 5 -------------|
              |--- 500 kW, priority 1 ---|
    |-- 300 --|---------- 500 -----------|-- 300 --|
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import Final

from emw.domain.signals import LIMITS, REDUCES, Segment, SignalKind

Key = tuple[str, str]
"""source_id, event_id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A signal as this arithmetic needs it. `cut_at`: when what has no end is over all the same: its sender is lost."""

    key: Key
    program_id: str = ""
    precedence: int = 100
    priority: int | None = None
    segments: tuple[Segment, ...] = ()
    cut_at: datetime | None = None

    def served(self, kinds: Iterable[SignalKind]) -> list[Segment]:
        """The segments of these kinds that emw does something about, open ends cut."""
        found = []
        for s in self.segments:
            if s.why_not is not None or s.kind not in kinds or s.territory_id is None or s.value is None:
                continue
            end_at = self.cut_at if s.end_at is None else s.end_at
            if end_at is None or end_at > s.start_at:
                found.append(s if end_at is s.end_at else replace(s, end_at=end_at))
        return found

    def beats(self, other: Asked) -> bool:
        """Whether it alone counts where both ask."""
        if self.precedence != other.precedence:
            return self.precedence < other.precedence
        same = (self.key[0], self.program_id) == (other.key[0], other.program_id)
        return same and _rank(self.priority) < _rank(other.priority)


def _rank(priority: int | None) -> float:
    return inf if priority is None else priority


@dataclass(frozen=True, slots=True)
class Step:
    """What is asked over [start, end)."""

    start_at: datetime
    end_at: datetime | None
    kind: SignalKind
    value: float
    said: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """Steps of one event in one territory that follow each other without a gap: one reduction request."""

    key: Key
    territory_id: str
    steps: tuple[Step, ...]

    @property
    def start_at(self) -> datetime:
        """When it begins."""
        return self.steps[0].start_at

    @property
    def end_at(self) -> datetime | None:
        """When it is over; None: when it is taken back."""
        return self.steps[-1].end_at

    def at(self, now: datetime) -> Step:
        """The step in force, or the first one before it begins."""
        running = [s for s in self.steps if s.start_at <= now]
        return running[-1] if running else self.steps[0]


_EXACT: Final = (SignalKind.REDUCE_KW, SignalKind.SETPOINT_KW, SignalKind.REDUCE_SHARE)


def _strictest(segments: Sequence[Segment]) -> Segment:
    """Of one event's own segments at one time: the most exact kind, and of that the one that asks most."""
    kind = min((s.kind for s in segments), key=_EXACT.index)
    same = [s for s in segments if s.kind is kind]
    asks_less = kind is SignalKind.SETPOINT_KW
    return min(same, key=lambda s: ((s.value or 0.0) * (1 if asks_less else -1), s.start_at, s.interval_id))


def runs_of(signals: Sequence[Asked], now: datetime) -> list[Run]:
    """What is owed from `now` on, by event and territory, each in time. What is over is left out."""
    by_place: dict[str, list[tuple[Asked, Segment]]] = {}
    for asked in sorted(signals, key=lambda a: a.key):
        for s in asked.served(REDUCES):
            if s.territory_id is not None and (s.end_at is None or s.end_at > now):
                by_place.setdefault(s.territory_id, []).append((asked, s))
    runs: list[Run] = []
    for place in sorted(by_place):
        runs += _runs_in(place, by_place[place])
    return [r for r in runs if r.end_at is None or r.end_at > now]


def _runs_in(place: str, asked: Sequence[tuple[Asked, Segment]]) -> list[Run]:
    times = sorted({t for _, s in asked for t in (s.start_at, s.end_at) if t is not None})
    steps: dict[Key, list[Step]] = {}
    for i, start in enumerate(times):
        end = times[i + 1] if i + 1 < len(times) else None
        here: dict[Key, tuple[Asked, list[Segment]]] = {}
        for a, s in asked:
            if s.start_at <= start and (s.end_at is None or s.end_at > start):
                here.setdefault(a.key, (a, []))[1].append(s)
        for key, (a, segments) in here.items():
            if any(o.beats(a) for o, _ in here.values()):
                continue
            s = _strictest(segments)
            _extend(steps.setdefault(key, []), Step(start, end, s.kind, s.value or 0.0, s.said))
    return [run for key, own in steps.items() for run in _joined(key, place, own)]


def _extend(steps: list[Step], step: Step) -> None:
    last = steps[-1] if steps else None
    if (
        last is not None
        and last.end_at == step.start_at
        and (last.kind, last.value) == (step.kind, step.value)
    ):
        steps[-1] = replace(last, end_at=step.end_at)
    else:
        steps.append(step)


def _joined(key: Key, place: str, steps: Sequence[Step]) -> list[Run]:
    runs: list[list[Step]] = []
    for step in steps:
        if step.kind is not SignalKind.SETPOINT_KW and step.value <= 0:
            continue  # "normal": nothing is owed
        if runs and runs[-1][-1].end_at == step.start_at:
            runs[-1].append(step)
        else:
            runs.append([step])
    return [Run(key, place, tuple(run)) for run in runs]


def ceilings_of(signals: Sequence[Asked], now: datetime) -> dict[str, tuple[float, str]]:
    """The ceilings that signals put on nodes at `now`, kW, and whose they are. All hold at once: the lowest counts.

    A default limit holds where its own source sets no other one.
    """
    found: dict[str, dict[str, tuple[SignalKind, float, str]]] = {}
    for asked in sorted(signals, key=lambda a: a.key):
        for s in asked.served(LIMITS):
            if s.territory_id is None or s.value is None or s.start_at > now:
                continue
            if s.end_at is not None and s.end_at <= now:
                continue
            mine = (s.kind, s.value, f"{asked.key[0]}:{asked.key[1]}")
            of_place = found.setdefault(s.territory_id, {})
            known = of_place.get(asked.key[0])
            of_place[asked.key[0]] = mine if known is None else min(known, mine, key=_lowest)
    return {place: min((kw, why) for _, kw, why in own.values()) for place, own in sorted(found.items())}


def _lowest(limit: tuple[SignalKind, float, str]) -> tuple[bool, float, str]:
    kind, kw, why = limit
    return kind is SignalKind.DEFAULT_LIMIT_KW, kw, why


def next_change(signals: Sequence[Asked], now: datetime) -> datetime | None:
    """When time alone changes what is owed."""
    times = (t for a in signals for s in a.served(REDUCES | LIMITS) for t in (s.start_at, s.end_at))
    return min((t for t in times if t is not None and t > now), default=None)


def by_event(runs: Iterable[Run]) -> Mapping[tuple[Key, str], list[Run]]:
    """Runs by event and territory, in time."""
    found: dict[tuple[Key, str], list[Run]] = {}
    for run in sorted(runs, key=lambda r: r.start_at):
        found.setdefault((run.key, run.territory_id), []).append(run)
    return found
