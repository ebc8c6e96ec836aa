"""What territories draw, and would have drawn, while somebody wants to know: means of at most 5 minutes, as facts.

A report may cover a day and emw may restart within it, so what was metered is written down as it comes. Never more
is told than meters show (promise P11): a station that is silent counts as not shed, whatever it confirmed.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog

from emw.domain import facts as f
from emw.domain.state import State
from emw.service.errors import Unavailable
from emw.service.ledger import Ledger
from emw.service.ports import Clock, Store
from emw.service.telemetry import Telemetry
from emw.service.wake import woken

log = structlog.get_logger()
LOOK_S: Final = 10.0
LONGEST_S: Final = 300.0
SHORTEST_S: Final = 0.001


@dataclass(frozen=True, slots=True)
class Drawn:
    """A territory at one instant, kW. `metered`: how much of its plugged-in vehicles a meter vouches for, 0 to 1."""

    load_kw: float
    baseline_kw: float
    metered: float


@dataclass(frozen=True, slots=True)
class Mean:
    """A territory over a time, kW means. `covered`: how much of the time and of the vehicles was metered, 0 to 1."""

    load_kw: float
    baseline_kw: float
    peak_kw: float
    covered: float


@dataclass(slots=True)
class _Open:
    """An interval that is not over yet."""

    start_at: datetime
    looked_at: datetime
    seen: Drawn
    load_kws: float = 0.0
    baseline_kws: float = 0.0
    metered_s: float = 0.0
    peak_kw: float = 0.0


class _Sum:
    """What adds up under one territory."""

    __slots__ = ("baseline", "load", "metered", "there")

    def __init__(self) -> None:
        self.load = self.baseline = 0.0
        self.there = self.metered = 0


def drawn_in(
    territories: Iterable[str], state: State, telemetry: Telemetry, now: datetime
) -> dict[str, Drawn]:
    """The load and the baseline of the EVSEs under each territory now: one walk, however many are asked for."""
    sums = {t: _Sum() for t in territories}
    under: dict[str, list[_Sum]] = {}
    for evse in state.evses.values():
        if evse.session_id is None:
            continue
        where = evse.territory_id
        if where not in under:
            under[where] = [sums[node] for node in state.path(where) if node in sums]
        session = state.session_of(evse) if under[where] else None
        if session is None:
            continue
        expected = telemetry.expected(evse, session)
        drawn_kw, would_kw = telemetry.drawn_kw(evse.evse_id), evse.kw_per_a * expected.baseline_a
        known = drawn_kw is not None and evse.online
        load = would_kw if drawn_kw is None else drawn_kw
        baseline = load
        if known:
            held = state.held(evse.evse_id, now) is not None
            baseline = would_kw if held or expected.would_a > expected.baseline_a else load
        for node in under[where]:
            node.there += 1
            node.metered += known
            node.load += load
            node.baseline += baseline
    return {t: Drawn(s.load, s.baseline, s.metered / s.there if s.there else 1.0) for t, s in sums.items()}


class Meter:
    """Meters the territories that are watched."""

    def __init__(self, ledger: Ledger, telemetry: Telemetry, store: Store, clock: Clock) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._telemetry = telemetry
        self._store = store
        self._clock = clock
        self._watched: dict[str, frozenset[str]] = {}
        self._open: dict[str, _Open] = {}
        self._wake = asyncio.Event()

    def watch(self, who: str, territories: Iterable[str]) -> None:
        """`who` wants these metered from now on, and no others."""
        self._watched[who] = frozenset(territories)
        if self._wanted - self._open.keys():
            self._look(self._clock.now())
            self._wake.set()

    @property
    def _wanted(self) -> set[str]:
        return {t for told in self._watched.values() for t in told if t in self._state.territories}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self._write(self._look(self._clock.now()))
            except Unavailable as error:
                log.warning("meter.not_written", why=error.detail)
            await woken(self._wake, self._clock, LOOK_S if self._wanted or self._open else None)

    async def cut(self, territories: Iterable[str]) -> None:
        """An interval of a report begins or ends here: so does one of ours. Durable when this returns."""
        now = self._clock.now()
        facts = self._look(now)
        done = {fact.territory_id for fact in facts}
        facts += [
            self._closed(t, now)
            for t in sorted({*territories} & self._open.keys() - done)
            if (now - self._open[t].start_at).total_seconds() >= SHORTEST_S
        ]
        await self._write(facts)

    async def means(self, territory_id: str, times: Sequence[tuple[datetime, datetime]]) -> list[Mean | None]:
        """What was metered of a territory over each [start, end); None: nothing."""
        if not times:
            return []
        since, until = min(a for a, _ in times), max(b for _, b in times)
        rows = await self._store.query("load_intervals", territory_id=territory_id, since=since, until=until)
        rows = sorted(rows, key=lambda r: r["start_at"])
        starts, ends = [r["start_at"] for r in rows], [r["end_at"] for r in rows]
        found = []
        for start_at, end_at in times:
            first = bisect_right(ends, start_at)
            last = bisect_left(starts, end_at)
            found.append(_mean(rows[first:last], start_at, end_at))
        return found

    def _look(self, now: datetime) -> list[f.LoadMetered]:
        """See what is drawn now; what is long enough, or watched no more, ends here."""
        wanted = self._wanted
        facts = []
        seen = drawn_in(wanted | self._open.keys(), self._state, self._telemetry, now)
        for territory_id, drawn in sorted(seen.items()):
            if territory_id not in self._state.territories:
                del self._open[territory_id]
                continue
            interval = self._open.get(territory_id)
            if interval is None:
                self._open[territory_id] = _Open(now, now, drawn, peak_kw=drawn.load_kw)
                continue
            _add(interval, drawn, now)
            over = territory_id not in wanted
            lasted_s = (now - interval.start_at).total_seconds()
            if lasted_s >= SHORTEST_S and (over or lasted_s >= LONGEST_S):
                facts.append(self._closed(territory_id, now))
            if over:
                self._open.pop(territory_id, None)
        return facts

    def _closed(self, territory_id: str, now: datetime) -> f.LoadMetered:
        interval = self._open[territory_id]
        lasted_s = (interval.looked_at - interval.start_at).total_seconds()
        self._open[territory_id] = _Open(now, now, interval.seen, peak_kw=interval.seen.load_kw)
        return f.LoadMetered(
            at=now,
            actor="emw",
            territory_id=territory_id,
            start_at=interval.start_at,
            end_at=interval.looked_at,
            load_kw=round(interval.load_kws / lasted_s, 6),
            baseline_kw=round(interval.baseline_kws / lasted_s, 6),
            peak_kw=round(interval.peak_kw, 6),
            metered_share=round(min(interval.metered_s / lasted_s, 1.0), 6),
        )

    async def _write(self, facts: Sequence[f.LoadMetered]) -> None:
        if facts:
            await self._ledger.record(*facts)


def _add(interval: _Open, drawn: Drawn, now: datetime) -> None:
    """From the last look to this one load is taken to have gone straight from there to here."""
    seconds = (now - interval.looked_at).total_seconds()
    before = interval.seen
    interval.load_kws += seconds * (before.load_kw + drawn.load_kw) / 2
    interval.baseline_kws += seconds * (before.baseline_kw + drawn.baseline_kw) / 2
    interval.metered_s += seconds * min(before.metered, drawn.metered)
    interval.peak_kw = max(interval.peak_kw, drawn.load_kw)
    interval.looked_at, interval.seen = now, drawn


def _mean(rows: Sequence[Mapping[str, Any]], start_at: datetime, end_at: datetime) -> Mean | None:
    load = baseline = metered = whole = peak = 0.0
    for row in rows:
        seconds = (min(row["end_at"], end_at) - max(row["start_at"], start_at)).total_seconds()
        if seconds <= 0:
            continue
        whole += seconds
        load += seconds * row["load_kw"]
        baseline += seconds * row["baseline_kw"]
        metered += seconds * row["metered_share"]
        peak = max(peak, row["peak_kw"])
    if whole <= 0:
        return None
    lasts_s = (end_at - start_at).total_seconds()
    return Mean(load / whole, baseline / whole, peak, min(metered / lasts_s, 1.0))
