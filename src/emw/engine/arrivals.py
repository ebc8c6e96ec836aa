"""Who has still to come: how many, by site, kind of day and hour, and what those who came drew so long after. Pure.

How many come is Gamma-Poisson twice over. The rate of an hour is what was seen of it, drawn towards the mean of such
days where little was seen. And a day has a share of its own, full or empty, common to all its hours: it is believed
from what came so far today, and what days differ by more than chance says how sure that is.

Times are hours of the local clock since some Monday's midnight.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf, sqrt
from typing import Self

import numpy as np

from emw.engine.columns import Bools, Floats, Ints
from emw.engine.forecast import Ahead

DAY_H = 24
KINDS = 2
"""Kinds of days: Monday to Friday, and the weekend."""
WEEKEND = 5
PART_H = 6
"""Who comes in the same six hours of a day draws alike."""
PARTS = DAY_H // PART_H
AGES_H = np.array([0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12], dtype=np.float64)
"""Edges of the times since plug-in, h; what is drawn later counts as nothing."""
STEP_H = 0.25
"""Who is to come is summed up in such steps."""
HALF_DAYS = 30.0
"""After so long what was seen weighs half: a season is not the next one."""
DRAWN = 0.5
"""An hour of the day weighs as much as the mean of its day once it was watched so long, h."""
ALIKE = 5.0
"""A part of a site's day weighs as much as that of all sites after so many visits."""
SPREAD = 0.2
"""Variance of a day's share before any day was seen..."""
SPREAD_KNOWN = 400.0
"""... which weighs as much as a day on which twenty were due."""
LEAST_SPREAD = 0.02
"""However alike days were so far: there are holidays."""


