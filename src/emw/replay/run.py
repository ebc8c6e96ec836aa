"""A replay: the real service over an in-memory store, cars of the past at its doors, time that never waits."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from random import Random
from typing import Any

from emw.domain.model import Iso, Report, RequestState
from emw.replay.figures import Interval, Minute, intervals, summary
from emw.replay.requests import Asked, asked_at, could_of_all, of_all, window
from emw.replay.street import Bay, Shares, Street, earliest, overlapping
from emw.service.headend import HeadEnd
from emw.service.intake import PlugIn, PowerOn
from emw.service.ports import Believed, HeartBeat, Memory, Reading
from emw.service.requests import Decrease
from emw.service.settings import ServiceSettings
from emw.simulation.loop import SimLoop, run_to_end, simulated
from emw.simulation.node import SimClock, SimIds
from emw.simulator.sessions import Session
from emw.store.database import GivenSqlite
from emw.store.inline import Disk, InlineStore

Do = Callable[[datetime], Awaitable[None]]
Watch = Callable[[datetime, HeadEnd, Street], None]

ROOT = "replay"
BEAT_S = 60
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came out: a line per five minutes, and the figures of the whole run."""

    intervals: list[Interval]
    figures: dict[str, Any]


class _Store(InlineStore):
    """Nobody asks a replay for its telemetry afterwards."""

    async def add_readings(self, readings: Sequence[Reading]) -> None:
        return

    async def add_beliefs(self, beliefs: Sequence[Believed]) -> None:
        return

    async def keep_memories(self, memories: Sequence[Memory]) -> None:
        return

    async def roll_up(self, now: datetime) -> None:
        return

    async def still_ours(self) -> None:
        return


class _NoReports:
    async def deliver(self, iso: Iso, report: Report) -> bool:
        return True


def replay(
    sessions: Sequence[Session],
    requests: Sequence[Asked],
    *,
    seed: int = 1,
    shares: Shares | None = None,
    settings: ServiceSettings | None = None,
    seconds: Callable[[], float] | None = None,
    progress: Callable[[float, float], None] | None = None,
    watch: Watch | None = None,
) -> Replayed:
    """Play `requests` over the sessions that their window touches. The same seed gives the same figures.

    `seconds`: a steady clock for the time that rounds take; `progress` hears how far it is (0 to 1; virtual seconds).
    `watch` sees once a minute what the service believes, and the street's truth that it is never told.
    """
    start, end = window(requests)
    near = overlapping(sessions, start, end)
    with simulated(Random(f"replay:{seed}")) as loop:
        play = _Play(loop, near, requests, seed, shares or Shares(), settings or ServiceSettings())
        play.seconds, play.progress, play.watch = seconds, progress, watch
        task = run_to_end(loop, lambda: play.run(earliest(near, start), end))
        return task.result()


class _Meter:
    """Looks at the truth once a minute."""

    def __init__(self, play: _Play, street: Street, began: datetime) -> None:
        self.minutes: list[Minute] = []
        self._play, self._street = play, street
        self._before = street.energies_kwh(began)

    async def read(self, now: datetime) -> None:
        real, twin = self._street.energies_kwh(now)
        asked_kw = asked_at(self._play.requests, now - MINUTE)
        self.minutes.append(
            Minute(
                at=now - MINUTE,
                load_kw=(real - self._before[0]) * 60,
                unmanaged_kw=(twin - self._before[1]) * 60,
                asked_kw=of_all(asked_kw),
                could_kw=could_of_all(asked_kw, self._street.sheddable_kw()),
                told_kw=self._play.told_kw(),
            )
        )
        self._before = (real, twin)
        self._play.look(now)


