"""The loop of `emw allocate` on the street of a replay: the same cars, faults and event as the service meets there.

One round a minute on means over the minute; a command takes effect at once or is lost, as often as in the replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import numpy as np

from emw.engine.columns import Columns, Phase, Request
from emw.engine.loop import Controller
from emw.replay.figures import Interval, Minute, intervals
from emw.replay.requests import Asked, window
from emw.replay.street import Shares, Street, earliest, overlapping
from emw.simulator.sessions import Session

KNOB_A = 32.0
MINUTE = timedelta(minutes=1)
NOISE = 0.005


class _Played:
    """One event, minute by minute."""

    def __init__(self, sessions: Sequence[Session], asked: Asked, seed: int, shares: Shares) -> None:
        start, _ = window([asked])
        self.near = overlapping(sessions, start, asked.end)
        before = (asked.start - earliest(self.near, start)) // MINUTE + 1
        self.now = asked.start - before * MINUTE
        self.asked, self.seed, self.shares = asked, seed, shares
        self.street = Street(self.near, self.now, seed, shares)
        self.loop = Controller()
        self.lost, self.noise = Random(f"{seed}:lost"), np.random.default_rng(seed)
        local = self.now.astimezone(ZoneInfo(self.near[0].tz))
        self.midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        self.here: dict[str, Session] = {}
        self.limits: dict[str, float] = {}
        self.rows: dict[str, int] = {}
        self.got: dict[str, float] = {}
        self.minutes: list[Minute] = []

    def minute_of(self, at: datetime) -> float:
        return (at - self.midnight).total_seconds() / 60

    def run(self) -> None:
        agenda = sorted(
            [(s.plug, n, s, True) for n, s in enumerate(self.near)]
            + [(s.unplug, n, s, False) for n, s in enumerate(self.near)],
            key=lambda x: x[:2],
        )
        before, due = self.street.energies_kwh(self.now), 0
        while self.now < self.asked.end:
            if self.here:
                self.round()
            then = self.now + MINUTE
            while due < len(agenda) and agenda[due][0] <= then:
                when, _, session, comes = agenda[due]
                self.move(session, when, comes=comes)
                due += 1
            real, twin = self.street.energies_kwh(then)
            self.minutes.append(
                Minute(
                    at=self.now,
                    load_kw=(real - before[0]) * 60,
                    unmanaged_kw=(twin - before[1]) * 60,
                    asked_kw=self.asked.kw if self.now >= self.asked.start else 0.0,
                    could_kw=sum(self.street.sheddable_kw().values()),
                    told_kw=None,
                )
            )
            before, self.now = (real, twin), then

    def move(self, session: Session, when: datetime, *, comes: bool) -> None:
        """A car comes or goes; no limit outlives its session."""
        evse_id, bay = session.evse_id, self.street.bays[session.evse_id]
        if comes:
            bay.plug(session, self.seed, self.shares.taper, when)
            self.here[evse_id] = session
        elif self.here.get(evse_id) is session:
            bay.leave(when)
            del self.here[evse_id]
        else:
            return
        bay.hardware.clear_limit(when)
        self.limits.pop(evse_id, None)

    def round(self) -> None:
        here = [self.here[e] for e in sorted(self.here)]
        got = {s.session_id: self.street.bays[s.evse_id].hardware.energy_kwh for s in here}
        phase: Phase = "shed" if self.now >= self.asked.start else "idle"
        request = Request(
            phase=phase,
            kw=self.asked.kw,
            start_min=self.minute_of(self.asked.start),
            end_min=self.minute_of(self.asked.end),
        )
        rows, limits_a = self.loop.round(self.seen(here, got), request)
        self.rows = {s.session_id: n for n, s in enumerate(here)}
        self.got = got
        for row, limit_a in zip(rows.tolist(), limits_a.tolist(), strict=True):
            evse_id = here[row].evse_id
            if self.lost.random() >= self.shares.lost:
                self.street.bays[evse_id].hardware.set_limit(limit_a, self.asked.end, self.now)
                self.limits[evse_id] = limit_a

    def seen(self, here: Sequence[Session], got: dict[str, float]) -> Columns:
        n = len(here)
        kw_per_a = np.array([s.kw_per_a for s in here])
        took_kwh = np.array([got[s.session_id] - self.got.get(s.session_id, 0.0) for s in here])
        draw_a = took_kwh * 60 / kw_per_a * (1 + NOISE * self.noise.standard_normal(n))
        return Columns(
            now_min=self.minute_of(self.now),
            was=np.array([self.rows.get(s.session_id, -1) for s in here], dtype=np.int64),
            kw_per_a=kw_per_a,
            max_a=np.full(n, KNOB_A),
            floor_a=np.full(n, 6.0),
            step_a=np.ones(n),
            limit_a=np.array([self.limits.get(s.evse_id, KNOB_A) for s in here]),
            draw_a=np.maximum(draw_a, 0.0),
            got_kwh=np.array(list(got.values())),
            req_kwh=np.array([np.nan if s.requested_kwh is None else s.requested_kwh for s in here]),
            plug_min=np.array([self.minute_of(s.plug) for s in here]),
            depart_min=np.array(
                [np.nan if s.departure is None else self.minute_of(s.departure) for s in here]
            ),
            opted_out=np.zeros(n, dtype=np.bool_),
            online=np.ones(n, dtype=np.bool_),
        )


def loop_on(sessions: Sequence[Session], asked: Asked, *, seed: int, shares: Shares) -> list[Interval]:
    """What the loop sheds of one request, per five minutes."""
    played = _Played(sessions, asked, seed, shares)
    played.run()
    return intervals(played.minutes)