@dataclass(slots=True, kw_only=True)
class Seen:
    """What was seen, sums in which older days weigh less. First axis: sites, by `Arrivals.place`."""

    came: Floats
    """Arrivals, by kind of day (KINDS) and hour (DAY_H)."""
    watched: Floats
    """How long those hours were watched, h; by the same."""
    visits: Floats
    """Visits that have ended, by the part of the day (PARTS) in which they began."""
    drew: Floats
    """What they drew, kW, by that part and the time since plug-in (between AGES_H)."""
    gave: Floats
    """What of that could have been shed; by the same."""
    sizes: Floats
    """Of what they drew, and of what they could have shed: sum, and sum of squares, over visits."""
    today: Floats
    """How many came today so far, and how many were due."""
    days: Floats
    """Of days that are over: what they differ by beyond chance, squared, and what was due, squared."""

    @classmethod
    def nothing(cls, n: int) -> Self:
        """`n` sites of which nothing was seen."""
        return cls(
            came=np.zeros((n, KINDS, DAY_H)),
            watched=np.zeros((n, KINDS, DAY_H)),
            visits=np.zeros((n, PARTS)),
            drew=np.zeros((n, PARTS, len(AGES_H) - 1)),
            gave=np.zeros((n, PARTS, len(AGES_H) - 1)),
            sizes=np.zeros((n, 2, 2)),
            today=np.zeros((n, 2)),
            days=np.zeros((n, 2)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """Vehicles that have left, as columns."""

    site: Ints
    """By `Arrivals.place`."""
    came_h: Floats
    stayed_h: Floats
    got_kwh: Floats
    draws_kw: Floats
    """What it drew while it charged."""
    gives_kw: Floats
    """What of that could have been shed."""


class Arrivals:
    """One tree's sites. `watch` often, `left` as vehicles leave; then `to_come`."""

    def __init__(self, sites: Sequence[str] = (), seen: Seen | None = None, day: int | None = None) -> None:
        self.sites = {site: place for place, site in enumerate(sites)}
        self.seen = seen or Seen.nothing(len(self.sites))
        self.day = day
        """The local day that `today` is about; None: nothing was watched yet."""
        self._known = self._rates()

    def place(self, site: str) -> int:
        """Where a site lies in `seen`."""
        return int(self._places([site])[0])

    def _places(self, sites: Iterable[str]) -> Ints:
        found = [self.sites.setdefault(site, len(self.sites)) for site in sites]
        news = len(self.sites) - len(self.seen.today)
        if news:
            more = Seen.nothing(news)
            for f in fields(Seen):
                both = (getattr(self.seen, f.name), getattr(more, f.name))
                setattr(self.seen, f.name, np.concatenate(both))
            self._known = self._rates()
        return np.array(found, dtype=np.int64)

    def watch(self, from_h: float, to_h: float, came: Mapping[str, int]) -> None:
        """From one time to another, within the same hour or so, this many came. `came` names every site watched."""
        if to_h <= from_h:
            return  # clocks were put back
        middle_h = (from_h + to_h) / 2
        self._turn(int(middle_h // DAY_H))
        places = self._places(came)
        count = np.array(list(came.values()), dtype=np.float64)
        kind, hour = int(_kind(middle_h)), int(middle_h % DAY_H)
        seen, hours = self.seen, to_h - from_h
        rate, unsure = (x[places, kind, hour] for x in self._known)
        seen.today[places, 0] += count * (unsure > 0)
        seen.today[places, 1] += rate * hours
        seen.came[places, kind, hour] += count
        seen.watched[places, kind, hour] += hours

    def left(self, visits: Visits) -> None:
        """Vehicles that have left."""
        seen = self.seen
        charged_h = np.minimum(visits.got_kwh / np.maximum(visits.draws_kw, 0.1), visits.stayed_h)
        within = np.clip(charged_h[:, None] - AGES_H[:-1], 0.0, np.diff(AGES_H)) / np.diff(AGES_H)
        part = (visits.came_h % DAY_H // PART_H).astype(np.int64)
        np.add.at(seen.visits, (visits.site, part), 1.0)
        for n, (sums, kw) in enumerate(((seen.drew, visits.draws_kw), (seen.gave, visits.gives_kw))):
            np.add.at(sums, (visits.site, part), kw[:, None] * within)
            weight = kw * np.minimum(charged_h, 1.0)
            np.add.at(seen.sizes[:, n], visits.site, np.stack((weight, weight * kw), axis=1))

    def add(self, other: Arrivals) -> None:
        """What another, that is no longer needed, has seen of the same tree at another time."""
        if other.day is None:
            return
        today = max(other.day, other.day if self.day is None else self.day)
        self._turn(today)
        other._turn(today)
        places = self._places(other.sites)
        for f in fields(Seen):
            getattr(self.seen, f.name)[places] += getattr(other.seen, f.name)
        self._known = self._rates()

    def to_come(
        self, now_h: float, hours: Sequence[float], sites: Collection[str]
    ) -> tuple[list[Ahead], list[Ahead]]:
        """What those who come from now on can give at each of `hours` from now, and what they draw then."""
        places = np.array([self.sites[s] for s in sorted(sites) if s in self.sites], dtype=np.int64)
        if self.day is None or not len(places):
            none = [Ahead(hours=h, kw=0.0, doubt_kw=0.0, most_kw=0.0) for h in hours]
            return none, none
        gives, draws = (self._mean_of(sums)[places] for sums in (self.seen.gave, self.seen.drew))
        told: tuple[list[Ahead], list[Ahead]] = ([], [])
        for h in hours:
            for found, each, n in zip(told, (gives, draws), (1, 0), strict=True):
                found.append(self._ahead(now_h, h, each, places, self._size(n)[places]))
        return told

    # --- one belief each

    def _rates(self) -> tuple[Floats, Floats]:
        """Arrivals per hour by site, kind of day and hour, and the variance of that belief. Unwatched: nobody.

        Looked at between days, so that a day is held against those before it.
        """
        came, watched = self.seen.came, self.seen.watched
        mean = came.sum(axis=2) / np.maximum(watched.sum(axis=2), 1e-9)
        rate = (came + DRAWN * mean[:, :, None]) / (watched + DRAWN) * (watched > 0)
        return rate, rate / (watched + DRAWN)

    def _spread(self) -> float:
        """Variance of a day's share."""
        beyond, due = self.seen.days.sum(axis=0)
        return max(float((beyond + SPREAD * SPREAD_KNOWN) / (due + SPREAD_KNOWN)), LEAST_SPREAD)

    def _mean_of(self, sums: Floats) -> Floats:
        """What a vehicle is expected to draw (or give) by site, part of the day in which it came, and time since."""
        visits = self.seen.visits[:, :, None]
        anywhere = sums.sum(axis=(0, 1)) / max(float(visits.sum()), 1e-9)
        alike = (sums.sum(axis=0) + ALIKE * anywhere) / (visits.sum(axis=0) + ALIKE)
        found: Floats = (sums + ALIKE * alike) / (visits + ALIKE)
        return found

    def _size(self, n: int) -> Floats:
        """So many kW at once does one vehicle come and go with."""
        sums = self.seen.sizes[:, n]
        anywhere = sums[:, 1].sum() / max(sums[:, 0].sum(), 1e-9)
        return np.where(sums[:, 0] > 0, sums[:, 1] / np.maximum(sums[:, 0], 1e-9), anywhere)

    def _weights(self, now_h: float, hours: float, each: Floats) -> tuple[Floats, Floats]:
        """What one arrival per hour adds to what is given `hours` from now, by the hour in which it comes (`came`).

        Of what is left of today, and of later days; kW, a row per site.
        """
        steps = max(int(np.ceil(hours / STEP_H)), 1)
        wide = hours / steps
        age: Floats = (np.arange(steps, dtype=np.float64) + 0.5) * wide
        age = age[age < AGES_H[-1]]
        at: Floats = now_h + hours - age
        part = (at % DAY_H // PART_H).astype(np.int64)
        kw = each[:, part, np.searchsorted(AGES_H, age, side="right") - 1] * wide
        hour = _kind(at) * DAY_H + (at % DAY_H).astype(np.int64)
        today = at // DAY_H == self.day
        found = np.zeros((2, KINDS * DAY_H, len(each)))
        np.add.at(found, (np.where(today, 0, 1), hour), kw.T)
        return found[0].T, found[1].T

    def _ahead(self, now_h: float, hours: float, each: Floats, places: Ints, size_kw: Floats) -> Ahead:
        """By those who come within `hours`; `each`: what one of them gives (`_mean_of`)."""
        seen, spread = self.seen, self._spread()
        rate, unsure = (x[places].reshape(len(places), -1) for x in self._known)
        today, later = self._weights(now_h, hours, each)
        came, due = seen.today[places].T
        share, share_unsure = (1 + spread * came) / (1 + spread * due), spread / (1 + spread * due)
        today_kw, later_kw = (rate * today).sum(axis=1), (rate * later).sum(axis=1)
        kw = share * today_kw + later_kw
        by_chance = size_kw * kw
        by_rate = (unsure * (share[:, None] * today + later) ** 2).sum(axis=1)
        by_each = kw**2 / np.maximum(seen.visits[places].sum(axis=1), 1.0)
        by_day = share * share_unsure * today_kw**2 + spread * later_kw**2
        # A full day is one at all sites; everything else each site has for itself.
        doubt = float((by_chance + by_rate + by_each).sum()) + float(np.sqrt(by_day).sum()) ** 2
        return Ahead(hours=hours, kw=float(kw.sum()), doubt_kw=sqrt(doubt), most_kw=inf)

    def _turn(self, day: int) -> None:
        """A day is over: what it was like is kept, and what was seen before weighs less."""
        if self.day is None:
            self.day = day
        if day <= self.day:
            return
        seen = self.seen
        came, due = seen.today.T
        seen.days += np.stack(((came - due) ** 2 - due, due**2), axis=1)
        keeps = 0.5 ** ((day - self.day) / HALF_DAYS)
        for name in ("came", "watched", "visits", "drew", "gave", "sizes", "days"):
            setattr(seen, name, keeps * getattr(seen, name))
        seen.today = np.zeros_like(seen.today)
        self.day = day
        self._known = self._rates()


def _kind(at_h: Floats | float) -> Ints:
    """The kind of day."""
    weekend: Bools = np.asarray(at_h) // DAY_H % 7 >= WEEKEND
    return weekend.astype(np.int64)
