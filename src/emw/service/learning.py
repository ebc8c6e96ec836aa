"""From readings to beliefs: once a minute and tree, what the meters say goes to the engine's learner.

What comes back (what each vehicle would draw, how sure that is, what holding it costs) is kept with the telemetry,
where dispatch, accounts and the console read it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import nan
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from emw.domain.model import Evse, Limit, Outcome, ReductionRequest, RequestState, Session
from emw.domain.reach import floor_a
from emw.domain.state import State
from emw.engine.columns import Columns
from emw.engine.forecast import Ahead
from emw.engine.learn import Learner
from emw.engine.peaks import Peaks
from emw.engine.price import LEAST_H
from emw.service.coming import Coming
from emw.service.memory import Known, read, written
from emw.service.ports import Memory, Reading
from emw.service.telemetry import Telemetry, shows_from

EVERY = timedelta(seconds=59)
"""Readings come once a minute; a look earlier would see most of them twice."""
NEWBORN = timedelta(seconds=5)
"""A server that starts serves first and learns then, but not where it carries on what holds vehicles: a shed without
prices, and a ceiling without what vehicles take less than they are offered, would be shared anew over all of them.
"""
AHEAD_H = 1.0
"""How far ahead a hold is priced when nothing is running, or nobody knows when it ends."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A draw and the limit it was taken under, A per phase."""

    limit_a: float
    draw_a: float


@dataclass(slots=True)
class _Mind:
    """What is remembered of one tree."""

    anchor: datetime
    """Local midnight before the first look: minutes count from here."""
    coming: Coming
    looks_from: datetime | None = None
    """When it looks first; None: nobody has asked it to."""
    learner: Learner = field(default_factory=Learner)
    peaks: Peaks = field(default_factory=Peaks)
    rows: dict[str, int] = field(default_factory=dict)
    """Session to row of the last look."""
    got_kwh: dict[str, float] = field(default_factory=dict)
    """Energy of sessions whose station does not tell it, summed up from readings."""
    shown: dict[str, _Shown] = field(default_factory=dict)
    """What each session showed at the last look."""
    looked_at: datetime | None = None
    priced: bool = False
    """Whether the beliefs of the last look came with prices."""
    handed_on_at: datetime | None = None
    remembered: Known | None = None
    """What an earlier process knew of sessions that have not been looked at yet."""

    def minute(self, at: datetime) -> float:
        return (at - self.anchor).total_seconds() / 60


@dataclass(frozen=True, slots=True)
class _Row:
    """One vehicle and what was heard of it last."""

    evse: Evse
    session: Session
    reading: Reading
    free_a: float | None
    limit: Limit | None


