"""A world that knows the truth: recorded sessions overlaid to one day, EVSEs with faults, and the counterfactual.

Vectorised over sessions, one step a minute. A controller sees only what stations and drivers tell; the world knows
what each car would have drawn, so it can say what was shed to the watt.

Sessions come from a file of ACN-Data columns (session_id, site, evse_id, plug_utc, unplug_utc, est_unplug_utc,
energy_kwh, requested_kwh, claimed, tz). Assumed, because measured nowhere: the faults, the gap between limit and draw,
and the split of vehicles into those that take 15-16 A and those that take more.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from emw.engine.columns import Columns, Phase, Request

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

KW_PER_A = 0.208
KNOB_A = 32.0
SHARES = (0.10, 0.25, 0.50, 0.75)
"""Of the load at the start, that events ask for."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions as columns; times in minutes from local midnight of the day of plug-in."""

    plug_min: Floats
    leave_min: Floats
    told_leave_min: Floats
    energy_kwh: Floats
    told_kwh: Floats
    told: Bools
    site_day: NDArray[np.int64]
    year: NDArray[np.int64]
    weekday: NDArray[np.int64]
    site: NDArray[np.int64]
    day: NDArray[np.int64]
    """Of the calendar, as an ordinal."""

    def pick(self, rows: NDArray[np.int64]) -> Sessions:
        return Sessions(**{name: getattr(self, name)[rows] for name in self.__slots__})


