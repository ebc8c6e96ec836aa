"""Who comes to a tree's sites, told to the engine's `arrivals`: minute by minute, and once from the sessions kept.

What was seen is written down with the rest of what was learned (`memory`), so it grows over restarts. Only where
nothing was written yet the store is asked for its sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from emw.domain.model import Evse, Session
from emw.domain.reach import lowest_a
from emw.domain.state import State
from emw.engine.arrivals import Arrivals, Visits
from emw.engine.columns import Floats, Ints
from emw.engine.forecast import Ahead

MONDAY = datetime(2001, 1, 1)  # noqa: DTZ001 - of every local clock
HOUR = timedelta(hours=1)
BLIND = timedelta(minutes=15)
"""After a longer pause nobody can say who came meanwhile."""
HISTORY = timedelta(days=60)
SESSIONS = 20_000
"""So many of the latest sessions say enough."""

Drew = Callable[[Ints], tuple[Floats, Floats]]
"""Rows of the last look: the most that each was seen to draw, A, and what it has got, kWh."""


class Plugged(Protocol):
    """A vehicle at its EVSE."""

    @property
    def evse(self) -> Evse:
        """Where it is."""
        ...

    @property
    def session(self) -> Session:
        """Its stay."""
        ...


@dataclass(frozen=True, slots=True)
class _Stay:
    """A vehicle that is here."""

    site: str
    started_at: datetime
    kw_per_a: float
    least_a: float
    """What it still draws when all is asked of it."""


class Coming:
    """Counts who comes to the sites of one tree, and what they drew until they left."""

    def __init__(self, root: str, zone: ZoneInfo, since: datetime, arrivals: Arrivals | None = None) -> None:
        self._root = root
        self.arrivals = arrivals or Arrivals()
        self.known = arrivals is not None
        """Whether an earlier process wrote down who came."""
        self._zone = zone
        self._since = since
        """Who came before was counted by an earlier process, or by nobody."""
        self._looked_at = since
        self._here: dict[str, _Stay] = {}

    def local_h(self, at: datetime) -> float:
        """Hours of the local clock."""
        return (at.astimezone(self._zone).replace(tzinfo=None) - MONDAY) / HOUR

    def look(
        self,
        there: Sequence[Plugged],
        at: Mapping[str, int],
        sites: Iterable[str],
        before: Mapping[str, int],
        drew: Drew,
        now: datetime,
    ) -> None:
        """Those who are here now. `at`: where each session lies in `there`, `before`: in the rows of `drew`."""
        came = dict.fromkeys(sorted(sites), 0)
        for key in sorted(at.keys() - self._here.keys()):
            evse, session = there[at[key]].evse, there[at[key]].session
            least_a = lowest_a(evse, session)
            self._here[key] = _Stay(evse.territory_id, session.started_at, evse.kw_per_a, least_a)
            if session.started_at > self._since:
                came[evse.territory_id] += 1
        if now - self._looked_at <= BLIND:
            self.arrivals.watch(self.local_h(self._looked_at), self.local_h(now), came)
        gone = sorted(self._here.keys() - at.keys())
        if gone:
            stays = [self._here.pop(key) for key in gone]
            self._left(stays, *drew(np.array([before[key] for key in gone], dtype=np.int64)), now)
        self._looked_at = now

    def _left(self, stays: Sequence[_Stay], drew_a: Floats, got_kwh: Floats, now: datetime) -> None:
        columns = [(s.kw_per_a, s.least_a, self.local_h(s.started_at)) for s in stays]
        kw_per_a, least_a, came_h = np.array(columns).T
        self.arrivals.left(
            Visits(
                site=np.array([self.arrivals.place(s.site) for s in stays], dtype=np.int64),
                came_h=came_h,
                stayed_h=np.maximum(self.local_h(now) - came_h, 0.0),
                got_kwh=got_kwh,
                draws_kw=kw_per_a * drew_a,
                gives_kw=kw_per_a * np.maximum(drew_a - least_a, 0.0),
            )
        )

    def to_come(
        self, now: datetime, hours: Sequence[float], sites: Iterable[str]
    ) -> tuple[list[Ahead], list[Ahead]]:
        """What those still to come can give in so many hours, and what they draw then."""
        return self.arrivals.to_come(self.local_h(now), hours, set(sites))

    def recall(self, rows: Iterable[Mapping[str, Any]], state: State) -> None:
        """Sessions from before this process, as the store's question `visits` tells them; none came later."""
        known = [(r, state.evses[r["evse_id"]]) for r in rows if r["evse_id"] in state.evses]
        past = [
            (r, evse, self.local_h(r["started_at"]))
            for r, evse in known
            if r["started_at"] < self._since and state.root(evse.territory_id) == self._root
        ]
        self.known = True
        if past:
            self.arrivals.add(self._of_history(past))

    def _of_history(self, past: Sequence[tuple[Mapping[str, Any], Evse, float]]) -> Arrivals:
        found = Arrivals()
        until_h = self.local_h(self._since)
        first_h: dict[str, float] = {}
        count: dict[float, dict[str, int]] = {}
        for _, evse, came_h in past:
            site, hour = evse.territory_id, came_h // 1
            # The hour that brought the first one is no fair sample: a site is watched from the next one on.
            first_h[site] = min(first_h.get(site, hour + 1), hour + 1)
            by_site = count.setdefault(hour, {})
            by_site[site] = by_site.get(site, 0) + 1
        hour = min(first_h.values())
        while hour < until_h:
            by_site = count.get(hour, {})
            came = {site: by_site.get(site, 0) for site, first in first_h.items() if first <= hour}
            found.watch(hour, min(hour + 1, until_h), came)
            hour += 1
        ended = [(r, e, h) for r, e, h in past if r["ended_at"] is not None and r["energy_kwh"] is not None]
        if ended:
            # Where no meter said what it drew, it drew what both could.
            could_kw = np.array([e.kw_per_a * min(r["evse_max_a"], r["car_max_a"]) for r, e, _ in ended])
            drew_kw = np.array([r["most_kw"] or 0.0 for r, _, _ in ended])
            draws_kw = np.where(drew_kw > 0, np.minimum(drew_kw, could_kw), could_kw)
            least_kw = np.array([e.kw_per_a * lowest_a(e, None) for _, e, _ in ended])
            begun_h = np.array([h for _, _, h in ended])
            found.left(
                Visits(
                    site=np.array([found.place(e.territory_id) for _, e, _ in ended], dtype=np.int64),
                    came_h=begun_h,
                    stayed_h=np.array([self.local_h(r["ended_at"]) for r, _, _ in ended]) - begun_h,
                    got_kwh=np.array([r["energy_kwh"] for r, _, _ in ended]),
                    draws_kw=draws_kw,
                    gives_kw=np.maximum(draws_kw - least_kw, 0.0),
                )
            )
        return found