class _Play:
    def __init__(
        self,
        loop: SimLoop,
        sessions: Sequence[Session],
        requests: Sequence[Asked],
        seed: int,
        shares: Shares,
        settings: ServiceSettings,
    ) -> None:
        self._loop, self._sessions, self.requests = loop, sessions, requests
        self._seed, self._shares = seed, shares
        self._settings = replace(settings, heartbeat_s=BEAT_S)
        self.seconds: Callable[[], float] | None = None
        self.progress: Callable[[float, float], None] | None = None
        self.watch: Watch | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, origin: datetime, end: datetime) -> Replayed:
        self._clock = SimClock(self._loop, origin)
        self._street = Street(self._sessions, origin, self._seed, self._shares)
        store = _Store(GivenSqlite(Disk().connection))
        self._headend = HeadEnd(
            store=store,
            loaded=await store.load(),
            clock=self._clock,
            ids=SimIds(Random(f"{self._seed}:ids")),
            chance=Random(f"{self._seed}:chance"),
            stations=self._street,
            reports=_NoReports(),
            settings=self._settings,
            version="replay",
        )
        if self.seconds is not None:
            self._headend.dispatch.stopwatch = self.seconds
        running = asyncio.create_task(self._headend.run())
        await self._headend.ready.wait()
        await self._set_up()
        minutes = await self._play(end)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return self._result(minutes)

    # --- before the first minute

    async def _set_up(self) -> None:
        admin = self._headend.admin
        zone = self._sessions[0].tz if self._sessions else "UTC"
        await admin.define_territory("replay", ROOT, time_zone=zone)
        for site in sorted({b.site for b in self._street.bays.values()}):
            await admin.define_territory("replay", site, parent_id=ROOT, kind="site", time_zone=zone)
        first = {s.evse_id: s for s in reversed(self._sessions)}
        await asyncio.gather(*(self._power_on(first[b.evse_id]) for b in self._street.bays.values()))

    async def _power_on(self, session: Session) -> None:
        headend = self._headend
        await headend.admin.add_station("replay", session.evse_id)
        said = PowerOn(
            evse_id=session.evse_id,
            model="replayed",
            customer_id=None,
            line_voltage_v=session.voltage_v,
            phases=session.phases,
            status="available",
            territory_id=ROOT,
            site=session.site,
            latitude=None,
            longitude=None,
            access_url="http://replayed",
            max_a=self._street.bays[session.evse_id].hardware.knob_a,
            may_pause=self._street.bays[session.evse_id].may_pause,
        )
        await headend.intake.power_on(headend.state.stations[session.evse_id], said)

    # --- what happens

    async def _play(self, end: datetime) -> list[Minute]:
        """Every arrival, departure, heartbeat and request in order of time; a line a minute."""
        clock = self._clock
        agenda: list[tuple[datetime, int, Do]] = []
        began, serial = clock.now(), count()

        def at(when: datetime, do: Do) -> None:
            heapq.heappush(agenda, (when, next(serial), do))

        for session in self._sessions:
            at(session.plug, partial(self._arrive, session))
            at(session.unplug, partial(self._depart, session))
        beats = self._beats()
        for second in range(int((end - began).total_seconds())):
            due = beats[second % BEAT_S]
            if due:
                at(began + timedelta(seconds=second), partial(self._beat, due))
        for request in self.requests:
            at(request.start, partial(self._ask, request))
            if request.until is not None:
                at(request.end, partial(self._cancel, request))
        meter = _Meter(self, self._street, began)
        minutes = int((end - began) / MINUTE)
        for n in range(1, minutes + 1):
            at(began + n * MINUTE, meter.read)
        while agenda and agenda[0][0] <= end:
            when, _, do = heapq.heappop(agenda)
            await clock.sleep((when - clock.now()).total_seconds())
            await do(when)
            if self.progress is not None:
                self.progress((when - began) / (end - began), (when - began).total_seconds())
        return meter.minutes

    def _beats(self) -> list[list[Bay]]:
        """Which stations report in which second of a minute."""
        chance = Random(f"{self._seed}:beats")
        beats: list[list[Bay]] = [[] for _ in range(BEAT_S)]
        for bay in self._street.bays.values():
            beats[chance.randrange(BEAT_S)].append(bay)
        return beats

    async def _beat(self, bays: Sequence[Bay], now: datetime) -> None:
        """The heartbeats of one second, of stations with a car."""
        state, intake = self._headend.state, self._headend.intake
        for bay in bays:
            evse = state.evses[bay.evse_id]
            if not bay.hardware.plugged or evse.session_id is None:
                continue
            read = bay.hardware.read(now)
            said = HeartBeat(
                at=now,
                voltage_v=read.voltage_v,
                current_a=read.current_a,
                evse_max_a=read.knob_a,
                car_max_a=read.knob_a,
                limit_a=read.limit_a,
                energy_kwh=read.energy_kwh,
            )
            await intake.heartbeat(state.stations[bay.evse_id], bay.evse_id, said)

    async def _arrive(self, session: Session, now: datetime) -> None:
        self._street.bays[session.evse_id].plug(session, self._seed, self._shares.taper, now)
        car = PlugIn(
            line_voltage_v=session.voltage_v,
            evse_max_a=self._street.bays[session.evse_id].hardware.knob_a,
            car_max_a=self._street.bays[session.evse_id].hardware.knob_a,
            energy_requested_kwh=session.requested_kwh,
            departure_at=session.departure,
        )
        headend = self._headend
        station = headend.state.stations[session.evse_id]
        # Whoever waits for an answer waits on the wire: the others' time goes on.
        self._later(headend.intake.plugged_in(station, session.evse_id, car))

    async def _depart(self, session: Session, now: datetime) -> None:
        bay = self._street.bays[session.evse_id]
        vehicle = bay.hardware.read(now).vehicle
        if vehicle is None or vehicle.since != session.plug:
            return  # the next car came before this one left
        bay.leave(now)
        station = self._headend.state.stations[session.evse_id]
        self._later(self._headend.intake.unplugged(station, session.evse_id, None))

    async def _ask(self, request: Asked, _: datetime) -> None:
        asked = Decrease(
            request_id=request.request_id,
            territory_id=request.territory or ROOT,
            kw=request.kw,
            start_at=request.start,
            end_at=request.until or request.end,
        )
        self._later(self._headend.requests.decrease("replay", asked, actor="replay"))

    async def _cancel(self, request: Asked, _: datetime) -> None:
        self._later(self._headend.requests.return_to_normal("replay", request.request_id, actor="replay"))

    def _later(self, coro: Any) -> None:
        task = asyncio.create_task(coro)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def look(self, now: datetime) -> None:
        """Let whoever watches look."""
        if self.watch is not None:
            self.watch(now, self._headend, self._street)

    def told_kw(self) -> float | None:
        """What emw says it sheds now."""
        now = self._clock.now()
        told: dict[str | None, float] = {}
        for r in self._headend.state.requests.values():
            kw = self._headend.accounts.sums(r, now).measured_kw if r.state is RequestState.ACTIVE else None
            if kw is not None:
                told[None if r.territory_id == ROOT else r.territory_id] = kw
        return (told[None] if None in told else sum(told.values())) if told else None

    # --- what came of it

    def _result(self, minutes: Sequence[Minute]) -> Replayed:
        bays = self._street.bays.values()
        now = self._clock.now()
        for bay in bays:
            bay.stay_on(now)
        figures = summary(
            minutes,
            unserved_kwh=sum(b.unserved_kwh for b in bays),
            hurt=sum(b.hurt for b in bays),
            sessions=sum(b.sessions for b in bays),
            commands=sum(b.commands for b in bays),
            touched=sum(b.commands > 0 for b in bays),
        )
        dispatch = self._headend.dispatch
        if self.seconds is not None and dispatch.rounds:
            figures["secondsPerRound"] = round(dispatch.thought_s / dispatch.rounds, 6)
        return Replayed(intervals=intervals(minutes), figures=figures)