def read_sessions(path: Path) -> Sessions:
    """All sessions of an ACN file, sorted by site and plug-in time."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda r: (r["site"], r["plug_utc"], r["session_id"]))
    days: dict[tuple[str, int], int] = {}
    sites: dict[str, int] = {}
    out: list[tuple[float, ...]] = []
    for r in rows:
        zone = ZoneInfo(r["tz"])
        plug, leave, told = (
            datetime.fromisoformat(r[name]).astimezone(zone)
            for name in ("plug_utc", "unplug_utc", "est_unplug_utc")
        )
        day = days.setdefault((r["site"], plug.toordinal()), len(days))
        at = plug.hour * 60 + plug.minute + plug.second / 60
        out.append(
            (
                at,
                at + (leave - plug).total_seconds() / 60,
                at + (told - plug).total_seconds() / 60,
                float(r["energy_kwh"]),
                float(r["requested_kwh"]),
                float(r["claimed"]),
                day,
                plug.year,
                plug.weekday(),
                sites.setdefault(r["site"], len(sites)),
                plug.toordinal(),
            )
        )
    c = np.array(out).T
    as_int = c[6:].astype(np.int64)
    return Sessions(c[0], c[1], c[2], c[3], c[4], c[5] > 0, *as_int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong, as shares."""

    deaf: float = 0.015
    lost: float = 0.02
    no_resume: float = 0.01
    opted_out: float = 0.02
    coarse: float = 0.10
    noise: float = 0.005
    taper: float = 0.0
    """Share of cars whose draw sinks over their last 1.5 kWh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    start_min: int
    minutes: int
    share: float
    """Of the load at the start."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """One event, measured against the truth."""

    event: Event
    target_kw: float
    errors: list[float] = field(default_factory=list)
    """(shed - target) / target per feasible 5-minute interval."""
    infeasible: int = 0
    shed_mwh: float = 0.0
    unserved_kwh: float = 0.0
    hurt: int = 0
    sessions: int = 0
    rebound: float = 0.0
    steepest: float = 0.0
    """Largest rise in a minute from the end on, over the target; with those who come by themselves."""
    released: float = 0.0
    """The same of the load less what it would have risen by anyway."""
    commands: int = 0
    touched: int = 0
    round_ms: list[float] = field(default_factory=list)
    est_gap: list[float] = field(default_factory=list)
    """Estimated less true shed of each minute, kW."""
    doubt: list[float] = field(default_factory=list)
    """What the controller itself held for the standard deviation of that, kW."""


class Controller(Protocol):
    """What the yardstick can measure."""

    def round(self, seen: Columns, request: Request) -> tuple[NDArray[np.int64], Floats]: ...


class World:
    """One overlaid day. `run` plays one event with one controller from 30 minutes before to every departure."""

    def __init__(self, sessions: Sessions, seed: int, faults: Faults) -> None:
        rng = np.random.default_rng(seed)
        n = len(sessions.plug_min)
        self.s = sessions
        self.n = n
        self.faults = faults
        stay_h = np.maximum(sessions.leave_min - sessions.plug_min, 1.0) / 60
        kind = rng.random(n)
        draw = np.where(kind < 0.5, rng.uniform(15, 16, n), rng.uniform(30, 32, n))
        draw = np.where(kind > 0.85, rng.uniform(20, 30, n), draw)
        needs_a = sessions.energy_kwh / stay_h / KW_PER_A
        self.draw_a = np.clip(
            np.where(needs_a > draw * 0.98, np.maximum(needs_a * 1.02, rng.uniform(28, 32, n)), draw), 6.5, 32
        )
        self.need_kwh = np.minimum(sessions.energy_kwh, self.draw_a * KW_PER_A * stay_h)
        self.gap_a = np.where(rng.random(n) < 0.4, 0.0, rng.uniform(0, 2, n))
        self.gap_a = np.minimum(self.gap_a, KNOB_A - self.draw_a)
        self.deaf = rng.random(n) < faults.deaf
        self.deaf_confirms = rng.random(n) < 0.5
        self.no_resume = rng.random(n) < faults.no_resume
        self.opted_out = rng.random(n) < faults.opted_out
        self.step_a = np.where(rng.random(n) < faults.coarse, 8.0, 1.0)
        self.tapers = rng.random(n) < faults.taper
        self.seed = seed

    def draws(self, limit_a: Floats, got_kwh: Floats) -> Floats:
        """The draw of every car at this limit and state of charge, A; plugged or not."""
        left = self.need_kwh - got_kwh
        able = np.where(self.tapers, self.draw_a * np.clip(left / 1.5, 0.1, 1.0), self.draw_a)
        able = np.where(left > 1e-9, able, 0.0)
        return np.where(limit_a >= 6, np.minimum(np.maximum(limit_a - self.gap_a, 0.0), able), 0.0)

    def minute(self, now: int, limit_a: Floats, got_kwh: Floats, stuck: Bools) -> Floats:
        """Mean draw over [now, now + 1), A; moves `got_kwh` on."""
        here = np.clip(np.minimum(now + 1, self.s.leave_min) - np.maximum(now, self.s.plug_min), 0.0, 1.0)
        amps = np.where(stuck, 0.0, self.draws(limit_a, got_kwh))
        kwh = np.minimum(amps * KW_PER_A * here / 60, np.maximum(self.need_kwh - got_kwh, 0.0))
        got_kwh += kwh
        drawn: Floats = kwh * 60 / KW_PER_A
        return drawn

    def unmanaged(self) -> tuple[Floats, Floats]:
        """Without any event: draw per minute and session (kW, by minutes and sessions) is too much; sums."""
        got = np.zeros(self.n)
        free = np.full(self.n, KNOB_A)
        none = np.zeros(self.n, dtype=np.bool_)
        load, gots = [], []
        for now in range(36 * 60):
            gots.append(got.copy())
            load.append(float(self.minute(now, free, got, none).sum()) * KW_PER_A)
        return np.array(load), np.array(gots)

    def run(
        self,
        make: object,
        event: Event,
        truth: tuple[Floats, Floats],
        *,
        tell: str = "",
        clock: object = None,
    ) -> Outcome:
        """One event. `tell` hands the controller what nobody could know: "cf", "leave"."""
        base_kw, base_got = truth
        rng = np.random.default_rng((self.seed, event.start_min, event.minutes, int(event.share * 100)))
        first = event.start_min - 30
        end = event.start_min + event.minutes
        got = base_got[first].copy()
        limit = np.full(self.n, KNOB_A)
        said = limit.copy()
        stuck = np.zeros(self.n, dtype=np.bool_)
        touched = np.zeros(self.n, dtype=np.bool_)
        target = event.share * float(base_kw[event.start_min - 5 : event.start_min].mean())
        out = Outcome(event=event, target_kw=target, sessions=self.n)
        controller: Any = make(self) if callable(make) else make
        load: list[float] = []
        could: list[float] = []
        amps = self.minute(first - 1, limit, got.copy(), stuck) if first > 0 else np.zeros(self.n)
        last = end + 240
        quiet = 0
        prev_here: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        for now in range(first, last):
            phase: Phase = "idle" if now < event.start_min else "shed" if now < end else "restore"
            here = np.flatnonzero((self.s.plug_min <= now) & (self.s.leave_min > now))
            request = Request(phase=phase, kw=target, start_min=event.start_min, end_min=end)
            seen = self.seen(now, here, prev_here, said, amps, got, rng)
            prev_here = here
            if hasattr(controller, "told"):
                controller.told(self, here, base_got[now - 1], base_got[now])
            if quiet >= 15:  # everybody is free again
                rows, wanted = np.zeros(0, dtype=np.int64), np.zeros(0)
            else:
                began = clock() if callable(clock) else 0.0
                rows, wanted = controller.round(seen, request)
                if callable(clock):
                    out.round_ms.append((clock() - began) * 1000)
            calm = phase == "restore" and not len(rows) and bool((np.minimum(limit, said) >= KNOB_A).all())
            quiet = quiet + 1 if calm else 0
            if phase == "shed" and hasattr(controller, "est_kw"):
                out.est_gap.append(controller.est_kw - (base_kw[now - 1] - float(amps.sum()) * KW_PER_A))
                out.doubt.append(float(getattr(controller, "doubt_kw", 0.0)))
            who = here[rows]
            out.commands += len(who)
            touched[who] = True
            arrives = rng.random(len(who)) >= self.faults.lost
            who, wanted = who[arrives], wanted[arrives]
            obeys = ~self.deaf[who]
            waking = obeys & (limit[who] < 6) & (wanted >= 6) & self.no_resume[who]
            stuck[who[waking]] = True
            limit[who[obeys]] = wanted[obeys]
            confirms = obeys | self.deaf_confirms[who]
            said[who[confirms]] = wanted[confirms]
            amps = self.minute(now, limit, got, stuck)
            load.append(float(amps.sum()) * KW_PER_A)
            gone = self.s.leave_min <= now + 1
            limit[gone] = said[gone] = KNOB_A
            if phase == "shed":
                askable = ~self.deaf & ~self.opted_out
                truth_kw = (base_got[now + 1] - base_got[now]) * 60
                could.append(float(truth_kw[askable].sum()))
        load_kw = np.array(load)
        # The rest of every stay at the limits that are left.
        base_end = self.need_kwh
        hours = np.clip(self.s.leave_min - np.maximum(last, self.s.plug_min), 0, None) / 60
        rate = np.where(stuck, 0.0, self.draws(limit, np.minimum(got, self.need_kwh - 1e-6)))
        final = np.minimum(got + rate * KW_PER_A * hours, self.need_kwh)
        begun = self.s.plug_min < last
        base_final = np.where(begun, base_end, 0.0)
        base_reach = base_got[-1]
        unserved = np.where(begun, np.maximum(np.minimum(base_final, base_reach) - final, 0.0), 0.0)
        out.unserved_kwh = float(unserved.sum())
        out.hurt = int((unserved > 0.5).sum())
        out.touched = int(touched.sum())
        shed = base_kw[event.start_min : end] - load_kw[30 : 30 + event.minutes]
        out.shed_mwh = float(shed.sum()) / 60 / 1000
        for i in range(0, event.minutes - 4, 5):
            if min(could[i : i + 5]) >= target:
                out.errors.append(float(shed[i : i + 5].mean()) / target - 1)
            else:
                out.infeasible += 1
        window = base_kw[max(event.start_min - 60, 0) : end + 180]
        after = load_kw[30 + event.minutes :]
        out.rebound = _five(after).max() / _five(window).max()
        joined = np.concatenate((load_kw[30 + event.minutes - 1 : 30 + event.minutes], after))
        out.steepest = float(np.diff(joined).max()) / target
        anyway = base_kw[end - 1 : end - 1 + len(joined)]
        out.released = float((np.diff(joined) - np.maximum(np.diff(anyway), 0)).max()) / target
        return out

    def seen(
        self,
        now: int,
        here: NDArray[np.int64],
        before: NDArray[np.int64],
        said: Floats,
        amps: Floats,
        got: Floats,
        rng: np.random.Generator,
    ) -> Columns:
        n = len(here)
        place = np.full(self.n, -1, dtype=np.int64)
        place[before] = np.arange(len(before))
        noisy = amps[here] * (1 + self.faults.noise * rng.standard_normal(n))
        step = self.step_a[here]
        return Columns(
            now_min=float(now),
            was=place[here],
            kw_per_a=np.full(n, KW_PER_A),
            max_a=np.full(n, KNOB_A),
            floor_a=np.where(step == 8, 8.0, 6.0),
            step_a=step,
            limit_a=said[here],
            draw_a=noisy,
            got_kwh=got[here],
            req_kwh=np.where(self.s.told[here], self.s.told_kwh[here], np.nan),
            plug_min=self.s.plug_min[here],
            depart_min=np.where(self.s.told[here], self.s.told_leave_min[here], np.nan),
            opted_out=self.opted_out[here],
            online=np.ones(n, dtype=np.bool_),
        )


def _five(load: Floats) -> Floats:
    """Five-minute means, each minute."""
    return np.convolve(load, np.full(5, 0.2), mode="valid")


def overlay(
    sessions: Sessions, seed: int, *, days: int = 60, years: tuple[int, ...] = (2019, 2020)
) -> Sessions:
    """`days` weekday site-days drawn without return and laid over one another."""
    rng = np.random.default_rng(seed)
    usable = np.unique(sessions.site_day[np.isin(sessions.year, years) & (sessions.weekday < 5)])
    chosen = rng.choice(usable, size=min(days, len(usable)), replace=False)
    rows = np.flatnonzero(np.isin(sessions.site_day, chosen))
    return sessions.pick(rows)


def events(seed: int, count: int = 64) -> Iterator[Event]:
    """10 to 75 % of the load over 30 to 240 minutes, starting at whole five minutes between 8:00 and 18:00."""
    rng = np.random.default_rng(seed + 1000)
    for i in range(count):
        yield Event(
            start_min=int(rng.integers(8 * 12, 18 * 12 + 1)) * 5,
            minutes=(30, 60, 120, 240)[i % 4],
            share=SHARES[i // 4 % 4],
        )