class Learning:
    """Looks at trees, tells telemetry what is believed."""

    def __init__(self, state: State, telemetry: Telemetry) -> None:
        self._state = state
        self._telemetry = telemetry
        self._minds: dict[str, _Mind] = {}
        self._remembered: dict[str, Known] = {}

    def recall(self, memories: Iterable[Memory], now: datetime) -> None:
        """At a start, before anything is decided: what an earlier process wrote down is believed."""
        sessions = self._state.sessions
        for memory in memories:
            found = read(memory, now)
            if found is not None:
                self._remembered[memory.root] = found
                there = [s for s in found.places if s in sessions]
                evse_ids = [sessions[s].evse_id for s in there]
                self._telemetry.believe(there, evse_ids, found.beliefs(there))

    def memories(self, now: datetime) -> list[Memory]:
        """What is worth writing down, a memory per tree that has been looked at."""
        minds = sorted(self._minds.items())
        return [written(root, _known(mind), now) for root, mind in minds if mind.looked_at is not None]

    def look(
        self,
        root: str,
        evses: Collection[Evse],
        paths: Mapping[str, Sequence[str]],
        requests: Sequence[ReductionRequest],
        now: datetime,
    ) -> bool:
        """Learn from the latest readings of a tree, at most once a minute. `paths`: node to the nodes above it.

        Returns whether it was time to: then everything is believed anew.
        """
        mind = self._mind(root, now)
        if mind.looks_from is None:
            held = any(self._state.held(e.evse_id, now) is not None for e in evses)
            mind.looks_from = now if requests or held else now + NEWBORN
        if now < mind.looks_from or (mind.looked_at is not None and now - mind.looked_at < EVERY):
            return False
        rows = self._rows(mind, evses, now)
        seen, known_a = self._columns(mind, rows, now)
        sessions = [r.session.session_id for r in rows]
        past = None if mind.remembered is None else mind.remembered.take(sessions)
        at, sites = {session_id: i for i, session_id in enumerate(sessions)}, {e.territory_id for e in evses}
        mind.coming.look(rows, at, sites, mind.rows, mind.learner.drew, now)
        mind.learner.look(seen, np.array(known_a, dtype=np.float64), past)
        mind.rows = at
        mind.looked_at = now
        running = [r for r in requests if r.live]
        mind.priced = bool(running)
        beliefs = mind.learner.beliefs(horizon_h(running, now) if running else None)
        self._telemetry.believe((r.session.session_id for r in rows), (r.evse.evse_id for r in rows), beliefs)
        self._watch_peaks(mind, rows, paths, running, now)
        return True

    def price(self, root: str, hours: float) -> bool:
        """Make sure that prices are there: a request has come between two looks, or somebody asks what if.

        Returns whether they had to be made.
        """
        mind = self._minds.get(root)
        if mind is None or mind.priced:
            return False
        mind.priced = True
        beliefs = mind.learner.beliefs(hours)
        in_row = list(mind.rows)
        evse_ids = [self._state.sessions[s].evse_id if s in self._state.sessions else "" for s in in_row]
        self._telemetry.believe(in_row, evse_ids, beliefs)
        return True

    def forecast(self, root: str, gives_kw: Mapping[str, float], hours: Sequence[float]) -> list[Ahead]:
        """What can be shed in so many hours by the EVSEs named, of which `gives_kw` says what each can give now."""
        mind = self._minds.get(root)
        sessions = self._state.sessions
        in_row = [] if mind is None else [sessions[s].evse_id if s in sessions else "" for s in mind.rows]
        seen_kw = np.array([gives_kw.get(evse_id, 0.0) for evse_id in in_row], dtype=np.float64)
        known = set(in_row)
        unseen_kw = np.array([kw for e, kw in sorted(gives_kw.items()) if e not in known], dtype=np.float64)
        learner = Learner() if mind is None else mind.learner
        return learner.forecast(seen_kw, unseen_kw, hours)

    def to_come(
        self, root: str, sites: Iterable[str], now: datetime, hours: Sequence[float]
    ) -> tuple[list[Ahead], list[Ahead]]:
        """What vehicles that have still to come to `sites` can give in so many hours, and what they draw then."""
        return self._mind(root, now).coming.to_come(now, hours, sites)

    def strangers(self, now: datetime) -> bool:
        """Whether there is a tree of which no earlier process wrote down who comes."""
        return any(not self._mind(root, now).coming.known for root in self._state.roots)

    def recall_visits(self, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
        """Sessions that the store has kept, for those trees."""
        for root in self._state.roots:
            coming = self._mind(root, now).coming
            if not coming.known:
                coming.recall(rows, self._state)

    def doubt_kw(self, root: str) -> float:
        """Standard deviation of the tree's counterfactual, kW."""
        mind = self._minds.get(root)
        return 0.0 if mind is None else mind.learner.doubt_kw

    def others_a(self, root: str) -> float | None:
        """What the tree's vehicles draw that were seen free, a mean in A; None: too few were."""
        mind = self._minds.get(root)
        return None if mind is None else mind.learner.others_a

    def highest_kw(self, root: str, now: datetime) -> dict[str, float]:
        """Per node, the load that a return may come up to."""
        mind = self._minds.get(root)
        return {} if mind is None else mind.peaks.highest_kw(mind.minute(now))

    def hand_on_due(self, root: str, now: datetime, every_s: float) -> bool:
        """Whether it is time to look who could hand on to whom; true once in `every_s`."""
        mind = self._minds.get(root)
        if mind is None:
            return False
        if mind.handed_on_at is not None and now - mind.handed_on_at < timedelta(seconds=every_s):
            return False
        first = mind.handed_on_at is None
        mind.handed_on_at = now
        return not first

    # --- one look

    def _mind(self, root: str, now: datetime) -> _Mind:
        mind = self._minds.get(root)
        if mind is None:
            node = self._state.territories.get(root)
            zone = ZoneInfo(node.time_zone if node is not None else "UTC")
            midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
            known = self._remembered.pop(root, None)
            since, arrivals = (now, None) if known is None else (known.at or now, known.arrivals)
            mind = self._minds[root] = _Mind(midnight, Coming(root, zone, since, arrivals))
            mind.remembered = known
            if mind.remembered is not None:
                mind.learner.recall(mind.remembered.habits)
                mind.got_kwh = mind.remembered.got_kwh
                mind.peaks.recall(mind.minute(now), mind.remembered.peaks_kw)
        return mind

    def _rows(self, mind: _Mind, evses: Iterable[Evse], now: datetime) -> list[_Row]:
        """EVSEs with a vehicle that has been metered, in order of id.

        At first sight what was metered before a change of its limit would be taken for what it draws since: after a
        restart a rise from 6 A to 7 A looked like a vehicle that takes an ampere less than offered.
        """
        state, live_of = self._state, self._telemetry.live
        rows = []
        for evse in evses:
            session = state.session_of(evse)
            live = live_of.get(evse.evse_id)
            if session is not None and live is not None and live.reading is not None:
                limit = state.limits.get(evse.evse_id)
                row = _Row(evse, session, live.reading, live.free_a, limit)
                if session.session_id in mind.shown or _settled(row, now):
                    rows.append(row)
        rows.sort(key=lambda r: r.evse.evse_id)
        return rows

    def _columns(self, mind: _Mind, rows: Sequence[_Row], now: datetime) -> tuple[Columns, list[float]]:
        was = [mind.rows.get(r.session.session_id, -1) for r in rows]
        before = mind.shown
        hours = 0.0 if mind.looked_at is None else (now - mind.looked_at).total_seconds() / 3600
        table = []
        got: dict[str, float] = {}
        known_a = []
        shows: dict[str, _Shown] = {}
        for r in rows:
            reading, session, evse = r.reading, r.session, r.evse
            key = session.session_id
            shown = shows[key] = _shown(r, before.get(key), now)
            if reading.energy_kwh is not None:
                got_kwh = reading.energy_kwh
            else:
                got_kwh = got[key] = mind.got_kwh.get(key, 0.0) + reading.kw * hours
            table.append(
                (
                    evse.kw_per_a,
                    evse.max_a,
                    floor_a(evse, session),
                    evse.step_a,
                    shown.limit_a,
                    shown.draw_a,
                    got_kwh,
                    nan if session.energy_requested_kwh is None else session.energy_requested_kwh,
                    mind.minute(session.started_at),
                    nan if session.departure_at is None else mind.minute(session.departure_at),
                    evse.opted_out(now),
                    evse.online,
                )
            )
            known_a.append(nan if r.free_a is None else r.free_a)
        mind.got_kwh, mind.shown = got, shows
        columns = np.array(table, dtype=np.float64).reshape(len(rows), 12).T
        seen = Columns(
            now_min=mind.minute(now),
            was=np.array(was, dtype=np.int64),
            kw_per_a=columns[0],
            max_a=columns[1],
            floor_a=columns[2],
            step_a=columns[3],
            limit_a=np.minimum(columns[4], columns[1]),
            draw_a=np.maximum(columns[5], 0.0),
            got_kwh=np.maximum(columns[6], 0.0),
            req_kwh=columns[7],
            plug_min=columns[8],
            depart_min=columns[9],
            opted_out=columns[10] > 0,
            online=columns[11] > 0,
        )
        return seen, known_a

    def _watch_peaks(
        self,
        mind: _Mind,
        rows: Sequence[_Row],
        paths: Mapping[str, Sequence[str]],
        running: Sequence[ReductionRequest],
        now: datetime,
    ) -> None:
        load: dict[str, float] = {}
        would: dict[str, float] = {}
        held = False
        for r in rows:
            would_kw = r.evse.kw_per_a * self._telemetry.expected(r.evse, r.session).baseline_a
            held = held or (r.limit is not None and r.limit.in_force(now))
            for node_id in paths.get(r.evse.territory_id, ()):
                load[node_id] = load.get(node_id, 0.0) + r.reading.kw
                would[node_id] = would.get(node_id, 0.0) + would_kw
        started = [r for r in running if r.state is not RequestState.PENDING]
        mind.peaks.watch(
            mind.minute(now),
            load,
            would,
            quiet=not started and not held,
            returning=bool(started) and all(r.state is RequestState.RESTORING for r in started),
        )


def _known(mind: _Mind) -> Known:
    """What no meter will say again of one tree."""
    rows, past = mind.learner.past()
    sessions = list(mind.rows)
    places = {sessions[row]: place for place, row in enumerate(rows.tolist())}
    peaks_kw, arrivals = mind.peaks.seen_kw, mind.coming.arrivals
    return Known(mind.learner.habits, places, past, mind.got_kwh, peaks_kw, arrivals)


def _settled(r: _Row, now: datetime) -> bool:
    """Whether its last reading is of the limit that stands, and of nothing before."""
    limit = r.limit
    if limit is None:
        return True
    return limit.outcome is not Outcome.PENDING and r.reading.received_at >= shows_from(limit, now)


def _shown(r: _Row, before: _Shown | None, now: datetime) -> _Shown:
    """The last reading that has settled, and the limit it was taken under.

    A reading from just after a change belongs to neither side of it: what was shown before stands for one more look.
    """
    limit, reading, evse = r.limit, r.reading, r.evse
    draw_a = reading.kw / evse.kw_per_a if evse.kw_per_a > 0 else reading.current_a
    if limit is None:
        return _Shown(evse.max_a, draw_a)
    if before is not None and not _settled(r, now):
        # Taken before the change it is as good as any; taken while it came about it says nothing.
        return _Shown(before.limit_a, draw_a if reading.received_at < limit.issued_at else before.draw_a)
    under_a = evse.max_a
    if limit.max_a is not None and limit.holds(now):
        under_a = limit.max_a if limit.answered_a is None else limit.answered_a
    return _Shown(under_a, draw_a)


def horizon_h(requests: Iterable[ReductionRequest], now: datetime) -> float:
    """How long what runs will still run, h."""
    ends = [r.end_at for r in requests if r.state in {RequestState.ACTIVE, RequestState.PENDING}]
    hours = [AHEAD_H if end is None else (end - now).total_seconds() / 3600 for end in ends]
    return max([*hours, LEAST_H])
